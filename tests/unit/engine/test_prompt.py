"""Prompts, with the bundled model's tokenizer."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.prompt import (
    MAX_LENGTH,
    MAX_PREVIOUS_TOKENS,
    Vocabulary,
    bucket,
    full_prompt,
    max_length,
    previous_tokens,
)
from whisperlive_hybrid.engine.window import DecodeOptions, Lane


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(models.load_tokenizer(models.BUNDLED), True)


def previous(vocabulary: Vocabulary, lane: Lane = Lane.FILE, **options: object) -> list[int]:
    return list(previous_tokens(vocabulary, DecodeOptions(**options), lane))  # type: ignore[arg-type]


def test_no_text_before_means_no_tokens(vocabulary: Vocabulary) -> None:
    assert previous(vocabulary) == []
    assert previous(vocabulary, prompt="  ", hotwords=" ") == []
    assert previous(vocabulary, prompt_tokens=()) == []


def test_hotwords_come_before_previous_text(vocabulary: Vocabulary) -> None:
    tokens = previous(vocabulary, prompt="one two.", hotwords="nine")
    assert tokens[0] == vocabulary.any.sot_prev
    assert vocabulary.text(tokens) == " nine one two."


def test_only_the_end_of_long_previous_text_is_kept(vocabulary: Vocabulary) -> None:
    tokens = previous(vocabulary, prompt="one " * 500 + "nine.")
    assert len(tokens) == 1 + MAX_PREVIOUS_TOKENS
    assert vocabulary.text(tokens).endswith(" one nine.")


def test_token_ids_win_over_text(vocabulary: Vocabulary) -> None:
    assert previous(vocabulary, prompt="one", prompt_tokens=(7, 8)) == [vocabulary.any.sot_prev, 7, 8]


def test_however_much_is_given_the_text_has_room(vocabulary: Vocabulary) -> None:
    tokens = previous(vocabulary, prompt="one " * 5000, hotwords="two " * 5000)
    assert len(tokens) <= MAX_LENGTH - 60
    assert max_length(len(tokens), None) == MAX_LENGTH


def test_partials_use_few_lengths(vocabulary: Vocabulary) -> None:
    lengths = {len(previous(vocabulary, Lane.PARTIAL, prompt_tokens=tuple(range(n)))) for n in range(16, 300)}
    assert lengths == {1 + 16, 1 + 48, 1 + 112, 1 + MAX_PREVIOUS_TOKENS}
    assert [bucket(n) for n in (0, 5, 15, 16, 47, 48, 1000)] == [0, 5, 15, 16, 16, 48, 223]


def test_a_partial_keeps_the_newest_text(vocabulary: Vocabulary) -> None:
    tokens = previous(vocabulary, Lane.PARTIAL, prompt_tokens=tuple(range(20)))
    assert tokens[1:] == list(range(4, 20))


def test_the_full_prompt(vocabulary: Vocabulary) -> None:
    ids = vocabulary.tokenizer.token_to_id
    expected = [ids("<|startoftranscript|>"), ids("<|es|>"), ids("<|translate|>")]
    assert full_prompt(vocabulary, (), "es", "translate", True) == expected
    assert full_prompt(vocabulary, (5,), "es", "translate", False) == [5, *expected, ids("<|notimestamps|>")]


@pytest.mark.parametrize("prompt", [3, 50, 227])
@pytest.mark.parametrize("wanted", [1, 20, 200])
def test_max_length_leaves_the_wanted_number_of_new_tokens(prompt: int, wanted: int) -> None:
    limit = max_length(prompt, wanted)
    assert min(limit // 2, limit - prompt) == wanted


def test_max_length_never_passes_the_models() -> None:
    assert max_length(10, 1000) == MAX_LENGTH


def test_suppressed_tokens(vocabulary: Vocabulary) -> None:
    assert vocabulary.suppressed(()) == []
    some = vocabulary.suppressed((5,))
    assert 5 in some
    assert vocabulary.any.sot in some
    assert set(vocabulary.suppressed((-1,))) > {*vocabulary.any.non_speech_tokens, vocabulary.any.translate}
    assert -1 not in vocabulary.suppressed((-1,))


def test_languages_the_model_lacks_are_known(vocabulary: Vocabulary) -> None:
    assert vocabulary.has_language("de")
    assert not vocabulary.has_language("yue")


def test_tokens_are_spelled_in_bytes(vocabulary: Vocabulary) -> None:
    text = " naïve „Grüße“ 東京 🙂\n"
    assert b"".join(vocabulary.spelling(t) for t in vocabulary.any.encode(text)).decode() == text
