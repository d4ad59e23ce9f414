"""The server behind Caddy: lines over HTTP/2 while they are made, and live audio by both ports through one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import websockets

from tests.support.caddy import caddy, untrusting
from tests.support.clips import clips
from tests.support.packages import give_up
from tests.support.running_server import RunningServer, running_server

pytestmark = pytest.mark.timeout(240)

TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(FILE_WINDOW_S="5", OMP_NUM_THREADS="1") as running:
        yield running


@pytest.fixture(scope="module")
def site(server: RunningServer) -> Iterator[str]:
    with caddy(server) as address:
        yield address


def curl(*arguments: str) -> subprocess.Popen[str]:
    program = shutil.which("curl")
    if program is None:
        give_up("curl is not installed")
    return subprocess.Popen(
        [program, "--http2", "--insecure", "--silent", "--show-error", "--no-buffer", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("path", ["/transcribe/stream", "/api/transcribe/stream"])
def test_lines_arrive_over_http2_while_they_are_made(server: RunningServer, site: str, path: str) -> None:
    options = ["-F", "language=en", "-F", "condition_on_previous_text=true", "-F", "beam_size=10"]
    if path.startswith("/api"):
        with httpx.Client(base_url=site, verify=untrusting(), timeout=60) as client:
            made = client.post("/api/audio", files={"file": TALK.path.read_bytes()}).json()
        what = ["-F", f"clip_id={made['clip_id']}"]
    else:
        what = ["-F", f"file=@{TALK.path}"]
    format_ = r"\n%{http_version} %{http_code}\n"
    with curl(*what, *options, "-w", format_, site + path) as process:
        assert process.stdout is not None
        events, still_busy = [], 0
        for line in process.stdout:
            if line.startswith("{"):
                events.append(json.loads(line))
                if events[-1]["type"] == "segment":
                    queue = server.health()["queue"]
                    still_busy += queue["running"] + sum(queue["windows"].values())
            elif line.strip():
                assert line.split() == ["2", "200"]
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "done"
    assert kinds.count("segment") > 5
    assert still_busy, "segments were read while the engine worked on later ones"
    shares = [e["done_s"] for e in events if e["type"] == "progress" and e.get("stage") == "transcribing"]
    assert len(set(shares)) > 3


async def test_live_audio_by_both_ways_through_one_port(site: str) -> None:
    address = site.replace("https://", "wss://")
    for path, word in (("/ws/stream", "error"), ("/", "")):
        async with websockets.connect(address + path, ssl=untrusting(), proxy=None) as socket:
            await socket.send("no message of any protocol")
            try:
                told = str(await socket.recv())
            except websockets.ConnectionClosed as closed:
                told = str(closed)
            assert word in told
            assert told
