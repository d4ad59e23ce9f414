"""What the rooms above see of the engine. Every method is called on the event loop and never blocks it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine import memory, models
from whisperlive_hybrid.engine.backend import LanguageProbabilities
from whisperlive_hybrid.engine.device import Device, find_device
from whisperlive_hybrid.engine.features import content_frames, frames_for
from whisperlive_hybrid.engine.gate import FULL_FRAMES
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.mel import MelCache
from whisperlive_hybrid.engine.models import ModelInfo
from whisperlive_hybrid.engine.scheduler import BatchKey, Capacity, Kind, Scheduler, SchedulerLimits
from whisperlive_hybrid.engine.shelf import Shelf, ShelfOptions
from whisperlive_hybrid.engine.window import MAX_WINDOW_S, DecodeOptions, Lane, Window, search_options
from whisperlive_hybrid.engine.worker import Job, Result, Worker
from whisperlive_hybrid.errors import BadInput, HybridError, Refused

if TYPE_CHECKING:
    from whisperlive_hybrid.config import Settings

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining", "failed"]

HOPELESS_DEATHS = 6
"""Batches that raise in a row before the engine counts as failing. One bad window is tried twice, so this is three."""
REST_S = 60.0
"""A device that had nothing to do for so long gives back what its batches have used."""
_SHORTEST_FRAMES = 2
"""Less audio than this holds no sound that the encoder could see."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The engine's part of the settings."""

    model: str = models.AUTO
    also: tuple[str, ...] = ()
    """More models that are loaded at the start and stay: those that live sessions use."""
    cache: Path | None = None
    downloads: models.Downloads = "sizes"
    """What requests may make the engine fetch; `model` and `also` always may be."""
    hub_token: str | None = None
    model_ttl_s: float = 600.0
    max_loaded: int = 3
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_index: int = 0
    compute_type: str = "auto"
    threads: int = 0
    max_batch: int = 0
    batch_memory_mb: int = 0

    @classmethod
    def of(cls, settings: Settings) -> EngineOptions:
        """From the server's settings."""
        return cls(
            model=settings.fasterwhisper_model,
            also=tuple(name for name in (settings.final_model, settings.live_model) if name),
            cache=settings.model_cache,
            downloads=settings.model_downloads,
            hub_token=settings.hf_token,
            model_ttl_s=settings.model_ttl_s,
            max_loaded=settings.max_loaded_models,
            device=settings.device,
            device_index=settings.device_index,
            compute_type=settings.compute_type,
            threads=settings.omp_num_threads,
            max_batch=settings.max_batch,
            batch_memory_mb=settings.batch_memory_mb,
        )

    def shelf(self) -> ShelfOptions:
        """The part of it that says which models there are."""
        return ShelfOptions(
            self.model, self.also, self.cache, self.downloads, self.hub_token, self.model_ttl_s, self.max_loaded
        )


