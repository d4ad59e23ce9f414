"""What the rooms above see: speakers of files and of live segments, made behind text in a process of their own.

    live segments ──► bounded queue ─┐
                                     ├─► one process, live first: voices ──► speaker book (live), clusters (files)
    chunks of files ─► bounded queue ┘

A full queue of files makes their transcription wait; a full queue of live segments leaves a segment without speaker.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from whisperlive_hybrid.audio.files import DecodeLimits, decode_file
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, seconds
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.file_diarization import FileDiarization, SpeechOfFile, WholeFile
from whisperlive_hybrid.diarization.process import DiarizationProcess
from whisperlive_hybrid.diarization.turns import KNOWN_LEAST_S, KNOWN_MOST_S, KnownSpeaker, SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region, all_windows, unit
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, Refused, UndecodableAudio, WorkerLost

if TYPE_CHECKING:
    from whisperlive_hybrid.config import Settings

log = logging.getLogger(__name__)

HUB_MODEL: Final = "pyannote/speaker-diarization-community-1"
"""What is used where a token is set and no model is named."""
BUNDLED: Final = "bundled"
LATER_S: Final = 600.0
"""A hub model that could not be had is asked for again after this."""
SLACK_S: Final = 0.5
"""By so much a reference may be shorter or longer than is said."""


@dataclass(frozen=True, slots=True)
class DiarizerOptions:
    """How speakers are told apart. `model`: a hub id, a folder, `bundled`, or None, which is by the token."""

    model: str | None = None
    token: str | None = None
    cache: Path | None = None
    device: str = "auto"
    busy_gpu: int | None = None
    """The GPU that Whisper runs on."""
    threads: int = 1
    queue: int = 16
    """Chunks of files, and live segments, that may wait."""
    keep_s: float = 600.0
    """The process ends when nobody asked it for so long."""
    folder: Path | None = None
    """Where audio lies that a pipeline needs as a whole; None is the system's temporary folder."""

    @classmethod
    def of(cls, settings: Settings) -> DiarizerOptions:
        """From the server's settings."""
        return cls(
            model=settings.pyannote_model,
            token=settings.hf_token,
            cache=settings.model_cache,
            device=settings.diarization_device,
            busy_gpu=None if settings.device == "cpu" else settings.device_index,
            threads=settings.diarization_threads,
            queue=settings.diarization_queue,
            keep_s=settings.model_ttl_s,
            folder=settings.upload_dir(),
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    samples: Samples
    answer: asyncio.Future[list[Region]]


class Diarizer:
    """An async context manager; nothing is started before somebody asks."""

    def __init__(self, options: DiarizerOptions | None = None) -> None:
        self._options = options or DiarizerOptions()
        named = self._options.model
        self._pipeline_model = named or (HUB_MODEL if self._options.token else None)
        if named == BUNDLED:
            self._pipeline_model = None
        self._falls_back = named is None
        self._voices = self._process({})
        self._pipeline = self._process(self._pipeline_environment())
        self._live: asyncio.Queue[_Asked] = asyncio.Queue(self._options.queue)
        self._files: asyncio.Queue[_Asked] = asyncio.Queue(1)
        self._waiting = asyncio.Semaphore(0)
        self._worker: asyncio.Task[None] | None = None
        self._not_before = 0.0
        """Until then the hub's model is not asked for."""
        self._why_bundled: str | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name="diarizer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        for queue in (self._live, self._files):
            while not queue.empty():
                queue.get_nowait().answer.cancel()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._voices.close)
            stack.push_async_callback(self._pipeline.close)

    @property
    def model(self) -> str:
        """What tells speakers apart in files now."""
        return BUNDLED if self._pipeline_model is None or self._why_bundled is not None else self._pipeline_model

    # --- files -----------------------------------------------------------------------------------------------------

    async def file(self, options: SpeakerOptions) -> FileDiarization:
        """The diarization of a file that is about to be read. Raises BadInput for known speakers' references."""
        known = [await self.learn(speaker) for speaker in options.known]
        if self._pipeline_model is None or asyncio.get_running_loop().time() < self._not_before:
            return SpeechOfFile(self, options, known, warning=self._why_bundled)
        return WholeFile(self, options, known, self._options.folder)

    async def regions_of_file(self, samples: Samples) -> list[Region]:
        """Voices in a part of a file; waits for its turn. Raises Unavailable."""
        answer: asyncio.Future[list[Region]] = asyncio.get_running_loop().create_future()
        await self._files.put(_Asked(samples, answer))
        self._waiting.release()
        return await answer

    async def cluster(
        self, regions: list[Region], options: SpeakerOptions, known: list[KnownVoice]
    ) -> tuple[Turn, ...]:
        """Turns of a file, given all its regions. Raises Unavailable."""
        return await self._voices.cluster(regions, options, known)

    async def run_pipeline(
        self, path: Path, options: SpeakerOptions, on_progress: Callable[[float], None]
    ) -> tuple[Turn, ...] | None:
        """Turns of the hub's or a local pipeline; None where the bundled model is to be used instead.

        Raises ModelUnavailable where the pipeline was named and cannot be had, other Unavailable if it fails.
        """
        try:
            turns = await self._pipeline.run_pipeline(path, options, on_progress)
        except ModelUnavailable as error:
            if not self._falls_back:
                raise
            self._not_before = asyncio.get_running_loop().time() + LATER_S
            self._why_bundled = f"The bundled model told speakers apart: {error.message}"
            log.warning("%s Ways out: %s", self._why_bundled, "; ".join(error.ways_out))
            return None
        self._why_bundled = None
        return turns

    @property
    def why_bundled(self) -> str | None:
        """Why the hub's model is not used though a token is set."""
        return self._why_bundled

    @property
    def queue(self) -> int:
        """Chunks of one file that may wait."""
        return self._options.queue

    # --- live ------------------------------------------------------------------------------------------------------

    async def warm(self) -> None:
        """Have the process running and its model loaded. Raises Unavailable."""
        await self._voices.embed(np.zeros(SAMPLE_RATE, np.float32))

    async def regions_of_segment(self, samples: Samples) -> list[Region]:
        """Voices in a live segment. Raises Refused when too many wait, Unavailable when it cannot be done."""
        answer: asyncio.Future[list[Region]] = asyncio.get_running_loop().create_future()
        try:
            self._live.put_nowait(_Asked(samples, answer))
        except asyncio.QueueFull:
            raise Refused(
                f"{self._options.queue} segments wait for their speakers already.",
                retry_after_s=5.0,
                code="speakers_full",
            ) from None
        self._waiting.release()
        return await answer

    async def learn(self, speaker: KnownSpeaker) -> KnownVoice:
        """The voice in a known speaker's reference. Raises BadInput naming what is wrong with it, Unavailable."""
        samples = await self._decoded(speaker)
        regions = await self.regions_of_file(samples)
        if not regions:
            raise _bad_reference(speaker, "has no speech in it")
        return KnownVoice(speaker.name, unit(all_windows(regions).sum(axis=0)))

    async def _decoded(self, speaker: KnownSpeaker) -> Samples:
        with tempfile.NamedTemporaryFile(prefix="reference-", dir=self._options.folder) as file:
            await asyncio.to_thread(file.write, speaker.audio)
            await asyncio.to_thread(file.flush)
            limits = DecodeLimits(max_audio_s=KNOWN_MOST_S + SLACK_S)
            try:
                blocks = [block async for block in decode_file(Path(file.name), limits)]
            except UndecodableAudio as error:
                raise _bad_reference(speaker, f"cannot be read: {error.message}") from None
            except BadInput:
                raise _bad_reference(speaker, f"is longer than {KNOWN_MOST_S:g} s") from None
        samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        if seconds(len(samples)) < KNOWN_LEAST_S - SLACK_S:
            raise _bad_reference(speaker, f"is shorter than {KNOWN_LEAST_S:g} s")
        return samples

    # --- the process -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Ask the process one thing after another, live segments first."""
        while True:
            await self._waiting.acquire()
            asked = (self._files if self._live.empty() else self._live).get_nowait()
            if asked.answer.done():  # nobody waits any more
                continue
            try:
                regions = await self._embedded(asked.samples)
            except HybridError as error:
                _settle(asked.answer, error)
            except Exception as error:  # the worker must outlive what it does not know
                log.exception("a voice could not be embedded")
                _settle(asked.answer, error)
            else:
                if not asked.answer.done():
                    asked.answer.set_result(regions)

    async def _embedded(self, samples: Samples) -> list[Region]:
        try:
            return await self._voices.embed(samples)
        except WorkerLost:
            return await self._voices.embed(samples)

    def _process(self, environment: dict[str, str]) -> DiarizationProcess:
        options = self._options
        return DiarizationProcess(
            options.device,
            busy_gpu=options.busy_gpu,
            threads=options.threads,
            keep_s=options.keep_s,
            environment=environment,
        )

    def _pipeline_environment(self) -> dict[str, str]:
        given = {
            "PIPELINE_MODEL": self._pipeline_model,
            "PIPELINE_TOKEN": self._options.token,
            "PIPELINE_CACHE": None if self._options.cache is None else str(self._options.cache),
        }
        return {name: value for name, value in given.items() if value is not None}


def _settle(answer: asyncio.Future[list[Region]], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _bad_reference(speaker: KnownSpeaker, what: str) -> BadInput:
    return BadInput(
        f"The reference of {speaker.name!r} {what}.",
        param="known_speaker_references",
        accepted=(f"{KNOWN_LEAST_S:g} to {KNOWN_MOST_S:g} s of audio",),
        code="bad_reference",
    )
