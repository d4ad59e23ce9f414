"""A session that goes on where another was, and what holds whatever the order in which things happen."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.live_script import Talk, make_hypothesis
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import WorkerLost
from whisperlive_hybrid.live.actions import Cancel, Run, Send
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Event, Final, Partial
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.speech.speech import SpeechAudio, SpeechEnded, SpeechEvent, SpeechPaused, SpeechStarted


def kept(state: SessionState) -> SessionState:
    """The state as it comes back from storage."""
    return msgspec.json.decode(msgspec.json.encode(state), type=SessionState)


def test_a_session_goes_on_with_numbers_language_and_counts() -> None:
    talk = Talk(LiveOptions(interim=False))
    talk.start()
    talk.hear(2.0)
    talk.end()
    talk.answer("uno dos", language="es", language_probability=0.9)
    talk.start()
    talk.hear(2.0)
    state = kept(talk.session.state())
    assert (state.next_segment, state.language, state.told_end) == (1, "es", 2 * SAMPLE_RATE)

    again = Talk(LiveOptions(interim=False), state=state)
    again.start(2.0)
    again.hear(1.0)
    again.end()
    assert again.window(Lane.FINAL).options.language == "es"
    (final,) = again.answer("tres", language="es")
    assert isinstance(final, Final)
    assert final.segment == 1
    again.stop()
    done = again.events[-1]
    assert (done.segments, done.words) == (2, 3)  # type: ignore[union-attr]


def test_words_told_before_a_forced_cut_are_not_told_again_after_it() -> None:
    talk = Talk(LiveOptions(interim=False))
    talk.start()
    talk.hear(10.0)
    talk.cut()
    talk.answer("four five", words=[(" four", 9.0, 9.5), (" five", 9.8, 10.0)])
    state = kept(talk.session.state())
    assert (state.told_end, state.cut_at, state.speaking_from) == (160_000, 160_000, 156_800)

    again = Talk(LiveOptions(interim=False), state=state)
    assert again.start(9.8) == [], "the speaker did not begin"
    again.hear(2.0)
    again.end()
    again.answer("Five six", words=[(" Five", 9.8, 10.05), (" six", 10.5, 11.0)])
    assert [(f.segment, f.text) for f in again.finals] == [(1, "six")]


def test_an_utterance_without_words_is_remembered_too() -> None:
    talk = Talk(LiveOptions(interim=False))
    talk.start()
    talk.hear(1.0)
    talk.end()
    talk.answer("")
    state = talk.session.state()
    assert (state.next_segment, state.told_end, state.n_told) == (1, SAMPLE_RATE, 0)


# --- the same speech, heard by an engine that tells words by the loudness of each quarter of a second ----------------

WORD = SAMPLE_RATE // 4
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def listen(window: Window) -> Hypothesis:
    """What the stand-in hears: one word for each whole quarter of a second that is not silent.

    A full stop shows where the window ended, so that a final put together from other windows is not the same.
    """
    words: list[tuple[str, float, float]] = []
    for i in range(-(-window.start // WORD), window.end // WORD):
        loudness = float(window.samples[i * WORD - window.start])
        if loudness:
            words.append((f" {NAMES[round(loudness * 10) - 1]}", i / 4, (i + 1) / 4))
    if words:
        words[-1] = (words[-1][0] + ".", *words[-1][1:])
    text = "".join(w for w, _, _ in words).strip()
    return make_hypothesis(text, window, words=words, language_probability=0.9)


@dataclass
class Spoken:
    """Speech events of a script, and what a session made of them."""

    session: Session
    events: list[Event] = field(default_factory=list)
    waiting: list[Window] = field(default_factory=list)
    now: float = 0.0

    def act(self) -> None:
        """Carry out the session's actions."""
        for action in self.session.actions():
            match action:
                case Send(event):
                    self.events.append(event)
                case Run(window):
                    self.waiting.append(window)
                case Cancel(window_id):
                    self.waiting = [w for w in self.waiting if w.id != window_id]

    def say(self, events: list[SpeechEvent]) -> None:
        """A message's worth of speech."""
        self.now += 0.25
        self.session.receive_speech(events, self.now)
        self.act()

    def answer(self, n: int = 0, *, fail: bool = False) -> None:
        """One window that waits comes back."""
        if self.waiting:
            window = self.waiting.pop(n % len(self.waiting))
            if fail:
                self.session.receive_failure(window.id, WorkerLost("gone"), self.now)
            else:
                self.session.receive_hypothesis(listen(window), self.now)
            self.act()

    def finish(self) -> None:
        """All that waits comes back."""
        self.session.stop(0.0, self.now)
        self.act()
        for _ in range(1000):
            if self.session.idle:
                return
            self.now += 1.0
            self.session.advance(self.now)
            self.act()
            self.answer()
        raise AssertionError("the session does not end")

    @property
    def finals(self) -> list[Final]:
        """All finals so far."""
        return [e for e in self.events if isinstance(e, Final)]


