"""Measuring a gate: how words are compared, and what a model with known weaknesses gets."""

from __future__ import annotations

import random
from collections.abc import Sequence

import jiwer
import numpy as np

from tests.support.engine import ScriptedBackend, make_hypothesis
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.cli.gate_trial import CUT_EVERY_S, Recording, measure, n_errors, shared_out, words_of
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.features import Features
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Word
from whisperlive_hybrid.engine.window import Lane

WORDS_PER_S = 2


def test_errors_are_those_of_jiwer() -> None:
    choose = random.Random(1)
    for _ in range(200):
        said = choose.choices("abcd", k=choose.randint(1, 12))
        heard = choose.choices("abcd", k=choose.randint(0, 12))
        found = jiwer.process_words(" ".join(said), " ".join(heard))
        assert n_errors(heard, said) == found.substitutions + found.deletions + found.insertions
    assert n_errors(["a"], []) == 1
    assert n_errors([], []) == 0


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words_of("One, TWO - three.") == ["one", "two", "three"]
    assert words_of("今日は。") == ["今", "日", "は"]


def test_what_was_said_is_shared_out_by_what_was_heard() -> None:
    heard = [[("one", 1.0), ("too", 2.0)], [], [("three", 1.5), ("three", 1.8), ("five", 3.0)]]
    said = ["one", "two", "three", "four", "five", "six"]
    shared = shared_out(said, heard)
    assert [[word for word, _ in words] for words in shared] == [["one", "two"], [], ["three", "four", "five", "six"]]
    assert [word for words in shared_out(["zero", *said], heard) for word, _ in words] == ["zero", *said]
    assert shared[2][-1] == ("six", 3.0)
    assert shared_out(said, []) == []


class WeakBackend(ScriptedBackend):
    """Hears two words a second, whose names are told by the audio, and errs in what it is said to be weak in."""

    def __init__(self, weak: set[tuple[Lane, int]]) -> None:
        super().__init__()
        self.weak = weak
        self.sizes: set[int] = set()

    def features(self, samples: Samples, n_frames: int, *_: object) -> Features:
        return np.zeros((1, n_frames), np.float32)

    def run(self, requests: Sequence[Request]) -> list[Hypothesis]:
        return [self._hear(r) for r in requests]

    def _hear(self, request: Request) -> Hypothesis:
        size = request.features.shape[1]
        self.sizes.add(size)
        samples = request.window.samples
        n = len(samples) * WORDS_PER_S // 16000
        texts = [f" w{int(samples[i * 16000 // WORDS_PER_S])}" for i in range(n)]
        if (request.window.lane, size) in self.weak and texts:
            texts.pop()
        words = tuple(Word(t, i / WORDS_PER_S, (i + 1) / WORDS_PER_S, 1.0) for i, t in enumerate(texts))
        segment = Segment(0.0, 1.0, "".join(texts), (1,), 0.0, -0.1, 1.0, 0.0, words)
        return Hypothesis(request.window.id, (segment,), "en", 1.0, len(samples) / 16000)


def recordings(*seconds: float, n: int = 40) -> list[Recording]:
    def said(s: float) -> Samples:
        return np.repeat(np.arange(round(s * WORDS_PER_S)), 16000 // WORDS_PER_S).astype(np.float32)

    return [Recording(tuple(said(s) for s in seconds)) for _ in range(n)]


def test_a_model_that_takes_all_gets_all() -> None:
    gate = measure(WeakBackend(set()), recordings(2.0, 3.5, 6.5, 8.5, 13.5, 20.0)).gate
    assert gate.finals == gate.partials == ((300, 300), (500, 500), (800, 800), (1000, 1000), (1500, 1500))


def test_a_size_that_a_model_takes_badly_is_passed_over() -> None:
    weak = {(Lane.FINAL, 300), (Lane.FINAL, 500), *((Lane.FINAL, size) for size in (1000, 1500))}
    trial = measure(WeakBackend(weak), recordings(2.0, 3.5, 8.5))
    assert trial.gate.finals == ((300, 800), (500, 800), (800, 3000), (1000, 3000), (1500, 3000))
    assert [one.size for one in trial.tried if one.lane == "final" and one.wanted == 300] == [300, 500, 800] * 2
    assert all(one.errors > one.errors_30s for one in trial.tried if one.size == 300 and one.lane == "final")


def test_where_nothing_was_measured_it_is_as_without_a_gate() -> None:
    gate = measure(WeakBackend(set()), recordings(2.0, n=2)).gate
    assert gate.partials == ((300, 500), (500, 500), (800, 1000), (1000, 1000), (1500, 1500))
    assert {size for _, size in gate.finals} == {3000}


def test_texts_are_what_is_compared_with() -> None:
    class Wrong(WeakBackend):
        """Wrong in 30 s, right in short."""

        def _hear(self, request: Request) -> Hypothesis:
            if request.features.shape[1] == 3000 and not request.window.options.word_times:
                return make_hypothesis(request.window, "nothing of it")
            return super()._hear(request)

    said = " ".join(f"w{i}" for i in range(4))
    spoken = [Recording(r.utterances, said) for r in recordings(2.0)]
    trial = measure(Wrong(set()), spoken)
    assert trial.tried[0].errors == 0 < trial.tried[0].errors_30s
    assert trial.tried[0].words == 4 * 40


def test_partials_break_off_and_are_compared_with_what_was_said_by_then() -> None:
    trial = measure(WeakBackend({(Lane.PARTIAL, 300)}), recordings(4.0))
    [first, *_] = [one for one in trial.tried if one.lane == "partial"]
    n_whole = int(CUT_EVERY_S * WORDS_PER_S)
    assert first.wanted == 300
    assert (first.windows, first.words, first.errors, first.errors_30s) == (40, 40 * n_whole, 40, 0)
