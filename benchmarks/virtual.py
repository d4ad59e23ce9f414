"""A live session over recorded audio without waiting: a clock that jumps, an engine that answers at once.

What comes out depends on audio, model and rules alone, never on the machine: the delays are those of an infinitely fast
device (computation-unaware). Windows that several runs have in common are computed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.live.wire import Message, Update, our_updates
from benchmarks.material import Conversation
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import find_device
from whisperlive_hybrid.engine.features import content_frames, frames_for
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.loading import open_model
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.live.actions import Run, Send
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Final, Partial
from whisperlive_hybrid.live.policy import CommitPolicy
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME, START, FramesDue, Silero
from whisperlive_hybrid.speech.speech import SpeechEvent, SpeechOptions


@dataclass
class Work:
    """What windows cost."""

    n: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    cpu_s: dict[Lane, float] = field(default_factory=lambda: dict.fromkeys(Lane, 0.0))
    verified: int = 0
    longest_s: float = 0.0
    """Of the partial windows."""


class InstantEngine:
    """A model, asked in this thread."""

    def __init__(self, model: Path | None = None) -> None:
        self._device = find_device("cpu", 0, "auto", 1, 1)
        located = (
            models.locate("digits", self._device, None, None, download=False)
            if model is None
            else models.Located(model.name, model)
        )
        self._loaded = open_model(located, self._device)
        self._kept: dict[tuple[Any, ...], tuple[Hypothesis, float]] = {}

    @property
    def name(self) -> str:
        """Of the model."""
        return self._loaded.name

    def hear(self, audio: int, window: Window, work: Work) -> Hypothesis:
        """The engine's answer. `audio`: number of the recording, so that the same window is computed once."""
        key = (audio, window.start, window.end, window.lane, window.options, window.verify)
        if key not in self._kept:
            began = time.process_time()
            backend = self._loaded.backend
            features = backend.features(
                window.samples,
                frames_for(window.lane, len(window.samples), self._loaded.gate),
                self._loaded.gate.padding,
            )
            previous = backend.previous_tokens(window.options, window.lane)
            content = min(content_frames(len(window.samples)), features.shape[1])
            (hypothesis,) = backend.run([Request(window, features, content, previous)])
            self._kept[key] = hypothesis, time.process_time() - began
        hypothesis, cpu_s = self._kept[key]
        work.n[window.lane] += 1
        work.cpu_s[window.lane] += cpu_s
        work.verified += hypothesis.verified
        if window.lane is Lane.PARTIAL:
            work.longest_s = max(work.longest_s, len(window.samples) / SAMPLE_RATE)
        return _renamed(hypothesis, window.id)


def _renamed(hypothesis: Hypothesis, window_id: int) -> Hypothesis:
    return Hypothesis(
        window_id,
        hypothesis.segments,
        hypothesis.language,
        hypothesis.language_probability,
        hypothesis.consumed_s,
        hypothesis.timing,
        hypothesis.verified,
        hypothesis.doubt,
    )


@dataclass(frozen=True)
class Blocks:
    """A conversation as a client sends it: what the segmenter says after each block, and last when all is flushed."""

    said: Conversation
    events: list[list[SpeechEvent]]
    block_s: float


def cut_up(said: Conversation, block: int, silero: Silero, options: SpeechOptions) -> Blocks:
    """A conversation in blocks of `block` samples."""
    samples: Samples = said.samples
    whole = samples[: len(samples) // FRAME * FRAME]
    probabilities = silero.score([FramesDue(START, whole)])[0].probabilities
    segmenter = Segmenter(options)
    events: list[list[SpeechEvent]] = []
    for begin in range(0, len(samples), block):
        end = min(begin + block, len(samples))
        events.append(segmenter.feed(samples[begin:end], probabilities[begin // FRAME : end // FRAME]))
    events.append(segmenter.flush())
    return Blocks(said, events, block / SAMPLE_RATE)


@dataclass
class Recorded:
    """One conversation through one session."""

    updates: list[Update]
    messages: list[Message]
    work: Work


def run_session(
    engine: InstantEngine,
    number: int,
    heard: Blocks,
    *,
    rules: LiveRules,
    policy: Callable[[], CommitPolicy],
    options: LiveOptions,
) -> Recorded:
    """Feed a session with a conversation. `number` names the recording."""
    session = Session(f"s{number}", options, model=engine.name, rules=rules, policy=policy())
    messages: list[Message] = []
    work = Work()
    now = 0.0

    def act() -> None:
        while actions := session.actions():
            for action in actions:
                if isinstance(action, Run):
                    session.receive_hypothesis(engine.hear(number, action.window, work), now)
                elif isinstance(action, Send) and isinstance(action.event, Partial | Final):
                    messages.append((now, _message(action.event)))

    duration_s = heard.said.duration_s
    for i, events in enumerate(heard.events):
        until = min((i + 1) * heard.block_s, duration_s)
        while (due := session.next_deadline()) is not None and due < until:
            now = max(now, due)
            session.advance(now)
            act()
        now = until
        session.receive_speech(events, now)
        act()
    session.stop(duration_s, now)
    act()
    return Recorded(our_updates(messages), messages, work)


def _message(event: Partial | Final) -> dict[str, Any]:
    if isinstance(event, Final):
        return {"type": "final", "segment": event.segment, "text": event.text}
    return {"type": "partial", "segment": event.segment, "append": event.append, "tentative": event.tentative}
