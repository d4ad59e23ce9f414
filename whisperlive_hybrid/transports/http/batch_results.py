"""What became of a batch: one line a job, or an archive of files."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import BadInput, HybridError, NotFound
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.jobs.view import JobView
from whisperlive_hybrid.storage.rows import BatchRow
from whisperlive_hybrid.transports.http.api_answers import NDJSON
from whisperlive_hybrid.transports.http.api_objects import failure, transcription_object
from whisperlive_hybrid.transports.http.errors import envelope
from whisperlive_hybrid.transports.http.following import stream_answer

ARCHIVE_FORMATS: Final = ("json", "txt", "srt", "vtt", "tsv")


async def lines_of_batch(request: web.Request, jobs: JobService, views: list[JobView]) -> web.StreamResponse:
    """One JSON object a line for each job, in the order in which they were asked for."""

    async def results() -> AsyncGenerator[dict[str, Any]]:
        for view in views:
            yield await _result(jobs, view)

    async def write(result: dict[str, Any]) -> bytes:
        return msgspec.json.encode(result) + b"\n"

    def write_error(error: HybridError) -> bytes:
        return msgspec.json.encode(envelope(error)) + b"\n"

    return await stream_answer(request, NDJSON, results(), write=write, write_error=write_error)


async def _result(jobs: JobService, view: JobView) -> dict[str, Any]:
    row = view.row
    head = {"job_id": row.id, "clip_id": row.clip_id, "source_url": row.source_url, "state": row.state}
    transcript = await _transcript(jobs, view)
    if transcript is None:
        return {**head, "transcription": None, **envelope(failure(row))}
    return {**head, "transcription": transcription_object(transcript, row.clip_id or "", row.id)}


async def _transcript(jobs: JobService, view: JobView) -> Transcript | None:
    if view.row.state != "done":
        return None
    try:
        return await jobs.transcript(view.row.id)
    except NotFound:  # deleted meanwhile
        return None


async def zip_of_batch(
    request: web.Request, jobs: JobService, batch: BatchRow, views: list[JobView]
) -> web.StreamResponse:
    """A zip archive with a file for each job that is done, and errors.txt for those that are not.

    It is sent as it is made: `?transcript=` names the form of the files (txt).
    """
    form = request.query.get("transcript", "txt").lower()
    if form not in ARCHIVE_FORMATS:
        raise BadInput(
            f"There is no format {form[:64]!r} for the files of an archive.",
            param="transcript",
            accepted=ARCHIVE_FORMATS,
            code="unknown_format",
        )
    names = await jobs.clips.names([view.row.clip_id for view in views if view.row.clip_id is not None])
    response = web.StreamResponse(
        headers={"Content-Disposition": f'attachment; filename="{batch.id}.zip"', "Cache-Control": "no-store"}
    )
    response.content_type = "application/zip"
    await response.prepare(request)
    sink = _Sink()
    failed: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, view in enumerate(views, 1):
            transcript = await _transcript(jobs, view)
            name = names.get(view.row.clip_id or "", view.row.source_url or "")
            if transcript is None:
                failed.append(f"{number:04} {name} {view.row.id}: {failure(view.row).message}\n")
                continue
            text = await asyncio.to_thread(formats.render, transcript, form)
            await asyncio.to_thread(archive.writestr, f"{number:04}-{_stem(name)}.{form}", text)
            await response.write(sink.taken())
        if failed:
            archive.writestr("errors.txt", "".join(failed))
    await response.write(sink.taken())
    return response


def _stem(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return re.sub(r"[^\w.-]+", "_", last.rsplit(".", 1)[0] or last).strip("._")[:80] or "audio"


class _Sink(io.RawIOBase):
    """What the archive writes, until it is taken. It cannot be gone back in, so sizes follow the files."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last call."""
        data, self._pieces = b"".join(self._pieces), []
        return data
