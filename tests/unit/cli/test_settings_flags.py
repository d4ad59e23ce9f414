from __future__ import annotations

import argparse

import pytest

from whisperlive_hybrid.cli.settings_flags import add_settings_flags, names_of_groups, settings_from
from whisperlive_hybrid.config import ConfigError, Settings, env_names


def parsed(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_settings_flags(parser)
    return settings_from(parser.parse_args(arguments))


def test_every_setting_is_a_flag_that_names_its_variable() -> None:
    parser = argparse.ArgumentParser(prog="x")
    add_settings_flags(parser)
    shown = " ".join(parser.format_help().split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert f"{env_names(name, field)[0]}]" in shown


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "1001")
    monkeypatch.setenv("WHISPER_MODEL", "tiny")
    settings = parsed("--http-port", "3001", "--port-whisperlive", "3002", "--model", "small")
    assert (settings.http_port, settings.port_whisperlive, settings.fasterwhisper_model) == (3001, 3002, "small")


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--model", "fasterwhisper_model"),
        ("--fasterwhisper-model", "fasterwhisper_model"),
        ("--host", "app_host"),
        ("--app-host", "app_host"),
        ("--language", "default_language"),
    ],
)
def test_short_names(flag: str, name: str) -> None:
    assert getattr(parsed(flag, "value"), name) == "value"


def test_wrong_values_are_refused_as_the_environments_are() -> None:
    with pytest.raises(ConfigError, match="DEVICE='tpu' is not allowed"):
        parsed("--device", "tpu")


def test_a_choice_of_settings() -> None:
    parser = argparse.ArgumentParser()
    add_settings_flags(parser, names_of_groups("Speech"))
    shown = parser.format_help()
    assert "--vad-threshold" in shown
    assert "--http-port" not in shown
