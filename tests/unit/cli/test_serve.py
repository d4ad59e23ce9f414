from __future__ import annotations

import socket
from pathlib import Path

import pytest

from whisperlive_hybrid.cli import exit_codes, main
from whisperlive_hybrid.cli.serve import addresses, folder_fault, port_fault


def test_a_port_in_use_is_one_line_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--http-port", "0", "--port-whisperlive", str(port)]) == exit_codes.FAILURE
    assert capsys.readouterr().err == (
        f"PORT_WHISPERLIVE={port} cannot be used on 127.0.0.1: another program listens there.\n"
    )


def test_one_port_for_both_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--http-port", "18765", "--port-whisperlive", "18765"]) == exit_codes.FAILURE
    assert capsys.readouterr().err == "HTTP_PORT and PORT_WHISPERLIVE are both 18765; each needs its own.\n"


def test_a_folder_for_transcripts_that_cannot_be_written_to_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRANSCRIPTION_STORAGE_PATH", str(tmp_path / "file" / "folder"))

    assert main(["serve", "--http-port", "0", "--port-whisperlive", "0"]) == exit_codes.FAILURE
    said = capsys.readouterr().err
    assert said == f"TRANSCRIPTION_STORAGE_PATH={tmp_path}/file/folder cannot be used: not a directory.\n"


def test_a_folder_for_transcripts_is_made(tmp_path: Path) -> None:
    assert folder_fault(tmp_path / "a" / "b") is None
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_faults_of_addresses() -> None:
    assert port_fault("127.0.0.1", 0) is None
    assert port_fault("192.0.2.1", 0) == "cannot assign requested address"  # TEST-NET-1, nobody's (RFC 5737)
    assert port_fault("no such host.invalid", 0) == "the address cannot be resolved"


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::1", "[::1]"), ("10.0.0.7", "10.0.0.7")],
)
def test_addresses_are_ones_that_can_be_opened(host: str, name: str) -> None:
    assert addresses(host, 8080, 5050) == [
        ("files", f"http://{name}:8080/"),
        ("jobs", f"http://{name}:8080/jobs"),
        ("live captions", f"http://{name}:8080/live"),
        ("API", f"http://{name}:8080/docs"),
        ("OpenAI base_url", f"http://{name}:8080/v1"),
        ("live socket", f"ws://{name}:5050/ws/stream"),
    ]
    assert addresses(host, 8080, 5050, 10300)[-1] == ("Wyoming", f"tcp://{name}:10300")
