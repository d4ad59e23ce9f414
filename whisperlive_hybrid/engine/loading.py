"""From a model's folder to a model in memory. What blocks for seconds is run off the loop by `LoadingThreads`."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.features import content_frames, frames_for
from whisperlive_hybrid.engine.gate import UNMEASURED, Gate, find_gate, read_gate
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.memory import return_freed_memory
from whisperlive_hybrid.engine.registry import Loaded
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import ModelUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")


class LoadingThreads:
    """Runs what blocks, one at a time, in threads that do not hold up the end of the process.

    A download takes minutes and cannot be interrupted; an executor's threads would be waited for when Python ends.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of `work(*arguments)`. Cancelled, it is no longer waited for, but runs on."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[T] = loop.create_future()

            def settle(result: T | None, error: Exception | None) -> None:
                if future.done():
                    return
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(cast(T, result))

            def thread() -> None:
                result, failure = None, None
                try:
                    result = work(*arguments)
                except Exception as error:
                    failure = error
                with suppress(RuntimeError):  # the loop has closed: nobody wants it any more
                    loop.call_soon_threadsafe(settle, result, failure)

            threading.Thread(target=thread, name=f"models {work.__name__}", daemon=True).start()
            return await future


def open_model(located: models.Located, device: Device, cache: Path | None = None) -> Loaded:
    """Load a model's weights; `cache`: the folder of downloaded models. Blocks meanwhile. Raises ModelUnavailable."""
    started = time.perf_counter()
    name = located.name
    tokenizer = models.load_tokenizer(located.path)
    try:
        backend = WhisperBackend(located.path, device, tokenizer, models.mel_bands(located.path))
    except (RuntimeError, ValueError) as error:
        raise ModelUnavailable(
            f"model {name!r} cannot be loaded on {device.name}: {error}", model=name, ways_out=models.WAYS_OUT
        ) from None
    log.info("model %s loaded in %.1f s from %s", name, time.perf_counter() - started, located.path)
    gate = gate_of(located, cache)
    return Loaded(name, located.path, backend, models.folder_size(located.path), last_used=0.0, gate=gate)


def gate_of(located: models.Located, cache: Path | None = None) -> Gate:
    """What was measured about short encoder inputs of a model, or what goes for all. Says in the log which."""
    path = find_gate(located.path, located.name, cache)
    if path is None:
        log.info("model %s has no gate (`models gate` measures one): %s", located.name, UNMEASURED)
        return UNMEASURED
    try:
        gate = read_gate(path)
    except (OSError, ValueError) as error:
        log.warning("model %s: %s cannot be used (%s): %s", located.name, path, error, UNMEASURED)
        return UNMEASURED
    log.debug("model %s, windows shorter than 30 s: %s", located.name, gate)
    return gate


def open_warm(located: models.Located, device: Device, cache: Path | None = None) -> Loaded:
    """As open_model, with the first run behind it: what a device lacks may show only then. Raises ModelUnavailable."""
    model = open_model(located, device, cache)
    try:
        warm_up(model.backend)
        return_freed_memory()  # a loader's buffers; what a batch frees is kept
    except RuntimeError as error:
        model.backend.close()
        raise ModelUnavailable(
            f"model {model.name!r} does not run on {device.name}: {error}", model=model.name, ways_out=models.WAYS_OUT
        ) from None
    return model


def warm_up(backend: WhisperBackend) -> Hypothesis:
    """Transcribe a second of silence: the first run allocates, and on a GPU compiles."""
    window = Window("warm-up", Lane.FINAL, 0.0, 0, np.zeros(SAMPLE_RATE, np.float32), "")
    options = replace(window.options, language="en", temperatures=(0.0,), word_times=True, no_speech_threshold=None)
    window = replace(window, options=options)
    features = backend.features(window.samples, frames_for(Lane.FINAL, SAMPLE_RATE))
    return backend.run([Request(window, features, content_frames(SAMPLE_RATE), ())])[0]
