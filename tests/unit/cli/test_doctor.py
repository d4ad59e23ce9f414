from __future__ import annotations

import socket
from pathlib import Path

import pytest

from whisperlive_hybrid.cli import doctor, exit_codes, main
from whisperlive_hybrid.config import Settings

QUIET = ("--offline", "--model", "digits", "--http-port", "0", "--port-whisperlive", "0")


def test_a_machine_that_can_serve_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *QUIET]) == exit_codes.OK
    out = capsys.readouterr().out
    for what in ("python", "ctranslate2", "torch", "libopus", "FFmpeg in PyAV", "inference cpu", "model cache"):
        assert f" {what} " in out
    assert "default model     digits in " in out
    assert "BAD" not in out


def test_what_cannot_work_is_named_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["doctor", *QUIET, "--http-port", port, "--model", "/no/such/folder"]) == exit_codes.FAILURE
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert len(bad) == 2
    assert "/no/such/folder" in bad[0]
    assert "another program listens there" in bad[1]


def test_a_look_that_fails_is_a_finding_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise RuntimeError("no idea")

    monkeypatch.setattr(doctor, "_libraries", broken)
    found = list(doctor.findings(Settings(_env_file=None), offline=True))  # type: ignore[call-arg]
    assert doctor.Finding("bad", "broken", "RuntimeError: no idea") in found
    assert found[-1].what == "microphone"


def test_both_models_of_live_captions_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *QUIET, "--final-model", "digits", "--live-model", "/no/model"]) == exit_codes.FAILURE
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("BAD      LIVE_MODEL ") and "/no/model" in line]
    assert [line for line in lines if line.startswith("ok       FINAL_MODEL ")]


def test_where_live_sessions_are_kept_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def live_sessions(*flags: str) -> tuple[int, list[str]]:
        status = main(["doctor", *QUIET, *flags])
        return status, [line for line in capsys.readouterr().out.splitlines() if " live sessions " in line]

    status, said = live_sessions("--data-dir", str(tmp_path / "data"))
    assert (status, said[0][:2]) == (exit_codes.OK, "ok")
    assert str(tmp_path / "data") in said[0]
    # No folder can be made there, not even by root. One that was named is a fault, as it is for the server.
    (tmp_path / "file").touch()
    status, said = live_sessions("--data-dir", str(tmp_path / "file" / "data"))
    assert (status, said[0][:3]) == (exit_codes.FAILURE, "BAD")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    status, said = live_sessions()
    assert (status, said[0][:7]) == (exit_codes.OK, "missing")
    assert said[0].endswith("set DATA_DIR")
    monkeypatch.setenv("RESUME_ACROSS_RESTARTS", "false")
    assert live_sessions() == (exit_codes.OK, [])
