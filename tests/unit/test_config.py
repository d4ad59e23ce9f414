from __future__ import annotations

from pathlib import Path

import pytest

from whisperlive_hybrid.config import ConfigError, Settings, env_names, group_of, load_settings
from whisperlive_hybrid.speech.speech import SpeechOptions


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, field in Settings.model_fields.items():
        for env_name in env_names(name, field):
            monkeypatch.delenv(env_name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.app_host, settings.http_port, settings.port_whisperlive) == ("127.0.0.1", 8080, 5050)
    assert settings.fasterwhisper_model == "auto"
    assert settings.speech_options() == SpeechOptions()


def test_flags_win_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("HTTP_PORT=1001\nPORT_WHISPERLIVE=1002\nAPP_HOST=1.1.1.1\nUNKNOWN=1\n")
    monkeypatch.setenv("HTTP_PORT", "2001")
    monkeypatch.setenv("PORT_WHISPERLIVE", "2002")
    settings = load_settings(http_port="3001")
    assert (settings.http_port, settings.port_whisperlive, settings.app_host) == (3001, 2002, "1.1.1.1")


@pytest.mark.parametrize(
    ("environment", "flags", "model"),
    [
        ({"WHISPER_MODEL": "tiny"}, {}, "tiny"),
        ({"WHISPER_MODEL": "tiny", "FASTERWHISPER_MODEL": "base"}, {}, "base"),
        ({"WHISPER_MODEL": "tiny"}, {"fasterwhisper_model": "small"}, "small"),
        ({"FASTERWHISPER_MODEL": "base"}, {"fasterwhisper_model": "small"}, "small"),
        ({"FASTERWHISPER_MODEL": ""}, {}, "auto"),
    ],
)
def test_both_names_of_the_model(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], flags: dict[str, str], model: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings(**flags).fasterwhisper_model == model


def test_gettexts_variable_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en_GB:en")
    assert load_settings().language == "auto"
    monkeypatch.setenv("DEFAULT_LANGUAGE", "de")
    assert load_settings().language == "de"
    assert load_settings(default_language="fr").language == "fr"


@pytest.mark.parametrize("name", ["HUGGINGFACE_AUTH_TOKEN", "HF_TOKEN"])
def test_both_names_of_the_hub_token(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "t")
    assert load_settings().hf_token == "t"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_PORT", "banana", "HTTP_PORT='banana' is not allowed: input should be a valid integer"),
        ("HTTP_PORT", "65536", "less than or equal to 65535"),
        ("DEVICE", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("VAD_THRESHOLD", "1", "less than 1"),
        ("MAX_UTTERANCE_S", "60", "MAX_UTTERANCE_S='60' is not allowed: input should be less than or equal to 29"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("MAX_UPLOAD_MB", "inf", "finite"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as wrong:
        load_settings()
    assert expected in wrong.value.message
    assert "\n" not in wrong.value.message


def test_speech_settings_reach_the_segmenter() -> None:
    options = load_settings(vad_min_silence_ms="900", vad_overlap_ms="0").speech_options()
    assert (options.min_silence_ms, options.overlap_ms) == (900, 0)


def test_every_setting_has_a_heading_a_sentence_and_a_name_of_its_own() -> None:
    seen: set[str] = set()
    for name, field in Settings.model_fields.items():
        assert group_of(field), name
        assert field.description, name
        assert field.description.endswith("."), name
        names = set(env_names(name, field))
        assert not names & seen
        seen |= names


def test_home_stands_for_the_home_folder_in_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Path(".env").write_text("AUDIO_STORAGE_PATH=~/uploads\nMODEL_CACHE=~/models\n")
    settings = load_settings()
    assert settings.upload_dir() == tmp_path / "uploads"
    assert settings.model_cache == tmp_path / "models"
