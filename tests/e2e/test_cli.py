"""The command line as people call it: real model, real server, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.clips import Clip, all_clips, words
from tests.support.logging_state import logging_as_it_was
from tests.support.running_server import RunningServer, free_ports, running_server
from whisperlive_hybrid.cli import exit_codes, main

CLI = [sys.executable, "-m", "whisperlive_hybrid"]
RATE = 16_000


def clip(name: str) -> Clip:
    return next(c for c in all_clips() if c.path.name == name)


@pytest.fixture(autouse=True)
def only_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTERWHISPER_MODEL", "digits")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """The commands set logging up for a process of their own; here they share the tests'."""
    with logging_as_it_was():
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE * 3))
    return path


def test_text_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    said = clip("en-01.flac")
    assert main(["transcribe", str(said.path), "--language", "en"]) == exit_codes.OK
    captured = capsys.readouterr()
    assert words(captured.out) == words(said.text)
    assert captured.err == ""


def test_the_output_file_names_the_format_and_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "said.srt"
    call = ["transcribe", str(clip("en-03.flac").path), "--language", "english", "-o", str(out)]
    assert main(call) == exit_codes.OK
    assert out.read_text().startswith("1\n00:00:00,")
    assert main(call) == exit_codes.USAGE
    assert "exists already" in capsys.readouterr().err
    out.write_text("mine")
    assert main([*call, "--skip-existing"]) == exit_codes.OK
    assert out.read_text() == "mine"
    assert main([*call, "--force"]) == exit_codes.OK
    assert words(out.read_text())[-6:] == words(clip("en-03.flac").text)
    assert list(tmp_path.iterdir()) == [out]


def test_several_files_into_a_folder_go_on_past_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "notes.pdf"
    bad.write_bytes(b"%PDF-1.7 no audio in here at all")
    files = [str(clip("en-01.flac").path), str(bad), str(tmp_path / "missing.mp3"), str(clip("de-01.flac").path)]
    out = tmp_path / "results"
    code = main(["transcribe", *files, "-o", f"{out}/", "--format", "json", "--task", "translate"])
    assert code == exit_codes.SOME_FAILED
    assert sorted(p.name for p in out.iterdir()) == ["de-01.json", "en-01.json"]
    german = json.loads((out / "de-01.json").read_text())
    assert words(german["text"]) == words(clip("de-01.flac").translation or "")
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith(f"{bad}: ")
    assert err[-1] == f"2 of 4 files failed: {files[1]}, {files[2]}"


