"""Clients of the chaos benchmark: the project's own Python client, fed by a clock, and what it was told."""

from __future__ import annotations

import asyncio
import difflib
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.material import normalized, pcm
from tests.support.encoded_audio import length_prefixed, mux, opus_packets
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.client import ClientError, LiveSession

MESSAGE_S = 0.5
LEAST_CONFIDENCE = 0.4
CODECS = ("pcm_s16le", "opus", "webm-opus")


def encoded(samples: Samples, codec: str) -> list[bytes]:
    """Messages of 500 ms each, as a client of this codec sends them; containers are cut anywhere."""
    n = -(-len(samples) // int(MESSAGE_S * SAMPLE_RATE))
    if codec == "pcm_s16le":
        return _parts(pcm(samples), int(MESSAGE_S * SAMPLE_RATE) * 2)
    if codec == "opus":
        packets = opus_packets(samples, rate=SAMPLE_RATE)
        per_message = round(MESSAGE_S * 50)
        return [length_prefixed(packets[i : i + per_message]) for i in range(0, len(packets), per_message)]
    container = {"webm-opus": "webm", "ogg-opus": "ogg"}[codec]
    data = mux(np.asarray(samples), container, "libopus", rate=SAMPLE_RATE)
    return _parts(data, -(-len(data) // n))


def _parts(data: bytes, step: int) -> list[bytes]:
    return [data[i : i + step] for i in range(0, len(data), step)]


@dataclass(frozen=True)
class Said:
    """One final."""

    segment: int
    start: float
    end: float
    text: str
    confidence: float


@dataclass
class Told:
    """What a client was told, and how it fared."""

    finals: list[Said] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    """Seconds from each loss of the connection to the session being resumed."""
    disorder: list[str] = field(default_factory=list)
    """What the protocol rules out: numbers that do not rise, finals out of order, text of a segment after its final."""
    done: bool = False
    failure: str | None = None
    """Why the session was over before its time."""

    @property
    def words(self) -> list[str]:
        """All words of the finals, in the order they came."""
        return normalized(" ".join(f.text for f in self.finals)).split()

    @property
    def twice(self) -> int:
        """Finals beyond the first of their segment."""
        return sum(n - 1 for n in Counter(f.segment for f in self.finals).values())


class Speaker:
    """A live session that is spoken into from outside. `tell` runs until the server says `done` or all is lost."""

    def __init__(self, url: str, codec: str, messages: Sequence[bytes], **options: Any) -> None:
        self.codec = codec
        self.messages = messages
        self.told = Told()
        self.connected = asyncio.Event()
        self._session = LiveSession(url, codec=codec, language="en", **options)
        self._lost_at = 0.0
        self._last_event = 0

    async def __aenter__(self) -> Speaker:
        await self._session.__aenter__()
        self.connected.set()
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        await self._session.close()

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        return self.told.done or self.told.failure is not None

    async def say(self, i: int) -> None:
        """Send message `i`; `stop` after the last. The client keeps it while there is no connection."""
        if self.over:
            return
        try:
            if i < len(self.messages):
                await self._session.send(self.messages[i])
            if i == len(self.messages) - 1:
                await self._session.stop()
        except ClientError as error:
            self._fail(error)

    async def finish(self) -> Told:
        """Wait for the end."""
        await self._listener
        return self.told

    async def _listen(self) -> None:
        try:
            async for event in self._session:
                self._receive(event)
        except ClientError as error:
            self._fail(error)
        if not self.over:
            self.told.failure = "ended without `done`"
        self.connected.set()  # nobody has to wait for it any more

    def _receive(self, event: dict[str, Any]) -> None:
        self._check(event)
        match event["type"]:
            case "final":
                keys = ("segment", "start", "end", "text", "confidence")
                self.told.finals.append(Said(*(event[key] for key in keys)))
            case "connection" if event["state"] == "lost":
                self.connected.clear()
                self._lost_at = time.monotonic()
            case "connection" if event["state"] == "resumed":
                self.told.outages.append(time.monotonic() - self._lost_at)
                self.connected.set()
            case "done":
                self.told.done = True

    def _check(self, event: dict[str, Any]) -> None:
        number = event.get("event", self._last_event + 1)  # what the client itself says has none
        if number <= self._last_event:
            self.told.disorder.append(f"event {number} after {self._last_event}")
        elif "event" in event:
            self._last_event = number
        last = self.told.finals[-1].segment if self.told.finals else -1
        if event["type"] in ("partial", "final") and event["segment"] <= last:
            self.told.disorder.append(f"{event['type']} of segment {event['segment']} after the final of {last}")

    def _fail(self, error: ClientError) -> None:
        if self.told.failure is None:
            self.told.failure = f"{error.code}: {error}"
        self.connected.set()


async def undisturbed(url: str, codec: str, messages: Sequence[bytes], pace: float) -> Told:
    """The same session with nothing in its way, at `pace` times real time. Raises RuntimeError when it fails."""
    async with Speaker(url, codec, messages) as speaker:
        start = time.monotonic()
        for i in range(len(messages)):
            await asyncio.sleep(max(0.0, start + i * MESSAGE_S / pace - time.monotonic()))
            await speaker.say(i)
        told = await speaker.finish()
    if told.failure is not None:
        raise RuntimeError(f"an undisturbed session failed: {told.failure}")
    return told


@dataclass(frozen=True)
class Difference:
    """How the words of two runs differ."""

    lost: int
    added: int
    """More than there were: doubled, mostly."""
    changed: int
    where: tuple[str, ...]
    """Each difference with the words around it."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.added or self.changed)


def difference(expected: Sequence[str], got: Sequence[str]) -> Difference:
    """Words of an undisturbed run against those of a disturbed one."""
    lost = added = changed = 0
    where = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, expected, got, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        both = min(b - a, d - c)
        changed, lost, added = changed + both, lost + (b - a) - both, added + (d - c) - both
        before = " ".join(expected[max(0, a - 3) : a])
        where.append(f"… {before} [{' '.join(expected[a:b])} → {' '.join(got[c:d])}]")
    return Difference(lost, added, changed, tuple(where))


def time_shift(expected: Sequence[Said], got: Sequence[Said]) -> float:
    """Seconds by which the start or end of a final is off at most, against the nearest one of the undisturbed run."""
    shifts = [min((max(abs(f.start - e.start), abs(f.end - e.end)) for e in expected), default=math.inf) for f in got]
    return max(shifts, default=0.0)


def unsteady(runs: Sequence[Told], least_confidence: float = LEAST_CONFIDENCE) -> list[tuple[float, float]]:
    """Times (s) of utterances that undisturbed runs disagree on, or that the model was not sure of.

    A poor utterance is decoded again at temperatures above 0, where words are drawn at random: nothing can be said of a
    resume from those.
    """
    by_time: dict[tuple[float, float], set[str]] = {}
    for run in runs:
        for f in run.finals:
            by_time.setdefault((round(f.start, 1), round(f.end, 1)), set()).add(normalized(f.text))
    common = set.intersection(*({(round(f.start, 1), round(f.end, 1)) for f in run.finals} for run in runs))
    doubted = {
        (round(f.start, 1), round(f.end, 1)) for run in runs for f in run.finals if f.confidence < least_confidence
    }
    return sorted(time for time, texts in by_time.items() if len(texts) > 1 or time not in common or time in doubted)


def steady_material(url: str, samples: Samples, codecs: Sequence[str], pace: float) -> dict[str, list[bytes]]:
    """Messages by codec of the audio without the utterances that undisturbed runs do not agree on."""
    samples = np.pad(samples, (0, -len(samples) % int(MESSAGE_S * SAMPLE_RATE)))  # whole messages; a copy
    hush = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32) * np.float32(0.002)

    async def all_of(wires: dict[str, list[bytes]]) -> list[Told]:
        return list(await asyncio.gather(*(undisturbed(url, c, m, pace) for c, m in wires.items())))

    for _ in range(4):
        wires = {codec: encoded(samples, codec) for codec in codecs}
        rounds = [asyncio.run(all_of(wires)) for _ in range(2)]
        bad = {time for pair in zip(*rounds, strict=True) for time in unsteady(pair)}
        if not bad:
            break
        for start, end in bad:
            a, b = round((start - 0.1) * SAMPLE_RATE), round((end + 0.1) * SAMPLE_RATE)
            samples[max(0, a) : b] = hush[max(0, a) : b]
    return wires
