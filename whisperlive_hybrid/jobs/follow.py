"""What becomes of a job, as it comes: for streams of answers.

All is read from the database: it may be another process that works on the job, or the next one after a crash. Wake-ups
of this process only spare waiting. Of a request that waits for its answer only progress is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.job import OVER
from whisperlive_hybrid.jobs.service import JobService, unpack, with_place
from whisperlive_hybrid.jobs.stored import decode_chunks
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.jobs.view import JobView, view_of
from whisperlive_hybrid.storage import jobs, transcripts
from whisperlive_hybrid.storage.rows import JobRow, TranscriptRow

FOLLOW_POLL_S: Final = 1.0
"""How often a follower looks at a job that another process may be working on."""
NEWS_S: Final = 0.1
"""A follower is told of news at most this often."""


@dataclass(frozen=True, slots=True)
class NewSegments:
    """Segments that are final, the first of which is number `first`."""

    first: int
    segments: tuple[Segment, ...]


JobNews: TypeAlias = JobView | NewSegments | Transcript | None
"""The view whenever it has changed; at the end the transcript of a job that is done. None: nothing new for a while."""


async def follow(service: JobService, id: str, *, heartbeat_s: float, from_segment: int = 0) -> AsyncGenerator[JobNews]:
    """All that becomes of a job from now on, and the segments it has from number `from_segment` on.

    Ends after the job is over. Raises NotFound, also when it is deleted meanwhile.
    """
    loop = asyncio.get_running_loop()
    told, skip, n_chunks = from_segment, from_segment, 0
    last: tuple[object, ...] | None = None
    told_at = looked_at = loop.time()
    with service.bell.listen(id) as listener:
        while True:
            looked_at = loop.time()
            view, bodies, found = await _news(service, id, n_chunks)
            row, place = view.row, view.place
            new = [segment for chunk in decode_chunks(bodies) for segment in chunk.segments]
            n_chunks += len(bodies)
            skip, new = max(skip - len(new), 0), new[skip:]
            transcript = None if found is None else await unpack(found, row)
            if transcript is not None:
                # Speakers, which come last, split segments: who has heard the text is told of them by the whole.
                new = [] if transcript.turns and told > from_segment else list(transcript.segments[told:])
            seen = (row.state, view.stage, view.done_s, view.total_s, place, row.attempts)
            if row.state not in OVER and seen != last:
                yield view
                told_at = loop.time()
            last = seen
            if new:
                yield NewSegments(told, tuple(new))
                told += len(new)
                told_at = loop.time()
            if row.state in OVER:
                yield view
                if transcript is not None:
                    yield transcript
                return
            if loop.time() - told_at >= heartbeat_s:
                yield None
                told_at = loop.time()
            quiet_s = told_at + heartbeat_s - loop.time()
            if await listener.wait(max(0.0, min(FOLLOW_POLL_S, quiet_s))):
                # Spaces the reports of a job that gets on faster than they can be read.
                await asyncio.sleep(max(0.0, looked_at + NEWS_S - loop.time()))


async def _news(service: JobService, id: str, n_chunks: int) -> tuple[JobView, list[bytes], TranscriptRow | None]:
    here = service.direct.view(id)
    if here is not None:
        return here, [], None
    row, place, bodies, found = await service.database.read(lambda c: _recorded(c, id, n_chunks))
    return view_of(row, service, place), bodies, found


async def ended(news: AsyncGenerator[JobNews]) -> tuple[JobView, Transcript | None]:
    """How a job that is followed has ended, and its transcript if it is done."""
    view: JobView | None = None
    transcript: Transcript | None = None
    async with aclosing(news):
        async for item in news:
            if isinstance(item, JobView):
                view = item
            elif isinstance(item, Transcript):
                transcript = item
    assert view is not None, "a job that is followed is seen at least once"
    return view, transcript


async def _recorded(
    connection: AsyncConnection, id: str, n_chunks: int
) -> tuple[JobRow, int | None, list[bytes], TranscriptRow | None]:
    row, place = await with_place(connection, id)
    if row.state == "done":
        return row, place, [], await transcripts.transcript_of_job(connection, id)
    return row, place, await jobs.chunks_of(connection, id, n_chunks), None
