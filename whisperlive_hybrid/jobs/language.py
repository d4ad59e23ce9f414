"""The language of a file, from the first speech in it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from whisperlive_hybrid.audio.files import DecodeLimits, decode_file
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine.backend import LanguageProbabilities
from whisperlive_hybrid.engine.window import MAX_WINDOW_S
from whisperlive_hybrid.errors import Refused
from whisperlive_hybrid.speech.offline import pack, utterances
from whisperlive_hybrid.speech.speech import FILE_SPEECH
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

if TYPE_CHECKING:
    from whisperlive_hybrid.engine.engine import Engine

SEARCH_S: Final = 900.0
"""A film may begin with minutes of music; who has not spoken by then is not waited for."""

_numbers = itertools.count(1)


async def detect_language(
    path: Path, engine: Engine, vad: VadBatcher, limits: DecodeLimits, model: str | None
) -> LanguageProbabilities:
    """(code, probability) of all languages, likeliest first, of the first 30 s of speech.

    Where nobody speaks it is the first 30 s as they are. Raises what the decoder and the engine raise.
    """
    name = await engine.load(model)
    opening = _Opening()
    samples: Samples | None = None
    async with (
        aclosing(decode_file(path, limits)) as blocks,
        aclosing(opening.passing(blocks)) as first,
        aclosing(utterances(first, vad, FILE_SPEECH)) as spoken,
        aclosing(pack(spoken, MAX_WINDOW_S)) as windows,
    ):
        async for window in windows:
            samples = window.samples
            break
    if samples is None:
        samples = opening.samples()
    owner = f"language-{next(_numbers)}"
    while True:
        try:
            return await engine.detect_language(samples, name, owner=owner)
        except Refused as refused:  # what has been accepted waits for a full engine
            if engine.state == "draining":
                raise
            await asyncio.sleep(refused.retry_after_s)


class _Opening:
    """The blocks of a file up to SEARCH_S as they pass, and its first 30 s, kept."""

    def __init__(self) -> None:
        self._kept: list[Samples] = []

    async def passing(self, blocks: AsyncIterable[Samples]) -> AsyncGenerator[Samples]:
        """The blocks."""
        n = 0
        async for block in blocks:
            if n < MAX_WINDOW_S * SAMPLE_RATE:
                self._kept.append(block)
            n += len(block)
            yield block
            if n >= SEARCH_S * SAMPLE_RATE:
                return

    def samples(self) -> Samples:
        """The first 30 s: float32 [n]."""
        whole: Samples = np.concatenate(self._kept)
        return whole[: int(MAX_WINDOW_S * SAMPLE_RATE)]
