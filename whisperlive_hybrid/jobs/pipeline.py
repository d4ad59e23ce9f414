"""A file's way from a path to a transcript.

    decode (child process) → utterances → packed windows → engine, several in flight → segments on the file's clock
                                                                                                │
                                             speakers, where they are asked for ◄───────────────┘

Speakers are told apart behind text: while a window is transcribed, those before it are listened to for voices.
Each stage takes from the one before it only what it can pass on, so memory is bounded however long the file is.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from whisperlive_hybrid.audio.files import DecodeLimits, FileInfo, decode_file
from whisperlive_hybrid.audio.samples import Samples, seconds
from whisperlive_hybrid.engine.backend import LanguageProbabilities
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment
from whisperlive_hybrid.engine.rest import rest_of
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import Refused
from whisperlive_hybrid.jobs.chunk import Chunk, bookmark_behind, speech_of
from whisperlive_hybrid.jobs.file_speakers import SpeakersOfFile
from whisperlive_hybrid.jobs.language import detect_language
from whisperlive_hybrid.jobs.stitching import to_file_clock
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.speech.offline import PackedWindow, pack, utterances
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

if TYPE_CHECKING:
    from whisperlive_hybrid.diarization.diarizer import Diarizer
    from whisperlive_hybrid.engine.engine import Engine

log = logging.getLogger(__name__)

OnProgress: TypeAlias = Callable[[Progress], None]
OnSegments: TypeAlias = Callable[[Sequence[Segment]], None]
OnTurn: TypeAlias = Callable[[], Awaitable[None]]
OnChunk: TypeAlias = Callable[[Chunk], None]
Heard: TypeAlias = list[tuple[PackedWindow, Hypothesis]]
Turn: TypeAlias = Literal["request", "job", "urgent job"]
"""For whom a file is worked on. An urgent job takes a request's turn, and is never refused."""

LANGUAGE_WINDOWS: Final = 3
"""Windows without text after which the language is what the surest of them said."""
PROMPT_RESET_TEMPERATURE: Final = 0.5
"""Text decoded hotter than this is too unsure to prompt with (faster-whisper's default)."""
MAX_PROMPT_CHARS: Final = 2000
"""More than a model's prompt holds in any language (223 tokens)."""
WANTED_WITHIN_S: Final = 60.0
"""Files are served in the order their windows come: all have the same time to wait."""

_numbers = itertools.count(1)


