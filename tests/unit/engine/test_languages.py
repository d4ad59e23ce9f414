"""Names of languages."""

from __future__ import annotations

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from whisperlive_hybrid.engine.languages import LANGUAGES, language_name, parse_language
from whisperlive_hybrid.errors import BadInput


def test_all_of_whispers_languages() -> None:
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)
    assert len(set(LANGUAGES.values())) == len(LANGUAGES)
    assert (language_name("en"), language_name("ht"), language_name("xx")) == ("english", "haitian creole", "xx")


@pytest.mark.parametrize("value", [None, "", "auto", " AUTO ", "detect"])
def test_to_be_detected(value: str | None) -> None:
    assert parse_language(value) is None


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("English", "en"),
        (" german ", "de"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hans-CN", "zh"),
        ("Mandarin", "zh"),
        ("haitian creole", "ht"),
        ("castilian", "es"),
        ("jv", "jw"),
        ("yue", "yue"),
    ],
)
def test_understood(value: str, code: str) -> None:
    assert parse_language(value) == code


@pytest.mark.parametrize("value", ["klingon", "xx", "e", "12", "english german", "\x00"])
def test_refused_by_name(value: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_language(value)
    assert refusal.value.param == "language"
    assert "en" in refusal.value.accepted


def test_every_code_and_name_reads_back() -> None:
    for code, name in LANGUAGES.items():
        assert parse_language(code) == code
        assert parse_language(name.title()) == code
