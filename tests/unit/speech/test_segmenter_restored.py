"""A segmenter that goes on where another one was makes the same utterances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.speech.test_segmenter import OPTIONS, PROBABILITIES, SILENCE, SPEECH, numbered, told
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.speech import SpeechEvent, SpeechOptions

RUNS = [(SPEECH, 40), (SILENCE, 30), (SPEECH, 200), (SILENCE, 5), (0.4, 20), (0.5, 3), (SPEECH, 2), (SILENCE, 15)]
SPEECH_AND_SILENCE = st.one_of(
    PROBABILITIES,
    st.lists(st.sampled_from(RUNS), min_size=3, max_size=8).map(lambda runs: [p for p, n in runs for _ in range(n)]),
)


class Stream:
    """Frames with these probabilities and `extra` samples, sent as messages; after some of them comes a flush."""

    def __init__(self, probabilities: Sequence[float], extra: int, borders: Sequence[int], flushed: set[int]) -> None:
        n = len(probabilities) * FRAME + extra
        self.samples = numbered(n)
        self.scores = np.array(probabilities, np.float32)
        self.borders = sorted({*borders, 0, n})
        self.flushed = flushed

    def heard_by(self, segmenter: Segmenter, since: int = 0) -> Iterator[tuple[int, list[SpeechEvent]]]:
        """Each message's end and what followed from it."""
        for a, b in itertools.pairwise([p for p in self.borders if p >= since]):
            events = segmenter.feed(self.samples[a:b], self.scores[a // FRAME : b // FRAME])
            yield b, events + (segmenter.flush() if b in self.flushed or b == len(self.samples) else [])


def utterances(events: list[SpeechEvent]) -> list[tuple[int, int, str]]:
    """(start, end, reason) of each utterance, the one that is running with what it has so far.

    All its audio has been handed out; what was handed out behind a cut comes again with the next one.
    """
    out: list[tuple[int, int, str]] = []
    given = 0
    for event in told(events):
        match event:
            case ("started", at):
                out.append((at, at, "running"))
                given = at
            case ("audio", first, end):
                assert first == given
                given = end
                out[-1] = (out[-1][0], end, "running")
            case ("ended", at, reason):
                assert given >= at
                out[-1] = (out[-1][0], at, reason)
    return out


def restored(options: SpeechOptions, settled: int, finals: list[tuple[int, int, str]], next_start: int):
    """The segmenter for a process that knows the utterances with a final, and takes audio from `settled` on."""
    after_cut = bool(finals) and finals[-1][2] == "max_length"
    return Segmenter(
        options,
        settled,
        unscored=settled % FRAME,
        deaf_until=finals[-1][1] if finals else 0,
        speaking_from=next_start if after_cut else None,
    )


@settings(max_examples=150, deadline=None)
@given(SPEECH_AND_SILENCE, OPTIONS, st.integers(0, FRAME - 1), st.data())
def test_the_utterances_after_a_cut_are_those_without_it(probabilities, options, extra, data):
    n = len(probabilities) * FRAME + extra
    borders = range(0, n, data.draw(st.sampled_from([333, 4096, 8000, 50_000])))
    flushed = set(data.draw(st.lists(st.sampled_from(borders), max_size=2)))
    stream = Stream(probabilities, extra, borders, flushed)
    broken_off_at = data.draw(st.sampled_from(stream.borders[::-1]))

    segmenter = Segmenter(options)
    events: list[SpeechEvent] = []
    known: list[tuple[int, int, str]] = []
    settled = 0
    for end, more in stream.heard_by(segmenter):
        events += more
        if end <= broken_off_at:
            known, settled = utterances(events), segmenter.settled
    expected = utterances(events)

    ended = sum(reason != "running" for _, _, reason in known)
    n_final = data.draw(st.integers(0, ended).map(lambda n: ended - n))
    open_starts = [start for start, *_ in known[n_final:]]
    position = max(b for b in stream.borders if b <= min([settled, *open_starts]))
    next_start = open_starts[0] if open_starts else -1
    second = restored(options, position, expected[:n_final], next_start)
    again = [event for _, more in stream.heard_by(second, position) for event in more]
    assert utterances(again) == expected[n_final:]


def test_what_was_told_does_not_start_an_utterance_again():
    probabilities = np.array([SPEECH] * 30 + [SILENCE] * 30 + [SPEECH] * 30, np.float32)
    segmenter = Segmenter(SpeechOptions(), deaf_until=30 * FRAME + 3200)
    events = told(segmenter.feed(numbered(90 * FRAME), probabilities))
    assert events == [("started", 60 * FRAME - 3200), ("audio", 60 * FRAME - 3200, 90 * FRAME)]


def test_after_a_forced_cut_the_utterance_runs_from_where_it_was_cut():
    start = 9 * SAMPLE_RATE
    begin = start // FRAME * FRAME
    segmenter = Segmenter(SpeechOptions(), begin, deaf_until=start + 3200, speaking_from=start)
    assert segmenter.settled == start
    events = told(segmenter.feed(numbered(40 * FRAME, begin), np.full(40, 0.4, np.float32)))  # would start nothing
    assert events == [("started", start), ("audio", start, begin + 40 * FRAME)]


def test_what_is_running_elsewhere_is_flushed_too():
    segmenter = Segmenter(SpeechOptions(), 5000, unscored=5000 % FRAME, speaking_from=5010)
    segmenter.feed(numbered(8, 5000), np.zeros(0, np.float32))
    assert segmenter.flush() == []
    segmenter.feed(numbered(12, 5008), np.zeros(0, np.float32))
    assert told(segmenter.flush()) == [("started", 5010), ("audio", 5010, 5020), ("ended", 5020, "flush")]


def test_a_flush_within_a_burst_settles_nothing_that_may_become_speech():
    segmenter = Segmenter(SpeechOptions(min_speech_ms=300))
    segmenter.feed(numbered(24 * FRAME), np.array([SILENCE] * 20 + [SPEECH] * 4, np.float32))
    assert segmenter.flush() == []
    assert segmenter.settled == 20 * FRAME - 3200
    events = told(segmenter.feed(numbered(10 * FRAME, 24 * FRAME), np.full(10, SPEECH, np.float32)))
    assert events[0] == ("started", 20 * FRAME - 3200)


def test_positions_that_cannot_be_are_a_mistake():
    with pytest.raises(ValueError, match="before"):
        Segmenter(SpeechOptions(), 1000, unscored=FRAME)
    with pytest.raises(ValueError, match="speaking"):
        Segmenter(SpeechOptions(), 1000, speaking_from=999)
