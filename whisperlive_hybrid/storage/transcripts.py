"""Statements about finished transcripts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, false, func, literal_column, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.paging import insert_rows, page
from whisperlive_hybrid.storage.rows import Page, TranscriptRow
from whisperlive_hybrid.storage.tables import job, transcript

_COLUMNS = [c for c in transcript.c if c.name != "number"]


async def insert_transcript(connection: AsyncConnection, row: TranscriptRow) -> None:
    """Record what became of a job. Raises IntegrityError where it has a transcript, or its clip is gone."""
    await insert_rows(connection, transcript, [row])


async def transcript_of_job(connection: AsyncConnection, job_id: str) -> TranscriptRow | None:
    """The job's transcript; None where there is none."""
    return _maybe((await connection.execute(select(*_COLUMNS).where(transcript.c.job_id == job_id))).first())


async def transcript_of_clip(connection: AsyncConnection, clip_id: str) -> TranscriptRow | None:
    """The clip's newest transcript; None where there is none."""
    query = select(*_COLUMNS).where(transcript.c.clip_id == clip_id).order_by(transcript.c.number.desc()).limit(1)
    return _maybe((await connection.execute(query)).first())


async def transcript_by_content(connection: AsyncConnection, content_key: str) -> TranscriptRow | None:
    """A transcript of the same audio with the same options; None where there is none."""
    # Only numbers are compared: popular audio has many transcripts.
    newest = (
        select(func.max(transcript.c.number))
        .join(job, job.c.id == transcript.c.job_id)
        .where(job.c.content_key == content_key, job.c.state == "done")
        .scalar_subquery()
    )
    return _maybe((await connection.execute(select(*_COLUMNS).where(transcript.c.number == newest))).first())


async def page_of_transcripts(
    connection: AsyncConnection,
    *,
    clip_id: str | None = None,
    words: str | None = None,
    prefix: bool = False,
    after: str | None = None,
    limit: int,
) -> Page[TranscriptRow]:
    """Transcripts, newest job first. `words`: only those with all of these words in their text; `prefix`: the last of
    them may be the beginning of a word."""
    found = select(transcript.c.job_id)
    if clip_id is not None:
        found = found.where(transcript.c.clip_id == clip_id)
    if words is not None:
        found = found.where(_has_words(connection, words, prefix))
    if after is not None:
        found = found.where(transcript.c.job_id < after)
    # Only ids are sorted: common words are found in many texts.
    newest = found.order_by(transcript.c.job_id.desc()).limit(limit + 1)
    query = select(*_COLUMNS, transcript.c.job_id.label("id")).where(transcript.c.job_id.in_(newest))
    return await page(connection, query, transcript.c.job_id, _row, after=after, limit=limit)


async def delete_transcripts_of_clip(connection: AsyncConnection, clip_id: str) -> int:
    """Forget a clip's transcripts; how many there were."""
    return (await connection.execute(delete(transcript).where(transcript.c.clip_id == clip_id))).rowcount


def _has_words(connection: AsyncConnection, words: str, prefix: bool) -> ColumnElement[bool]:
    listed = words.split()
    if not listed:
        return false()
    if connection.dialect.name == "postgresql":
        simple: ColumnElement[Any] = literal_column("'simple'")
        sought: ColumnElement[Any] = func.plainto_tsquery(simple, words)
        if prefix:
            # Quoted, so that none of its characters is an operator
            # (https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY).
            last = "'" + listed[-1].replace("\\", "\\\\").replace("'", "''") + "':*"
            sought = func.plainto_tsquery(simple, " ".join(listed[:-1])).op("&&")(func.to_tsquery(simple, last))
        return func.to_tsvector(simple, transcript.c.text).op("@@")(sought)
    # Each word as a string of its own, so that none is taken for an operator (https://sqlite.org/fts5.html, 3.1).
    quoted = " ".join('"' + word.replace('"', '""') + '"' for word in listed) + (" *" if prefix else "")
    found = sql("SELECT rowid FROM transcript_search WHERE transcript_search MATCH :words").bindparams(words=quoted)
    return transcript.c.number.in_(found.columns(transcript.c.number))


def _maybe(row: Row[Any] | None) -> TranscriptRow | None:
    return None if row is None else _row(row)


def _row(row: Row[Any]) -> TranscriptRow:
    return TranscriptRow(row.job_id, row.clip_id, row.text, row.body, row.created_at)
