"""The models of an engine: what they are called, which are in memory or being loaded. Owned by the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.loading import LoadingThreads, open_model, open_warm
from whisperlive_hybrid.engine.models import ModelInfo
from whisperlive_hybrid.engine.registry import Loaded, Registry
from whisperlive_hybrid.errors import ModelUnavailable, NotFound, Refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShelfOptions:
    """Which models, from where, and how many."""

    model: str = models.AUTO
    """The default one, as the settings name it."""
    also: tuple[str, ...] = ()
    """More that are loaded at the start and stay, as the settings name them."""
    cache: Path | None = None
    downloads: models.Downloads = "sizes"
    """What requests may make the engine fetch; `model` and `also` always may be."""
    hub_token: str | None = None
    ttl_s: float = 600.0
    max_loaded: int = 3


class Shelf:
    """See the module. `await start(device)` first; it may be asked meanwhile.

    `running`: the model whose batch runs just now, which must stay.
    """

    def __init__(
        self,
        options: ShelfOptions,
        *,
        clock: Callable[[], float],
        running: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.note: str | None = None
        """What users must be told: the default model is not the one they would want."""
        self.default = models.canonical(options.model)
        """Name of the model that unnamed requests get; it may become another one once it is found."""
        self._options = options
        self._clock = clock
        self._running = running
        self._also = {name: models.canonical(name) for name in options.also if name not in ("", models.AUTO)}
        self._registry = Registry(options.max_loaded, options.ttl_s)
        self._loader = LoadingThreads()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._waiting = 0
        self._device: Device
        self._starting: asyncio.Task[None]
        self._janitor: asyncio.Task[None]

    def start(self, device: Device) -> asyncio.Task[None]:
        """Begin to load the models of the settings. The task ends when they are there, or raises ModelUnavailable."""
        self._device = device
        self._starting = asyncio.create_task(self._start(), name="load models")
        self._janitor = asyncio.create_task(self._free_idle(), name="free idle models")
        return self._starting

    async def stop_loading(self) -> None:
        """Load nothing any more."""
        tasks = (self._starting, self._janitor, *self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def clear(self) -> None:
        """Free every model."""
        for model in self._registry.all():
            self._registry.remove(model.name)
            await asyncio.to_thread(model.backend.close)

    def resolve(self, name: str | None) -> str:
        """The canonical name of a model, from whatever a client or the settings call it.

        Raises NotFound for names that are no model, local folders included that the settings do not name: those are
        the administrator's to choose.
        """
        wanted = (name or "").strip()
        if wanted in ("", "default", models.AUTO, self.default, self._options.model) or models.is_openai_name(wanted):
            return self.default
        if wanted in self._also:
            return self._also[wanted]
        if wanted == models.DIGITS or self._registry.get(wanted) is not None:
            return wanted
        if models.hub_id(wanted) is None:
            message = f"There is no model {wanted[:128]!r}; /v1/models lists those there are."
            raise NotFound(message, kind="model", id=wanted, code="model_not_found")
        return models.canonical(wanted)

    def infos(self) -> list[ModelInfo]:
        """The default model, the bundled one and those in memory."""
        names = dict.fromkeys([self.default, *(m.name for m in self._registry.all()), models.DIGITS])
        return [self._info(name) for name in names if name != models.AUTO]

    def get(self, name: str) -> Loaded | None:
        """A model in memory, by its canonical name."""
        return self._registry.get(name)

    def hold(self, name: str) -> None:
        """A model in memory, by its canonical name, stays there until `release` has been called as often."""
        model = self._registry.get(name)
        if model is not None:
            model.held += 1

    def release(self, name: str) -> None:
        """The inverse of `hold`."""
        model = self._registry.get(name)
        if model is not None and model.held:
            model.held -= 1
            model.last_used = self._clock()

    @asynccontextmanager
    async def using(self, name: str, max_waiting: int) -> AsyncIterator[Loaded]:
        """A model, loaded, and kept so. Raises NotFound, ModelUnavailable, Refused (`max_waiting` wait for a load)."""
        name = self.resolve(name)
        model = self._registry.get(name)
        if model is None:
            if self._waiting >= max_waiting:
                raise Refused(f"{max_waiting} windows already wait for a model to load", retry_after_s=10.0)
            self._waiting += 1
            try:
                model = await self.loaded(name)
            finally:
                self._waiting -= 1
        model.in_use += 1
        try:
            yield model
        finally:
            model.in_use -= 1
            model.last_used = self._clock()

    async def loaded(self, name: str) -> Loaded:
        """A model by its canonical name, loading it if need be; all who ask meanwhile share one load."""
        if self._registry.default is None and not self._starting.done():
            # Names may become others once the models are found: auto, a link to a folder.
            asked = next((raw for raw, known in self._also.items() if known == name), name)
            is_default = name == self.default
            await asyncio.shield(self._starting)
            name = self.default if is_default else self.resolve(asked)
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

    def _info(self, name: str) -> ModelInfo:
        loaded = self._registry.get(name)
        default = name == self.default
        return ModelInfo(
            id=name,
            aliases=models.OPENAI_NAMES if default else (),
            loaded=loaded is not None,
            path=loaded.path if loaded else None,
            size_bytes=loaded.size_bytes if loaded else None,
            device=str(self._device) if loaded else None,
            compute_type=loaded.backend.compute_type if loaded else None,
            default=default,
            multilingual=loaded.backend.multilingual if loaded else None,
            note=self.note if default else None,
        )

    def _begin_loading(self, name: str) -> asyncio.Task[Loaded]:
        self._room(len(self._loading))
        task = asyncio.create_task(self._load(name), name=f"load {name}")
        self._loading[name] = task
        task.add_done_callback(lambda _: self._loading.pop(name, None))
        return task

    def _room(self, loading: int) -> list[str]:
        """Models that must go before one more is loaded beside `loading` others. Raises Refused."""
        room = self._registry.to_make_room(loading, self._running())
        if room is None:
            raise Refused(
                f"{self._options.max_loaded} models are in use and no more may be loaded",
                retry_after_s=10.0,
                code="models_busy",
            )
        return room

    async def _load(self, name: str) -> Loaded:
        options, run = self._options, self._loader.run
        if name == self.default:
            located = await self._locate(options.model)
        else:
            located = await run(models.locate_for_caller, name, options.downloads, options.cache, options.hub_token)
        # Only now that the model is here: a name that cannot be had must not push out models that are used.
        for victim in [self._registry.remove(victim) for victim in self._room(len(self._loading) - 1)]:
            await self._free(victim, "to make room")
        return self._add(await run(open_model, replace(located, name=name), self._device, options.cache))

    async def _locate(self, name: str) -> models.Located:
        """Where a model is that the settings name."""
        return await self._loader.run(models.locate, name, self._device, self._options.cache, self._options.hub_token)

    def _add(self, model: Loaded) -> Loaded:
        model.last_used = self._clock()
        self._registry.add(model)
        return model

    async def _start(self) -> None:
        """Load the models of the settings, each with its first run done, so that no real window is the slow one."""
        located = await self._locate(self._options.model)
        self.default = located.name
        self.note = located.note
        if located.note:
            log.warning("%s", located.note)
        model = await self._loader.run(open_warm, located, self._device, self._options.cache)
        for name in self._also:
            try:
                more = await self._locate(name)
            except ModelUnavailable as error:
                message = f"{error.message} (LIVE_MODEL or FINAL_MODEL)"
                raise ModelUnavailable(message, model=error.model, ways_out=error.ways_out) from error
            before = next((m for m in (model, *self._registry.all()) if m.path == more.path), None)
            if before is None and (more.name == model.name or self._registry.get(more.name) is not None):
                more = replace(more, name=str(more.path))  # another folder of the same name
            if before is None:
                before = self._add(await self._loader.run(open_warm, more, self._device, self._options.cache))
            self._also[name] = before.name
            self._registry.permanent.add(before.name)
        self._registry.default = model.name
        self._add(model)

    async def _free_idle(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self._options.ttl_s / 4))
            for name in self._registry.expired(self._clock(), self._running()):
                await self._free(self._registry.remove(name), f"unused for {self._options.ttl_s:.0f} s")

    async def _free(self, model: Loaded, why: str) -> None:
        log.info("model %s is unloaded (%s)", model.name, why)
        await asyncio.to_thread(model.backend.close)
