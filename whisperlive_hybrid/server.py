"""The one place where the parts are put together: build, start, drain, stop.

Every part is a context manager on one exit stack; stopping is the stack unwound, and what did not start is not stopped.
Both listeners answer while the model is still loading, so that a page can say so.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from whisperlive_hybrid.audio.files import DecodeLimits
from whisperlive_hybrid.config import ConfigError, Settings
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.jobs.opening import JobOptions, NoStorage, open_jobs
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.live.opening import LiveModels
from whisperlive_hybrid.live.pacing import PaceRules
from whisperlive_hybrid.live.policy import POLICIES
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.runner import LiveLimits, LiveService
from whisperlive_hybrid.ops.auth import accepted_subprotocol
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.ops.limits import ClientLimits
from whisperlive_hybrid.ops.loop_lag import LoopLag
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.storage.incoming import prepare_folder
from whisperlive_hybrid.storage.records import RecordStore
from whisperlive_hybrid.transports.admission import admission, identification
from whisperlive_hybrid.transports.http.app import HttpServices, make_app, make_runner
from whisperlive_hybrid.transports.live_door import LiveTerms, live_terms
from whisperlive_hybrid.transports.websocket.listener import LiveListener
from whisperlive_hybrid.transports.wyoming import WyomingDialect
from whisperlive_hybrid.transports.wyoming_listener import WyomingListener

log = logging.getLogger(__name__)

SESSIONS_FILE = "live-sessions.sqlite"
"""In the data folder."""
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What is wrong with no setting, and keeps no server from starting."""


