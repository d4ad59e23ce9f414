"""One batch through the real small model: verification, short inputs that fail, guards, and what nobody wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.clips import clips, words
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.budget import Budget
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.dimensions import read_dimensions
from whisperlive_hybrid.engine.features import content_frames
from whisperlive_hybrid.engine.footprint import Footprint
from whisperlive_hybrid.engine.gate import FULL_FRAMES
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.errors import BadInput

CLIP = clips("en")[0]
PARTIAL = DecodeOptions(language="en", beam_size=1, temperatures=(0.0,), word_times=True)
FINAL = DecodeOptions(language="en", temperatures=(0.0,), word_times=True)


@pytest.fixture(scope="module")
def backend() -> Iterator[WhisperBackend]:
    device = Device("cpu", 0, "CPU", "int8", 1, 8, None)
    loaded = WhisperBackend(models.BUNDLED, device, models.load_tokenizer(models.BUNDLED))
    yield loaded
    loaded.close()


@pytest.fixture
def generations(backend: WhisperBackend, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each generation, as they come."""
    made: list[int] = []
    generate = backend._generate

    def count(encoded: Any, rows: Sequence[Any], *arguments: Any) -> Any:
        made.append(len(rows))
        return generate(encoded, rows, *arguments)

    monkeypatch.setattr(backend, "_generate", count)
    return made


def request(
    backend: WhisperBackend,
    samples: Samples,
    options: DecodeOptions,
    lane: Lane = Lane.PARTIAL,
    *,
    frames: int = 500,
    verify: tuple[int, ...] = (),
    dropped: Callable[[], bool] = lambda: False,
    early: Callable[[Hypothesis], None] = lambda _: None,
) -> Request:
    window = Window("test", lane, 0.0, 0, samples, "digits", options, verify)
    features = backend.features(samples, frames, "silence")
    return Request(window, features, min(content_frames(len(samples)), frames), (), dropped, early)


def tokens_of(hypothesis: Hypothesis) -> tuple[int, ...]:
    return tuple(t for s in hypothesis.segments for t in s.tokens)


def test_text_that_holds_is_not_generated_again(backend: WhisperBackend, generations: list[int]) -> None:
    longer = CLIP.samples()
    [first] = backend.run([request(backend, longer[:-800], PARTIAL)])
    assert not first.verified
    [again] = backend.run([request(backend, longer, PARTIAL, verify=tokens_of(first))])
    assert generations == [1]
    assert again.verified
    assert (again.text, tokens_of(again)) == (first.text, tokens_of(first))
    assert again.consumed_s == content_frames(len(longer)) / 100
    for word, before in zip(again.words, first.words, strict=True):
        assert word.text == before.text
        assert word.end == pytest.approx(before.end, abs=0.3)
    assert again.segments[0].avg_log_probability < 0
    untimed = replace(PARTIAL, word_times=False)
    [again] = backend.run([request(backend, longer, untimed, verify=tokens_of(first))])
    assert (again.verified, again.words, again.text) == (True, (), first.text)


