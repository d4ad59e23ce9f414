"""`transcribe --server` and `jobs`: real server, real model, real kills."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clips import DATA, all_clips, clips, words
from tests.support.http_server import http_server
from tests.support.logging_state import logging_as_it_was
from tests.support.server_process import ServerProcess
from tests.support.spoken_wav import write_spoken_wav
from tests.support.tcp_proxy import tcp_proxy
from whisperlive_hybrid.cli import exit_codes, main
from whisperlive_hybrid.client import BlockingJobsClient, JobsClient

pytestmark = pytest.mark.timeout(240)

CLI = [sys.executable, "-m", "whisperlive_hybrid"]
KEY = "key-of-the-tests"
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)
SAID = {c.path.stem: c for c in all_clips()}


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The commands set logging up for a process of their own; the key comes from the environment."""
    monkeypatch.setenv("FASTERWHISPER_MODEL", "digits")
    monkeypatch.setenv("API_KEY", KEY)
    with logging_as_it_was():
        yield


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """The address of another server, which has the clips."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(DATA))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as there:
        thread = threading.Thread(target=there.serve_forever)
        thread.start()
        yield f"127.0.0.1:{there.server_port}"
        there.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, website: str) -> Iterator[ServerProcess]:
    settings = {
        "URL_ALLOW_HOSTS": website,
        "FILE_WINDOW_S": "5",
        "OMP_NUM_THREADS": "1",
        "MAX_BATCH": "1",
        "MAX_UPLOAD_MB": "10",
    }
    with ServerProcess(tmp_path_factory.mktemp("server"), API_KEY=KEY, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Four minutes of speech, and what is said."""
    path = tmp_path_factory.mktemp("talk") / "long.wav"
    return path, write_spoken_wav(path, [TALK] * 4)


def ask(server: ServerProcess) -> httpx.Client:
    return httpx.Client(base_url=server.http_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)


def jobs_of(server: ServerProcess) -> list[dict[str, Any]]:
    with ask(server) as client:
        found: list[dict[str, Any]] = client.get("/api/jobs", params={"limit": 200}).json()["jobs"]
    return found


