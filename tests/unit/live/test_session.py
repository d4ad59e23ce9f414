"""The live session, told as scripts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.live_script import Talk
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.errors import BadInput, Refused, Superseded
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Done, Failed, Final, Flushed, Partial, SpeechState
from whisperlive_hybrid.live.policy import FinalsOnly
from whisperlive_hybrid.live.rules import LiveRules


def test_an_utterance_from_start_to_final() -> None:
    talk = Talk()
    assert talk.start(1.0) == [SpeechState("started", 1.0, 0)]
    talk.hear(0.7)
    assert talk.partial("one two") == [Partial(0, 1.0, 1.7, "", "one two")]
    talk.hear(0.5)
    assert talk.partial("one two three.") == [Partial(0, 1.0, 2.2, "one two", " three")]
    talk.hear(0.5)
    assert talk.partial("one two three four") == [Partial(0, 1.0, 2.7, " three", " four")]
    assert talk.end() == [SpeechState("stopped", 2.7, 0)]
    (final,) = talk.answer("One, two, three, four.", log_probability=0.0)
    assert final == Final(0, 1.0, 2.7, "One, two, three, four.", "en", "m", 1.0)
    assert talk.shown() == "one two three four"


def test_texts_say_in_which_language_they_were_heard_and_how_surely() -> None:
    talk = Talk()
    talk.start()
    talk.hear(0.7)
    (partial,) = talk.partial("eins", language="de", language_probability=0.6)
    talk.end()
    (final,) = talk.answer("Eins.", language="de", language_probability=0.8)
    assert isinstance(partial, Partial) and isinstance(final, Final)
    assert (partial.language, partial.language_probability) == ("de", 0.6)
    assert (final.language, final.language_probability) == ("de", 0.8)


def test_silence_costs_nothing_and_says_nothing() -> None:
    talk = Talk()
    for _ in range(100):
        talk.wait(10.0)
    assert talk.session.next_deadline() is None
    assert (talk.events, talk.running) == ([], {})
    assert talk.session.settled(1_600_000) == 1_600_000


def test_partials_keep_their_interval_and_need_new_audio() -> None:
    talk = Talk()
    talk.start()
    talk.hear(0.3)
    assert talk.lanes == [], "too short for a word"
    talk.hear(0.4)
    talk.partial("one")
    talk.hear(0.2)
    assert talk.lanes == [], "the interval is not over"
    assert talk.session.next_deadline() == pytest.approx(0.7 + 0.5 + 0.1)
    talk.wait(0.45)
    assert talk.lanes == [Lane.PARTIAL]
    talk.partial("one two")
    talk.wait(5.0)
    assert talk.lanes == [], "no new audio came"
    assert talk.session.next_deadline() is None


def test_partials_are_asked_for_when_audio_comes_rather_than_just_before() -> None:
    talk = Talk()
    talk.start()
    for asked in [False] * 2 + [True] + [False, True] * 4:
        talk.hear(0.256)
        assert (Lane.PARTIAL in talk.lanes) is asked
        if asked:
            assert talk.window(Lane.PARTIAL).end == talk.position
            talk.partial("one")
    assert talk.session.next_deadline() is None
    talk.hear(0.256)
    talk.wait(0.3)
    assert talk.lanes == [], "the next audio is awaited"
    talk.wait(0.1)
    assert talk.lanes == [Lane.PARTIAL], "but not for long"


def test_one_partial_at_a_time_however_slow_the_engine_is() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    for _ in range(20):
        talk.hear(0.5)
        assert talk.lanes == [Lane.PARTIAL]
    assert len(talk.window(Lane.PARTIAL).samples) == SAMPLE_RATE, "asked for early, with what was there"


def test_no_partials_when_the_client_wants_none() -> None:
    talk = Talk(LiveOptions(interim=False))
    talk.start()
    talk.hear(5.0)
    assert talk.running == {}
    talk.end()
    assert isinstance(talk.answer("one")[0], Final)


def test_a_partial_that_says_nothing_new_is_not_sent() -> None:
    talk = Talk(policy=FinalsOnly())
    talk.start()
    talk.hear(1.0)
    assert len(talk.partial("one")) == 1
    talk.hear(1.0)
    assert talk.partial("one") == []


def test_committed_words_that_are_spelled_otherwise_later_are_not_said_twice() -> None:
    talk = Talk()
    talk.start()
    for text in ("one two three", "One, two three four", "won two three four five", "one two three four five six"):
        talk.hear(0.6)
        talk.partial(text)
    assert talk.committed() == "One, two three four five"
    assert talk.shown() == "One, two three four five six"


def test_the_end_of_speech_cancels_the_partial_and_its_late_answer_is_dropped() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    window = talk.window(Lane.PARTIAL)
    talk.end()
    assert talk.cancelled == [window.id]
    talk.session.receive_failure(window.id, Superseded("cancelled"), talk.now)
    assert [type(e) for e in talk.answer("one")] == [Final]


def test_an_empty_final_clears_what_was_shown_and_is_silent_otherwise() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.end()
    assert talk.answer("") == []
    talk.start()
    talk.hear(1.0)
    talk.partial("one")
    talk.end()
    (final,) = talk.answer(" . ")
    assert isinstance(final, Final)
    assert (final.segment, final.text, final.confidence) == (1, "", 0.0)
    assert talk.stop() == [Done(2.0, 0, 0, talk.events[-1].timing)]  # type: ignore[union-attr]


def test_finals_are_told_in_the_order_of_their_segments() -> None:
    talk = Talk()
    for _ in range(3):
        talk.start()
        talk.hear(0.5)
        talk.end()
    windows = list(talk.running.values())
    assert [w.lane for w in windows] == [Lane.FINAL] * 3
    for window, text in reversed(list(zip(windows, ("one", "two", "three"), strict=True))):
        talk.running = {window.id: window}
        talk.answer(text)
    assert [(f.segment, f.text) for f in talk.finals] == [(0, "one"), (1, "two"), (2, "three")]


def test_stop_is_answered_when_everything_before_it_is_told() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.end("flush")
    assert talk.stop() == []
    final, done = talk.answer("one two")
    assert isinstance(final, Final)
    assert isinstance(done, Done)
    assert (done.audio, done.segments, done.words, talk.closed) == (1.0, 1, 2, "done")


def test_a_flush_is_answered_when_the_finals_of_what_came_before_it_are_told() -> None:
    talk = Talk()
    assert talk.flush("nothing was said") == [Flushed("nothing was said")]
    talk.start()
    talk.hear(1.0)
    talk.end("flush")
    assert talk.flush(1) == []
    talk.start()
    talk.hear(1.0)
    talk.end("flush")
    assert talk.flush(2) == talk.flush(3) == []
    final, flushed = talk.answer("one")
    assert (final.segment, flushed) == (0, Flushed(1))  # type: ignore[union-attr]
    final, *rest = talk.answer("two")
    assert (final.segment, rest) == (1, [Flushed(2), Flushed(3)])  # type: ignore[union-attr]


def test_a_failed_partial_is_dropped() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    assert talk.fail(Lane.PARTIAL) == []
    talk.hear(0.5)
    assert len(talk.window(Lane.PARTIAL).samples) == 1.5 * SAMPLE_RATE


def test_a_failed_final_is_tried_again() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.end()
    assert talk.fail() == []
    assert talk.lanes == []
    talk.wait(talk.session.next_deadline() or 0.0)
    assert [type(e) for e in talk.answer("one")] == [Final]


def test_a_final_that_cannot_be_had_is_an_error_that_names_it_and_leaves_the_partials_text() -> None:
    talk = Talk()
    talk.start(2.0)
    talk.hear(1.0)
    talk.partial("one two")
    talk.end()
    for _ in range(talk.rules.final_tries):
        talk.fail()
        talk.wait(1.0)
    failed, final = talk.events[-2:]
    assert isinstance(failed, Failed)
    assert isinstance(final, Final)
    assert not failed.fatal
    assert "Segment 0 (2.00 to 3.00 s)" in failed.message
    assert (final.text, final.confidence) == ("one two", 0.0)


def test_a_final_whose_rest_cannot_be_had_takes_back_no_word_that_was_shown() -> None:
    talk = Talk()
    talk.start()
    talk.hear(2.0)
    talk.partial("one two three four")
    talk.end()
    talk.answer("One two", consumed_s=1.0)
    for _ in range(talk.rules.final_tries):
        talk.fail()
        talk.wait(1.0)
    assert [f.text for f in talk.finals] == ["one two three four"]


def test_what_cannot_succeed_is_not_tried_again() -> None:
    talk = Talk()
    talk.start()
    talk.hear(0.5)
    talk.end()
    (failed,) = talk.fail(error=BadInput("this model does not know the language", param="language"))
    assert isinstance(failed, Failed)
    assert "does not know the language" in failed.message
    assert talk.session.idle


def test_a_flood_of_utterances_goes_behind_the_finals_of_others() -> None:
    talk = Talk()
    for _ in range(3):
        talk.start()
        talk.hear(1.0, take=0.0)
        talk.end()
    assert [w.deadline for w in talk.running.values()] == [2.0, 4.0, 6.0]


def test_far_ahead_of_time_there_are_no_partials_and_one_final_at_a_time() -> None:
    talk = Talk()
    for _ in range(4):
        talk.start()
        talk.hear(11.0, take=0.0)
        talk.pause()
        talk.end()
    for n in range(4):
        assert talk.lanes == [Lane.FINAL]
        talk.answer("one")
        assert len(talk.finals) == n + 1
    talk.wait(60.0)
    talk.start()
    talk.hear(1.0)
    assert talk.lanes == [Lane.PARTIAL], "time has caught up"


def test_a_client_that_flushes_all_the_time_is_ahead_too() -> None:
    talk = Talk()
    for _ in range(20):
        talk.start()
        talk.hear(0.3)
        talk.end("flush")
    assert talk.lanes == [Lane.FINAL] * 4
    for _ in range(8):
        talk.answer("one")
    assert talk.lanes == [Lane.FINAL]


def test_a_client_that_was_cut_off_may_catch_up() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.partial("one")
    talk.wait(30.0)
    talk.hear(25.0, take=0.0)
    assert talk.lanes == [Lane.PARTIAL]


def test_a_full_engine_loses_no_final_however_long_it_is_full() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.end()
    for _ in range(50):
        assert talk.fail(error=Refused("full", retry_after_s=2.0)) == []
        talk.wait(1.9)
        assert talk.lanes == [], "not before it is welcome"
        talk.wait(0.1)
    assert [type(e) for e in talk.answer("one")] == [Final]


def test_what_the_model_left_unheard_is_asked_for_again() -> None:
    talk = Talk()
    talk.start(1.0)
    talk.hear(10.0)
    talk.end()
    assert talk.answer("one two", consumed_s=4.0) == []
    window = talk.window(Lane.FINAL)
    assert (window.start, len(window.samples)) == (5 * SAMPLE_RATE, 6 * SAMPLE_RATE)
    (final,) = talk.answer("three")
    assert isinstance(final, Final)
    assert (final.text, final.start, final.end) == ("one two three", 1.0, 11.0)


def test_a_model_that_says_nothing_of_the_rest_ends_the_utterance() -> None:
    talk = Talk()
    talk.start()
    talk.hear(10.0)
    talk.end()
    talk.answer("one", consumed_s=4.0)
    assert [type(e) for e in talk.answer("", consumed_s=2.0)] == [Final]


def test_words_heard_on_both_sides_of_a_forced_cut_are_told_once() -> None:
    talk = Talk(LiveOptions(interim=False, words=True))
    talk.start()
    talk.hear(10.0)
    assert not any(isinstance(e, SpeechState) for e in talk.cut()), "the speaker did not stop"
    talk.hear(5.0)
    talk.end()
    talk.answer("four five", words=[(" four", 9.0, 9.5), (" five", 9.8, 10.0)])
    talk.answer("Five six", words=[(" Five", 9.8, 10.05), (" six", 10.5, 11.0)])
    assert [f.text for f in talk.finals] == ["four five", "six"]
    assert [w.text for w in talk.finals[1].words or ()] == [" six"]


def test_a_word_said_twice_around_a_cut_stays_twice() -> None:
    talk = Talk(LiveOptions(interim=False))
    talk.start()
    talk.hear(10.0)
    talk.cut()
    talk.hear(5.0)
    talk.end()
    talk.answer("four five", words=[(" four", 9.0, 9.5), (" five", 9.5, 9.9)])
    talk.answer("five six", words=[(" five", 10.2, 10.4), (" six", 10.5, 11.0)])
    assert [f.text for f in talk.finals] == ["four five", "five six"]


def test_the_language_is_detected_until_it_is_sure_and_again_when_in_doubt() -> None:
    talk = Talk(LiveOptions(interim=False))

    def utterance(length_s: float = 2.0, **heard: object) -> str | None:
        talk.start()
        talk.hear(length_s)
        talk.end()
        asked = talk.window(Lane.FINAL).options.language
        talk.answer("uno", **heard)
        return asked

    assert utterance(1.0, language="es", language_probability=0.5) is None
    assert utterance(1.0, language="es", language_probability=0.9) is None, "the first was not sure"
    assert utterance(2.0, language="es", language_probability=0.9) is None, "the second too short to be sure of"
    assert utterance(1.0, language="es") == "es"
    assert utterance(2.0, language="es", log_probability=-3.0) is None, "long ones are always detected"
    assert utterance(1.0, language="en") is None, "the one before was in doubt"


def test_a_final_in_another_language_is_made_in_both_and_the_likelier_counts() -> None:
    talk = Talk(LiveOptions(interim=False))

    def utterance() -> None:
        talk.start()
        talk.hear(2.0)
        talk.end()
        assert talk.window(Lane.FINAL).options.language is None

    utterance()
    talk.answer("one two", language="en")
    utterance()
    assert talk.answer("uno", language="es", language_probability=0.9, log_probability=-0.5) == []
    assert talk.window(Lane.FINAL).options.language == "en"
    talk.answer("oh no", language="en", log_probability=-0.6)
    utterance()
    talk.answer("dos", language="es")
    utterance()
    talk.answer("ach", language="de", language_probability=0.9, log_probability=-0.5)
    talk.answer("tres", language="es", log_probability=-0.4)
    utterance()
    talk.answer("ach", language="de", language_probability=0.6, log_probability=-0.3)
    talk.answer("cuatro", language="es", log_probability=-0.4)
    told = [(f.text, f.language) for f in talk.finals]
    assert told == [("one two", "en"), ("uno", "es"), ("dos", "es"), ("tres", "es"), ("cuatro", "es")]


def test_a_final_in_another_language_is_told_where_the_second_try_fails() -> None:
    talk = Talk(LiveOptions(interim=False))
    for text, language in (("one two", "en"), ("uno", "es")):
        talk.start()
        talk.hear(2.0)
        talk.end()
        talk.answer(text, language=language)
    talk.fail(error=BadInput("broken"))
    assert [f.text for f in talk.finals] == ["one two", "uno"]
    assert not any(isinstance(e, Failed) for e in talk.events)


def test_a_long_sure_partial_settles_the_language() -> None:
    talk = Talk()
    talk.start()
    talk.hear(1.0)
    talk.partial("uno", language="es", language_probability=0.9)
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).options.language is None
    talk.partial("uno dos", language="es", language_probability=0.9)
    talk.hear(1.0)
    assert talk.window(Lane.PARTIAL).options.language == "es"


def test_the_clients_language_prompt_and_hotwords_are_used_as_they_are() -> None:
    talk = Talk(LiveOptions(language="de", prompt="Zahlen", hotwords="zwo", task="translate"))
    talk.start()
    talk.hear(1.0)
    talk.end()
    options = talk.window(Lane.FINAL).options
    assert (options.language, options.prompt, options.hotwords, options.task) == ("de", "Zahlen", "zwo", "translate")
    talk.answer("eins", language="de", log_probability=-5.0)
    talk.start()
    talk.hear(0.5)
    talk.end()
    assert talk.window(Lane.FINAL).options.language == "de"


def test_history_prompts_the_next_final_and_ends_with_its_language() -> None:
    talk = Talk(LiveOptions(interim=False), LiveRules(history_chars=12))

    def utterance(text: str, language: str) -> str | None:
        talk.start()
        talk.hear(0.5)
        talk.end()
        prompt = talk.window(Lane.FINAL).options.prompt
        talk.answer(text, language=language)
        return prompt

    assert utterance("one two three four", "en") is None
    assert utterance("five", "en") == "three four", "whole words, bounded"
    assert utterance("sechs", "de") == "four five"
    assert utterance("sieben", "de") == "sechs"


def test_a_long_utterance_is_heard_in_bounded_windows_that_begin_at_a_committed_word() -> None:
    talk = Talk(rules=LiveRules(trim_after_s=6.0))
    talk.start()
    said: list[tuple[str, float, float]] = []
    longest = 0.0
    for i in range(25):
        talk.hear(1.0)
        said.append((f" w{i}", float(i), i + 0.8))
        window = talk.window(Lane.PARTIAL)
        longest = max(longest, len(window.samples) / SAMPLE_RATE)
        heard = [w for w in said if w[1] >= window.start / SAMPLE_RATE - 0.05]
        talk.partial("".join(w[0] for w in heard).strip(), words=heard if window.options.word_times else None)
    assert longest <= 8.0
    assert talk.shown() == " ".join(f"w{i}" for i in range(25))
    talk.end()
    assert len(talk.window(Lane.FINAL).samples) == 25 * SAMPLE_RATE, "the final hears it all"


def test_what_is_settled_is_what_a_client_may_forget() -> None:
    talk = Talk()
    talk.start(1.0)
    talk.hear(1.0)
    assert talk.session.settled(32_000) == 16_000
    talk.end()
    assert talk.session.settled(48_000) == 16_000, "its final is not told yet"
    talk.answer("one")
    assert talk.session.settled(48_000) == 48_000


def test_too_much_waiting_audio_is_a_full_session() -> None:
    talk = Talk()
    for _ in range(3):
        talk.start()
        talk.hear(25.0, take=0.0)
        talk.end()
    assert talk.session.full
    talk.answer("one")
    assert not talk.session.full


WORDS = ("one", "two", "three", "four", "five", "Six,", "six", "seven.", "two")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_model_says_committed_text_never_changes_and_each_segment_ends_once(data: st.DataObject) -> None:
    talk = Talk(rules=LiveRules(trim_after_s=2.0))
    seen: dict[int, str] = {}
    texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
    for _ in range(data.draw(st.integers(1, 4))):
        talk.start()
        for _ in range(data.draw(st.integers(1, 6))):
            talk.hear(data.draw(st.sampled_from((0.2, 0.6, 1.5))))
            if Lane.PARTIAL in talk.lanes and data.draw(st.booleans()):
                window = talk.window(Lane.PARTIAL)
                text = data.draw(texts)
                at = window.start / SAMPLE_RATE
                timed = [(f" {w}", at + 0.2 * i, at + 0.2 * i + 0.2) for i, w in enumerate(text.split())]
                talk.partial(text, words=timed if window.options.word_times else None)
            for segment in {e.segment for e in talk.events if isinstance(e, Partial)}:
                committed = talk.committed(segment)
                assert committed.startswith(seen.get(segment, "")), "committed text was changed"
                seen[segment] = committed
        if data.draw(st.booleans()):
            talk.cut()
            talk.hear(0.3)
        talk.end()
        for _ in range(data.draw(st.integers(0, 2))):
            if Lane.FINAL in talk.lanes:
                talk.fail() if data.draw(st.booleans()) else talk.answer(data.draw(texts))
    talk.stop()
    for _ in range(200):
        if talk.closed:
            break
        talk.answer(data.draw(texts)) if talk.lanes else talk.wait(1.0)
    assert talk.closed == "done"
    told = [f.segment for f in talk.finals]
    assert told == sorted(set(told)), "each segment at most once, in order"
    partials = {e.segment for e in talk.events if isinstance(e, Partial)}
    assert partials <= set(told), "what was shown is overwritten by a final"
    for final in talk.finals:
        after = talk.events[talk.events.index(final) + 1 :]
        said_after = [e for e in after if isinstance(e, Partial | Final) and e.segment == final.segment]
        assert said_after == [], "nothing is said about a segment after its final"
