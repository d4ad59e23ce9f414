"""The figures of the endurance benchmarks: pure functions, on cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.chaos import NETWORK, SHARES, planned
from benchmarks.chaos_clients import CODECS, Said, Told, difference, encoded, time_shift, unsteady
from benchmarks.live_load import Heard
from benchmarks.neighbours import Arms, delays
from benchmarks.noises import NOISES, every_noise, noise
from benchmarks.silence import Outcome, starts_of, texts_of
from benchmarks.soak import Pair, Row, verdict
from whisperlive_hybrid.audio.codecs import make_decoder
from whisperlive_hybrid.audio.samples import SAMPLE_RATE


@pytest.mark.parametrize("name", NOISES)
def test_noises_have_the_length_and_levels_asked_for(name: str) -> None:
    samples = noise(name, 31.0, seed=3)
    assert samples.dtype == np.float32
    assert len(samples) == 31 * SAMPLE_RATE
    assert np.array_equal(samples, noise(name, 31.0, seed=3)), "the same seed, the same noise"
    first, second = (np.sqrt(np.mean(part.astype(float) ** 2)) for part in np.split(samples[: 30 * SAMPLE_RATE], 2))
    assert (first == second == 0) if name.startswith("silence") else first > 2 * second > 0


def test_every_noise_is_in_the_mixture() -> None:
    assert len(every_noise(12.0)) == 12 * SAMPLE_RATE


def test_text_of_noise_is_found_in_partials_and_finals() -> None:
    heard = Heard(
        [
            (0.1, {"type": "speech", "state": "started", "at": 0.1}),
            (0.2, {"type": "partial", "append": "", "tentative": " one"}),
            (0.3, {"type": "partial", "append": "one", "tentative": ""}),
            (0.4, {"type": "speech", "state": "stopped", "at": 0.4}),
            (0.5, {"type": "final", "text": "one."}),
            (0.6, {"type": "final", "text": ""}),
        ]
    )
    assert texts_of(heard) == ("one", "one", "one.")
    assert starts_of(heard) == 1
    assert Outcome((), 0, audio_s=200.0, cpu_s=1.0).core_percent == pytest.approx(0.5)


def test_incidents_are_of_every_kind_and_as_many_as_asked_for() -> None:
    kinds = planned(50, 1, restarts=True)
    assert {kind: kinds.count(kind) for kind in SHARES} == SHARES
    assert set(planned(20, 1, restarts=False)) == set(NETWORK)
    assert len(planned(3, 1, restarts=True)) == 3


@pytest.mark.parametrize("codec", CODECS)
def test_messages_hold_the_whole_audio(codec: str) -> None:
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    messages = encoded((0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32), codec)
    assert len(messages) == 6
    decoder = make_decoder(codec)
    n = sum(len(decoder.feed(message)) for message in messages) + len(decoder.flush())
    assert n == pytest.approx(3 * SAMPLE_RATE, abs=SAMPLE_RATE // 20)


def test_lost_doubled_and_changed_words_are_counted() -> None:
    said = ["one", "two", "three", "four", "five"]
    assert not difference(said, said)
    assert difference(said, ["one", "two", "four", "five"]).lost == 1
    assert difference(said, ["one", "two", "three", "three", "four", "five"]).added == 1
    assert difference(said, ["one", "two", "six", "four", "five"]).changed == 1
    assert difference(said, []).lost == 5


def test_utterances_that_vary_or_are_doubtful_are_named() -> None:
    first = [Said(0, 1.0, 2.0, "One.", 0.9), Said(1, 3.0, 4.0, "two", 0.9), Said(2, 5.0, 6.0, "six", 0.3)]
    second = [Said(0, 1.0, 2.0, "one", 0.9), Said(1, 3.0, 4.0, "ten", 0.9), Said(2, 5.0, 6.0, "six", 0.9)]
    assert unsteady([Told(first), Told(second)]) == [(3.0, 4.0), (5.0, 6.0)]
    assert unsteady([Told(first[:1]), Told([])]) == [(1.0, 2.0)], "one run did not hear it"


def test_finals_told_twice_are_seen() -> None:
    final = Said(4, 1.0, 2.0, "one", 0.9)
    assert Told([final]).twice == 0
    assert Told([final, final]).twice == 1


def test_finals_at_other_times_are_seen() -> None:
    expected = [Said(0, 1.0, 2.0, "one", 0.9), Said(1, 3.0, 4.0, "two", 0.9)]
    assert time_shift(expected, [Said(5, 3.0, 4.25, "two", 0.9)]) == pytest.approx(0.25)
    assert time_shift(expected, []) == 0.0


def _rows(memory: list[float], cost: list[float]) -> list[Row]:
    return [Row(n / 6, 20.0, m, c, 100.0, 0.1, True, 10, 10) for n, (m, c) in enumerate(zip(memory, cost, strict=True))]


def test_memory_that_grows_and_cost_that_rises_are_failures() -> None:
    creeping = [120.0 + 5 * n for n in range(8)]
    steady = [0.05] * 8
    assert verdict(_rows(creeping, steady), [100.0, 101.0]).good, "what is kept at hand is not held"
    assert not verdict(_rows(creeping, steady), [100.0, 120.0]).good
    dearer = _rows(creeping, [0.05 + 0.003 * n for n in range(8)])
    assert not verdict(dearer, [100.0, 100.0]).good
    new = [Pair(0.071, 0.07), Pair(0.07, 0.071)]
    assert verdict(dearer, [100.0, 100.0], new).good, "a session that begins now costs as much"
    assert not verdict(_rows(creeping, steady), [100.0, 100.0], [Pair(0.06, 0.05)] * 3).good
    with pytest.raises(ValueError, match="four"):
        verdict(_rows(creeping[:3], steady[:3]), [1.0, 1.0])


def test_delays_count_from_the_true_end_of_speech() -> None:
    finals = [(2.1, 101.0), (5.2, 104.5)]
    assert delays(finals, [2.0, 5.0, 8.0], zero=98.0) == pytest.approx([1.0, 1.5])


def test_what_an_offender_costs_is_a_share_with_its_uncertainty() -> None:
    quiet = [0.8 + 0.001 * n for n in range(100)]
    arms = Arms(quiet, [1.2 * delay for delay in quiet])
    assert arms.worse(95) == pytest.approx(0.2)
    low, high = arms.spread(95)
    assert low <= 0.2 <= high
    assert math.isnan(Arms([], []).worse(95))
