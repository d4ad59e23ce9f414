"""Turns: options that change while a session runs, speech that is forgotten, and which segments came before."""

from __future__ import annotations

from dataclasses import replace

from tests.support.live_script import Talk
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Done, Failed, Final, SpeechState, TurnEnded

ENGLISH = LiveOptions(language="en", prompt="numbers")
GERMAN = LiveOptions(language="de", prompt="Zahlen")


def spoken(talk: Talk, seconds: float = 1.0) -> None:
    """An utterance from beginning to end, whose final is asked for."""
    talk.start()
    talk.hear(seconds)
    talk.end()


def test_what_has_ended_is_finished_as_it_was_begun() -> None:
    talk = Talk(ENGLISH)
    spoken(talk)
    talk.fail()
    talk.change(GERMAN, "other")
    talk.wait(10.0)
    window = talk.window(Lane.FINAL)
    assert (window.options.language, window.options.prompt, window.model) == ("en", "numbers", "m")
    (final,) = talk.answer("one")
    assert isinstance(final, Final)
    assert final.model == "m"


def test_what_runs_goes_on_with_the_new_options() -> None:
    talk = Talk(ENGLISH)
    talk.start()
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).options.language == "en"
    talk.change(GERMAN, "other")
    assert len(talk.cancelled) == 1
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).options.language == "de"
    talk.end()
    window = talk.window(Lane.FINAL)
    assert (window.options.language, window.options.prompt, window.model) == ("de", "Zahlen", "other")


def test_a_final_made_ahead_of_time_with_the_old_options_is_not_told() -> None:
    talk = Talk(ENGLISH)
    talk.start()
    talk.hear(1.0)
    talk.partial("one")
    talk.pause()
    assert talk.window(Lane.FINAL).options.language == "en"
    talk.change(GERMAN)
    assert talk.window(Lane.FINAL).options.language == "de", "it is asked for again"
    talk.end()
    talk.answer("eins", language="de")
    assert [f.text for f in talk.finals] == ["eins"]


def test_partials_can_be_turned_off_on_the_way() -> None:
    talk = Talk(ENGLISH)
    talk.change(replace(ENGLISH, interim=False))
    talk.start()
    talk.hear(2.0)
    assert talk.lanes == []


def test_a_final_is_told_of_each_utterance_where_that_is_asked_for() -> None:
    for every_final in (False, True):
        talk = Talk(replace(ENGLISH, every_final=every_final))
        spoken(talk)
        told = talk.answer("")
        assert told == ([Final(0, 0.0, 1.0, "", "en", "m", 0.0)] if every_final else [])
        assert talk.stop()[0] == Done(1.0, 0, 0, talk.session.state().timing)


def test_speech_that_is_forgotten_has_no_final() -> None:
    talk = Talk(replace(ENGLISH, every_final=True))
    spoken(talk)
    talk.start()
    talk.hear(1.0)
    assert talk.discard() == [SpeechState("stopped", 2.0, 1)]
    assert talk.mark_turn("t", spoken=True) == [TurnEnded("t", 2, True)]
    assert talk.lanes == [Lane.FINAL]
    assert [e.segment for e in talk.answer("one") if isinstance(e, Final)] == [0]
    talk.start(3.0)
    talk.hear(1.0)
    talk.end()
    talk.answer("three")
    assert [(f.segment, f.text) for f in talk.finals] == [(0, "one"), (2, "three")]
    talk.stop()
    assert talk.closed == "done"


def test_forgetting_silence_says_nothing() -> None:
    talk = Talk()
    assert talk.discard() == []
    assert talk.mark_turn(7, spoken=False) == [TurnEnded(7, 0, False)]


def test_forgetting_what_a_cut_left_running_leaves_what_was_cut() -> None:
    talk = Talk(replace(ENGLISH, every_final=True))
    talk.start()
    talk.hear(3.0)
    talk.cut()
    talk.hear(1.0)
    talk.discard()
    talk.start(5.0)
    talk.hear(1.0)
    talk.end()
    for text in ("one two", "three"):
        talk.answer(text, words=[(f" {text}", 0.1, 0.9)])
    assert [(f.segment, f.text) for f in talk.finals] == [(0, "one two"), (2, "three")]
    assert talk.session.state().speaking_from is None
    assert talk.session.settled(6 * SAMPLE_RATE) == 6 * SAMPLE_RATE


def test_a_segment_that_failed_is_named() -> None:
    talk = Talk(replace(ENGLISH, every_final=True))
    spoken(talk)
    spoken(talk)
    talk.answer("one")
    failed, final = talk.fail(error=BadInput("no"))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.segment) == ("final_failed", 1)
    assert isinstance(final, Final)
    assert (final.segment, final.text) == (1, "")
