"""The session object of the Realtime API: what updates change, and what becomes of it in the live room."""

from __future__ import annotations

from typing import Any

import pytest

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.realtime_settings import RealtimeSettings, Shown
from whisperlive_hybrid.transports.realtime_updates import updated

DEFAULTS = LiveOptions(language="de", prompt="Haus", speech=SpeechOptions(min_silence_ms=700))
NEW = RealtimeSettings.new(DEFAULTS)


def ga(**fields: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": fields}}


def options(*sessions: Any) -> LiveOptions:
    settings = NEW
    for session in sessions:
        settings = updated(settings, session)
    return settings.live_options()


def test_a_client_that_says_nothing_is_heard_as_the_server_is_set() -> None:
    heard = NEW.live_options()
    assert (heard.codec, heard.sample_rate, heard.channels) == ("pcm_s16le", 24_000, 1)
    assert (heard.language, heard.prompt, heard.model, heard.speech) == ("de", "Haus", None, DEFAULTS.speech)
    assert (heard.every_final, heard.interim, heard.words) == (True, True, False)


@pytest.mark.parametrize(
    ("session", "codec", "rate"),
    [
        (ga(format={"type": "audio/pcm", "rate": 16_000}), "pcm_s16le", 16_000),
        (ga(format={"type": "audio/pcm"}), "pcm_s16le", 24_000),
        (ga(format={"rate": 48_000}), "pcm_s16le", 48_000),
        (ga(format={"type": "audio/pcmu"}), "pcm_mulaw", 8_000),
        (ga(format={"type": "audio/pcma"}), "pcm_alaw", 8_000),
        (ga(format="pcm16"), "pcm_s16le", 24_000),
        ({"input_audio_format": "pcm16"}, "pcm_s16le", 24_000),
        ({"input_audio_format": "g711_ulaw"}, "pcm_mulaw", 8_000),
        ({"input_audio_format": "g711_alaw"}, "pcm_alaw", 8_000),
        ({"input_audio_format": {"type": "audio/pcm", "rate": 8_000}}, "pcm_s16le", 8_000),
    ],
)
def test_formats_of_audio(session: dict[str, Any], codec: str, rate: int) -> None:
    heard = options(session)
    assert (heard.codec, heard.sample_rate) == (codec, rate)
    back = options(session, ga(format=None))
    assert (back.codec, back.sample_rate) == ("pcm_s16le", 24_000)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ({"language": "en"}, "en"),
        ({"language": "en-US"}, "en"),
        ({"language": "English"}, "en"),
        ({"language": ""}, None),
        ({"language": None}, "de"),
        ({"languages": ["fr"]}, "fr"),
        ({"languages": ["fr", "en"]}, None),
        ({"language": "es", "languages": ["fr", "en"]}, "es"),
    ],
)
@pytest.mark.parametrize("beta", [False, True])
def test_languages(asked: dict[str, Any], language: str | None, beta: bool) -> None:
    session = {"input_audio_transcription": asked} if beta else ga(transcription=asked)
    assert options(session).language == language


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("whisper-1", None),
        ("gpt-4o-mini-transcribe", None),
        ("gpt-realtime-whisper", None),
        ("gpt-live-transcribe", None),
        ("gpt-4o-realtime-preview", None),
        ("", None),
        ("digits", "digits"),
        ("Systran/faster-whisper-small", "Systran/faster-whisper-small"),
    ],
)
def test_names_of_openai_mean_the_servers_own_model(model: str, meant: str | None) -> None:
    assert options(ga(transcription={"model": model})).model == meant


def test_only_what_is_named_changes_and_null_sets_back() -> None:
    settings = updated(NEW, ga(transcription={"language": "en", "prompt": "digits", "keywords": ["six", "nine"]}))
    settings = updated(settings, ga(transcription={"language": "fr"}))
    heard = settings.live_options()
    assert (heard.language, heard.prompt, heard.hotwords) == ("fr", "digits", "six, nine")
    settings = updated(settings, ga(transcription={"prompt": None, "keywords": None}))
    heard = settings.live_options()
    assert (heard.language, heard.prompt, heard.hotwords) == ("fr", "Haus", None)
    assert updated(settings, ga(transcription=None)) == NEW
    assert updated(settings, {"audio": None}) == settings
    assert updated(settings, {}) == settings


