"""The first message of WhisperLive clients: every field, its default, and what is wrong."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.diarization.turns import MAX_KNOWN, KnownSpeaker
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.connection import BadStart
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.whisperlive_config import (
    MAX_UID,
    NO_TRANSLATION,
    ClientConfig,
    read_config,
    read_object,
    read_uid,
)

TERMS = LiveTerms(LiveOptions(speech=SpeechOptions(min_silence_ms=500)))
LEAST = {"uid": "u", "language": "en", "task": "transcribe", "model": "small"}
PYTHON = {
    **LEAST,
    "use_vad": True,
    "send_last_n_segments": 10,
    "no_speech_thresh": 0.45,
    "clip_audio": False,
    "same_output_threshold": 10,
    "enable_translation": False,
    "target_language": "fr",
    "hotwords": None,
    "enable_diarization": False,
    "max_speakers": 10,
    "known_speakers": [],
    "word_timestamps": False,
    "initial_prompt": None,
    "vad_parameters": None,
    "max_clients": 4,
    "max_connection_time": 600,
    "multilingual": True,
    "hf_token": None,
    "diarization_threshold": 0.55,
}
"""What Python's client sends that was told nothing, and what older ones and others send besides."""


def config(terms: LiveTerms = TERMS, **values: Any) -> ClientConfig:
    return read_config({**LEAST, **values}, terms)


def speech(**values: Any) -> SpeechOptions:
    return config(**values).options.speech


def test_what_is_left_out_is_what_every_client_sends_that_means_nothing_by_it() -> None:
    least, python = config(), config(**PYTHON)
    assert python.options.speech == least.options.speech == TERMS.defaults.speech
    assert (python.sample_bytes, python.send_last_n, python.tell_language, python.warnings) == (4, 10, False, ())
    assert (least.sample_bytes, least.send_last_n, least.tell_language, least.warnings) == (4, 10, False, ())
    assert least.options == LiveOptions("pcm_f32le", language="en", model="small", speech=TERMS.defaults.speech)
    assert python.options.max_speakers == 10


@pytest.mark.parametrize(
    ("values", "field", "value"),
    [
        ({"language": "German"}, "language", "de"),
        ({"language": "auto"}, "language", None),
        ({"task": "translate"}, "task", "translate"),
        ({"model": " tiny "}, "model", "tiny"),
        ({"model": None}, "model", None),
        ({"word_timestamps": True}, "words", True),
        ({"enable_diarization": 1}, "diarize", True),
        ({"max_speakers": 3}, "max_speakers", 3),
        ({"max_speakers": -3}, "max_speakers", 1),
        ({"max_speakers": "many"}, "max_speakers", None),
        ({"hotwords": "Kirk, Spock"}, "hotwords", "Kirk, Spock"),
        ({"hotwords": ["Kirk", "Spock"]}, "hotwords", "Kirk, Spock"),
        ({"hotwords": "x" * 9000}, "hotwords", "x" * 4000),
        ({"initial_prompt": " On the bridge. "}, "prompt", "On the bridge."),
        ({"initial_prompt": "x" * 9000 + "end"}, "prompt", "x" * 3997 + "end"),
        ({"audio_format": "float32"}, "codec", "pcm_f32le"),
        ({"audio_format": "int16"}, "codec", "pcm_s16le"),
        ({"audio_format": "uint8"}, "codec", "pcm_u8"),
        ({"audio_format": None}, "codec", "pcm_f32le"),
    ],
)
def test_a_field_has_its_option(values: dict[str, Any], field: str, value: object) -> None:
    assert getattr(config(**values).options, field) == value


