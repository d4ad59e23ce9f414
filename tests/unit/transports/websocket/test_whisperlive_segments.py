"""What a WhisperLive client is shown: the rules that its clients go by, on any order of events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.events import Final, Partial, SpeakerNamed
from whisperlive_hybrid.transports.websocket import whisperlive_segments
from whisperlive_hybrid.transports.websocket.whisperlive_segments import MAX_COMPLETED, Texts


class ShownSegments:
    """The same, with segments as values."""

    def __init__(self, last_n: int) -> None:
        self._shown = whisperlive_segments.ShownSegments(last_n)

    def partial(self, event: Partial) -> list[list[dict[str, Any]]]:
        return values(self._shown.partial(event))

    def final(self, event: Final) -> list[list[dict[str, Any]]]:
        return values(self._shown.final(event))

    def named(self, event: SpeakerNamed) -> list[list[dict[str, Any]]]:
        return values(self._shown.named(event))


def values(messages: list[Texts]) -> list[list[dict[str, Any]]]:
    return [[json.loads(segment) for segment in segments] for segments in messages]


def segment(start: str, end: str, text: str, completed: bool, **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text, "completed": completed, **more}


def final(number: int, start: float, end: float, text: str, words: tuple[Word, ...] | None = None) -> Final:
    return Final(number, start, end, text, "en", "m", 0.9, words)


def test_words_appear_and_the_segment_is_completed_with_the_text_last_seen() -> None:
    shown = ShownSegments(10)
    assert shown.partial(Partial(0, 0.5, 1.5, "", "one two")) == [[segment("0.500", "1.500", " one two", False)]]
    assert shown.partial(Partial(0, 0.5, 2.0, "one two", " three")) == [
        [segment("0.500", "2.000", " one two three", False)]
    ]
    assert shown.final(final(0, 0.5, 2.4321, "One, two, three.")) == [
        [segment("0.500", "2.432", " One, two, three.", False)],
        [segment("0.500", "2.432", " One, two, three.", True)],
    ]


def test_a_text_that_was_seen_already_is_completed_at_once() -> None:
    shown = ShownSegments(10)
    shown.partial(Partial(0, 0.0, 2.0, "", "One two."))
    assert shown.final(final(0, 0.0, 2.0, "One two.")) == [[segment("0.000", "2.000", " One two.", True)]]


def test_the_next_segment_waits_until_the_one_before_is_completed() -> None:
    shown = ShownSegments(10)
    shown.partial(Partial(0, 0.0, 2.0, "", "one"))
    assert shown.partial(Partial(1, 3.0, 4.0, "", "two")) == [[segment("0.000", "2.000", " one", False)]]
    assert shown.final(final(0, 0.0, 2.0, "one"))[-1] == [
        segment("0.000", "2.000", " one", True),
        segment("3.000", "4.000", " two", False),
    ]


def test_a_forced_cut_repeats_a_moment_of_audio_and_no_time() -> None:
    shown = ShownSegments(10)
    shown.partial(Partial(0, 0.0, 28.0, "", "one"))
    shown.partial(Partial(1, 27.8, 29.0, "", "two"))
    assert shown.final(final(0, 0.0, 28.0, "one"))[-1] == [
        segment("0.000", "27.800", " one", True),
        segment("27.800", "29.000", " two", False),
    ]
    shown.final(final(1, 27.8, 30.0, "two"))
    assert shown.final(final(2, 29.9, 31.0, "three"))[-1][-1] == segment("30.000", "31.000", " three", True)


def test_only_the_last_segments_are_sent_unless_all_are_wanted() -> None:
    few, all_ = ShownSegments(2), ShownSegments(0)
    for n in range(5):
        (_, newest), (_, whole) = (s.final(final(n, n, n + 1, f"w{n}")) for s in (few, all_))
        assert [s["text"] for s in newest] == [f" w{i}" for i in range(max(0, n - 1), n + 1)]
        assert len(whole) == n + 1
    assert len(few.partial(Partial(5, 5.0, 6.0, "", "more"))[0]) == 3
    for n in range(5, MAX_COMPLETED + 5):
        whole = all_.final(final(n, n, n + 1, "w"))[-1]
    assert len(whole) == MAX_COMPLETED


def test_words_and_speaker_stand_behind_completed_in_this_order() -> None:
    shown = ShownSegments(10)
    words = (Word(" one", 0.0, 0.51234, 0.987654),)
    listed = shown.final(final(0, 0.0, 1.0, "one", words))[-1]
    spelled = [{"word": " one", "start": "0.000", "end": "0.512", "probability": 0.9877}]
    assert listed == [segment("0.000", "1.000", " one", True, words=spelled)]
    named = shown.named(SpeakerNamed(0, "SPEAKER_00", 0.9))
    assert named == [[segment("0.000", "1.000", " one", True, speaker="SPEAKER_00", words=spelled)]]
    assert list(named[0][0]) == ["start", "end", "text", "completed", "speaker", "words"]
    assert shown.named(SpeakerNamed(0, "SPEAKER_00", 0.9)) == [], "it is no news"
    assert shown.named(SpeakerNamed(7, None, 0.0, ((0, "Ann"),)))[0][0]["speaker"] == "Ann"
    assert shown.named(SpeakerNamed(9, "SPEAKER_01", 0.9)) == []


def test_what_was_nothing_after_all_is_taken_back_from_screen_and_memory() -> None:
    shown = ShownSegments(10)
    shown.partial(Partial(0, 0.0, 1.0, "", "hm"))
    assert shown.final(final(0, 0.0, 1.0, "")) == [[segment("0.000", "1.000", "", False)]]
    shown.final(final(1, 1.0, 2.0, "one"))
    shown.partial(Partial(2, 3.0, 4.0, "", "hm"))
    assert shown.final(final(2, 3.0, 4.0, "")) == [
        [segment("1.000", "2.000", " one", True), segment("1.000", "2.000", " one", False)],
        [segment("1.000", "2.000", " one", True)],
    ]
    assert shown.final(final(3, 5.0, 6.0, "")) == [], "nothing was shown of it"


def test_a_partial_without_words_shows_nothing() -> None:
    shown = ShownSegments(10)
    assert shown.partial(Partial(0, 0.0, 1.0, "", "")) == []
    assert shown.final(final(0, 0.0, 1.0, "")) == []


class Remembered:
    """What clients keep of the messages, and what they break on."""

    def __init__(self) -> None:
        self.completed: list[dict[str, Any]] = []
        self.partial: dict[str, Any] | None = None

    def take(self, message: list[dict[str, Any]], last_n: int) -> None:
        assert message, "an empty list is an error in Python's client"
        *before, last = message
        assert all(s["completed"] for s in before)
        done = message if last["completed"] else before
        if not last["completed"]:
            self.partial = last
        assert not last_n or len(done) <= last_n
        for s in done:
            assert float(s["start"]) < float(s["end"])
            key = (s["start"], s["end"], s["text"])
            if key in [(c["start"], c["end"], c["text"]) for c in self.completed]:
                continue
            assert not self.completed or float(s["start"]) >= float(self.completed[-1]["end"]), "it would be dropped"
            if self.partial is not None and self.partial["start"] == s["start"]:
                assert self.partial["text"] == s["text"], "subtitles would have both"
            self.completed.append(s)

    @property
    def subtitles(self) -> list[str]:
        """As Python's client writes them: the last uncompleted text too, unless it is that of the last segment."""
        texts = [s["text"] for s in self.completed]
        if self.partial is not None and (not texts or texts[-1] != self.partial["text"]):
            texts.append(self.partial["text"])
        return texts


