"""A live session driven by hand: speech, hypotheses and time in, actions out. No engine, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Word
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import HybridError, WorkerLost
from whisperlive_hybrid.live.actions import Cancel, Close, Run, Send
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Event, Final, Partial
from whisperlive_hybrid.live.policy import CommitPolicy
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.live.transcript import split_words
from whisperlive_hybrid.speech.speech import EndReason, SpeechAudio, SpeechEnded, SpeechPaused, SpeechStarted


def make_hypothesis(
    text: str,
    window: Window,
    *,
    language: str = "en",
    language_probability: float = 1.0,
    log_probability: float = -0.1,
    words: Sequence[tuple[str, float, float] | tuple[str, float, float, float]] | None = None,
    consumed_s: float | None = None,
    verified: bool = False,
    doubt: str | None = None,
) -> Hypothesis:
    """What the engine would answer: `text` as one segment, `words` as (text, start, end[, probability])."""
    length_s = len(window.samples) / SAMPLE_RATE
    start = window.start / SAMPLE_RATE
    segment = Segment(
        start,
        start + length_s,
        " " + text,
        tuple(range(len(text.split()) + 1)),
        0.0,
        log_probability,
        1.0,
        0.0,
        tuple(Word(*(*word, 0.9)[:4]) for word in words or ()),
    )
    consumed = length_s if consumed_s is None else consumed_s
    segments = (segment,) if text else ()
    return Hypothesis(window.id, segments, language, language_probability, consumed, verified=verified, doubt=doubt)


@dataclass
class Talk:
    """The session and everything it has done so far."""

    options: LiveOptions = field(default_factory=LiveOptions)
    rules: LiveRules = field(default_factory=LiveRules)
    policy: CommitPolicy | None = None
    now: float = 0.0
    partial_model: str | None = None
    state: SessionState | None = None

    def __post_init__(self) -> None:
        self.session = Session(
            "s",
            self.options,
            model="m",
            partial_model=self.partial_model,
            rules=self.rules,
            policy=self.policy,
            state=self.state,
        )
        self.position = 0
        self.events: list[Event] = []
        self.running: dict[int, Window] = {}
        self.cancelled: list[int] = []
        self.closed: str | None = None

    # --- speech ----------------------------------------------------------------------------------------------------

    def start(self, at_s: float | None = None) -> list[Event]:
        """Speech begins."""
        if at_s is not None:
            self.position = round(at_s * SAMPLE_RATE)
        self.session.receive_speech([SpeechStarted(self.position)], self.now)
        return self._act()

    def hear(self, seconds: float, *, take: float | None = None) -> list[Event]:
        """`seconds` more of the running utterance; `take` seconds pass meanwhile (as many, unless told)."""
        self.now += seconds if take is None else take
        samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
        self.session.receive_speech([SpeechAudio(self.position, samples)], self.now)
        self.position += len(samples)
        return self._act()

    def pause(self) -> list[Event]:
        """The speaker falls silent, which is noticed after 200 ms; as much of it is handed out as the options say."""
        at = self.position
        self.now += 0.224
        silence = np.zeros(16 * min(200, self.options.speech.overlap_ms), np.float32)
        audio = [SpeechAudio(at, silence)] if len(silence) else []
        self.session.receive_speech([*audio, SpeechPaused(at)], self.now)
        self.position += len(silence)
        return self._act()

    def end(self, reason: EndReason = "silence") -> list[Event]:
        """The utterance ends."""
        self.session.receive_speech([SpeechEnded(self.position, reason)], self.now)
        return self._act()

    def cut(self, overlap_s: float = 0.2) -> list[Event]:
        """The utterance is cut by force; the next one repeats `overlap_s`."""
        again = self.position - round(overlap_s * SAMPLE_RATE)
        self.session.receive_speech([SpeechEnded(self.position, "max_length"), SpeechStarted(again)], self.now)
        self.position = again
        return self._act()

    def change(self, options: LiveOptions, model: str = "m") -> list[Event]:
        """What comes is to be heard with other options."""
        self.options = options
        self.session.change(options, model, self.partial_model, self.now)
        return self._act()

    def discard(self) -> list[Event]:
        """What runs is forgotten."""
        self.session.discard(self.now)
        return self._act()

    def mark_turn(self, id: str | int, *, spoken: bool) -> list[Event]:
        """A turn ends; a running utterance has been ended before."""
        self.session.mark_turn(id, spoken=spoken)
        return self._act()

    def flush(self, id: str | int) -> list[Event]:
        """The client wants to know when all that was said is final; a running utterance has been ended before."""
        self.session.mark_flush(id)
        return self._act()

    def stop(self) -> list[Event]:
        """The client stops."""
        self.session.stop(self.position / SAMPLE_RATE, self.now)
        return self._act()

    def wait(self, seconds: float) -> list[Event]:
        """Time passes."""
        self.now += seconds
        self.session.advance(self.now)
        return self._act()

    # --- the engine ------------------------------------------------------------------------------------------------

    def window(self, lane: Lane) -> Window:
        """The oldest running window of a lane."""
        return next(w for w in self.running.values() if w.lane is lane)

    @property
    def lanes(self) -> list[Lane]:
        """Lanes of the windows that run."""
        return [w.lane for w in self.running.values()]

    def answer(self, text: str, lane: Lane = Lane.FINAL, **more: object) -> list[Event]:
        """The engine answers the oldest window of the lane."""
        window = self.running.pop(self.window(lane).id)
        self.session.receive_hypothesis(make_hypothesis(text, window, **more), self.now)  # type: ignore[arg-type]
        return self._act()

    def partial(self, text: str, **more: object) -> list[Event]:
        """The engine answers the partial window."""
        return self.answer(text, Lane.PARTIAL, **more)

    def fail(self, lane: Lane = Lane.FINAL, error: HybridError | None = None) -> list[Event]:
        """The engine fails the oldest window of the lane."""
        window = self.running.pop(self.window(lane).id)
        self.session.receive_failure(window.id, error or WorkerLost("gone"), self.now)
        return self._act()

    # --- what came of it -------------------------------------------------------------------------------------------

    def _act(self) -> list[Event]:
        new: list[Event] = []
        for action in self.session.actions():
            match action:
                case Send(event):
                    new.append(event)
                case Run(window):
                    self.running[window.id] = window
                case Cancel(window_id):
                    self.running.pop(window_id, None)
                    self.cancelled.append(window_id)
                case Close(reason):
                    self.closed = reason
        self.events += new
        return new

    @property
    def finals(self) -> list[Final]:
        """All finals so far."""
        return [e for e in self.events if isinstance(e, Final)]

    def committed(self, segment: int = 0) -> str:
        """What a client has appended for a segment."""
        return "".join(e.append for e in self.events if isinstance(e, Partial) and e.segment == segment)

    def shown(self, segment: int = 0) -> str:
        """What a client shows for a segment before its final."""
        partials = [e for e in self.events if isinstance(e, Partial) and e.segment == segment]
        return self.committed(segment) + (partials[-1].tentative if partials else "")


def n_words(text: str) -> int:
    """Words of a text."""
    return len(split_words(text))
