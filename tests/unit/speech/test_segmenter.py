"""The segmenter's rules, on hand-written probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.speech import (
    SpeechAudio,
    SpeechEnded,
    SpeechEvent,
    SpeechOptions,
    SpeechPaused,
    SpeechStarted,
)

SPEECH, SILENCE = 0.95, 0.01


def numbered(n: int, start: int = 0) -> np.ndarray:
    """Samples that tell their own position (exact in float32 up to 2**24)."""
    return np.arange(start, start + n, dtype=np.float32)


def run(
    probabilities: list[float],
    options: SpeechOptions | None = None,
    *,
    extra: int = 0,
    cuts: list[int] | None = None,
    samples: np.ndarray | None = None,
) -> list[SpeechEvent]:
    """All events of a stream: its frames' probabilities, `extra` samples after them, fed in pieces cut at `cuts`."""
    options = options or SpeechOptions()
    segmenter = Segmenter(options)
    samples = numbered(len(probabilities) * FRAME + extra) if samples is None else samples
    scores = np.array(probabilities, np.float32)
    events = []
    edges = [0, *sorted(cuts or []), len(samples)]
    for a, b in itertools.pairwise(edges):
        events += segmenter.feed(samples[a:b], scores[a // FRAME : b // FRAME])
    return events + segmenter.flush()


def told(events: list[SpeechEvent]) -> list[tuple]:
    """Events as plain tuples, neighbouring audio joined."""
    out: list[tuple] = []
    for event in events:
        match event:
            case SpeechAudio(start, samples) if out and out[-1][0] == "audio" and out[-1][2] == start:
                out[-1] = ("audio", out[-1][1], start + len(samples))
            case SpeechAudio(start, samples):
                out.append(("audio", start, start + len(samples)))
            case SpeechStarted(at):
                out.append(("started", at))
            case SpeechPaused(at):
                out.append(("paused", at))
            case SpeechEnded(at, reason):
                out.append(("ended", at, reason))
    return out


def spans(events: list[SpeechEvent]) -> list[tuple[int, int]]:
    """(start, end) of each utterance."""
    starts = [e.at for e in events if isinstance(e, SpeechStarted)]
    ends = [e.at for e in events if isinstance(e, SpeechEnded)]
    assert len(starts) == len(ends)
    return list(zip(starts, ends, strict=True))


def test_an_utterance_has_pre_roll_a_pause_hint_and_a_short_tail():
    first, last = 20, 50  # frames of speech
    events = told(run([SILENCE] * first + [SPEECH] * (last - first) + [SILENCE] * 30))
    start, end = first * FRAME - 3200, last * FRAME + 3200
    assert events == [
        ("started", start),
        ("audio", start, end),
        ("paused", last * FRAME),
        ("ended", end, "silence"),
    ]


def test_silence_says_nothing():
    assert run([SILENCE] * 200, extra=100) == []


def test_audio_is_handed_out_with_the_frame_that_completes_it():
    segmenter = Segmenter(SpeechOptions())
    given = 0
    for i in range(40):
        events = segmenter.feed(numbered(FRAME, i * FRAME), np.array([SPEECH], np.float32))
        given = max([given, *(e.start + len(e.samples) for e in events if isinstance(e, SpeechAudio))])
        assert given == ((i + 1) * FRAME if i >= 6 else 0), i


def test_a_burst_shorter_than_min_speech_is_not_speech():
    assert run([SILENCE] * 10 + [SPEECH] * 6 + [SILENCE] * 40) == []
    assert run([SILENCE] * 10 + [SPEECH] * 7 + [SILENCE] * 40) != []


def test_hysteresis_keeps_an_utterance_that_wavers():
    wavering = [SPEECH] * 5 + [0.4, 0.36] * 60
    assert len(spans(run(wavering + [SILENCE] * 40))) == 1
    assert run([0.4] * 100) == []  # but it does not start one


def test_silence_shorter_than_the_limit_is_kept_whole():
    pause = 17  # 544 ms
    events = told(run([SPEECH] * 10 + [SILENCE] * pause + [SPEECH] * 10 + [SILENCE] * 40))
    assert [e[0] for e in events] == ["started", "audio", "paused", "audio", "paused", "ended"]
    assert events[1][1:] == (0, 10 * FRAME + 3200)  # held back after the overlap
    assert events[3][1] == events[1][2]
    assert events[3][2] == (20 + pause) * FRAME + 3200


def test_utterances_close_together_share_no_sample():
    options = SpeechOptions(min_silence_ms=160, pre_roll_ms=400, overlap_ms=400)
    a, b = spans(run([SPEECH] * 10 + [SILENCE] * 8 + [SPEECH] * 10 + [SILENCE] * 40, options))
    assert a[1] == b[0]


def test_a_long_utterance_is_cut_where_it_is_quietest_and_overlaps():
    options = SpeechOptions(max_utterance_s=10.0)
    probabilities = [SPEECH] * 600
    probabilities[280] = 0.6
    (a, b) = spans(run(probabilities, options))[:2]
    assert a == (0, 280 * FRAME + FRAME // 2)
    assert b[0] == a[1] - 3200


@pytest.mark.parametrize("options", [{"pre_roll_ms": 5000}, {"min_speech_ms": 5000}])
def test_a_pre_roll_or_first_burst_longer_than_an_utterance_may_be_is_cut_too(options):
    events = run([SILENCE] * 400 + [SPEECH] * 200, SpeechOptions(max_utterance_s=2.0, **options))
    assert max(end - start for start, end in spans(events)) <= 2 * SAMPLE_RATE
    assert spans(events)[-1][1] == 600 * FRAME


def test_of_equally_likely_frames_the_one_of_least_energy_is_cut():
    samples = np.random.default_rng(0).normal(0, 0.3, 600 * FRAME).astype(np.float32)
    samples[250 * FRAME : 251 * FRAME] *= 0.01
    events = run([SPEECH] * 600, SpeechOptions(max_utterance_s=10.0), samples=samples)
    assert spans(events)[0][1] == 250 * FRAME + FRAME // 2


def test_flush_gives_the_unfinished_frame_and_goes_on():
    segmenter = Segmenter(SpeechOptions())
    segmenter.feed(numbered(10 * FRAME + 100), np.full(10, SPEECH, np.float32))
    assert told(segmenter.flush()) == [("audio", 10 * FRAME, 10 * FRAME + 100), ("ended", 10 * FRAME + 100, "flush")]
    assert segmenter.flush() == []
    events = told(segmenter.feed(numbered(10 * FRAME, 10 * FRAME + 100), np.full(10, SPEECH, np.float32)))
    assert events[0] == ("started", 10 * FRAME + 100)


def test_flush_in_a_pause_leaves_the_silence_out():
    events = told(run([SPEECH] * 10 + [SILENCE] * 15))
    assert events[-1] == ("ended", 10 * FRAME + 3200, "flush")


def test_positions_begin_where_the_stream_does():
    segmenter = Segmenter(SpeechOptions(), start=1_000_000)
    events = segmenter.feed(numbered(10 * FRAME, 1_000_000), np.full(10, SPEECH, np.float32))
    assert told(events) == [("started", 1_000_000), ("audio", 1_000_000, 1_000_000 + 10 * FRAME)]


def test_too_many_probabilities_are_a_mistake():
    with pytest.raises(ValueError, match="probabilities"):
        Segmenter(SpeechOptions()).feed(numbered(FRAME - 1), np.full(1, SPEECH, np.float32))


@pytest.mark.parametrize("level", [SPEECH, SILENCE])
def test_memory_is_bounded_however_long_it_runs(level):
    segmenter = Segmenter(SpeechOptions())
    for i in range(400):  # 205 s
        segmenter.feed(numbered(16 * FRAME, i * 16 * FRAME), np.full(16, level, np.float32))
        held = segmenter._audio.end - segmenter._audio.begin
        assert held < (6.5 if level == SPEECH else 1.0) * SAMPLE_RATE


PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.02, 0.3, 0.4, 0.5, 0.7, 0.99]), st.integers(1, 60)), min_size=1, max_size=12
).map(lambda runs: [p for p, n in runs for _ in range(n)])
OPTIONS = st.builds(
    SpeechOptions,
    min_speech_ms=st.sampled_from([0, 100, 300, 3000]),
    min_silence_ms=st.sampled_from([50, 160, 600, 3000]),
    pre_roll_ms=st.sampled_from([0, 200, 1000, 5000]),
    overlap_ms=st.sampled_from([0, 200, 3000]),
    max_utterance_s=st.sampled_from([2.0, 5.0, 28.0]),
)


