"""Measuring a gate: how words are compared, and what a model with known weaknesses gets."""

from __future__ import annotations

import random
from collections.abc import Sequence

import jiwer
import numpy as np

from tests.support.engine import ScriptedBackend, make_hypothesis
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.cli.gate_decision import Tried, decide, total
from whisperlive_hybrid.cli.gate_trial import CUT_EVERY_S, Recording, try_sizes
from whisperlive_hybrid.cli.word_errors import n_errors, shared_out, words_of
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.features import Features
from whisperlive_hybrid.engine.gate import Padding
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


def recordings(*seconds: float, n: int = 80) -> list[Recording]:
    def said(s: float) -> Samples:
        return np.repeat(np.arange(round(s * WORDS_PER_S)), 16000 // WORDS_PER_S).astype(np.float32)

    return [Recording(tuple(said(s) for s in seconds)) for _ in range(n)]


def test_a_model_that_takes_all_gets_all() -> None:
    gate = decide(try_sizes(WeakBackend(set()), recordings(2.0, 3.5, 6.5, 8.5, 13.5, 20.0)), 0.3)
    assert gate.finals == gate.partials == ((300, 300), (500, 500), (800, 800), (1000, 1000), (1500, 1500))


def test_a_size_that_a_model_takes_badly_is_passed_over() -> None:
    weak = {(Lane.FINAL, 300), (Lane.FINAL, 500), *((Lane.FINAL, size) for size in (1000, 1500))}
    tried = try_sizes(WeakBackend(weak), recordings(2.0, 3.5, 8.5))
    assert decide(tried, 0.3).finals == ((300, 800), (500, 800), (800, 3000), (1000, 3000), (1500, 3000))
    assert [one.size for one in tried if one.lane == "finals" and one.wanted == 300] == [300, 500, 800] * 2
    assert all(one.errors > one.errors_30s for one in tried if one.size == 300 and one.lane == "finals")


def test_where_nothing_was_measured_it_is_as_without_a_gate() -> None:
    tried = try_sizes(WeakBackend(set()), recordings(2.0, n=2))
    assert tried == []
    gate = decide(tried, 0.3)
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
    first = try_sizes(Wrong(set()), [Recording(r.utterances, said) for r in recordings(2.0)])[0]
    assert first.errors == 0 < first.errors_30s
    assert first.words == 4 * 80


def test_partials_break_off_and_are_compared_with_what_was_said_by_then() -> None:
    tried = try_sizes(WeakBackend({(Lane.PARTIAL, 300)}), recordings(4.0, n=120))
    first = next(one for one in tried if one.lane == "partials")
    n_whole = int(CUT_EVERY_S * WORDS_PER_S)
    assert first.wanted == 300
    assert (first.windows, first.words, first.errors, first.errors_30s) == (120, 120 * n_whole, 120, 0)


def result(wanted: int, worse: int, *, size: int = 0, noise: float = 0.0, padding: Padding = "zero") -> Tried:
    """A size for finals with `worse` errors more than in 30 s, in 1000 words."""
    return Tried("finals", padding, wanted, size or wanted, 100, 1000, 50 + worse, 50, noise)


def sizes(*tried: Tried, limit: float = 0.3) -> list[int]:
    return [size for _, size in decide(tried, limit).finals]


def test_chance_alone_refuses_no_length_but_all_together_keep_the_limit() -> None:
    assert sizes(result(300, 9), result(500, -9)) == [3000, 500, 3000, 3000, 3000]
    assert sizes(result(300, 9, noise=0.7), result(500, -9)) == [300, 500, 3000, 3000, 3000]
    both = (result(300, 9, noise=0.7), result(500, 6, noise=0.5))
    assert sizes(*both) == [3000, 500, 3000, 3000, 3000]
    assert sizes(*both, result(800, -6)) == [300, 500, 800, 3000, 3000]
    assert sizes(result(300, 9, noise=0.7)) == [3000] * 5
    assert sizes(result(300, 9, noise=0.7), limit=0.9) == [300, 3000, 3000, 3000, 3000]


def test_the_errors_of_a_gate_are_those_of_its_sizes() -> None:
    tried = [result(300, 9), result(300, 2, size=500), result(500, -1)]
    assert total(tried, ((300, 500), (500, 500))) == (2000, 101, 100)
    assert total(tried, ((300, 3000), (500, 500))) == (2000, 99, 100)
    assert total([], ()) == (0, 0, 0)


def test_the_padding_that_makes_windows_shorter_is_taken_then_the_one_with_fewer_errors() -> None:
    worse, better = result(300, 0), result(300, -5, padding="silence")
    assert decide([worse, better], 0.3).padding == "silence"
    refused = [result(500, 40), result(500, 40, size=800), result(500, -9, padding="silence")]
    assert decide([worse, better, *refused], 0.3).padding == "silence"
    assert decide([result(500, 0), result(500, 40, padding="silence")], 0.3).padding == "zero"
    assert all(one["padding"] == "silence" for one in decide([worse, better], 0.3).measured["tried"])
