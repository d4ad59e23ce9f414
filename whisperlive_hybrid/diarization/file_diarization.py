"""One file's speakers. Its audio is passed on as it is read, and its speech chunk by chunk as it is transcribed."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, n_samples, seconds
from whisperlive_hybrid.diarization.clustering import ClusterRules, KnownVoice
from whisperlive_hybrid.diarization.turns import Diarization, SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region, all_windows, unit
from whisperlive_hybrid.errors import HybridError

if TYPE_CHECKING:
    from whisperlive_hybrid.diarization.diarizer import Diarizer

log = logging.getLogger(__name__)

CHUNK_S: Final = 12.0
"""More of a file is not embedded at once: a live segment may wait for it."""
LEARN_S: Final = 30.0
"""Of a speaker that a pipeline found so much is heard to know whether they are a known one."""

OnProgress = Callable[[float], None]
"""Told the share of the diarization that is done."""


class FileDiarization(Protocol):
    """See module. One task at a time; `close` in any case."""

    async def hear_audio(self, samples: Samples) -> None:
        """The next block of the file, float32 [n], silence included."""
        ...

    async def hear_speech(self, start: int, samples: Samples) -> None:
        """Transcribed speech, which begins at sample `start` of the file. Waits while too much waits already."""
        ...

    async def finish(self, on_progress: OnProgress) -> Diarization:
        """Who speaks when. Never raises for what went wrong with speakers: the warning says it."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class SpeechOfFile:
    """With the bundled model: speech is embedded while what follows it is transcribed, and told apart at the end."""

    def __init__(
        self, diarizer: Diarizer, options: SpeakerOptions, known: list[KnownVoice], *, warning: str | None = None
    ) -> None:
        self._diarizer = diarizer
        self._options = options
        self._known = known
        self._warning = warning
        self._queue: asyncio.Queue[tuple[int, Samples] | None] = asyncio.Queue(diarizer.queue)
        self._regions: list[Region] = []
        self._heard = 0
        self._error: Exception | None = None
        self._task = asyncio.create_task(self._embed(), name="speakers of a file")

    async def hear_audio(self, samples: Samples) -> None:
        """Silence is not needed."""

    async def hear_speech(self, start: int, samples: Samples) -> None:
        """See FileDiarization."""
        n = -(-len(samples) // n_samples(CHUNK_S))
        for part in np.array_split(samples, max(n, 1)):
            if self._error is None:
                await self._queue.put((start, part))
            start += len(part)
            self._heard += len(part)

    async def finish(self, on_progress: OnProgress) -> Diarization:
        """See FileDiarization."""
        await self._queue.put(None)
        await self._task
        try:
            if self._error is not None:
                raise self._error
            on_progress(0.9)
            if not self._regions:
                return Diarization(
                    warning=None if not self._heard else "No voice was clear enough to tell speakers apart."
                )
            return Diarization(await self._diarizer.cluster(self._regions, self._options, self._known), self._warning)
        except Exception as error:
            return failed(error)

    async def close(self) -> None:
        """See FileDiarization."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _embed(self) -> None:
        while (chunk := await self._queue.get()) is not None:
            if self._error is not None:  # the rest is let go of, so that nobody waits
                continue
            start, samples = chunk
            try:
                found = await self._diarizer.regions_of_file(samples)
            except Exception as error:
                self._error = error
                continue
            self._regions += [region.moved(seconds(start)) for region in found]


class WholeFile:
    """With a pipeline, which hears a file as a whole: its audio is kept on disk until it is all there."""

    def __init__(
        self, diarizer: Diarizer, options: SpeakerOptions, known: list[KnownVoice], folder: Path | None
    ) -> None:
        self._diarizer = diarizer
        self._options = options
        self._known = known
        self._file = tempfile.NamedTemporaryFile(prefix="speakers-", suffix=".f32", dir=folder)  # noqa: SIM115
        self._error: OSError | None = None

    async def hear_audio(self, samples: Samples) -> None:
        """See FileDiarization."""
        if self._error is None:
            try:
                await asyncio.to_thread(self._file.write, samples.astype("<f4", copy=False).tobytes())
            except OSError as error:
                self._error = error

    async def hear_speech(self, start: int, samples: Samples) -> None:
        """The pipeline finds speech itself."""

    async def finish(self, on_progress: OnProgress) -> Diarization:
        """See FileDiarization."""
        try:
            if self._error is not None:
                raise self._error
            await asyncio.to_thread(self._file.flush)
            path = Path(self._file.name)
            turns = await self._diarizer.run_pipeline(path, replace(self._options, known=()), on_progress)
            audio = np.zeros(0, np.float32) if not path.stat().st_size else np.memmap(path, "<f4", mode="r")
            if turns is None:
                return await self._bundled(audio, on_progress)
            return Diarization(await self._with_names(turns, audio))
        except Exception as error:
            return failed(error)

    async def close(self) -> None:
        """See FileDiarization."""
        await asyncio.to_thread(self._file.close)

    async def _bundled(self, audio: Samples, on_progress: OnProgress) -> Diarization:
        regions: list[Region] = []
        step = n_samples(CHUNK_S)
        for start in range(0, len(audio), step):
            found = await self._diarizer.regions_of_file(audio[start : start + step])
            regions += [region.moved(seconds(start)) for region in found]
            on_progress(0.9 * start / len(audio))
        turns = await self._diarizer.cluster(regions, self._options, self._known) if regions else ()
        return Diarization(turns, self._diarizer.why_bundled)

    async def _with_names(self, turns: tuple[Turn, ...], audio: Samples) -> tuple[Turn, ...]:
        """The turns, with the names of known speakers whose voices the bundled model finds in them."""
        if not self._known:
            return turns
        voices = np.stack([voice.vector for voice in self._known])
        names: dict[str, str] = {}
        for speaker in dict.fromkeys(turn.speaker for turn in turns):
            own = sorted((t for t in turns if t.speaker == speaker), key=lambda t: t.start - t.end)
            parts: list[Samples] = []
            for turn in own:
                if sum(len(part) for part in parts) < LEARN_S * SAMPLE_RATE:
                    parts.append(audio[n_samples(turn.start) : n_samples(turn.end)][: n_samples(CHUNK_S)])
            regions = [r for part in parts for r in await self._diarizer.regions_of_file(part)]
            if regions:
                alike = voices @ unit(all_windows(regions).sum(axis=0))
                if alike.max() >= ClusterRules().known:
                    names[speaker] = self._known[int(alike.argmax())].name
        return tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in turns)


def failed(error: Exception) -> Diarization:
    """No speakers, and why."""
    if isinstance(error, HybridError):
        ways_out = getattr(error, "ways_out", ())
        hint = f" Ways out: {'; '.join(ways_out)}." if ways_out else ""
        log.warning("speakers could not be told apart: %s%s", error.message, hint)
        return Diarization(warning=f"Speakers could not be told apart: {error.message}{hint}")
    log.error("speakers could not be told apart", exc_info=error)
    return Diarization(warning="Speakers could not be told apart: our fault, the server's log says more.")
