"""One file's transcription, whole or as a stream of news for doors that answer while it is still running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import TypeAlias, TypeVar

from aiohttp import web

from whisperlive_hybrid.engine.backend import LanguageProbabilities
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import HybridError, Refused
from whisperlive_hybrid.jobs.archive import keep_transcript
from whisperlive_hybrid.jobs.direct import DirectJob
from whisperlive_hybrid.jobs.pipeline import OnProgress, OnSegments, OnTurn
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.transports.http.errors import unknown_error
from whisperlive_hybrid.transports.http.services import CLIENT, JOB_ID, REQUEST_ID, HttpServices
from whisperlive_hybrid.transports.http.uploads import Upload

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
"""Something is sent at least this often, so that no proxy takes a long queue for a dead server."""
KEEP_ALIVE_S = 20.0
"""An answer that takes longer begins with white space, one each time: many proxies give up after 30 to 60 s."""
NEWS_S = 0.2
"""Progress is told at most this often."""

T = TypeVar("T")
News: TypeAlias = Progress | tuple[Segment, ...] | Transcript | None


async def transcribe(request: web.Request, services: HttpServices, upload: Upload, options: FileOptions) -> Transcript:
    """The transcript of an upload, kept where the operator wants that. Raises what the pipeline raises, and Conflict
    when the request's job is cancelled."""
    transcript = await _as_job(request, services, upload, options)
    await keep_transcript(services.settings.transcription_storage_path, transcript, upload.filename)
    return transcript


async def detect_language(
    request: web.Request, services: HttpServices, upload: Upload, model: str
) -> LanguageProbabilities:
    """(code, probability) of all languages, likeliest first. Raises as `transcribe`."""
    pipeline, path = services.pipeline, upload.file.path
    if services.jobs is None:
        return await pipeline.detect_language(path, model)
    await services.jobs.check_quotas(request.get(CLIENT), new_audio_s=0.0)
    with job_of(request, services.jobs, model) as job:
        return await pipeline.detect_language(path, model, on_turn=_begin(request, services.jobs, job))


async def _as_job(
    request: web.Request,
    services: HttpServices,
    upload: Upload,
    options: FileOptions,
    *,
    on_progress: OnProgress | None = None,
    on_segments: OnSegments | None = None,
) -> Transcript:
    """Transcribe as a job of its own; as none where this server keeps no jobs."""
    pipeline, path = services.pipeline, upload.file.path
    if services.jobs is None:
        return await pipeline.transcribe(path, options, on_progress=on_progress, on_segments=on_segments)
    await services.jobs.check_quotas(request.get(CLIENT), new_audio_s=0.0)
    with job_of(request, services.jobs, options.model or services.engine.default_model) as job:

        def note(progress: Progress) -> None:
            job.note(progress)
            if on_progress is not None:
                on_progress(progress)

        def count(segments: Sequence[Segment]) -> None:
            job.count(len(segments))
            if on_segments is not None:
                on_segments(segments)

        begin = _begin(request, services.jobs, job)
        return await pipeline.transcribe(path, options, on_progress=note, on_segments=count, on_turn=begin)


def _begin(request: web.Request, jobs: JobService, job: DirectJob) -> OnTurn:
    """What the client's other requests have used up while this one waited counts: of those that are sent at once only
    the few that have a turn can cross a limit."""

    async def begin() -> None:
        await jobs.check_quotas(request.get(CLIENT), new_audio_s=0.0)
        job.begin()

    return begin


@contextmanager
def job_of(request: web.Request, jobs: JobService, model: str) -> Iterator[DirectJob]:
    """The request's work is a job, whose id its answer carries. Raises Conflict when the job is cancelled."""
    id = request[JOB_ID] = new_id("job")
    try:
        with jobs.direct.open(id, route_of(request), model, request.get(CLIENT)) as job:
            yield job
    except Refused:
        if not jobs.direct.knows(id):
            del request[JOB_ID]  # it left no trace
        raise


def route_of(request: web.Request) -> str:
    """The route of a request, as jobs are listed by it."""
    resource = request.match_info.route.resource
    return ("" if resource is None else resource.canonical).removesuffix("{slash}")[:64]


async def answer_kept_alive(request: web.Request, answer: Awaitable[web.Response]) -> web.StreamResponse:
    """A JSON answer, which may take so long that proxies would think the server dead: then white space comes first.

    Closing the connection cancels the work. What fails after the answer has begun, with status 200 by then, breaks the
    connection off, since a body that looks whole would be taken for a result.
    """
    work = asyncio.ensure_future(answer)
    try:
        await asyncio.wait([work], timeout=KEEP_ALIVE_S)
        if work.done():
            return work.result()
        response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await response.prepare(request)
        while not work.done():
            await response.write(b" ")
            await asyncio.wait([work], timeout=KEEP_ALIVE_S)
        if (error := work.exception()) is not None:
            log.error("request %s failed after its answer had begun", request[REQUEST_ID], exc_info=error)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the answer cannot be finished")
        body = work.result().body
        assert isinstance(body, bytes)
        await response.write(body)
        return response
    finally:
        if not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work


async def follow(
    request: web.Request, services: HttpServices, upload: Upload, options: FileOptions
) -> AsyncGenerator[News, None]:
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
        _as_job(request, services, upload, options, on_progress=on_progress, on_segments=on_segments),
        name="follow-file",
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
        await keep_transcript(services.settings.transcription_storage_path, transcript, upload.filename)
        yield transcript
    finally:
        if not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work


async def stream_answer(
    request: web.Request,
    content_type: str,
    news: AsyncGenerator[T, None],
    *,
    write: Callable[[T], Awaitable[bytes]],
    write_error: Callable[[HybridError], bytes],
    closing: bytes = b"",
) -> web.StreamResponse:
    """Answer with `news` as they come, each as the bytes `write` makes of it, and `closing` after the last.

    The answer begins with the first bytes. What fails before that is raised, for a plain error with its own status;
    what fails later becomes the answer's last bytes by `write_error`.
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = content_type
    try:
        async with aclosing(news):
            async for item in news:
                if data := await write(item):
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(data)
        if closing:
            await response.write(closing)
    except ConnectionError:
        raise
    except HybridError as e:
        if not response.prepared:
            raise
        await response.write(write_error(e))
    except Exception:
        if not response.prepared:
            raise
        log.exception("request %s failed", request[REQUEST_ID])
        await response.write(write_error(unknown_error(request[REQUEST_ID])))
    return response
