"""Items of the Realtime API from what a session tells: order of events, deltas that are never taken back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.events import Final, Partial, SpeechState
from whisperlive_hybrid.transports.websocket.realtime_events import RealtimeEvents
from whisperlive_hybrid.transports.websocket.realtime_turns import Turns, rest_after


class Told:
    """Turns, and everything that was told of them."""

    def __init__(self, *, manual: bool = False, beta: bool = False) -> None:
        self.turns = Turns(RealtimeEvents("x"), manual=manual, beta=beta)
        self.events: list[dict[str, Any]] = []

    def _take(self, new: list[dict[str, Any]]) -> list[str]:
        self.events += new
        return [short(e) for e in new]

    def start(self, segment: int, at: float = 1.0) -> list[str]:
        return self._take(self.turns.speech(SpeechState("started", at, segment)))

    def stop(self, segment: int, at: float = 2.5) -> list[str]:
        return self._take(self.turns.speech(SpeechState("stopped", at, segment)))

    def partial(self, segment: int, append: str) -> list[str]:
        return self._take(self.turns.partial(Partial(segment, 0.0, 1.0, append, " maybe")))

    def final(self, segment: int, text: str, language: str = "en", words: tuple[Word, ...] | None = None) -> list[str]:
        return self._take(self.turns.final(Final(segment, 0.0, 1.0, text, language, "m", 0.9, words)))

    def fail(self, segment: int, message: str = "no") -> list[str]:
        return self._take(self.turns.fail(segment, message))

    def commit(self, segment: int, *, spoken: bool = False, seconds: float = 2.0) -> list[str]:
        return self._take(self.turns.commit(segment, spoken=spoken, seconds=seconds))

    def clear(self, segment: int) -> list[str]:
        return self._take(self.turns.clear(segment))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"].endswith(kind)]

    def deltas(self, item: str) -> str:
        return "".join(e["delta"] for e in self.of(".delta") if e["item_id"] == item)

    @property
    def transcripts(self) -> list[str]:
        return [e["transcript"] for e in self.of(".completed")]


def short(event: dict[str, Any]) -> str:
    """An event in a word or two."""
    kind = event["type"].rsplit(".", 1)[-1]
    return kind + (f" {event['delta']!r}" if "delta" in event else "")


COMMITTED = ["committed", "added", "done"]


def test_a_turn_in_the_order_that_clients_expect() -> None:
    told = Told()
    assert told.start(0) == ["speech_started"]
    assert told.partial(0, "one") == ["delta 'one'"]
    assert told.partial(0, "") == []
    assert told.partial(0, " two") == ["delta ' two'"]
    assert told.stop(0) == ["speech_stopped", *COMMITTED]
    assert told.final(0, "one two three.") == ["delta ' three.'", "completed"]
    started, stopped, completed = told.events[0], told.of("speech_stopped")[0], told.events[-1]
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (1000, 2500)
    assert completed["transcript"] == told.deltas(completed["item_id"]) == "one two three."
    assert completed["usage"] == {"type": "duration", "seconds": 1.5}
    assert completed["languages"] == [{"code": "en"}]
    assert completed["content_index"] == 0
    assert "logprobs" not in completed
    assert len({e["item_id"] for e in told.events if "item_id" in e}) == 1
    assert len({e["event_id"] for e in told.events}) == len(told.events)


def test_the_beta_adds_an_item_in_one_step() -> None:
    told = Told(beta=True)
    told.start(0)
    assert told.stop(0) == ["speech_stopped", "committed", "created"]
    item = told.events[-1]["item"]
    assert item["id"] == told.of("committed")[0]["item_id"]
    assert (item["type"], item["role"], item["status"]) == ("message", "user", "completed")


def test_turns_that_overlap_keep_their_ids_and_know_what_came_before() -> None:
    told = Told()
    told.start(0)
    told.stop(0)
    told.start(1)
    told.partial(1, "three")
    told.stop(1)
    assert told.final(0, "one") == ["delta 'one'", "completed"]
    assert told.final(1, "three") == ["completed"]
    first, second = (e["item_id"] for e in told.of("committed"))
    assert [e["previous_item_id"] for e in told.of("committed")] == [None, first]
    assert [e["item_id"] for e in told.of(".completed")] == [first, second]


def test_a_final_that_corrects_what_was_told_says_so_only_in_the_transcript() -> None:
    told = Told()
    told.start(0)
    told.partial(0, "one to")
    told.stop(0)
    told.final(0, "One, two, three.")
    item = told.of("committed")[0]["item_id"]
    assert told.deltas(item) == "one to three."
    assert told.transcripts == ["One, two, three."]


def test_noise_is_a_turn_without_words() -> None:
    told = Told()
    told.start(0)
    told.stop(0)
    assert told.final(0, "", "und") == ["completed"]
    assert told.transcripts == [""]
    assert told.events[-1]["languages"] == []


def test_an_utterance_that_is_cut_stays_one_turn() -> None:
    told = Told()
    told.start(0)
    told.partial(0, "one")
    assert told.partial(1, "three") == [], "the rest of the segment before comes first"
    assert told.partial(1, " four") == []
    assert told.final(0, "one two") == ["delta ' two'", "delta ' three four'"]
    told.stop(1)
    assert told.final(1, "three four five") == ["delta ' five'", "completed"]
    assert told.transcripts == ["one two three four five"]
    assert told.deltas(told.events[0]["item_id"]) == told.transcripts[0]


def test_a_failed_turn_says_so_and_the_next_one_is_fine() -> None:
    told = Told()
    told.start(0)
    told.partial(0, "one")
    told.stop(0)
    assert told.fail(0, "the engine is gone") == []
    assert told.final(0, "one two") == ["delta ' two'", "failed"]
    error = told.events[-1]["error"]
    assert (error["type"], error["message"]) == ("server_error", "the engine is gone")
    told.start(1)
    told.stop(1)
    told.final(1, "three")
    assert told.transcripts == ["three"]


def test_log_probabilities_come_where_words_do() -> None:
    told = Told()
    told.start(0)
    told.stop(0)
    told.final(0, "six", words=(Word(" sïx", 0.0, 0.3, 0.5),))
    (logprob,) = told.events[-1]["logprobs"]
    assert (logprob["token"], bytes(logprob["bytes"]).decode()) == (" sïx", " sïx")
    assert logprob["logprob"] == pytest.approx(-0.69315)


# --- the client commits ----------------------------------------------------------------------------------------------


def test_words_come_before_the_commit_and_several_utterances_make_one_turn() -> None:
    told = Told(manual=True)
    assert told.start(0) == []
    assert told.partial(0, "one") == ["delta 'one'"]
    assert told.stop(0) == []
    assert told.final(0, "one two.") == ["delta ' two.'"]
    assert told.partial(1, "three") == ["delta ' three'"]
    assert told.commit(2, spoken=True, seconds=4.5) == COMMITTED
    assert told.final(1, "three.") == ["delta '.'", "completed"]
    assert told.transcripts == ["one two. three."]
    assert told.events[-1]["usage"]["seconds"] == 4.5
    assert told.deltas(told.events[-1]["item_id"]) == told.transcripts[0]


def test_a_commit_of_silence_is_answered_at_once() -> None:
    told = Told(manual=True)
    assert told.commit(0) == [*COMMITTED, "completed"]
    assert told.transcripts == [""]


def test_a_commit_after_all_finals_is_answered_at_once() -> None:
    told = Told(manual=True)
    told.final(0, "one")
    assert told.commit(1) == [*COMMITTED, "completed"]


def test_what_is_said_after_a_commit_is_another_turn() -> None:
    told = Told(manual=True)
    told.commit(1, spoken=True)
    assert told.partial(1, "two") == ["delta 'two'"]
    assert told.final(0, "one") == ["delta 'one'", "completed"]
    told.final(1, "two")
    told.commit(2)
    assert told.transcripts == ["one", "two"]
    first, second = (e["item_id"] for e in told.of("committed"))
    assert (told.deltas(first), told.deltas(second)) == ("one", "two")


def test_what_is_cleared_is_not_heard_of_again() -> None:
    told = Told(manual=True)
    told.partial(0, "one")
    assert told.clear(2) == ["cleared"]
    assert told.final(0, "one two") == []
    assert told.partial(2, "three") == ["delta 'three'"]
    told.final(2, "three")
    told.commit(3)
    assert told.transcripts == ["three"]


def test_clearing_with_turn_detection_takes_the_speech_that_runs() -> None:
    told = Told()
    told.start(0)
    told.stop(0)
    told.start(1)
    assert told.clear(2) == ["cleared"]
    assert told.stop(1) == ["speech_stopped"]
    assert told.final(0, "one") == ["delta 'one'", "completed"]
    assert told.clear(2) == ["cleared"]
    told.start(2)
    told.stop(2)
    told.final(2, "three")
    assert told.transcripts == ["one", "three"]


def test_a_commit_with_turn_detection_is_always_answered() -> None:
    told = Told()
    told.start(0)
    assert told.stop(0) == ["speech_stopped", *COMMITTED]
    assert told.commit(1, spoken=True) == [], "it has just been committed"
    assert told.commit(1, spoken=False) == [*COMMITTED, "completed"]
    told.final(0, "one")
    assert told.transcripts == ["", "one"]


def test_turn_detection_goes_off_and_on() -> None:
    told = Told()
    told.start(0)
    told.stop(0)
    assert told.turns.switch(1, manual=True) == []
    assert told.partial(1, "two") == ["delta 'two'"]
    assert told.final(0, "one") == ["delta 'one'", "completed"]
    assert told._take(told.turns.switch(2, manual=False)) == COMMITTED
    assert told.final(1, "two") == ["completed"]
    assert told.start(2) == ["speech_started"]
    told.stop(2)
    told.final(2, "three")
    assert told.transcripts == ["one", "two", "three"]


def test_scripts_without_spaces_are_joined_without() -> None:
    told = Told(manual=True)
    told.final(0, "你好。", "zh")
    told.final(1, "世界", "zh")
    told.commit(2)
    assert told.transcripts == ["你好。世界"]
    assert told.deltas(told.events[-1]["item_id"]) == "你好。世界"


@pytest.mark.parametrize(
    ("told", "final", "rest"),
    [
        ("", "one two", "one two"),
        ("one", "one two", " two"),
        ("one two", "one two", ""),
        ("one two", "", ""),
        ("one two", "One two three", " three"),
        ("one two three", "one two", ""),
        ("won two", "one two three", " three"),
    ],
)
def test_the_rest_of_a_final(told: str, final: str, rest: str) -> None:
    assert rest_after(told, final) == rest


@given(st.lists(st.sampled_from(["one", "two", "three", "four"]), max_size=12), st.integers(0, 12))
def test_the_rest_of_a_final_that_corrects_nothing_completes_it(words: list[str], n: int) -> None:
    final, told = " ".join(words), " ".join(words[:n])
    assert told + rest_after(told, final) == final
