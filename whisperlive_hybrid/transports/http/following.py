"""One file's transcription as a stream of news, for doors that answer while it is still running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript

if TYPE_CHECKING:
    from whisperlive_hybrid.jobs.pipeline import Pipeline

HEARTBEAT_S = 5.0
"""Something is sent at least this often, so that no proxy takes a long queue for a dead server."""
NEWS_S = 0.2
"""Progress is told at most this often."""

News: TypeAlias = Progress | tuple[Segment, ...] | Transcript | None


async def follow(pipeline: Pipeline, path: Path, options: FileOptions) -> AsyncGenerator[News, None]:
    """Progress, segments as they become final, at last the Transcript; None when there is nothing new for a while.

    Closing the iterator cancels the transcription and waits until it has let go of the file. Raises what the
    pipeline raises. Segments never get lost; of several progress reports between two reads the last one is told.
    """
    progress: list[Progress] = []
    segments: list[Segment] = []
    news = asyncio.Event()

    def on_progress(p: Progress) -> None:
        progress[:] = [p]
        news.set()

    def on_segments(new: Sequence[Segment]) -> None:
        segments.extend(new)
        news.set()

    work = asyncio.create_task(
        pipeline.transcribe(path, options, on_progress=on_progress, on_segments=on_segments), name="follow-file"
    )
    work.add_done_callback(lambda _: news.set())
    try:
        while not work.done():
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await news.wait()
            except TimeoutError:
                yield None
                continue
            news.clear()
            if segments:
                out = tuple(segments)
                segments.clear()
                yield out
            if progress:
                yield progress.pop()
            if not work.done():
                # Not a poll: it only spaces the reports of a file that is done faster than they can be read.
                await asyncio.wait([work], timeout=NEWS_S)
        transcript = work.result()
        if segments:
            yield tuple(segments)
        yield transcript
    finally:
        if not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work