@pytest.mark.parametrize(
    ("values", "field", "value"),
    [
        ({"no_speech_thresh": 0.25}, "threshold", pytest.approx(0.7)),
        ({"no_speech_thresh": 0.65}, "threshold", pytest.approx(0.3)),
        ({"no_speech_thresh": 1.0}, "threshold", pytest.approx(0.2)),
        ({"same_output_threshold": 5}, "min_silence_ms", 250),
        ({"same_output_threshold": 1}, "min_silence_ms", 200),
        ({"same_output_threshold": 20}, "min_silence_ms", 1000),
        ({"same_output_threshold": 900}, "min_silence_ms", 2000),
        ({"vad_parameters": {"threshold": 0.6}, "no_speech_thresh": 0.1}, "threshold", 0.6),
        ({"vad_parameters": {"threshold": 7}}, "threshold", 0.99),
        ({"vad_parameters": {"neg_threshold": 0.2}}, "negative_threshold", 0.2),
        ({"vad_parameters": {"neg_threshold": 0.9}}, "negative_threshold", 0.5),
        ({"vad_parameters": {"min_speech_duration_ms": 100}}, "min_speech_ms", 100),
        ({"vad_parameters": {"min_silence_duration_ms": 2000}}, "min_silence_ms", 2000),
        ({"vad_parameters": {"max_speech_duration_s": 10}}, "max_utterance_s", 10.0),
        ({"vad_parameters": {"max_speech_duration_s": 3600}}, "max_utterance_s", 29.0),
        ({"vad_parameters": {"max_speech_duration_s": math.inf}}, "max_utterance_s", 28.0),
        ({"vad_parameters": {"speech_pad_ms": 400, "onset": "x"}}, "pre_roll_ms", 200),
    ],
)
def test_thresholds_make_speech_as_strict_and_patient_as_asked(
    values: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(speech(**values), field) == value


def test_a_language_left_open_is_the_server_s_default_and_told() -> None:
    german = LiveTerms(LiveOptions(language="de"))
    asked = config(german, language=None)
    assert (asked.options.language, asked.tell_language) == ("de", True)
    assert config(language=None).tell_language
    assert not config(german, language="en").tell_language


@pytest.mark.parametrize(
    ("values", "n"), [({}, 10), ({"send_last_n_segments": 0}, 0), ({"send_last_n_segments": 3.0}, 3)]
)
def test_so_many_segments_are_sent(values: dict[str, Any], n: int) -> None:
    assert config(**values).send_last_n == n


@pytest.mark.parametrize(
    ("audio_format", "bytes_"), [(None, 2), ("float32", 2), ("int16", 2), ("junk", 2), ("uint8", 1)]
)
def test_raw_pcm_input_is_stronger_than_the_client_but_for_uint8(audio_format: str | None, bytes_: int) -> None:
    assert config(LiveTerms(raw_pcm=True), audio_format=audio_format).sample_bytes == bytes_


def test_where_models_are_the_server_s_choice_the_client_s_is_not_taken() -> None:
    assert config(LiveTerms(client_models=False), model="large-v3").options.model is None


def test_translation_of_segments_is_refused_with_a_warning() -> None:
    assert config(enable_translation=True, target_language="fr").warnings == (NO_TRANSLATION,)


def test_known_speakers_ask_for_speakers_and_those_that_cannot_be_used_are_counted() -> None:
    sound = base64.b64encode(b"RIFF").decode()
    good = {"name": "Ann", "audio_base64": sound}
    bad: list[Any] = [3, {}, {"name": "", "audio_base64": sound}, {"name": "Bob", "audio_base64": "%"}, good]
    asked = config(known_speakers=[good, *bad])
    assert asked.options.known_speakers == (KnownSpeaker("Ann", b"RIFF"),)
    assert asked.options.diarize
    assert "5 of the known speakers" in asked.warnings[0]
    many = config(known_speakers=[{"name": str(n), "audio_base64": sound} for n in range(9)])
    assert len(many.options.known_speakers) == MAX_KNOWN
    assert config(known_speakers="Ann").options.known_speakers == ()


@pytest.mark.parametrize("key", ["language", "task", "model"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(BadStart, match=f"{key} is missing"):
        read_config({k: v for k, v in LEAST.items() if k != key}, TERMS)


@pytest.mark.parametrize(
    "values",
    [
        {"language": 5},
        {"language": "elvish"},
        {"task": "sing"},
        {"task": ["transcribe"]},
        {"model": {}},
        {"model": "x" * 1000},
        {"send_last_n_segments": "ten"},
        {"send_last_n_segments": -1},
        {"send_last_n_segments": 1.5},
        {"send_last_n_segments": True},
        {"no_speech_thresh": "low"},
        {"no_speech_thresh": math.nan},
        {"same_output_threshold": 10**400},
        {"hotwords": 3},
        {"hotwords": ["a", 3]},
        {"initial_prompt": {}},
        {"audio_format": "opus"},
        {"audio_format": 16},
        {"vad_parameters": [1]},
        {"vad_parameters": {"threshold": "x"}},
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(BadStart) as caught:
        config(**values)
    assert next(iter(values)) in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("message", ["", "{", "[]", "3", "null", b"\x00\x01\x02\x03", b"END_OF_AUDIO", "[" * 100_000])
def test_what_is_no_object_is_no_configuration(message: str | bytes) -> None:
    with pytest.raises(BadStart, match="/ws/stream"):
        read_object(message)


def test_text_and_binary_are_read_alike() -> None:
    text = json.dumps({"uid": "ü"})
    assert read_object(text) == read_object(text.encode()) == {"uid": "ü"}


@pytest.mark.parametrize("uid", ["x" * MAX_UID, [["x" * 400] * 3]])
def test_a_uid_that_would_make_every_message_long_is_refused(uid: Any) -> None:
    with pytest.raises(BadStart, match="uid"):
        read_uid({"uid": uid})
    with pytest.raises(BadStart, match="uid is missing"):
        read_uid({})


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
VAD_KEYS = ("threshold", "neg_threshold", "min_speech_duration_ms", "min_silence_duration_ms", "max_speech_duration_s")


@given(
    st.dictionaries(st.sampled_from(sorted(PYTHON)), JSON),
    st.none() | st.dictionaries(st.sampled_from(VAD_KEYS), st.none() | st.integers() | st.floats()),
)
def test_any_configuration_is_taken_or_refused(values: dict[str, Any], vad: dict[str, Any] | None) -> None:
    try:
        asked = read_config({**PYTHON, **values, "vad_parameters": vad}, TERMS)
    except BadStart:
        return
    limits = asked.options.speech
    assert 0 < limits.threshold < 1
    assert limits.negative_threshold is None or 0 <= limits.negative_threshold <= limits.threshold
    assert 50 <= limits.min_silence_ms <= 10_000 and 0 <= limits.min_speech_ms <= 5000
    assert 2 <= limits.max_utterance_s <= 29
    assert asked.send_last_n >= 0