def test_turn_detection() -> None:
    vad = {"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 300, "silence_duration_ms": 500}
    speech = options(ga(turn_detection=vad)).speech
    assert (speech.threshold, speech.pre_roll_ms, speech.min_silence_ms) == (0.7, 300, 500)
    speech = options(ga(turn_detection=vad), ga(turn_detection={"threshold": 0.4})).speech
    assert (speech.threshold, speech.pre_roll_ms, speech.min_silence_ms) == (0.4, 300, 500)
    speech = options(ga(turn_detection=vad), ga(turn_detection={"silence_duration_ms": None})).speech
    assert (speech.threshold, speech.min_silence_ms) == (0.7, 700)
    waits = [
        options(ga(turn_detection={"type": "semantic_vad", "eagerness": e})).speech.min_silence_ms
        for e in ("high", "medium", "auto", "low")
    ]
    assert waits == sorted(waits)
    assert waits[1] == waits[2]
    assert options({"turn_detection": vad}).speech == options(ga(turn_detection=vad)).speech, "as the beta has it"


def test_without_turn_detection_short_words_count() -> None:
    off = updated(NEW, ga(turn_detection=None))
    assert off.turn_detection is None
    assert off.live_options().speech.min_speech_ms < DEFAULTS.speech.min_speech_ms
    on = updated(off, ga(turn_detection={"type": "server_vad"}))
    assert on.live_options().speech == DEFAULTS.speech


def test_numbers_that_the_api_allows_and_this_server_does_not_are_moved() -> None:
    vad = {"type": "server_vad", "threshold": 0, "prefix_padding_ms": 60_000, "silence_duration_ms": 0}
    speech = options(ga(turn_detection=vad)).speech
    assert (speech.threshold, speech.pre_roll_ms, speech.min_silence_ms) == (0.01, 5000, 50)


def test_logprobs() -> None:
    assert options({"include": ["item.input_audio_transcription.logprobs"]}).words
    assert not options({"include": ["item.input_audio_transcription.logprobs"]}, {"include": None}).words


@pytest.mark.parametrize(
    "session",
    [
        ga(noise_reduction={"type": "near_field", "strength": 0.5}),
        ga(transcription={"delay": "low"}),
        ga(transcription={"delay": "tomorrow"}),
        {"input_audio_noise_reduction": {"type": "far_field"}},
        {"instructions": "Be kind.", "voice": "alloy", "tools": [], "modalities": ["text"], "model": "gpt-realtime"},
        {"input_audio_transcription": {"noise_reduction_type": "near_field", "prompt": "", "language": ""}},
        {"include": ["something.else"]},
        ga(turn_detection={"type": "server_vad", "create_response": True, "idle_timeout_ms": 5000}),
    ],
)
def test_what_is_harmless_is_taken_without_a_word(session: dict[str, Any]) -> None:
    heard = options(session)
    assert heard.speech == DEFAULTS.speech


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (None, "session"),
        ([], "session"),
        ({"audio": 1}, "session.audio"),
        ({"audio": {"input": "x"}}, "session.audio.input"),
        (ga(format={"type": "audio/ogg"}), "session.audio.input.format.type"),
        (ga(format={"type": ["audio/pcm"]}), "session.audio.input.format.type"),
        (ga(format={"rate": 96_000}), "session.audio.input.format.rate"),
        (ga(format={"rate": True}), "session.audio.input.format.rate"),
        (ga(format=7), "session.audio.input.format"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format.type"),
        (ga(transcription={"language": "elvish"}), "session.audio.input.transcription.language"),
        (ga(transcription={"language": 5}), "session.audio.input.transcription.language"),
        (ga(transcription={"languages": "en"}), "session.audio.input.transcription.languages"),
        (ga(transcription={"languages": ["en", "elvish"]}), "session.audio.input.transcription.languages[1]"),
        (ga(transcription={"prompt": "x" * 5000}), "session.audio.input.transcription.prompt"),
        (ga(transcription={"keywords": ["x" * 3000, "y" * 3000]}), "session.audio.input.transcription.keywords"),
        (ga(transcription={"model": {}}), "session.audio.input.transcription.model"),
        (ga(turn_detection={"type": "telepathy"}), "session.audio.input.turn_detection.type"),
        (ga(turn_detection={"threshold": -1}), "session.audio.input.turn_detection.threshold"),
        (ga(turn_detection={"threshold": "high"}), "session.audio.input.turn_detection.threshold"),
        (ga(turn_detection={"type": "semantic_vad", "eagerness": 3}), "session.audio.input.turn_detection.eagerness"),
        (ga(turn_detection=False), "session.audio.input.turn_detection"),
        ({"turn_detection": 1}, "session.turn_detection"),
        ({"include": "all"}, "session.include"),
    ],
)
def test_what_makes_no_sense_is_named(session: Any, param: str) -> None:
    with pytest.raises(BadInput) as caught:
        updated(NEW, session)
    assert caught.value.param == param


def test_both_dialects_show_what_is_in_force() -> None:
    settings = updated(NEW, ga(format={"type": "audio/pcmu"}, transcription={"language": "en", "keywords": ["six"]}))
    shown = Shown(settings, "sess_1").ga()
    named = (shown["type"], shown["object"], shown["id"])
    assert named == ("transcription", "realtime.transcription_session", "sess_1")
    assert shown["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "whisper-1", "language": "en", "prompt": None, "keywords": ["six"]},
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 200,
            "silence_duration_ms": 700,
        },
    }
    assert updated(NEW, shown) == updated(settings, ga(transcription={"model": "whisper-1"})), "it can be sent back"
    beta = Shown(settings, "sess_1").beta()
    assert beta["input_audio_format"] == "g711_ulaw"
    assert beta["input_audio_transcription"] == {"model": "whisper-1", "language": "en", "prompt": None}
    manual = updated(settings, {"turn_detection": None, "include": ["item.input_audio_transcription.logprobs"]})
    assert Shown(manual, "s").ga()["audio"]["input"]["turn_detection"] is None
    assert Shown(manual, "s").beta()["include"] == ["item.input_audio_transcription.logprobs"]
    assert Shown(updated(NEW, ga(turn_detection={"type": "semantic_vad"})), "s").beta()["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
    }
