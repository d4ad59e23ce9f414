"""What a live session does while the speaker pauses: the final ahead of time, and partials that cost little."""

from __future__ import annotations

import pytest

from tests.support.live_script import Talk
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.errors import Refused
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Final, Partial, SpeechState
from whisperlive_hybrid.live.pacing import Pace
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.speech.speech import SpeechOptions


def paused(talk: Talk | None = None, length_s: float = 1.0) -> Talk:
    """A talk that pauses after its first words."""
    talk = talk or Talk()
    talk.start()
    talk.hear(length_s)
    if Lane.PARTIAL in talk.lanes:
        talk.partial("one")
    talk.pause()
    return talk


def test_the_final_is_asked_for_in_the_pause_and_told_the_moment_the_utterance_ends() -> None:
    talk = paused()
    window = talk.window(Lane.FINAL)
    assert (window.start, len(window.samples)) == (0, round(1.2 * SAMPLE_RATE))
    assert talk.answer("one two.") == [Partial(0, 0.0, 1.2, "one", " two.")]
    stopped, final = talk.end()
    assert stopped == SpeechState("stopped", 1.2, 0)
    assert isinstance(final, Final)
    assert (final.text, final.end) == ("one two.", 1.2)
    assert talk.running == {}, "nothing more is asked for"


def test_a_final_under_way_at_the_end_is_waited_for() -> None:
    talk = paused()
    assert talk.end() == [SpeechState("stopped", 1.2, 0)]
    assert talk.lanes == [Lane.FINAL]
    assert talk.cancelled == []
    assert [e.text for e in talk.answer("one two") if isinstance(e, Final)] == ["one two"]


def test_when_speech_goes_on_the_final_is_dropped_whether_it_is_there_or_not() -> None:
    talk = paused()
    window = talk.window(Lane.FINAL)
    talk.hear(0.5)
    assert talk.cancelled == [window.id]
    assert talk.lanes == [Lane.PARTIAL]
    talk.partial("one two")
    talk.pause()
    talk.answer("one two")
    talk.hear(0.5)
    talk.partial("one two three")
    talk.end()
    (final,) = talk.answer("one two three.")
    assert isinstance(final, Final)
    assert (final.text, final.end) == ("one two three.", talk.position / SAMPLE_RATE)


def test_no_partial_is_asked_for_while_the_final_is_made_and_an_older_one_is_dropped() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    partial = talk.window(Lane.PARTIAL)
    talk.pause()
    talk.wait(5.0)
    assert talk.lanes == [Lane.PARTIAL, Lane.FINAL]
    talk.answer("one")
    assert talk.cancelled == [partial.id]
    talk.wait(5.0)
    assert talk.lanes == []


def test_with_one_model_for_both_no_audio_is_encoded_twice() -> None:
    """What was heard in a pause is the newest partial, and the final, from one encoder input."""
    talk = Talk()
    heard: list[tuple[int, int]] = []

    def note() -> None:
        new = [(w.start, w.end) for w in talk.running.values()]
        heard.extend(each for each in new if each not in heard[-2:])

    for _ in range(3):
        talk.start(talk.position / SAMPLE_RATE)
        for _ in range(4):
            talk.hear(0.5)
            note()
            if Lane.PARTIAL in talk.lanes:
                talk.partial("one two")
        talk.pause()
        note()
        talk.answer("one two three")
        talk.wait(0.4)
        note()
        talk.end()
        note()
        assert talk.running == {}
    assert [f.text for f in talk.finals] == ["one two three"] * 3
    assert [e.tentative for e in talk.events if isinstance(e, Partial)].count(" three") == 3
    assert len(heard) == len(set(heard)) > 9


def test_a_final_ahead_of_time_that_fails_is_asked_for_when_it_is_due() -> None:
    talk = paused()
    talk.fail(error=Refused("full", retry_after_s=1.0))
    talk.wait(1.0)
    assert talk.lanes == [Lane.PARTIAL], "the partial it stood for"
    talk.end()
    assert talk.lanes == [Lane.FINAL]
    assert isinstance(talk.answer("one")[0], Final)


def test_nothing_ahead_of_time_when_degraded_or_while_finals_wait_or_when_told_not_to() -> None:
    talk = Talk()
    talk.session.receive_pace(Pace(1.0, True, 0.4), 0.0)
    assert Lane.FINAL not in paused(talk).lanes
    assert Lane.FINAL not in paused(Talk(rules=LiveRules(speculate=False))).lanes
    talk = Talk()
    talk.start()
    talk.hear(0.5)
    talk.end()
    assert paused(talk).lanes.count(Lane.FINAL) == 1


