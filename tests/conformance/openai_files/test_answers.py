"""OpenAI's own Python client, unmodified and with strict validation of every answer, against the real server."""

from __future__ import annotations

import io
import math
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.audio import (
    Transcription,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer
from tests.support.openai_files import silence, transcribe, translate

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning")]


@pytest.mark.parametrize("form", ["path", "bytes", "file", "tuple"])
def test_json_from_every_kind_of_file(client: OpenAI, clip: Clip, form: str) -> None:
    content = clip.path.read_bytes()
    file: Any = {
        "path": clip.path,
        "bytes": content,
        "file": io.BytesIO(content),
        "tuple": ("a.flac", content, "audio/flac"),
    }[form]
    result = client.audio.transcriptions.create(file=file, model="gpt-4o-transcribe", language="en")

    assert isinstance(result, Transcription)
    assert words(result.text) == words(clip.text)
    assert result.text == result.text.strip()
    assert result.languages is None and result.logprobs is None


def test_use_is_counted_in_seconds(client: OpenAI, clip: Clip) -> None:
    for options in ({}, {"response_format": "verbose_json"}):
        usage = transcribe(client, clip, **options).usage
        assert (usage.type, usage.seconds) == ("duration", math.ceil(clip.duration_s))


def test_use_of_models_that_openai_counts_so_is_counted_in_tokens(client: OpenAI, clip: Clip) -> None:
    plain = transcribe(client, clip, model="gpt-4o-mini-transcribe").usage
    primed = transcribe(client, clip, model="gpt-transcribe", prompt="one two three.").usage

    assert plain.type == primed.type == "tokens"
    details = plain.input_token_details
    assert (details.audio_tokens, details.text_tokens) == (math.ceil(clip.duration_s * 10), 0)
    assert plain.output_tokens >= len(words(clip.text))
    assert plain.total_tokens == plain.input_tokens + plain.output_tokens
    assert primed.input_token_details.text_tokens == 4
    assert primed.input_tokens == details.audio_tokens + 4


def test_log_probabilities(client: OpenAI, clip: Clip) -> None:
    result = transcribe(client, clip, include=["logprobs"])
    tokens = result.logprobs

    assert tokens and all(t.logprob <= 0 for t in tokens)
    assert "".join(t.token for t in tokens).strip() == result.text
    assert bytes(int(b) for t in tokens for b in t.bytes).decode().strip() == result.text
    assert words(result.text) == words(clip.text)


@pytest.mark.parametrize("format_", ["text", "srt", "vtt", "verbose_json"])
def test_log_probabilities_need_json(client: OpenAI, clip: Clip, format_: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, include=["logprobs"], response_format=format_)

    assert raised.value.param == "include"


def test_the_languages_that_were_heard(client: OpenAI, clip: Clip) -> None:
    german = clips("de")[0]
    heard = [
        client.audio.transcriptions.create(file=german.path, model="gpt-transcribe"),
        client.audio.transcriptions.create(file=german.path, model="whisper-1", languages=["en", "de"]),
        transcribe(client, clip, model="gpt-transcribe"),
        client.audio.transcriptions.create(file=silence(1.0), model="gpt-transcribe"),
    ]

    assert [[language.code for language in result.languages] for result in heard] == [["de"], ["de"], ["en"], []]


@pytest.mark.parametrize("format_", ["json", "text", "srt", "vtt", "verbose_json"])
@pytest.mark.parametrize("seconds", [0.15, 3.0, 45.0])
def test_silence_is_an_empty_text(client: OpenAI, format_: str, seconds: float) -> None:
    result = client.audio.transcriptions.create(
        file=silence(seconds), model="whisper-1", response_format=format_, language="en"
    )

    empty = {"text": "\n", "srt": "", "vtt": "WEBVTT\n\n"}
    assert (result if isinstance(result, str) else result.text) == empty.get(format_, "")


def test_too_short(client: OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(file=silence(0.05), model="whisper-1", stream=stream)
        assert (raised.value.code, raised.value.param) == ("audio_too_short", "file")


def test_text_and_subtitles(client: OpenAI, clip: Clip) -> None:
    text = transcribe(client, clip, response_format="text")
    srt = transcribe(client, clip, response_format="srt")
    vtt = transcribe(client, clip, response_format="vtt")

    assert words(text) == words(clip.text)
    assert text.endswith("\n")
    assert srt.startswith("1\n00:00:00,") and " --> 00:00:0" in srt
    assert vtt.startswith("WEBVTT\n\n00:00:00.")


@pytest.mark.parametrize(
    ("granularities", "has_segments", "has_words"),
    [(None, True, False), (["segment"], True, False), (["word"], False, True), (["word", "segment"], True, True)],
)
def test_verbose_json(
    client: OpenAI, clip: Clip, granularities: list[str] | None, has_segments: bool, has_words: bool
) -> None:
    options = {} if granularities is None else {"timestamp_granularities": granularities}
    result = transcribe(client, clip, response_format="verbose_json", **options)

    assert isinstance(result, TranscriptionVerbose)
    assert result.language == "english"
    assert result.duration == pytest.approx(clip.duration_s, abs=0.1)
    assert words(result.text) == words(clip.text)
    assert (result.segments is not None, result.words is not None) == (has_segments, has_words)
    if result.segments is not None:
        assert "".join(s.text for s in result.segments).strip() == result.text
        assert [s.id for s in result.segments] == list(range(len(result.segments)))
    if result.words is not None:
        assert words(" ".join(w.word for w in result.words)) == words(clip.text)
        assert all(w.word == w.word.strip() and w.start <= w.end for w in result.words)


def test_words_need_verbose_json(client: OpenAI, clip: Clip) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, timestamp_granularities=["word"])

    assert raised.value.param == "timestamp_granularities"


def test_the_language_is_found_and_named_in_full(client: OpenAI) -> None:
    result = client.audio.transcriptions.create(
        file=clips("de")[0].path, model="whisper-1", response_format="verbose_json"
    )

    assert result.language == "german"


@pytest.mark.parametrize("clip", [*clips("es"), *clips("de"), *clips("fr")], ids=lambda c: c.path.stem)
def test_translations(client: OpenAI, clip: Clip) -> None:
    result = translate(client, clip)

    assert isinstance(result, Translation)
    assert words(result.text) == words(clip.translation or "")


def test_translations_in_all_formats(client: OpenAI) -> None:
    clip = clips("es")[0]
    expected = words(clip.translation or "")

    verbose = translate(client, clip, response_format="verbose_json")
    assert isinstance(verbose, TranslationVerbose)
    assert verbose.language == "english"
    assert words(verbose.text) == expected
    assert verbose.segments
    assert words(translate(client, clip, response_format="text")) == expected
    assert " --> " in translate(client, clip, response_format="srt")
    assert translate(client, clip, response_format="vtt").startswith("WEBVTT")


@pytest.mark.parametrize(
    "options",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy": {"type": "server_vad"}},
        {"chunking_strategy": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300}},
        {"extra_body": {"chunking_strategy": '{"type": "server_vad", "prefix_padding_ms": 300, "threshold": null}'}},
        {"extra_body": {"chunking_strategy": "server_vad"}},
        {"prompt": "", "language": ""},
        {"extra_body": {"languages": ["en", "de"]}, "language": ""},
        {"temperature": 0.2},
        {"language": "English"},
        {"language": "EN"},
        {"language": "en-US"},
        {"language": "en_GB"},
        {"model": "gpt-4o-mini-transcribe-2025-12-15"},
        {"model": "gpt-4o-transcribe-diarize"},
        {"model": "digits"},
    ],
)
def test_options(client: OpenAI, clip: Clip, options: dict[str, Any]) -> None:
    assert words(transcribe(client, clip, **options).text) == words(clip.text)


