"""Transcripts listed and searched, with the places where the words stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.jobs.places import Place, places_of, sought
from whisperlive_hybrid.jobs.service import LONG_BYTES
from whisperlive_hybrid.jobs.stored import decode_transcript
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.storage import clips, transcripts
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.rows import Page, TranscriptRow

MOST_PLACES: Final = 5
"""Of one transcript."""


@dataclass(frozen=True, slots=True)
class Found:
    """A transcript in a list."""

    row: TranscriptRow
    name: str
    """Of its clip."""
    places: tuple[Place, ...] = ()
    n_places: int = 0
    """In all; `places` are the best of them."""


async def search(
    database: Database,
    *,
    clip_id: str | None,
    words: str | None,
    prefix: bool,
    after: str | None,
    limit: int,
) -> Page[Found]:
    """Transcripts, newest first; with `words` those that have all of them, `prefix`: the last may be the beginning of
    one."""

    async def work(connection: AsyncConnection) -> tuple[Page[TranscriptRow], dict[str, str]]:
        page = await transcripts.page_of_transcripts(
            connection, clip_id=clip_id, words=words, prefix=prefix, after=after, limit=limit
        )
        return page, await clips.clip_names(connection, [row.clip_id for row in page.items])

    page, names = await database.read(work)
    if words is None:
        return Page(tuple(Found(row, names.get(row.clip_id, "")) for row in page.items), page.after)
    if sum(len(row.body) for row in page.items) < LONG_BYTES:
        found = _located(page.items, names, words, prefix)
    else:
        found = await asyncio.to_thread(_located, page.items, names, words, prefix)
    return Page(found, page.after)


def _located(rows: Sequence[TranscriptRow], names: dict[str, str], words: str, prefix: bool) -> tuple[Found, ...]:
    wanted = sought(words, prefix=prefix)
    return tuple(
        Found(
            row,
            names.get(row.clip_id, ""),
            *places_of(decode_transcript(row.body, FileOptions()).segments, wanted, MOST_PLACES),
        )
        for row in rows
    )