@pytest.mark.parametrize("options", [["--format", "json"], ["--format", "srt", "--word-timestamps"]])
def test_the_result_is_what_the_command_alone_would_write(
    server: ServerProcess, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    call = ["transcribe", str(SAID["en-03"].path), "--language", "en", *options]
    assert main([*call, "--server", server.http_url]) == exit_codes.OK
    by_server = capsys.readouterr().out
    assert main(call) == exit_codes.OK
    assert by_server == capsys.readouterr().out
    assert words(SAID["en-03"].text)[0] in by_server


def test_several_files_go_on_past_bad_ones_and_keep_their_order(
    server: ServerProcess, website: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "notes.pdf"
    bad.write_bytes(b"%PDF-1.7 no audio in here at all")
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(30_000_000))
    said = [SAID[name] for name in ("es-01", "en-01", "de-01", "en-02")]
    by_address = SAID["en-04"]
    files = [str(bad), *(str(s.path) for s in said), str(tmp_path / "missing.mp3"), str(large)]
    files += [f"http://{website}/{by_address.path.name}", f"http://{website}/nothing.mp3"]
    assert main(["transcribe", *files, "--server", server.http_url]) == exit_codes.SOME_FAILED
    captured = capsys.readouterr()
    assert words(captured.out) == words(" ".join(s.text for s in [*said, by_address]))
    told = captured.err.splitlines()
    assert [line for line in told if line.startswith(f"{bad}: ")]
    assert [line for line in told if "10 MB" in line and line.startswith(f"{large}: ")]
    assert f"{files[5]}: there is no file 'missing.mp3'." in told
    assert [line for line in told if line.startswith(f"{files[-1]}: ") and "404" in line]
    assert told[-1] == f"4 of 9 files failed: {bad}, {files[5]}, {large}, {files[-1]}"


def test_a_deleted_file_is_gone_from_the_server(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    before = jobs_of(server)
    call = ["transcribe", str(SAID["fr-01"].path), "--server", server.http_url, "--language", "fr", "--delete"]
    assert main(call) == exit_codes.OK
    assert words(capsys.readouterr().out) == words(SAID["fr-01"].text)
    assert jobs_of(server) == before


@pytest.mark.parametrize(
    ("flags", "code", "complaint"),
    [
        (["--language", "klingon", "--model", "nope"], exit_codes.USAGE, "unknown language 'klingon'"),
        (["--priority", "urgent"], exit_codes.USAGE, "priority"),
        (["--device", "cpu"], exit_codes.USAGE, "--device"),
        (["--speakers", "0"], exit_codes.USAGE, "--speakers"),
        (["--api-key", "wrong"], exit_codes.REFUSED, "API key"),
        (["--server", "http://127.0.0.1:1"], exit_codes.UNREACHABLE, "whisperlive-hybrid serve"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_uploaded(
    server: ServerProcess, capsys: pytest.CaptureFixture[str], flags: list[str], code: int, complaint: str
) -> None:
    call = ["transcribe", "no-such-file.wav", "--server", server.http_url, *flags]
    assert main(call) == code
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_addresses_are_fetched_by_the_server_which_refuses_private_ones(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", "http://127.0.0.1/talk.mp3", "--server", server.http_url]) == exit_codes.USAGE
    assert "http://127.0.0.1/talk.mp3" in capsys.readouterr().err
    assert main(["transcribe", "http://127.0.0.1/talk.mp3"]) == exit_codes.USAGE
    assert "--server" in capsys.readouterr().err


def test_standard_input_is_detached_listed_waited_for_fetched_and_deleted(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SAID["en-05"].path.open("rb") as file:
        command = [*CLI, "transcribe", "-", "--server", server.http_url, "--detach", "--priority", "low"]
        job = subprocess.run(command, stdin=file, capture_output=True, timeout=60, check=True).stdout.decode().strip()
    jobs = ["--server", server.http_url]
    assert main(["jobs", "wait", job, *jobs]) == exit_codes.OK
    assert main(["jobs", *jobs]) == exit_codes.OK
    assert f"{job}  done       100 %" in capsys.readouterr().out
    assert main(["jobs", "show", job, *jobs]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["priority"] == -10
    assert main(["jobs", "result", job, "-o", f"{tmp_path}/", "--format", "srt", *jobs]) == exit_codes.OK
    assert words((tmp_path / "standard-input.srt").read_text())[-5:] == words(SAID["en-05"].text)[-5:]
    assert main(["jobs", "cancel", job, *jobs]) == exit_codes.FAILURE
    assert main(["jobs", "delete", job, *jobs]) == exit_codes.OK
    assert main(["jobs", "show", job, *jobs]) == exit_codes.FAILURE
    assert main(["jobs", "show", *jobs]) == exit_codes.USAGE


def test_detached_files_are_one_batch(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(SAID[name].path) for name in ("en-06", "en-07")]
    assert main(["transcribe", *files, "--server", server.http_url, "--language", "en", "--detach"]) == exit_codes.OK
    batch, *rest = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in rest] == files
    assert main(["jobs", "wait", batch, "--server", server.http_url]) == exit_codes.OK
    assert main(["jobs", "result", batch, "--server", server.http_url, "-o", f"{tmp_path}/out/"]) == exit_codes.OK
    for name in ("en-06", "en-07"):
        assert words((tmp_path / "out" / f"{name}.txt").read_text()) == words(SAID[name].text)


def test_a_killed_server_is_waited_for_and_nothing_is_done_twice(
    server: ServerProcess, long_talk: tuple[Path, str], tmp_path: Path
) -> None:
    path, _ = long_talk
    before = len(jobs_of(server))
    out = tmp_path / "long.txt"
    command = [*CLI, "transcribe", str(path), "--server", server.http_url, "--language", "en", "-o", str(out)]
    with subprocess.Popen([*command, "--progress", "json"], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            told = json.loads(line)
            if told["stage"] == "transcribing" and 0 < told["done_s"] < told["total_s"] / 2:
                break
        server.kill()
        server.start()
        rest = process.stderr.read().decode()
        assert process.wait(60) == exit_codes.OK, rest
    assert "The connection to the server is lost." in rest
    job, *others = jobs_of(server)
    assert (job["state"], job["attempts"], len(others)) == ("done", 2, before)
    with ask(server) as client:
        assert out.read_text() == client.get(f"/api/jobs/{job['job_id']}/result", params={"format": "txt"}).text


async def test_an_upload_whose_connection_breaks_is_kept_once(
    server: ServerProcess, long_talk: tuple[Path, str]
) -> None:
    path, _ = long_talk
    n_cuts = 0
    waits: list[str] = []
    with tcp_proxy(server.http_port) as road:

        def sent(n_bytes: int) -> None:
            nonlocal n_cuts
            if n_bytes > 1_000_000 and n_cuts < 2:
                n_cuts += 1
                road.cut()

        async with JobsClient(f"127.0.0.1:{road.port}", api_key=KEY, on_wait=waits.append) as client:
            await client.check(language="en")
            clip = await client.upload(path, filename="cut.wav", on_sent=sent)
            assert (await client.clip(clip)).bytes == path.stat().st_size
    assert n_cuts == 2
    assert waits == ["The connection to the server is lost. Trying again."]
    with ask(server) as client_:
        assert len(client_.get("/api/audio", params={"name": "cut.wav"}).json()["clips"]) == 1


def test_ctrl_c_takes_the_bar_away_and_cancels_the_job(server: ServerProcess, long_talk: tuple[Path, str]) -> None:
    path, _ = long_talk
    ours, theirs = pty.openpty()
    command = [*CLI, "transcribe", str(path), "--server", server.http_url, "--language", "es"]
    seen = b""
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}) as p:
        os.close(theirs)
        while b"long.wav  " not in seen or b"#" not in seen:
            seen += os.read(ours, 4096)
        p.send_signal(signal.SIGINT)
        while not seen.endswith(b"Interrupted.\r\n"):
            seen += os.read(ours, 4096)
        assert p.wait(30) == exit_codes.INTERRUPTED
        assert p.stdout is not None
        assert p.stdout.read() == b""
    os.close(ours)
    assert seen.endswith(b"\r\x1b[KInterrupted.\r\n")
    assert jobs_of(server)[0]["state"] == "cancelled"


def test_a_server_that_keeps_no_clips_is_used_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(SAID[name].path) for name in ("en-08", "en-09")]
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(30_000_000))
    with http_server(tmp_path / "uploads", max_upload_mb=10) as plain:
        call = ["transcribe", *files, "--server", plain.url, "--language", "en", "--priority", "high"]
        assert main(call) == exit_codes.OK
        assert words(capsys.readouterr().out) == words(f"{SAID['en-08'].text} {SAID['en-09'].text}")
        assert main(["transcribe", "README.md", "--server", plain.url]) == exit_codes.BAD_AUDIO
        assert main(["transcribe", str(large), "--server", plain.url]) == exit_codes.BAD_AUDIO
        assert "10 MB" in capsys.readouterr().err
        assert main([*call, "--detach"]) == exit_codes.FAILURE
        assert "keeps no jobs" in capsys.readouterr().err


def test_a_full_disk_is_told_and_a_full_queue_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Waits(Exception):
        pass

    def told(text: str) -> None:
        raise Waits(text)

    settings = {"data_dir": tmp_path / "data", "min_free_disk_mb": 1e9, "max_queued_jobs": 0}
    with http_server(tmp_path / "uploads", url_allow_hosts="127.0.0.1:1", **settings) as full:
        assert main(["transcribe", str(SAID["en-01"].path), "--server", full.url]) == exit_codes.REFUSED
        assert "disk" in capsys.readouterr().err
        waits = pytest.raises(Waits, match=r"takes 0.*asking again in 30 s")
        with BlockingJobsClient(full.url, on_wait=told) as client, waits:
            client.submit(urls=["http://127.0.0.1:1/talk.mp3"])