@pytest.mark.parametrize(
    "extra", [{"hotwords": "six nine", "beam_size": 1}, {"keywords": ["six", "nine"]}, {"keywords[]": ["six"]}]
)
def test_options_that_prime_the_model(client: OpenAI, clip: Clip, extra: dict[str, Any]) -> None:
    # A prime may sway a model this small, so only most of the words are asked for.
    heard = words(transcribe(client, clip, extra_body=extra).text)
    assert len(set(heard) & set(words(clip.text))) >= 2


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"temperature": 7}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"include": ["logits"]}, "include"),
        ({"timestamp_granularities": ["sentence"]}, "timestamp_granularities"),
        ({"languages": ["en", "klingon"]}, "languages"),
        ({"extra_body": {"beam_size": "many"}}, "beam_size"),
        ({"extra_body": {"stream": "perhaps"}}, "stream"),
        ({"known_speaker_names": ["a"]}, "known_speaker_references"),
        ({"chunking_strategy": "manual"}, "chunking_strategy"),
        ({"extra_body": {"chunking_strategy": "{"}}, "chunking_strategy"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 4}}, "chunking_strategy[threshold]"),
        ({"model": ""}, "model"),
    ],
)
def test_wrong_options(client: OpenAI, clip: Clip, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, **options)

    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert raised.value.code
    assert raised.value.request_id


def test_files_that_are_none(client: OpenAI, clip: Clip) -> None:
    codes = []
    for content in (b"%PDF-1.7" * 100, b"", clip.path.read_bytes()[:30]):
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(file=("a.wav", content), model="whisper-1")
        codes.append(raised.value.code)
        assert raised.value.param == "file"

    assert codes[:2] == ["not_audio", "empty_file"]
    assert words(transcribe(client, clip).text) == words(clip.text)


def test_too_large(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.audio.transcriptions.create(file=bytes(5_100_000), model="whisper-1")

    assert (raised.value.status_code, raised.value.code) == (413, "file_too_large")
    assert raised.value.message.count("Maximum content size limit (5000000) exceeded") == 1


def test_keys(server: HttpServer, clip: Clip) -> None:
    with OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as raised:
            transcribe(stranger, clip)
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()

    assert raised.value.code == "invalid_api_key"
    assert raised.value.type == "invalid_request_error"
    assert "wrong" not in raised.value.message
    assert raised.value.response.headers["www-authenticate"] == "Bearer"