@settings(max_examples=120, deadline=None)
@given(PROBABILITIES, OPTIONS, st.integers(0, FRAME - 1), st.data())
def test_any_cuts_give_the_same_events(probabilities, options, extra, data):
    n = len(probabilities) * FRAME + extra
    cuts = data.draw(st.lists(st.integers(0, n), max_size=10))
    assert told(run(probabilities, options, extra=extra, cuts=cuts)) == told(run(probabilities, options, extra=extra))


@settings(max_examples=200, deadline=None)
@given(PROBABILITIES, OPTIONS, st.integers(0, FRAME - 1))
def test_every_sample_of_speech_is_handed_out_in_order(probabilities, options, extra):
    events = run(probabilities, options, extra=extra)
    total = len(probabilities) * FRAME + extra
    utterances: list[tuple[int, int]] = []
    start = given = None
    reason = "silence"
    for event in events:
        match event:
            case SpeechStarted(at):
                assert start is None
                before = utterances[-1][1] if utterances else 0
                assert before - (options.overlap_ms * 16 if reason == "max_length" else 0) <= at < total
                start = given = at
            case SpeechAudio(first, samples):
                assert first == given
                assert np.array_equal(samples, numbered(len(samples), first))
                given = first + len(samples)
            case SpeechPaused(at):
                assert start is not None
                assert start < at <= total
            case SpeechEnded(at, reason):
                assert start is not None
                assert start < at <= given
                assert at == given or reason == "max_length"
                assert at - start <= options.max_utterance_s * SAMPLE_RATE + (FRAME if reason == "flush" else 0)
                utterances.append((start, at))
                start = None
    assert start is None  # flush ended it
    assert utterances == sorted(utterances)
    # Every frame of a long enough burst of certain speech lies in an utterance.
    covered = np.zeros(total, bool)
    for a, b in utterances:
        covered[a:b] = True
    need = options.min_speech_ms * 16 // FRAME + 1
    i = 0
    while i < len(probabilities):
        j = i
        while j < len(probabilities) and probabilities[j] >= options.threshold:
            j += 1
        if j - i >= need:
            assert covered[i * FRAME : j * FRAME].all()
        i = max(j, i + 1)
