"""Files: utterances of real speech, and windows packed from utterances."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import Clip, all_clips, clips
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.speech.offline import PackedWindow, Piece, pack, utterances
from whisperlive_hybrid.speech.speech import FILE_SPEECH, SpeechOptions, Utterance
from whisperlive_hybrid.speech.vad_batcher import VadBatcher


@pytest.fixture
async def vad() -> AsyncIterator[VadBatcher]:
    async with VadBatcher() as batcher:
        yield batcher


async def given_in_turn(values: Iterable) -> AsyncIterator:
    for value in values:
        yield value


def in_blocks(samples: Samples, n: int) -> AsyncIterator[Samples]:
    return given_in_turn([samples[i : i + n] for i in range(0, len(samples), n)])


async def heard(vad: VadBatcher, samples: Samples, options: SpeechOptions, n: int = 160_000) -> list[Utterance]:
    return [u async for u in utterances(in_blocks(samples, n), vad, options)]


@pytest.mark.parametrize("options", [SpeechOptions(), FILE_SPEECH], ids=["live", "file"])
async def test_silence_and_noise_are_no_speech(vad, options):
    rng = np.random.default_rng(0)
    t = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    for quiet in (np.zeros(len(t)), rng.normal(0, 0.01, len(t)), rng.normal(0, 0.2, len(t)), np.sin(t * 2764) * 0.3):
        assert await heard(vad, quiet.astype(np.float32), options) == []


@pytest.mark.parametrize("clip", clips(conversations=True), ids=lambda c: c.path.stem)
async def test_a_conversation_gives_its_utterances(vad, clip: Clip):
    found = await heard(vad, clip.samples(), SpeechOptions())
    spoken = [(start, end) for start, end, _ in clip.utterances]
    assert len(found) == len(spoken)
    padding = 0.2
    for utterance, (start, end) in zip(found, spoken, strict=True):
        assert utterance.start / SAMPLE_RATE + padding == pytest.approx(start, abs=0.3)
        assert utterance.end / SAMPLE_RATE - padding == pytest.approx(end, abs=0.3)


async def test_every_clip_is_heard_whole(vad):
    for clip in all_clips():
        found = await heard(vad, clip.samples(), FILE_SPEECH)
        for start, end, _ in clip.utterances:
            middle = (start + end) / 2 * SAMPLE_RATE
            assert any(u.start <= middle < u.end for u in found), clip.path.name


async def test_blocks_of_any_size_give_the_same_samples(vad):
    clip = clips(conversations=True)[0]
    samples = clip.samples()
    whole = await heard(vad, samples, FILE_SPEECH)
    for n in (700, 33_333):
        parts = await heard(vad, samples, FILE_SPEECH, n)
        assert [(u.start, u.end) for u in parts] == [(u.start, u.end) for u in whole]
    for utterance in whole:
        assert np.array_equal(utterance.samples, samples[utterance.start : utterance.end])


async def test_a_forced_cut_repeats_nothing(vad):
    clip = max(clips(conversations=True), key=lambda c: c.duration_s)
    spoken = np.concatenate([u.samples for u in await heard(vad, clip.samples(), SpeechOptions())])
    found = await heard(vad, spoken, SpeechOptions(max_utterance_s=3.0, min_silence_ms=2000))
    assert len(found) > 3
    assert max(len(u.samples) for u in found) <= 3.1 * SAMPLE_RATE
    for a, b in itertools.pairwise(found):
        assert a.end <= b.start
    assert sum(a.end == b.start for a, b in itertools.pairwise(found)) >= 2


async def test_the_stream_is_closed_when_nobody_listens_any_more(vad):
    taken = utterances(in_blocks(clips(conversations=True)[0].samples(), 16_000), vad, FILE_SPEECH)
    await anext(taken)
    await taken.aclose()
    assert not vad._files


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3 * SAMPLE_RATE), st.integers(0, 2 * SAMPLE_RATE)), min_size=1, max_size=15),
    st.sampled_from([1.0, 2.5, 10.0]),
)
async def test_packing_keeps_every_sample_and_its_time(lengths_and_gaps, max_s):
    position = 0
    spoken = []
    for length, gap in lengths_and_gaps:
        position += gap
        spoken.append(Utterance(position, np.arange(position, position + length, dtype=np.float32)))
        position += length
    windows = [w async for w in pack(given_in_turn(spoken), max_s)]
    assert np.array_equal(np.concatenate([w.samples for w in windows]), np.concatenate([u.samples for u in spoken]))
    for window in windows:
        assert 0 < len(window.samples) <= max_s * SAMPLE_RATE
        for i in range(0, len(window.samples), 997):
            assert window.to_clock(i / SAMPLE_RATE) * SAMPLE_RATE == pytest.approx(window.samples[i], abs=0.01)
        assert window.to_clock(len(window.samples) / SAMPLE_RATE, end=True) == pytest.approx(window.end_s)
        rest = window.rest(len(window.samples) / 2 / SAMPLE_RATE)
        for i in range(0, len(rest.samples), 997):
            assert rest.to_clock(i / SAMPLE_RATE) * SAMPLE_RATE == pytest.approx(rest.samples[i], abs=0.01)


def test_times_at_a_border_and_words_across_it():
    s = SAMPLE_RATE
    window = PackedWindow(np.zeros(3 * s, np.float32), (Piece(0, s, 10 * s), Piece(s, 3 * s, 20 * s)))
    assert window.to_clock(1.0) == 20.0
    assert window.to_clock(1.0, end=True) == 11.0
    assert window.span_to_clock(0.8, 1.1) == (10.8, 11.0)
    assert window.span_to_clock(0.9, 1.3) == (20.0, 20.3)
    assert (window.start_s, window.end_s) == (10.0, 22.0)
    assert window.to_clock(99.0) == 22.0


@pytest.mark.parametrize(
    ("options", "dense"),
    [
        (FILE_SPEECH, False),
        (SpeechOptions(), False),
        (SpeechOptions(max_utterance_s=6.0, overlap_ms=800), True),
        (SpeechOptions(max_utterance_s=2.0, min_silence_ms=400, pre_roll_ms=400, overlap_ms=800), False),
        (SpeechOptions(max_utterance_s=2.0, min_silence_ms=400, pre_roll_ms=400, overlap_ms=800), True),
    ],
)
async def test_hearing_goes_on_behind_an_utterance_as_if_nothing_had_been(vad, options, dense):
    samples = max(clips(conversations=True), key=lambda c: c.duration_s).samples()
    if dense:  # speech without a pause, where utterances are cut
        samples = np.concatenate([u.samples for u in await heard(vad, samples, SpeechOptions())])
    blocks = [samples[i : i + 50_000] for i in range(0, len(samples), 50_000)]
    whole = [u async for u in utterances(given_in_turn(blocks), vad, options)]
    assert len(whole) > 3
    for n, told in enumerate(whole, 1):
        assert told.behind is not None
        first, beside_a_border = divmod(told.behind.hear_from, 50_000)
        assert not beside_a_border
        assert told.end - told.behind.hear_from <= (options.max_utterance_s + 5) * SAMPLE_RATE
        rest = [u async for u in utterances(given_in_turn(blocks[first:]), vad, options, told.behind)]
        assert [(u.start, u.end, u.behind) for u in rest] == [(u.start, u.end, u.behind) for u in whole[n:]]
        assert all(np.array_equal(a.samples, b.samples) for a, b in zip(rest, whole[n:], strict=True))
