"""What the rooms above see of the engine. Every method is called on the event loop and never blocks it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine import memory, models
from whisperlive_hybrid.engine.backend import LanguageProbabilities
from whisperlive_hybrid.engine.device import Device, find_device
from whisperlive_hybrid.engine.features import content_frames, frames_for
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.loading import LoadingThreads, open_model, open_warm
from whisperlive_hybrid.engine.mel import MelCache
from whisperlive_hybrid.engine.models import ModelInfo
from whisperlive_hybrid.engine.registry import Loaded, Registry
from whisperlive_hybrid.engine.scheduler import BatchKey, Capacity, Kind, Scheduler, SchedulerLimits
from whisperlive_hybrid.engine.window import MAX_WINDOW_S, Lane, Window, search_options
from whisperlive_hybrid.engine.worker import Job, Result, Worker
from whisperlive_hybrid.errors import BadInput, HybridError, NotFound, Refused

if TYPE_CHECKING:
    from whisperlive_hybrid.config import Settings

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining", "failed"]

HOPELESS_DEATHS = 6
"""Batches that raise in a row before the engine counts as failing. One bad window is tried twice, so this is three."""
_SHORTEST_FRAMES = 2
"""Less audio than this holds no sound that the encoder could see."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The engine's part of the settings."""

    model: str = models.AUTO
    cache: Path | None = None
    downloads: models.Downloads = "sizes"
    """What requests may make the engine fetch; `model` always may be."""
    hub_token: str | None = None
    model_ttl_s: float = 600.0
    max_loaded: int = 3
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_index: int = 0
    compute_type: str = "auto"
    threads: int = 0
    max_batch: int = 0

    @classmethod
    def of(cls, settings: Settings) -> EngineOptions:
        """From the server's settings."""
        return cls(
            model=settings.fasterwhisper_model,
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
        )


