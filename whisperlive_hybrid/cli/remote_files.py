"""One file's way to a server and back: as a job, or through /transcribe/stream where the server keeps none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.file_board import FileBoard, progress_of
from whisperlive_hybrid.cli.remote_errors import code_of, line_of
from whisperlive_hybrid.cli.results import is_url, shown_name
from whisperlive_hybrid.cli.wire_transcript import transcript_of
from whisperlive_hybrid.client.errors import ClientError, JobFailed, ServerUnreachable
from whisperlive_hybrid.client.files import transcribe_stream
from whisperlive_hybrid.client.job_records import Filed
from whisperlive_hybrid.client.jobs import JobsClient
from whisperlive_hybrid.jobs.transcript import Progress, Transcript

UPLOADS: Final = 3
"""At once: enough to fill a line, few enough that the first file is soon complete."""
GOODBYE_S: Final = 10.0
"""To cancel a job in after Ctrl+C."""


class FileFailed(Exception):
    """A file has no result: why, in a line, and the exit code that leads to."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message, self.code = message, code


def _not_readable(error: OSError, path: Path) -> FileFailed:
    missing = isinstance(error, FileNotFoundError)
    message = f"there is no file {path.name!r}." if missing else f"{error.strerror or error}."
    return FileFailed(message, exit_codes.BAD_AUDIO)


class Way(Protocol):
    """How a file is transcribed."""

    async def transcribe(self, name: str, path: Path) -> Transcript:
        """Raises FileFailed. Cancelled, it stops the server's work on the file."""
        ...


@dataclass(frozen=True, slots=True)
class ByJobs:
    """Each file is a clip and a job of the server's."""

    client: JobsClient
    options: Mapping[str, Any]
    board: FileBoard
    tell: Callable[[str], None]
    delete: bool = False
    """Delete clip and result there when it is over."""
    _uploading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS))

    async def transcribe(self, name: str, path: Path) -> Transcript:
        """As Way has it; a job is cancelled with its file."""
        clip_id = None if is_url(name) else await self.upload(name, path)
        filed = asyncio.ensure_future(self._file(name, clip_id))
        try:
            job_id = (await asyncio.shield(filed)).job_id
            try:
                job = await self.client.wait(job_id, lambda now: self.board.update(shown_name(name), progress_of(now)))
                answer = await self.client.result(job_id, "full")
                clip_id = job.clip_id
            except ServerUnreachable as error:
                hint = f"{line_of(error)} The job is {job_id}"
                raise FileFailed(hint, exit_codes.UNREACHABLE) from error
            if self.delete and clip_id is not None:
                await self.client.delete_clip(clip_id)
        except ClientError as error:
            raise FileFailed(line_of(error), code_of(error)) from error
        except asyncio.CancelledError:
            await self.call_off(filed)
            raise
        return transcript_of(answer)

    async def upload(self, name: str, path: Path) -> str:
        """The id of the file's clip. Raises FileFailed."""
        filename = "standard-input" if name == "-" else path.name
        async with self._uploading:
            try:
                size = max(1, path.stat().st_size)

                def sent(n_bytes: int) -> None:
                    self.board.update(shown_name(name), Progress(f"uploading {n_bytes * 100 // size} %", 0.0, None))

                return await self.client.upload(path, filename=filename, on_sent=sent)
            except OSError as error:
                raise _not_readable(error, path) from error
            except ClientError as error:
                raise FileFailed(line_of(error), code_of(error, of_audio=True)) from error

    async def call_off(self, filed: asyncio.Future[Filed]) -> None:
        """Cancel what was filed, or is being filed just now; with a file it is deleted if that was to be done."""
        job_id = "a job"
        try:
            async with asyncio.timeout(GOODBYE_S):
                job_id = (await filed).job_id
                job = await self.client.cancel(job_id)
                if self.delete and job.clip_id is not None:
                    await self.client.delete_clip(job.clip_id)
        except (ClientError, TimeoutError) as error:
            if getattr(error, "code", "") not in ("job_done", "job_failed", "batch_over"):
                self.tell(f"{job_id} could not be cancelled and may go on.")

    async def _file(self, name: str, clip_id: str | None) -> Filed:
        urls, clips = ([name], []) if clip_id is None else ([], [clip_id])
        return await self.client.submit(clips=clips, urls=urls, **self.options)


@dataclass(frozen=True, slots=True)
class ByStream:
    """Each file is one request, whose answer comes as it is made; closing the connection cancels it."""

    url: str
    api_key: str | None
    options: Mapping[str, Any]
    board: FileBoard
    tell: Callable[[str], None]
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS))

    async def transcribe(self, name: str, path: Path) -> Transcript:
        """As Way has it."""
        audio = None if is_url(name) else path
        events = transcribe_stream(
            audio,
            audio_url=name if audio is None else None,
            url=self.url,
            api_key=self.api_key,
            filename="standard-input" if name == "-" else None,
            on_wait=self.tell,
            **{option: value for option, value in self.options.items() if option != "priority"},
        )
        try:
            async with self._at_once, aclosing(events):
                async for event in events:
                    if event["type"] == "progress":
                        now_at = Progress(event["stage"], event["done_s"], event["total_s"])
                        self.board.update(shown_name(name), now_at)
                    elif event["type"] == "done":
                        return transcript_of(event)
                    elif event["type"] == "error":
                        detail = event["error"]
                        raise JobFailed(detail["message"], code=detail["code"], detail=detail)
        except OSError as error:
            raise _not_readable(error, path) from error
        except ClientError as error:
            of_audio = error.detail.get("param") in (None, "file", "url")
            raise FileFailed(line_of(error), code_of(error, of_audio=of_audio)) from error
        raise AssertionError("a stream ends with done or error")