class Engine:
    """Models, one worker and its scheduler. `async with Engine(options) as engine: await engine.ready()`.

    Entering starts to load the models of the options and returns at once; `state` tells how far it is. `ready()` waits
    for them.
    """

    def __init__(self, options: EngineOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.options = options
        self.state: State = "loading"
        self.device: Device
        self._clock = clock
        self._mel = MelCache()
        self._worker: Worker
        self._shelf = Shelf(
            options.shelf(),
            clock=clock,
            running=lambda: self._worker.running_model,
        )
        self._starting: asyncio.Task[None]
        self._resting: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        options = self.options
        self._loop = asyncio.get_running_loop()
        memory.keep_freed_memory()
        self.device = await asyncio.to_thread(
            find_device,
            options.device,
            options.device_index,
            options.compute_type,
            options.threads,
            options.max_batch,
            batch_mib=options.batch_memory_mb,
        )
        self._worker = Worker(Scheduler(SchedulerLimits(max_batch=self.device.max_batch)), clock=self._clock)
        self._worker.start()
        # Apart, so that a final never waits behind the windows of files that have just begun.
        self._live_features = ThreadPoolExecutor(2, thread_name_prefix="live features")
        self._file_features = ThreadPoolExecutor(2, thread_name_prefix="file features")
        self._starting = asyncio.create_task(self._start(self._shelf.start(self.device)), name="start engine")
        self._resting = asyncio.create_task(self._give_back_when_idle(), name="give memory back")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.state = "draining"
        for task in (self._starting, self._resting):
            task.cancel()
        await asyncio.gather(self._starting, self._resting, return_exceptions=True)
        await self._shelf.stop_loading()
        await asyncio.to_thread(self._worker.stop)
        self._live_features.shutdown(wait=False, cancel_futures=True)
        self._file_features.shutdown(wait=False, cancel_futures=True)
        await self._shelf.clear()

    async def ready(self) -> None:
        """Wait until the models of the options are loaded. Raises ModelUnavailable when one cannot be had."""
        await asyncio.shield(self._starting)

    @property
    def default_model(self) -> str:
        """Name of the model that unnamed requests get."""
        return self._shelf.default

    @property
    def note(self) -> str | None:
        """What users must be told: the default model is not the one they would want."""
        return self._shelf.note

    def resolve(self, name: str | None) -> str:
        """The canonical name of a model, from whatever a client or the options call it.

        Raises NotFound for names that are no model, local folders included that the options do not name.
        """
        return self._shelf.resolve(name)

    async def load(self, name: str | None) -> str:
        """Load a model, unless it is. Returns its canonical name. Raises NotFound, ModelUnavailable, Refused."""
        return (await self._shelf.loaded(self.resolve(name))).name

    def hold(self, name: str) -> None:
        """A loaded model, by its canonical name, is not freed until `release` has been called as often as this."""
        self._shelf.hold(name)

    def release(self, name: str) -> None:
        """The inverse of `hold`."""
        self._shelf.release(name)

    def models(self) -> list[ModelInfo]:
        """The default model, the bundled one and those in memory."""
        return self._shelf.infos()

    async def transcribe(self, window: Window) -> Hypothesis:
        """What is said in a window. Cancelling the caller cancels the window.

        Raises BadInput, NotFound, ModelUnavailable, Refused, Superseded, WorkerLost.
        """
        if len(window.samples) > MAX_WINDOW_S * SAMPLE_RATE:
            raise BadInput(f"a window holds at most {MAX_WINDOW_S:.0f} s of audio", param="samples")
        return cast(Hypothesis, await self._run(window, "transcribe"))

    async def detect_language(
        self, samples: Samples, model: str | None = None, *, owner: str = "", lane: Lane = Lane.FILE
    ) -> LanguageProbabilities:
        """(code, probability) of all languages, likeliest first, from at most 30 s of audio."""
        samples = samples[: int(MAX_WINDOW_S * SAMPLE_RATE)]
        window = Window(owner, lane, self._clock(), 0, samples, model or "")
        return cast(LanguageProbabilities, await self._run(window, "detect"))

    def cancel(self, owner: str) -> None:
        """Drop all windows of an owner, and what is kept of its audio; whoever awaits them gets Superseded."""
        self._worker.cancel_owner(owner)
        self._mel.drop(owner)

    def windows_at_once(self, model: str, options: DecodeOptions) -> int:
        """Whole windows of a file that the largest batch of a loaded model takes."""
        loaded = self._shelf.get(model)
        fits = 1 if loaded is None else loaded.backend.windows_that_fit(options, Lane.FILE, FULL_FRAMES, 0)
        return min(self.device.max_batch, fits)

    def capacity(self) -> Capacity:
        """How busy the engine is."""
        return self._worker.capacity()

    @property
    def failing(self) -> bool:
        """Batch after batch raises, whatever is in it: the device is lost to this process."""
        return self._worker.deaths_in_a_row >= HOPELESS_DEATHS

    async def drain(self, grace_s: float) -> None:
        """Take no new windows and wait until those taken are done, `grace_s` at most. What waits then is Refused."""
        self.state = "draining"
        until = self._clock() + grace_s
        while self._clock() < until:
            capacity = self._worker.capacity()
            if not capacity.running and not any(capacity.queued.values()):
                return
            await asyncio.sleep(0.05)
        self._worker.drop_waiting(_shutting_down())

    async def _run(self, window: Window, kind: Kind) -> Hypothesis | LanguageProbabilities:
        if self.state == "draining":
            raise _shutting_down()
        async with self._shelf.using(window.model, self._worker.capacity().max_queued[window.lane]) as model:
            backend, options = model.backend, window.options
            if options.language is not None and not backend.has_language(options.language):
                raise BadInput(
                    f"model {model.name} does not know the language {options.language!r}",
                    param="language",
                    code="unknown_language",
                )
            n_frames = frames_for(window.lane, len(window.samples), model.gate)
            if content_frames(len(window.samples)) < _SHORTEST_FRAMES:
                return [] if kind == "detect" else _nothing(window)
            previous = backend.previous_tokens(options, window.lane)
            fits = backend.windows_that_fit(options, window.lane, n_frames, len(previous))
            future: asyncio.Future[Result] = self._loop.create_future()
            # A session's windows overlap; those of a file do not, and each begins its clock anew.
            live = window.lane is not Lane.FILE
            threads = self._live_features if live else self._file_features
            owners = self._mel.of(window.owner, window.start) if live else None
            job = Job(
                window=window,
                key=BatchKey(model.name, kind, window.lane, n_frames, len(previous), search_options(options), fits),
                backend=backend,
                previous=previous,
                features=threads.submit(backend.features, window.samples, n_frames, model.gate.padding, owners),
                done=lambda result: self._deliver(future, result),
            )
            try:
                self._worker.submit(job)
            except HybridError:
                job.features.cancel()
                raise
            try:
                result = await future
            except asyncio.CancelledError:
                self._worker.cancel(window.id)
                raise
        if isinstance(result, HybridError):
            raise result
        return result

    def _deliver(self, future: asyncio.Future[Result], result: Result) -> None:
        """From the worker's thread to the loop. A loop that has closed no longer wants it."""
        try:
            self._loop.call_soon_threadsafe(_settle, future, result)
        except RuntimeError:
            log.debug("a result came after the loop had closed")

    async def _give_back_when_idle(self) -> None:
        """After every stretch of work, once: what was freed is kept for the next batch, but not for ever."""
        given_back_at = 0
        while True:
            before = self._worker.batches
            await asyncio.sleep(REST_S)
            idle = self._worker.batches == before and not self._worker.running_model
            if idle and before != given_back_at:
                given_back_at = before
                await asyncio.to_thread(memory.return_freed_memory, collect=False)

    async def _start(self, loading: asyncio.Task[None]) -> None:
        try:
            await loading
        except Exception:
            self.state = "failed"  # whoever waits in ready() says why, once
            raise
        if self.state == "loading":
            self.state = "ready"


def _shutting_down() -> Refused:
    return Refused("the server is shutting down", retry_after_s=5.0, code="draining")


def _settle(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _nothing(window: Window) -> Hypothesis:
    language = window.options.language
    return Hypothesis(window.id, (), language or "en", 1.0 if language else 0.0, len(window.samples) / SAMPLE_RATE)
