"""Times of a packed window on the file's clock."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.audio.samples import SAMPLE_RATE as S
from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.jobs.stitching import to_file_clock
from whisperlive_hybrid.speech.offline import PackedWindow, Piece

PIECES = (Piece(0, S, 10 * S), Piece(S, 3 * S, 20 * S), Piece(3 * S, 4 * S, 60 * S))
WINDOW = PackedWindow(np.zeros(4 * S, np.float32), PIECES)


def segment(start: float, end: float, *words: tuple[float, float]) -> Segment:
    return Segment(start, end, " x", (), 0.0, -0.1, 1.0, 0.0, tuple(Word(" x", a, b, 1.0) for a, b in words))


def test_a_segment_may_span_silence_a_word_may_not():
    [without] = to_file_clock(WINDOW, [segment(0.5, 2.0)], 0.0)
    assert (without.start, without.end) == (10.5, 21.0)
    [within] = to_file_clock(WINDOW, [segment(0.0, 4.0, (0.5, 1.2), (1.2, 2.0))], 0.0)
    assert [(w.start, w.end) for w in within.words] == [(10.5, 11.0), (20.2, 21.0)]
    assert (within.start, within.end) == (10.5, 21.0)


def test_an_end_at_a_border_is_the_end_of_what_was_said_before_it():
    a, b = to_file_clock(WINDOW, [segment(0.0, 1.0), segment(1.0, 3.0)], 0.0)
    assert (a.end, b.start, b.end) == (11.0, 20.0, 22.0)


SECONDS = st.floats(-1, 6, allow_nan=False)


@given(st.lists(st.tuples(SECONDS, SECONDS, st.lists(st.tuples(SECONDS, SECONDS), max_size=4)), max_size=6))
def test_times_never_go_back_whatever_the_model_says(raw):
    mapped = to_file_clock(WINDOW, [segment(a, b, *words) for a, b, words in raw], 10.25)
    times = [10.25]
    for s in mapped:
        spans = [(w.start, w.end) for w in s.words] or [(s.start, s.end)]
        assert (s.start, s.end) == (spans[0][0], spans[-1][1])
        times += [t for span in spans for t in span]
    assert all(a <= b for a, b in pairwise(times))
    assert max(times) <= 61.0