@st.composite
def speech(draw: st.DrawFn) -> list[list[SpeechEvent]]:
    """A few utterances in messages, as the segmenter tells them: with pauses, ends and forced cuts."""
    messages: list[list[SpeechEvent]] = []
    at = 0
    for _ in range(draw(st.integers(1, 4))):
        at = (at // WORD + 2) * WORD
        messages.append([SpeechStarted(at)])
        for _ in range(draw(st.integers(1, 4))):
            for digit in draw(st.lists(st.integers(0, 9), min_size=1, max_size=4)):
                messages.append([SpeechAudio(at, np.full(WORD, (digit + 1) / 10, np.float32))])
                at += WORD
            kind = draw(st.sampled_from(("on", "pause", "cut")))
            if kind == "pause":
                messages.append([SpeechAudio(at, np.zeros(3200, np.float32)), SpeechPaused(at)])
                rest = np.zeros(2 * WORD - 3200, np.float32)
                if draw(st.booleans()):
                    messages.append([SpeechEnded(at + 3200, "silence")])
                    break
                messages.append([SpeechAudio(at + 3200, rest)])
                at += 2 * WORD
            elif kind == "cut":
                messages.append([SpeechEnded(at, "max_length"), SpeechStarted(at - WORD)])
                at -= WORD
        else:
            messages.append([SpeechEnded(at, "flush")])
    return messages


def new_session(state: SessionState | None = None) -> Session:
    # The engine may fail as often as a test likes; what becomes of a final that fails for good is tested elsewhere.
    rules = LiveRules(first_partial_s=0.25, partial_interval_s=0.3, final_tries=1000)
    return Session("s", LiveOptions(words=True), model="m", rules=rules, state=state)


def undisturbed(messages: list[list[SpeechEvent]]) -> list[Final]:
    spoken = Spoken(new_session())
    for message in messages:
        spoken.say(message)
        while spoken.waiting:
            spoken.answer()
    spoken.finish()
    return spoken.finals


def told(finals: list[Final]) -> list[tuple[int, float, float, str]]:
    """Finals with words. One without is told only where partials were shown, which the engine's pace decides."""
    return [(f.segment, f.start, f.end, f.text) for f in finals if f.text]


@settings(max_examples=150, deadline=None)
@given(speech(), st.data())
def test_however_slow_or_bad_the_engine_is_the_finals_are_the_same(
    messages: list[list[SpeechEvent]], data: st.DataObject
) -> None:
    spoken = Spoken(new_session())
    for message in messages:
        spoken.say(message)
        for _ in range(data.draw(st.integers(0, 2))):
            spoken.answer(data.draw(st.integers(0, 5)), fail=data.draw(st.integers(0, 9)) == 0)
    spoken.finish()
    assert told(spoken.finals) == told(undisturbed(messages))
    shown: set[int] = set()
    done: set[int] = set()
    for event in spoken.events:
        if isinstance(event, Partial):
            assert event.segment not in done, "nothing is said of a segment that has its final"
            shown.add(event.segment)
        elif isinstance(event, Final):
            assert event.segment not in done
            done.add(event.segment)
    assert shown <= done, "what was shown is overwritten by a final"


@settings(max_examples=150, deadline=None)
@given(speech(), st.data())
def test_a_session_restored_at_any_moment_tells_the_same_finals(
    messages: list[list[SpeechEvent]], data: st.DataObject
) -> None:
    spoken = Spoken(new_session())
    for message in messages[: data.draw(st.integers(0, len(messages)))]:
        spoken.say(message)
        for _ in range(data.draw(st.integers(0, 2))):
            spoken.answer(data.draw(st.integers(0, 5)))
    state = kept(spoken.session.state())

    again = Spoken(new_session(state))
    for message in after(messages, state):
        again.say(message)
        again.answer()
    again.finish()
    assert told(spoken.finals + again.finals) == told(undisturbed(messages))


def after(messages: list[list[SpeechEvent]], state: SessionState) -> list[list[SpeechEvent]]:
    """The speech that a segmenter would tell again: from the first utterance on that has no final."""
    events = [event for message in messages for event in message]
    starts = [i for i, event in enumerate(events) if isinstance(event, SpeechStarted)]
    if state.next_segment == len(starts):
        return []
    first = events[starts[state.next_segment]]
    assert isinstance(first, SpeechStarted)
    if state.speaking_from is None:
        assert first.at >= state.told_end
    else:
        assert first.at == state.speaking_from
    return [[event] for event in events[starts[state.next_segment] :]]