class Server:
    """The whole server: `async with Server(settings) as server: await server.wait_closed()`.

    Raises ConfigError for settings that only the rooms can judge, OSError when a port cannot be bound.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.live_terms = _live_terms(settings)
        self.limits = ClientLimits.of(settings)
        self._stack = AsyncExitStack()
        self._draining = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            settings = self.settings
            await _prepare_uploads(settings)
            store = await _open_store(settings, stack)  # before a model is loaded: what it says ends the start
            self.loop_lag = await stack.enter_async_context(LoopLag())
            vad = await stack.enter_async_context(VadBatcher())
            self.engine = await stack.enter_async_context(Engine(EngineOptions.of(settings)))
            self.diarizer = await stack.enter_async_context(Diarizer(DiarizerOptions.of(settings)))
            self.pipeline = Pipeline(
                self.engine,
                vad,
                diarizer=self.diarizer,
                limits=DecodeLimits(max_audio_s=settings.max_audio_s),
                window_s=settings.file_window_s,
                max_jobs=settings.max_file_jobs,
                max_queued=settings.max_queued_files,
            )
            # While the model is loaded.
            self.jobs = await _open_jobs(settings, self.pipeline, stack)
            self.live = await stack.enter_async_context(
                LiveService(
                    self.engine,
                    vad,
                    rules=_live_rules(settings),
                    policy=lambda: POLICIES[settings.live_policy](
                        settings.commit_guard_ms / 1000, settings.commit_probability
                    ),
                    limits=_live_limits(settings),
                    models=LiveModels(settings.final_model, settings.live_model),
                    pace=_pace_rules(settings),
                    store=store,
                    listener=self.diarizer,
                )
            )
            listener = await stack.enter_async_context(
                LiveListener(
                    self.live,
                    host=settings.app_host,
                    port=settings.port_whisperlive,
                    terms=self.live_terms,
                    admit=admission(settings),
                    identify=identification(settings, self.limits),
                    choose_subprotocol=accepted_subprotocol,
                )
            )
            self.live_port = listener.port
            self.wyoming_port = await self._listen_to_wyoming(stack)
            services = HttpServices(
                settings=settings,
                engine=self.engine,
                pipeline=self.pipeline,
                limits=self.limits,
                jobs=self.jobs,
                live=self.live,
                live_port=self.live_port,
                loop_lag=self.loop_lag.snapshot,
                draining=self._draining.is_set,
            )
            self.http_port = await stack.enter_async_context(
                _listening(services, settings.app_host, settings.http_port)
            )
            self._stack = stack.pop_all()
        return self

    async def _listen_to_wyoming(self, stack: AsyncExitStack) -> int | None:
        """The Wyoming listener on its port, which is returned; None where it is off."""
        settings = self.settings
        if settings.wyoming_port is None:
            return None
        if settings.api_key:
            log.warning("WYOMING_PORT takes audio from everybody who reaches it: its protocol knows no API keys")
        listener = WyomingListener(
            self.live,
            host=settings.app_host,
            port=settings.wyoming_port,
            dialect=lambda: WyomingDialect(self.live_terms.defaults, self._wyoming_models),
        )
        return (await stack.enter_async_context(listener)).port

    def _wyoming_models(self) -> list[tuple[str, bool]]:
        """The default model first, which is what clients get that name none."""
        known = sorted(self.engine.models(), key=lambda model: not model.default)
        return [(model.id, model.multilingual is not False) for model in known]

    async def wait_closed(self) -> None:
        """Run until cancelled. Raises ModelUnavailable when the default model cannot be had."""
        await self.engine.ready()
        log.info("ready: model %s on %s", self.engine.default_model, self.engine.device)
        await asyncio.Event().wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drain(self.settings.shutdown_grace_s)
        await self._stack.aclose()

    async def _drain(self, grace_s: float) -> None:
        """Take no new work; let live sessions finish what they heard, and files what they began."""
        self._draining.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(self.live.drain(grace_s), self.pipeline.idle(), self._drain_jobs())
        if self.jobs is not None:
            await self.jobs.workers.put_back()  # before the engine refuses them, which would count as a failure
        await self.engine.drain(0)

    async def _drain_jobs(self) -> None:
        if self.jobs is not None:
            await self.jobs.workers.drain()


@asynccontextmanager
async def _listening(services: HttpServices, host: str, port: int) -> AsyncIterator[int]:
    """The HTTP application on its port; yields the port really bound."""
    runner = make_runner(make_app(services))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()


async def _prepare_uploads(settings: Settings) -> None:
    folder = settings.upload_dir()
    try:
        await asyncio.to_thread(prepare_folder, folder)
    except OSError as error:
        if error.errno in DISK_FULL:  # may pass; each upload is told as long as it does not
            log.warning("the disk with the uploads' folder %s is full", folder)
            return
        raise ConfigError(
            f"AUDIO_STORAGE_PATH={str(folder)!r} is not allowed: no file can be made there ({error.strerror})"
        ) from None


async def _open_store(settings: Settings, stack: AsyncExitStack) -> RecordStore | None:
    """Where live sessions are kept for another process; None where that is not wanted, or has no place.

    Raises ConfigError when the place was named and is not merely full.
    """
    if not settings.resume_across_restarts or settings.resume_s <= 0:
        return None
    path = settings.data_folder() / SESSIONS_FILE
    # Until the process that comes next says that it is alive, which each does every ten seconds.
    store = RecordStore(path, keep_s=settings.resume_s + 10.0)
    try:
        return await stack.enter_async_context(store)
    except OSError as error:
        if settings.data_dir is not None and error.errno not in DISK_FULL:
            raise ConfigError(
                f"DATA_DIR={str(settings.data_dir)!r} is not allowed: {error.strerror or error}"
            ) from None
        log.warning("live sessions will not survive a restart: %s cannot be written (%s)", path, error)
        return None


async def _open_jobs(settings: Settings, pipeline: Pipeline, stack: AsyncExitStack) -> JobService | None:
    """Clips and jobs; None where they have no place.

    Raises ConfigError when a setting that names the place is wrong.
    """
    try:
        return await stack.enter_async_context(open_jobs(job_options(settings), pipeline))
    except NoStorage as error:
        value = getattr(settings, error.what.lower())
        if error.what == "WEBHOOK_SECRET":
            raise ConfigError(f"WEBHOOK_SECRET is not allowed: {error}") from None  # and is not shown
        if value is not None:
            raise ConfigError(f"{error.what}={_without_password(str(value))!r} is not allowed: {error}") from None
        log.warning("clips and jobs are not kept: %s", error)
        return None


def job_options(settings: Settings) -> JobOptions:
    """Where the settings say that clips and jobs are kept."""
    return JobOptions(
        folder=settings.data_folder(),
        database_url=settings.database_url,
        clips_url=settings.clip_storage_url,
        max_running=settings.max_file_jobs,
        max_queued=settings.max_queued_jobs,
        lease_s=settings.job_lease_s,
        max_bytes=round(settings.max_upload_mb * 1e6),
        allowed_hosts=AllowedHosts.parse(settings.url_allow_hosts),
        archive=settings.transcription_storage_path,
        keep_s=settings.retention_days * 86400.0 or None,
        keep_direct_s=settings.direct_job_hours * 3600.0,
        webhook_secret=settings.webhook_secret,
        webhook_hosts=AllowedHosts.parse(settings.webhook_allow_hosts),
        floor_bytes=round(settings.min_free_disk_mb * 1e6),
        quotas=Quotas(
            settings.client_queued_jobs,
            round(settings.client_storage_mb * 1e6),
            settings.client_audio_s_per_day,
            settings.retention_days * 86400.0 or None,
        ),
    )


def _without_password(url: str) -> str:
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:…@", url)


def _live_terms(settings: Settings) -> LiveTerms:
    try:
        return live_terms(settings)
    except BadInput as error:
        raise ConfigError(f"DEFAULT_LANGUAGE={settings.default_language!r} is not allowed: {error.message}") from None


def _live_rules(settings: Settings) -> LiveRules:
    return LiveRules(
        partial_interval_s=settings.partial_interval_ms / 1000,
        partial_beam_size=settings.partial_beam_size,
        beam_size=settings.beam_size,
        history_chars=settings.live_history_chars,
        ahead_s=settings.live_ahead_s,
        catch_up_s=settings.resume_s,
    )


def _pace_rules(settings: Settings) -> PaceRules:
    shortest, longest = settings.partial_interval_ms / 1000, settings.partial_interval_max_ms / 1000
    return PaceRules(shortest_s=shortest, longest_s=max(shortest, longest))


def _live_limits(settings: Settings) -> LiveLimits:
    return LiveLimits(
        max_sessions=settings.max_live_sessions,
        max_per_client=settings.client_live_sessions,
        idle_s=settings.live_idle_s,
        resume_s=settings.resume_s,
        max_speed=max(1.0, settings.live_max_speed) if settings.live_max_speed else 0.0,
    )