@st.composite
def scripts(draw: st.DrawFn) -> list[Partial | Final]:
    """Events as a session tells them: finals in order, up to two segments under way, cuts that overlap."""
    events: list[Partial | Final] = []
    waiting: list[Final] = []
    at = 0.0
    for number in range(draw(st.integers(1, 6))):
        start = max(0.0, at + draw(st.sampled_from([-0.2, 0.0, 0.0001, 0.7])))
        at = start + draw(st.floats(0.5, 20.0))
        for n in range(draw(st.integers(0, 3))):
            events.append(Partial(number, start, start + 0.4 + n, draw(st.sampled_from(["", " a"])), " b" * n))
            if waiting and draw(st.booleans()):
                events.append(waiting.pop(0))
        text = draw(st.sampled_from(["", "a", "A b.", "yes", f"w{number}"]))
        waiting.append(Final(number, start, at, text, "en", "m", 1.0))
        while len(waiting) > 1 or (waiting and draw(st.booleans())):
            events.append(waiting.pop(0))
    return events + waiting


@given(scripts(), st.sampled_from([0, 1, 3, 10]))
def test_clients_end_up_with_each_text_once_whatever_happens(script: list[Partial | Final], last_n: int) -> None:
    shown, client = ShownSegments(last_n), Remembered()
    for event in script:
        for message in shown.partial(event) if isinstance(event, Partial) else shown.final(event):
            client.take(message, last_n)
    expected = [f" {e.text}" for e in script if isinstance(e, Final) and e.text]
    assert [s["text"] for s in client.completed] == expected
    assert client.subtitles == expected or (client.subtitles == [""] and not expected)