@pytest.mark.parametrize("overlap_ms", [0, 100, 200, 400])
def test_it_is_asked_for_once_all_audio_of_the_final_is_there(overlap_ms: int) -> None:
    talk = Talk(LiveOptions(interim=False, speech=SpeechOptions(overlap_ms=overlap_ms)))
    talk.start()
    talk.hear(1.0)
    at = talk.position
    talk.pause()
    if overlap_ms > 200:
        assert talk.lanes == []
        talk.hear(overlap_ms / 1000 - 0.2)
    assert talk.lanes == [Lane.FINAL]
    assert talk.window(Lane.FINAL).end == at + overlap_ms * 16


def test_a_forced_cut_asks_for_a_final_with_word_times() -> None:
    talk = paused()
    talk.cut(0.1)
    assert talk.cancelled
    assert talk.window(Lane.FINAL).options.word_times


def test_what_the_final_ahead_of_time_left_unheard_is_asked_for_at_the_end() -> None:
    talk = Talk()
    talk.start()
    talk.hear(8.0)
    talk.partial("one two three four")
    talk.pause()
    assert talk.answer("one two", consumed_s=4.0) == [], "less than what is shown"
    assert talk.end() == [SpeechState("stopped", 8.2, 0)]
    window = talk.window(Lane.FINAL)
    assert (window.start, window.end) == (4 * SAMPLE_RATE, round(8.2 * SAMPLE_RATE))
    talk.answer("three four")
    assert [f.text for f in talk.finals] == ["one two three four"]


def test_a_client_without_interim_gets_the_final_as_early_and_no_partial() -> None:
    talk = paused(Talk(LiveOptions(interim=False)))
    assert talk.answer("one") == []
    assert [type(e) for e in talk.end()] == [SpeechState, Final]


def test_partials_have_a_model_of_their_own() -> None:
    talk = Talk(partial_model="small one")
    talk.start()
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).model == "small one"
    talk.partial("one")
    talk.pause()
    assert talk.window(Lane.FINAL).model == "m"
    talk.answer("one two")
    (_, final) = talk.end()
    assert isinstance(final, Final)
    assert final.model == "m"


def slow(talk: Talk) -> Talk:
    """Degraded: nothing is done ahead of time."""
    talk.session.receive_pace(Pace(0.5, True, 0.0), 0.0)
    return talk


def test_where_hardly_anything_was_said_the_last_text_is_verified() -> None:
    talk = slow(Talk())
    talk.start()
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).verify == ()
    talk.partial("one two")
    talk.hear(0.5)
    assert talk.window(Lane.PARTIAL).verify == (), "half a second may be a word"
    talk.partial("one two three")
    talk.wait(0.4)
    talk.pause()
    assert talk.window(Lane.PARTIAL).verify == (0, 1, 2, 3), "200 ms, and silent"


def test_silence_after_verified_text_is_not_heard_again() -> None:
    talk = slow(Talk(LiveOptions(speech=SpeechOptions(overlap_ms=600))))
    talk.start()
    talk.hear(1.0)
    talk.partial("one two")
    talk.wait(0.3)
    talk.pause()
    talk.partial("one two", verified=True)
    talk.hear(0.2)
    talk.wait(5.0)
    assert talk.lanes == []
    talk.hear(1.0)
    assert talk.lanes == [Lane.PARTIAL], "speech goes on"


def test_a_doubtful_partial_leaves_what_is_shown() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.partial("one two")
    talk.hear(0.6)
    assert talk.partial("one one one one one one", doubt="it repeats itself") == []
    assert talk.shown() == "one two"


def test_a_doubtful_final_ahead_of_time_commits_nothing_and_is_told_when_the_utterance_ends() -> None:
    talk = paused()
    assert talk.answer("one one one", doubt="loop") == []
    talk.hear(0.5)
    talk.partial("one two")
    assert talk.shown() == "one two"
    talk.pause()
    assert talk.answer("one two two two", doubt="loop") == []
    final = talk.end()[-1]
    assert isinstance(final, Final)
    assert final.text == "one two two two", "nothing better will come"


def test_the_pace_sets_the_interval_and_the_client_is_told_when_it_changes() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.partial("one")
    talk.session.receive_pace(Pace(2.0, True, 0.31), talk.now)
    talk.session.receive_pace(Pace(2.0, True, 0.52), talk.now)
    (status,) = talk.wait(0.0)
    assert (status.partial_interval_ms, status.degraded, status.queue_ms) == (2000, True, 310)  # type: ignore[union-attr]
    for _ in range(9):
        talk.hear(0.2)
        assert talk.lanes == []
    assert talk.session.next_deadline() == pytest.approx(1.0 + 2.0 + 0.1)
    talk.hear(0.2)
    assert talk.lanes == [Lane.PARTIAL]