def test_rows_that_fail_are_generated_with_the_others(backend: WhisperBackend, generations: list[int]) -> None:
    early, late = CLIP.samples()[: 3 * 16000 // 2], CLIP.samples()
    [short], [long] = (backend.run([request(backend, samples, PARTIAL)]) for samples in (early, late))
    assert short.text != long.text
    generations.clear()
    results = backend.run(
        [
            request(backend, late, PARTIAL, verify=tokens_of(short)),
            request(backend, late, PARTIAL, verify=tokens_of(long)),
            request(backend, late, PARTIAL),
            request(backend, late, PARTIAL, verify=(50364, 50400)),
        ]
    )
    assert [r.verified for r in results] == [False, True, False, False]
    assert {r.text for r in results} == {long.text}
    assert generations == [3]


@pytest.mark.parametrize(
    "options",
    [replace(FINAL, log_prob_threshold=1.0), replace(FINAL, compression_ratio_threshold=0.1)],
    ids=["unsure", "repeats"],
)
@pytest.mark.parametrize("lane", [Lane.FINAL, Lane.FILE])
def test_a_short_final_that_fails_is_done_anew_in_30_s(
    backend: WhisperBackend, generations: list[int], options: DecodeOptions, lane: Lane
) -> None:
    samples = CLIP.samples()
    [expected] = backend.run([request(backend, samples, options, lane, frames=FULL_FRAMES)])
    assert generations == [1]
    good = replace(options, log_prob_threshold=None, compression_ratio_threshold=None)
    [kept, redone] = backend.run([request(backend, samples, good, lane), request(backend, samples, options, lane)])
    assert generations == [1, 2, 1]
    assert (redone.segments, redone.consumed_s) == (expected.segments, expected.consumed_s)
    assert kept.text
    assert kept.timing.encode_s < redone.timing.encode_s


def test_what_is_decided_is_handed_out_before_the_rest(backend: WhisperBackend, generations: list[int]) -> None:
    samples = CLIP.samples()
    order: list[tuple[str, int]] = []

    def told(name: str) -> Callable[[Hypothesis], None]:
        return lambda hypothesis: order.append((f"{name} {bool(hypothesis.text)}", len(generations)))

    unsure = replace(FINAL, log_prob_threshold=1.0, temperatures=(0.0, 0.2))
    sure = replace(unsure, log_prob_threshold=None)
    results = backend.run(
        [
            request(backend, samples, unsure, Lane.FINAL, early=told("short")),
            request(backend, samples, sure, Lane.FINAL, early=told("sure")),
        ]
    )
    assert order == [("sure True", 1), ("short True", 3)]
    assert [bool(r.text) for r in results] == [True, True]
    order.clear()
    [heard] = backend.run([request(backend, samples, PARTIAL)])
    generations.clear()
    backend.run(
        [
            request(backend, samples, PARTIAL, early=told("new")),
            request(backend, samples, PARTIAL, verify=tokens_of(heard), early=told("verified")),
        ]
    )
    assert order == [("verified True", 0), ("new True", 1)]


def test_no_text_in_a_short_input_is_looked_for_in_30_s_and_partials_are_left(
    backend: WhisperBackend, generations: list[int]
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 16000).astype(np.float32)
    [final] = backend.run([request(backend, noise, FINAL, Lane.FINAL)])
    assert (final.text, final.doubt, len(generations)) == ("", None, 2)
    generations.clear()
    [partial] = backend.run([request(backend, noise, PARTIAL)])
    assert (partial.text, len(generations)) == ("", 1)


def looping(backend: WhisperBackend, monkeypatch: pytest.MonkeyPatch, tokens: list[int]) -> None:
    """From now on the model writes `tokens`."""
    model = backend._model

    class Looping:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def generate(self, *arguments: Any, **options: Any) -> Any:
            results = model.generate(*arguments, **options)
            return [_Result(result, tokens) for result in results]

    monkeypatch.setattr(backend, "_model", Looping())


class _Result:
    def __init__(self, result: Any, tokens: list[int]) -> None:
        self.sequences_ids = [tokens]
        self.scores = result.scores
        self.no_speech_prob = result.no_speech_prob


def test_a_loop_is_cut_and_doubted(
    backend: WhisperBackend, generations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = CLIP.samples()[: 2 * 16000]
    first = backend._vocabulary.any.encode(" one two three four five")
    begin = backend._vocabulary.timestamp_begin
    looping(backend, monkeypatch, [begin, *first * 20, begin + 100])
    options = replace(FINAL, temperatures=(0.0, 0.2), compression_ratio_threshold=None, no_speech_threshold=None)
    [final] = backend.run([request(backend, samples, options, Lane.FINAL)])
    assert generations == [1, 1, 1], "short, then 30 s at both temperatures"
    assert (final.text, final.doubt) == ("one two three four five", "loop")
    assert words(final.text) == [w.text.strip() for w in final.words]
    [partial] = backend.run([request(backend, samples, PARTIAL)])
    assert partial.doubt == "loop"


def test_nobody_speaks_after_the_audio(backend: WhisperBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = CLIP.samples()[: 2 * 16000]
    begin = backend._vocabulary.timestamp_begin
    one, thanks = (backend._vocabulary.any.encode(text) for text in (" one two", " seven"))
    looping(backend, monkeypatch, [begin, *one, begin + 80, begin + 110, *thanks, begin + 130])
    [final] = backend.run([request(backend, samples, FINAL, Lane.FINAL, frames=FULL_FRAMES)])
    assert (final.text, final.consumed_s) == ("one two", 2.0)


def test_partials_write_no_more_than_can_be_said(
    backend: WhisperBackend, generations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    model = backend._model

    class Watching:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def generate(self, *arguments: Any, max_length: int, **options: Any) -> Any:
            seen.append(max_length)
            return model.generate(*arguments, max_length=max_length, **options)

    monkeypatch.setattr(backend, "_model", Watching())
    second = CLIP.samples()[:16000]
    backend.run([request(backend, second, PARTIAL)])
    backend.run([request(backend, second, replace(PARTIAL, max_new_tokens=7))])
    backend.run([request(backend, second, FINAL, Lane.FINAL)])
    assert seen[0] == 2 * (16 + 15)
    assert seen[1] == 14
    assert seen[2] == 448


def test_what_nobody_wants_is_neither_generated_nor_aligned(backend: WhisperBackend, generations: list[int]) -> None:
    samples = CLIP.samples()
    gone = request(backend, samples, PARTIAL, dropped=lambda: True)
    wanted = request(backend, samples, PARTIAL)
    nothing, something = backend.run([gone, wanted])
    assert generations == [1]
    assert (nothing.segments, nothing.window_id) == ((), gone.window.id)
    assert something.text
    backend.run([gone])
    assert generations == [1]
    left = iter([False, True, True, True])
    unsure = replace(FINAL, log_prob_threshold=1.0, temperatures=(0.0, 0.2, 0.4))
    backend.run([request(backend, samples, unsure, Lane.FINAL, frames=FULL_FRAMES, dropped=lambda: next(left, True))])
    assert generations == [1, 1]


def test_options_that_the_model_refuses_are_the_callers_mistake(backend: WhisperBackend) -> None:
    odd = replace(PARTIAL, beam_size=2, patience=0.1)
    with pytest.raises(BadInput, match="beam_size"):
        backend.run([request(backend, CLIP.samples(), odd)])


def test_rows_that_there_is_no_memory_for_go_one_after_another(
    backend: WhisperBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [clip.samples() for clip in clips("en")[:3]]
    together = backend.run([request(backend, each, FINAL, Lane.FINAL) for each in samples])
    calls: list[int] = []
    generate = backend._generate_at_once

    def count(encoded: Any, rows: Sequence[Any], *arguments: Any) -> Any:
        calls.append(len(rows))
        return generate(encoded, rows, *arguments)

    monkeypatch.setattr(backend, "_generate_at_once", count)
    each = Budget(Footprint(read_dimensions(models.BUNDLED / "model.bin")), 1)
    row_bytes = each.footprint.generating(250, length=228) if each.footprint else 0
    for batch_bytes, expected in ((1, [1, 1, 1]), (2 * row_bytes, [2, 1]), (3 * row_bytes, [3])):
        calls.clear()
        monkeypatch.setattr(backend, "_budget", replace(each, batch_bytes=batch_bytes))
        apart = backend.run([request(backend, each, FINAL, Lane.FINAL) for each in samples])
        assert calls == expected
        assert [(h.text, [w.start for w in h.words]) for h in apart] == [
            (h.text, [w.start for w in h.words]) for h in together
        ]


def test_probabilities_of_tokens_are_those_of_the_model(backend: WhisperBackend) -> None:
    """They are held against the logits of a greedy search, which CTranslate2 computes step by step."""
    options = replace(FINAL, word_times=False, token_probabilities=True)
    asked = request(backend, CLIP.samples(), options, Lane.FINAL, frames=FULL_FRAMES)
    [heard] = backend.run([asked])
    tokens = [t for s in heard.segments for t in s.text_tokens]

    assert words(heard.text) == words(CLIP.text)
    assert b"".join(t.spelling for t in tokens).decode() == "".join(s.text for s in heard.segments)
    speaking = backend._vocabulary.speaking("en", "transcribe")
    [greedy] = backend._model.generate(
        backend._encode([asked]).rows(),
        [[*speaking.sot_sequence, speaking.no_timestamps]],
        beam_size=1,
        suppress_blank=False,
        suppress_tokens=[],
        return_logits_vocab=True,
    )
    ids = [t for s in heard.segments for t in s.tokens if t < speaking.eot]
    assert greedy.sequences_ids[0] == ids
    for token, number, logits in zip(tokens, ids, greedy.logits[0], strict=False):
        text = np.array(logits).astype(np.float64)[: speaking.eot]
        # Both passes round to 8 bits, each in its own way.
        assert token.log_probability == pytest.approx(text[number] - np.logaddexp.reduce(text), abs=0.02)


def test_probabilities_of_tokens_change_nothing_else(backend: WhisperBackend) -> None:
    asked = [
        request(backend, CLIP.samples(), replace(FINAL, word_times=False, token_probabilities=wanted), Lane.FINAL)
        for wanted in (False, True)
    ]
    without, scored = backend.run(asked)

    assert [replace(s, text_tokens=()) for s in scored.segments] == list(without.segments)
    assert without.segments[0].text_tokens == () and scored.segments[0].text_tokens
    assert (scored.consumed_s, scored.words) == (without.consumed_s, ())