@pytest.mark.parametrize("content", [None, b"not audio at all, really"])
def test_a_file_that_is_missing_or_not_audio(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talk.mp3"
    if content is not None:
        path.write_bytes(content)
    assert main(["transcribe", str(path)]) == exit_codes.BAD_AUDIO
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{path}: ")
    assert captured.err.count("\n") == 1


def test_no_speech_is_no_failure_unless_asked(silence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(silence)]) == exit_codes.OK
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{silence}: no speech found.\n")
    assert main(["transcribe", str(silence), "--fail-empty", "-q"]) == exit_codes.FAILURE
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.wav", "b.wav", "--format", "srt"], "-o FOLDER/"),
        (["a.wav", "b.wav", "-o", "one.txt"], "-o FOLDER/"),
        (["x/a.wav", "y/a.mp3", "-o", "out/"], "overwrite each other"),
        (["a.wav", "--language", "klingon"], "klingon"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", *arguments]) == exit_codes.USAGE
    assert complaint in capsys.readouterr().err


def test_a_model_that_cannot_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    said = str(clip("en-01.flac").path)
    assert main(["transcribe", said, "--model", "/no/such/model"]) == exit_codes.FAILURE
    err = capsys.readouterr().err
    assert "no such folder" in err
    assert "--model digits" in err


def test_standard_input_with_word_times() -> None:
    said = clip("en-03.flac")
    with said.path.open("rb") as file:
        run = subprocess.run(
            [*CLI, "transcribe", "-", "--format", "json", "--word-timestamps", "--language", "en"],
            stdin=file,
            capture_output=True,
            timeout=90,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    heard = [word for segment in json.loads(run.stdout)["segments"] for word in segment["words"]]
    assert words(" ".join(w["word"] for w in heard)) == words(said.text)
    assert all(a["end"] <= b["start"] + 0.05 for a, b in pairwise(heard))


def test_ctrl_c_while_transcribing(tmp_path: Path) -> None:
    """An hour of speech is interrupted: nothing is left behind, and the exit code says why."""
    said = clip("conversation-60s.flac")
    long = tmp_path / "long.wav"
    with wave.open(str(long), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((said.samples() * 32767).astype("<i2").tobytes() * 60)
    command = [*CLI, "transcribe", str(long), "-o", str(tmp_path / "long.txt"), "--progress", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        assert b'"stage"' in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == exit_codes.INTERRUPTED
    assert b"Interrupted." in rest
    assert b"Traceback" not in rest
    assert [p.name for p in tmp_path.iterdir()] == ["long.wav"]


def test_captions_of_a_file(server: RunningServer) -> None:
    said = clip("conversation-20s.flac")
    command = [*CLI, "live", "--server", server.live_url, "--file", str(said.path), "--fast", "--language", "en"]
    run = subprocess.run(command, capture_output=True, timeout=90, check=False)
    assert run.returncode == 0, run.stderr
    assert words(run.stdout.decode()) == words(said.text)
    assert len(run.stdout.splitlines()) == len(said.utterances)
    assert run.stderr == b""


def test_captions_at_the_pace_of_speech_as_events(server: RunningServer) -> None:
    said = clip("en-03.flac")
    began = time.monotonic()
    run = subprocess.run(
        [*CLI, "live", "--server", server.live_url, "--file", str(said.path), "--language", "en", "--jsonl"],
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert time.monotonic() - began > said.duration_s
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [e["type"] for e in events][0 :: len(events) - 1] == ["ready", "done"]
    assert any(e["type"] == "partial" for e in events)
    assert [words(e["text"]) for e in events if e["type"] == "final"] == [words(said.text)]


def test_captions_of_a_pipe(server: RunningServer) -> None:
    said = clip("en-02.flac")
    pcm = (said.samples() * 32767).astype("<i2").tobytes()
    run = subprocess.run(
        [*CLI, "live", "--server", server.http_url, "--file", "-", "--language", "en"],
        input=pcm,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert words(run.stdout.decode()) == words(said.text)


def test_ctrl_c_ends_the_captions_with_what_was_said(server: RunningServer) -> None:
    said = clip("conversation-60s.flac")
    command = [*CLI, "live", "--server", server.live_url, "--file", str(said.path), "--language", "en"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait(30) == exit_codes.OK
    heard = words((first + rest).decode())
    assert heard == words(said.text)[: len(heard)]
    assert 0 < len(heard) < len(words(said.text))


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--server", "ws://127.0.0.1:1", "--file", "-"], exit_codes.UNREACHABLE, "whisperlive-hybrid serve"),
        (["--file", "/no/such/file.wav"], exit_codes.BAD_AUDIO, "no such file"),
    ],
)
def test_captions_that_cannot_be(
    arguments: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", *arguments]) == code
    assert complaint in capsys.readouterr().err


def test_captions_of_something_that_is_not_audio(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no audio " * 100)
    assert main(["live", "--server", server.live_url, "--file", str(path)]) == exit_codes.BAD_AUDIO
    assert capsys.readouterr().err.count("\n") == 1


def test_models_lists_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == exit_codes.OK
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("default  digits in ")
    assert out[1].split()[:2] == ["here", "digits"]
    assert any(line.split()[1] == "large-v3-turbo" for line in out)
    assert main(["models", "check", "digits"]) == exit_codes.OK
    assert "digits: works on " in capsys.readouterr().out
    assert main(["models", "check", "/no/such/model"]) == exit_codes.FAILURE
    assert "no such folder" in capsys.readouterr().err


def test_the_server_says_where_it_is_and_ends_at_once_on_the_second_ctrl_c() -> None:
    http_port, live_port = free_ports(2)
    command = [*CLI, "serve", "--http-port", str(http_port), "--port-whisperlive", str(live_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().decode().split() for _ in range(6)]
        assert [line[-1] for line in said] == [
            f"http://localhost:{http_port}/",
            f"http://localhost:{http_port}/jobs",
            f"http://localhost:{http_port}/live",
            f"http://localhost:{http_port}/docs",
            f"http://localhost:{http_port}/v1",
            f"ws://localhost:{live_port}/ws/stream",
        ]
        # A live session that goes on talking keeps the first one waiting for SHUTDOWN_GRACE_S.
        with connect(f"ws://127.0.0.1:{live_port}/ws/stream?codec=pcm_s16le") as socket:
            socket.recv()
            socket.send(bytes(RATE))
            process.send_signal(signal.SIGINT)
            while json.loads(socket.recv())["type"] != "go_away":
                pass
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == exit_codes.INTERRUPTED


def test_sigterm_that_comes_twice_because_make_passes_it_on_counts_once() -> None:
    http_port, live_port = free_ports(2)
    command = [*CLI, "serve", "--http-port", str(http_port), "--port-whisperlive", str(live_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        with connect(f"ws://127.0.0.1:{live_port}/ws/stream?codec=pcm_s16le") as socket:
            socket.recv()
            socket.send(bytes(RATE))
            process.send_signal(signal.SIGTERM)
            while json.loads(socket.recv())["type"] != "go_away":
                pass
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == exit_codes.OK


def test_a_server_without_its_model_says_so_and_ends() -> None:
    ports = free_ports(2)
    command = [*CLI, "serve", "--http-port", str(ports[0]), "--port-whisperlive", str(ports[1]), "--model", "/no/model"]
    run = subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**os.environ, "LOG_LEVEL": "error"}
    )
    assert run.returncode == exit_codes.FAILURE
    last = run.stderr.decode().splitlines()[-1]
    assert "'/no/model': no such folder" in last
    assert "Try: connect this machine" in last
    assert b"Traceback" not in run.stderr