class Engine:
    """Models, one worker and its scheduler. `async with Engine(options) as engine: await engine.ready()`.

    Entering starts to load the default model and returns at once; `state` tells how far it is. `ready()` waits for it.
    """

    def __init__(self, options: EngineOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.options = options
        self.state: State = "loading"
        self.note: str | None = None
        """What users must be told: the default model is not the one they would want."""
        self.device: Device
        self._clock = clock
        self._default = models.canonical(options.model)
        self._registry = Registry(options.max_loaded, options.model_ttl_s)
        self._mel = MelCache()
        self._worker: Worker
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._waiting_for_model = 0
        self._starting: asyncio.Task[None]
        self._janitor: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        options = self.options
        self._loop = asyncio.get_running_loop()
        memory.keep_freed_memory()
        self.device = await asyncio.to_thread(
            find_device, options.device, options.device_index, options.compute_type, options.threads, options.max_batch
        )
        self._worker = Worker(Scheduler(SchedulerLimits(max_batch=self.device.max_batch)), clock=self._clock)
        self._worker.start()
        # Apart, so that a final never waits behind the windows of files that have just begun.
        self._live_features = ThreadPoolExecutor(2, thread_name_prefix="live features")
        self._file_features = ThreadPoolExecutor(2, thread_name_prefix="file features")
        self._loader = LoadingThreads()
        self._starting = asyncio.create_task(self._start(), name="load default model")
        self._janitor = asyncio.create_task(self._free_idle_models(), name="free idle models")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.state = "draining"
        for task in (self._starting, self._janitor, *self._loading.values()):
            task.cancel()
        await asyncio.gather(self._starting, self._janitor, *self._loading.values(), return_exceptions=True)
        await asyncio.to_thread(self._worker.stop)
        self._live_features.shutdown(wait=False, cancel_futures=True)
        self._file_features.shutdown(wait=False, cancel_futures=True)
        for model in self._registry.all():
            self._registry.remove(model.name)
            await asyncio.to_thread(model.backend.close)

    async def ready(self) -> None:
        """Wait until the default model is loaded. Raises ModelUnavailable when it cannot be had."""
        await asyncio.shield(self._starting)

    @property
    def default_model(self) -> str:
        """Name of the model that unnamed requests get."""
        return self._default

    def resolve(self, name: str | None) -> str:
        """The canonical name of a model, from whatever a client calls it.

        Raises NotFound for names that are no model, local folders included: those are the administrator's to choose.
        """
        wanted = (name or "").strip()
        if wanted in ("", "default", models.AUTO, self._default, self.options.model) or models.is_openai_name(wanted):
            return self._default
        if wanted == models.DIGITS or self._registry.get(wanted) is not None:
            return wanted
        if models.hub_id(wanted) is None:
            message = f"There is no model {wanted[:128]!r}; /v1/models lists those there are."
            raise NotFound(message, kind="model", id=wanted, code="model_not_found")
        return models.canonical(wanted)

    async def load(self, name: str | None) -> str:
        """Load a model, unless it is. Returns its canonical name. Raises NotFound, ModelUnavailable, Refused."""
        return (await self._loaded(self.resolve(name))).name

    def models(self) -> list[ModelInfo]:
        """The default model, the bundled one and those in memory."""
        names = dict.fromkeys([self._default, *(m.name for m in self._registry.all()), models.DIGITS])
        return [self._info(name) for name in names if name != models.AUTO]

    def _info(self, name: str) -> ModelInfo:
        loaded = self._registry.get(name)
        default = name == self._default
        return ModelInfo(
            id=name,
            aliases=models.OPENAI_NAMES if default else (),
            loaded=loaded is not None,
            path=loaded.path if loaded else None,
            size_bytes=loaded.size_bytes if loaded else None,
            device=str(self.device) if loaded else None,
            compute_type=loaded.backend.compute_type if loaded else None,
            default=default,
            multilingual=loaded.backend.multilingual if loaded else None,
            note=self.note if default else None,
        )

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
        async with self._using(window) as model:
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
            future: asyncio.Future[Result] = self._loop.create_future()
            # A session's windows overlap; those of a file do not, and each begins its clock anew.
            live = window.lane is not Lane.FILE
            threads = self._live_features if live else self._file_features
            owners = self._mel.of(window.owner, window.start) if live else None
            job = Job(
                window=window,
                key=BatchKey(model.name, kind, window.lane, n_frames, len(previous), search_options(options)),
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

    @asynccontextmanager
    async def _using(self, window: Window) -> AsyncIterator[Loaded]:
        """The window's model, loaded, and kept so."""
        name = self.resolve(window.model)
        model = self._registry.get(name)
        if model is None:
            bound = self._worker.capacity().max_queued[window.lane]
            if self._waiting_for_model >= bound:
                raise Refused(f"{bound} windows already wait for a model to load", retry_after_s=10.0)
            self._waiting_for_model += 1
            try:
                model = await self._loaded(name)
            finally:
                self._waiting_for_model -= 1
        model.in_use += 1
        try:
            yield model
        finally:
            model.in_use -= 1
            model.last_used = self._clock()

    async def _loaded(self, name: str) -> Loaded:
        """A model, loading it if need be; all who ask meanwhile share one load."""
        if self._registry.default is None and not self._starting.done():
            is_default = name == self._default  # its name may be another one once it is found: auto, a link to a folder
            await self.ready()
            name = self._default if is_default else self.resolve(name)
        while True:
            model = self._registry.get(name)
            if model is not None:
                return model
            task = self._loading.get(name)
            if task is None:
                task = self._begin_loading(name)
            model = await asyncio.shield(task)
            if self._registry.get(name) is model:
                return model

    def _begin_loading(self, name: str) -> asyncio.Task[Loaded]:
        self._room(len(self._loading))
        task = asyncio.create_task(self._load(name), name=f"load {name}")
        self._loading[name] = task
        task.add_done_callback(lambda _: self._loading.pop(name, None))
        return task

    def _room(self, loading: int) -> list[str]:
        """Models that must go before one more is loaded beside `loading` others. Raises Refused."""
        room = self._registry.to_make_room(loading, self._worker.running_model)
        if room is None:
            raise Refused(
                f"{self.options.max_loaded} models are in use and no more may be loaded",
                retry_after_s=10.0,
                code="models_busy",
            )
        return room

    async def _load(self, name: str) -> Loaded:
        options, run = self.options, self._loader.run
        if name == self._default:
            located = await run(models.locate, options.model, self.device, options.cache, options.hub_token)
        else:
            located = await run(models.locate_for_caller, name, options.downloads, options.cache, options.hub_token)
        # Only now that the model is here: a name that cannot be had must not push out models that are used.
        for victim in [self._registry.remove(victim) for victim in self._room(len(self._loading) - 1)]:
            await self._free(victim, "to make room")
        model = await run(open_model, replace(located, name=name), self.device)
        model.last_used = self._clock()
        self._registry.add(model)
        return model

    async def _start(self) -> None:
        """Load the default model and decode some silence, so that the first real window is not the slow one."""
        try:
            located = await self._loader.run(
                models.locate, self.options.model, self.device, self.options.cache, self.options.hub_token
            )
            self._default = located.name
            self.note = located.note
            if located.note:
                log.warning("%s", located.note)
            model = await self._loader.run(open_warm, located, self.device)
        except Exception:
            self.state = "failed"  # whoever waits in ready() says why, once
            raise
        self._registry.default = model.name
        model.last_used = self._clock()
        self._registry.add(model)
        if self.state == "loading":
            self.state = "ready"

    async def _free_idle_models(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self.options.model_ttl_s / 4))
            for name in self._registry.expired(self._clock(), self._worker.running_model):
                await self._free(self._registry.remove(name), f"unused for {self.options.model_ttl_s:.0f} s")

    async def _free(self, model: Loaded, why: str) -> None:
        log.info("model %s is unloaded (%s)", model.name, why)
        await asyncio.to_thread(model.backend.close)


def _shutting_down() -> Refused:
    return Refused("the server is shutting down", retry_after_s=5.0, code="draining")


def _settle(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _nothing(window: Window) -> Hypothesis:
    language = window.options.language
    return Hypothesis(window.id, (), language or "en", 1.0 if language else 0.0, len(window.samples) / SAMPLE_RATE)
