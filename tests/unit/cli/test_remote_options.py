from __future__ import annotations

import argparse
from typing import Any

import pytest

from whisperlive_hybrid.cli import transcribe
from whisperlive_hybrid.cli.remote_options import job_options, speakers_of
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.errors import BadInput


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    transcribe.add_arguments(parser)
    return parser.parse_args(["talk.mp3", *flags])


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], {}),
        (["--model", "small", "--language", "de"], {"model": "small", "language": "de"}),
        (["--beam-size", "1", "--vad-threshold", "0.3"], {"beam_size": "1", "vad_threshold": "0.3"}),
        (["--prompt", "Ada", "--hotwords", "Bob", "--word-timestamps"], None),
        (["--task", "translate", "--priority", "-5"], {"task": "translate", "priority": "-5"}),
        (["--diarize"], {"diarize": True}),
        (["--speakers", "2"], {"diarize": True, "num_speakers": 2}),
        (["--speakers", "2-4"], {"diarize": True, "min_speakers": 2, "max_speakers": 4}),
        (["--api-key", "k", "--log-level", "error"], {}),
    ],
)
def test_flags_as_options_of_a_job(flags: list[str], options: dict[str, Any] | None) -> None:
    if options is None:
        options = {"prompt": "Ada", "hotwords": "Bob", "word_timestamps": True}
    assert job_options(parsed(*flags)) == {"task": "transcribe", **options}


def test_settings_of_the_environment_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTERWHISPER_MODEL", "digits")
    monkeypatch.setenv("DEFAULT_LANGUAGE", "de")
    assert job_options(parsed()) == {"task": "transcribe"}


def test_flags_that_only_the_server_could_follow_are_refused() -> None:
    with pytest.raises(BadInput, match="--compute-type, --device: "):
        job_options(parsed("--device", "cpu", "--compute-type", "int8"))


@pytest.mark.parametrize("text", ["0", "21", "4-2", "two", "2-", "-2", "0-3", "1-99", "²"])
def test_numbers_of_speakers_that_cannot_be(text: str) -> None:
    with pytest.raises(BadInput, match="--speakers"):
        speakers_of(parsed(f"--speakers={text}"))


def test_speakers_by_themselves() -> None:
    assert speakers_of(parsed()) is None
    assert speakers_of(parsed("--diarize")) == SpeakerOptions()
