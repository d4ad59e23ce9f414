"""The HTTP application with the real engine and pipeline on a free port, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.support.waiting import wait_until
from whisperlive_hybrid.audio.files import DecodeLimits
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.jobs.opening import open_jobs
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.ops.limits import ClientLimits
from whisperlive_hybrid.server import job_options
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.transports.http.app import HttpServices, make_app, make_runner

T = TypeVar("T")


@dataclass(frozen=True)
class HttpServer:
    """A running application. Its rooms belong to its loop: reach them through `call`."""

    url: str
    services: HttpServices
    loop: asyncio.AbstractEventLoop

    @property
    def upload_dir(self) -> Path:
        return self.services.settings.upload_dir()

    def uploads(self) -> list[Path]:
        """Files of requests under way."""
        return list(self.upload_dir.iterdir()) if self.upload_dir.exists() else []

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)

    def windows(self) -> int:
        """Windows waiting or running in the engine."""

        async def count() -> int:
            capacity = self.services.engine.capacity()
            return sum(capacity.queued.values()) + capacity.running

        return self.call(count())


@contextmanager
def http_server(folder: Path, *, speakers: bool = False, **settings: Any) -> Iterator[HttpServer]:
    """Start it, wait until the model is loaded, stop it. Nothing may be left in `folder` afterwards.

    `speakers`: it can tell them apart, by the bundled model. With `data_dir` it keeps clips and jobs there.
    """
    chosen = Settings(
        _env_file=None,
        fasterwhisper_model="digits",
        audio_storage_path=folder,
        **{"http_port": 0, "api_key": None, **settings},
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="http server")
    thread.start()
    stack = AsyncExitStack()
    try:
        services, url = asyncio.run_coroutine_threadsafe(_start(stack, chosen, speakers), loop).result(timeout=60)
        server = HttpServer(url, services, loop)
        yield server
        wait_until(lambda: server.uploads() == [] and server.windows() == 0)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(stack: AsyncExitStack, settings: Settings, speakers: bool) -> tuple[HttpServices, str]:
    vad = await stack.enter_async_context(VadBatcher())
    engine = await stack.enter_async_context(Engine(EngineOptions.of(settings)))
    await engine.ready()
    pipeline = Pipeline(
        engine,
        vad,
        diarizer=await stack.enter_async_context(Diarizer(DiarizerOptions(device="cpu"))) if speakers else None,
        limits=DecodeLimits(max_audio_s=settings.max_audio_s),
        window_s=settings.file_window_s,
        max_jobs=settings.max_file_jobs,
        max_queued=settings.max_queued_files,
    )
    jobs = None
    if settings.data_dir is not None:
        jobs = await stack.enter_async_context(open_jobs(job_options(settings), pipeline))
    limits = ClientLimits.of(settings)
    services = HttpServices(settings=settings, engine=engine, pipeline=pipeline, limits=limits, jobs=jobs)
    runner = make_runner(make_app(services))
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return services, f"http://127.0.0.1:{runner.addresses[0][1]}"