class Pipeline:
    """Transcribes files: of requests at most `max_jobs` at once and `max_queued` more waiting, first come first served;
    of jobs as many again, so that no request waits for the end of a job.

    `window_s`: seconds of speech packed into one inference. `in_flight`: windows of one file that the engine is given
    at once; without it twice its largest batch, which keeps it busy while results are taken.
    """

    def __init__(
        self,
        engine: Engine,
        vad: VadBatcher,
        *,
        diarizer: Diarizer | None = None,
        limits: DecodeLimits | None = None,
        window_s: float = 30.0,
        max_jobs: int = 4,
        max_queued: int = 64,
        in_flight: int | None = None,
    ) -> None:
        self.engine = engine
        self.vad = vad
        self.diarizer = diarizer
        self.limits = limits or DecodeLimits()
        self.window_s = window_s
        self.in_flight = in_flight
        self._max_queued = max_queued
        self._turns = {"request": asyncio.Semaphore(max_jobs), "job": asyncio.Semaphore(max_jobs)}
        self._waiting = 0
        self._working = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return as soon as no file is worked on and none waits."""
        await self._idle.wait()

    @property
    def waiting(self) -> int:
        """Files that wait for their turn."""
        return self._waiting

    async def transcribe(
        self,
        path: Path,
        options: FileOptions,
        *,
        on_progress: OnProgress | None = None,
        on_segments: OnSegments | None = None,
        on_chunk: OnChunk | None = None,
        chunks: Sequence[Chunk] = (),
        turn: Turn = "request",
        on_turn: OnTurn | None = None,
        background: bool = False,
    ) -> Transcript:
        """Transcribe a file; `on_segments` is given segments in order as they become final.

        `on_turn` is awaited when its turn has come; what it raises ends it. Windows of a file in the `background` go
        behind those of others.

        `on_chunk` is given all that is known after each window; with `chunks` of a run before, in order and from the
        first one on, this one goes on behind them and tells nothing of them again. Cancelling it ends the decoding
        child and takes the file's windows out of the engine. A file without speech gives a transcript without
        segments. Raises Refused when too many files wait, UndecodableAudio or TooLarge for the file, BadInput for a
        known speaker's reference, and what the engine raises.
        """
        async with self._counted(), self._turn(turn):
            if on_turn is not None:
                await on_turn()
            work = _FileWork(
                self,
                options,
                chunks,
                background=background,
                on_progress=on_progress or _ignore,
                on_segments=on_segments or _ignore,
                on_chunk=on_chunk or _ignore,
            )
            return await work.run(path)

    async def detect_language(
        self, path: Path, model: str | None = None, *, on_turn: OnTurn | None = None
    ) -> LanguageProbabilities:
        """(code, probability) of all languages, likeliest first, from the first speech of a file.

        Waits for its turn like a transcription and raises the same.
        """
        async with self._counted(), self._turn("request"):
            if on_turn is not None:
                await on_turn()
            return await detect_language(path, self.engine, self.vad, self.limits, model)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._working += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    @asynccontextmanager
    async def _turn(self, turn: Turn) -> AsyncIterator[None]:
        turns = self._turns["job" if turn == "job" else "request"]
        if turn == "request" and turns.locked() and self._waiting >= self._max_queued:
            raise Refused(
                f"The server is full: {self._waiting} more files wait already.",
                retry_after_s=max(5.0, self.engine.capacity().wait_s),
            )
        self._waiting += 1
        try:
            await turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            turns.release()


class _FileWork:
    """One file on its way."""

    def __init__(
        self,
        pipeline: Pipeline,
        options: FileOptions,
        chunks: Sequence[Chunk],
        *,
        background: bool,
        on_progress: OnProgress,
        on_segments: OnSegments,
        on_chunk: OnChunk,
    ) -> None:
        self.owner = f"file-{next(_numbers)}"
        self._engine = pipeline.engine
        self._pipeline = pipeline
        self._options = options
        self._background = background
        self._on_progress = on_progress
        self._on_segments = on_segments
        self._on_chunk = on_chunk
        self._begin = bookmark_behind(chunks)
        self._model = ""
        self._language = options.decode.language
        """None until it is given or detected."""
        self._detected: tuple[str, float] | None = None
        """The surest language and its probability so far."""
        self._silent_windows = 0
        self._said: list[str] | None = None
        """Text that the next window is prompted with; None where the options' own prompt is."""
        self._in_flight: deque[asyncio.Task[Heard]] = deque()
        self._most_in_flight = 1
        self._segments: list[Segment] = []
        self._decoded = 0
        self._total_s: float | None = None
        self._speech = 0
        self._done_s = 0.0
        self._n_prompt_tokens: int | None = None
        self._speakers = SpeakersOfFile(pipeline.diarizer, options, speech_of(chunks))
        if chunks:
            self._go_on_behind(chunks)

    def _go_on_behind(self, chunks: Sequence[Chunk]) -> None:
        last = chunks[-1]
        self._segments = [segment for chunk in chunks for segment in chunk.segments]
        self._language = last.language
        self._detected = last.detected
        self._silent_windows = last.silent_windows
        self._said = None if last.said is None else list(last.said)
        self._speech = last.speech
        self._done_s = seconds(last.end)
        self._n_prompt_tokens = last.n_prompt_tokens

    async def run(self, path: Path) -> Transcript:
        started = time.monotonic()
        pipeline, options = self._pipeline, self._options
        self._model = await self._engine.load(options.model)
        self._most_in_flight = pipeline.in_flight or 2 * self._engine.windows_at_once(self._model, options.decode)
        speech = replace(options.speech, max_utterance_s=min(options.speech.max_utterance_s, pipeline.window_s))
        try:
            await self._speakers.open()
            async with (
                aclosing(decode_file(path, pipeline.limits, on_info=self._receive_info)) as blocks,
                aclosing(self._counted(blocks)) as counted,
                aclosing(_behind(counted, self._begin.hear_from)) as unheard,
                aclosing(utterances(unheard, pipeline.vad, speech, self._begin)) as spoken,
                aclosing(pack(spoken, pipeline.window_s)) as windows,
            ):
                async for window in windows:
                    await self._send(window)
            while self._in_flight:
                await self._take(await self._in_flight.popleft())
            duration_s = seconds(self._decoded)
            named = await self._speakers.finish(
                self._segments, lambda share: self._on_progress(Progress("diarizing", share * duration_s, duration_s))
            )
        except BaseException:
            await self._give_up()
            raise
        finally:
            await self._speakers.aclose()
        self._on_progress(Progress("done", duration_s, duration_s))
        language, probability = self._detected or ("en", 0.0)
        return Transcript(
            segments=named.segments,
            language=options.decode.language or self._language or language,
            language_probability=1.0 if options.decode.language else probability,
            duration_s=duration_s,
            speech_s=seconds(self._speech),
            model=self._model,
            options=options,
            elapsed_s=time.monotonic() - started,
            turns=named.diarization.turns,
            warning=named.diarization.warning,
            n_prompt_tokens=self._n_prompt_tokens or 0,
            n_tokens=sum(len(s.tokens) for s in self._segments),
        )

    async def _send(self, window: PackedWindow) -> None:
        """Give a window to the engine, and wait while it has as many as it may."""
        if self._options.condition_on_previous_text or self._language is None:
            await self._take(await self._hear(window))
            return
        if len(self._in_flight) >= self._most_in_flight:
            await self._take(await self._in_flight.popleft())
        self._in_flight.append(asyncio.create_task(self._hear(window), name=f"{self.owner}-window"))
        while self._in_flight and self._in_flight[0].done():
            await self._take(self._in_flight.popleft().result())

    async def _hear(self, window: PackedWindow) -> Heard:
        """What the engine hears in a window, asked again for the rest where the model stopped before its end."""
        heard: Heard = []
        deadline = asyncio.get_running_loop().time() + WANTED_WITHIN_S
        language = self._language
        while True:
            hypothesis = await self._ask(window, language, deadline)
            heard.append((window, hypothesis))
            if self._options.condition_on_previous_text:
                self._remember(hypothesis)
            rest_s = rest_of(hypothesis, seconds(len(window.samples)), len(heard))
            if rest_s is None:
                return heard
            language = language or hypothesis.language
            window = window.rest(rest_s)

    async def _ask(self, window: PackedWindow, language: str | None, deadline: float) -> Hypothesis:
        """One inference. A full engine is waited for: what has been accepted is not refused half-way."""
        # Segments are split at words where their speaker changes; their text stays what it is without speakers.
        aside = self._options.diarization is not None
        options = replace(self._options.decode, language=language, words_aside=aside)
        if self._said is not None:
            options = replace(options, prompt="".join(self._said)[-MAX_PROMPT_CHARS:] or None, prompt_tokens=None)
        while True:
            try:
                return await self._engine.transcribe(
                    Window(
                        self.owner,
                        Lane.FILE,
                        deadline,
                        0,
                        window.samples,
                        self._model,
                        options,
                        background=self._background,
                    )
                )
            except Refused as refused:
                if self._engine.state == "draining":
                    raise
                await asyncio.sleep(refused.retry_after_s)

    def _remember(self, hypothesis: Hypothesis) -> None:
        if any(segment.temperature > PROMPT_RESET_TEMPERATURE for segment in hypothesis.segments):
            self._said = []
            return
        if self._said is None:
            self._said = [self._options.decode.prompt or ""]
        text = "".join(self._said) + "".join(segment.text for segment in hypothesis.segments)
        self._said = [text[-MAX_PROMPT_CHARS:]]

    async def _take(self, heard: Heard) -> None:
        """Results of the next window in order."""
        new: list[Segment] = []
        for window, hypothesis in heard:
            last_s = new[-1].end if new else self._segments[-1].end if self._segments else 0.0
            new += to_file_clock(window, hypothesis.segments, last_s)
        if self._n_prompt_tokens is None:
            self._n_prompt_tokens = heard[0][1].n_prompt_tokens
        self._settle_language(heard[0][1])
        self._segments += new
        window = heard[0][0]
        self._speech += len(window.samples)
        if new:
            self._on_segments(new)
        self._on_chunk(
            Chunk(
                tuple(new),
                end=window.end,
                speech=self._speech,
                language=self._language,
                detected=self._detected,
                silent_windows=self._silent_windows,
                said=None if self._said is None else tuple(self._said),
                n_prompt_tokens=self._n_prompt_tokens,
                pieces=tuple((piece.start, piece.start + piece.end - piece.begin) for piece in window.pieces),
                behind=window.behind,
            )
        )
        self._done_s = window.end_s
        self._on_progress(Progress("transcribing", self._done_s, self._total_s))
        await self._speakers.hear_window(heard[0][0])

    def _settle_language(self, hypothesis: Hypothesis) -> None:
        """The file's language is that of the first window with text."""
        if self._language is not None:
            return
        found = hypothesis.language, hypothesis.language_probability
        if hypothesis.segments:
            self._detected = found
            self._language = hypothesis.language
            return
        if self._detected is None or found[1] > self._detected[1]:
            self._detected = found
        self._silent_windows += 1
        if self._silent_windows == LANGUAGE_WINDOWS:
            self._language = self._detected[0]

    def _receive_info(self, info: FileInfo) -> None:
        self._total_s = info.duration_s

    async def _counted(self, blocks: AsyncIterable[Samples]) -> AsyncGenerator[Samples]:
        """The blocks as they pass, counted."""
        async for block in blocks:
            await self._speakers.hear_block(block, self._decoded)
            self._decoded += len(block)
            if not self._done_s:
                self._on_progress(Progress("decoding", seconds(self._decoded), self._total_s))
            yield block
        self._total_s = seconds(self._decoded)

    async def _give_up(self) -> None:
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        self._engine.cancel(self.owner)


async def _behind(blocks: AsyncIterable[Samples], start: int) -> AsyncGenerator[Samples]:
    """The blocks from sample `start` on."""
    async for block in blocks:
        if start < len(block):
            yield block[max(start, 0) :]
        start -= len(block)


def _ignore(_: object) -> None:
    """Nobody wants to know."""
