"""The server behind Caddy and nginx.

Lines are read over HTTP/2 and HTTP/3 while they are made, live audio gets to both ports through one, and uploads do
not wait on the proxy's disk.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from tests.support.caddy import Caddy, caddy, untrusting
from tests.support.clips import clips, words
from tests.support.nginx import Nginx, nginx
from tests.support.packages import python_environment
from tests.support.running_server import RunningServer, running_server

pytestmark = pytest.mark.timeout(240)

TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)
SHORT = next(c for c in clips("en") if c.path.stem == "en-01")
H3_LINES = Path(__file__).parents[1] / "support" / "h3_lines.py"
SLOWLY = {"language": "en", "condition_on_previous_text": "true", "beam_size": "10"}
"""Options with which the engine is still at work when the first lines are read."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[RunningServer]:
    with running_server(FILE_WINDOW_S="5", OMP_NUM_THREADS="1", DATA_DIR=str(data_dir)) as running:
        yield running


@pytest.fixture(scope="module")
def behind_caddy(server: RunningServer) -> Iterator[Caddy]:
    with caddy(server) as running:
        yield running


@pytest.fixture(scope="module")
def behind_nginx(server: RunningServer) -> Iterator[Nginx]:
    with nginx(server) as running:
        yield running


@pytest.fixture
def behind(request: pytest.FixtureRequest, proxy: str) -> Caddy | Nginx:
    running: Caddy | Nginx = request.getfixturevalue(f"behind_{proxy}")
    return running


@pytest.fixture
def site(behind: Caddy | Nginx) -> str:
    return behind.url


both = pytest.mark.parametrize("proxy", ["caddy", "nginx"])


def over_http2(site: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=site, verify=untrusting(), http1=False, http2=True, timeout=60)


class Lines:
    """What was read of a stream, and whether the engine was still at work on it meanwhile."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.kinds: list[str] = []
        self._still_busy = 0
        self._shares: set[float] = set()

    def take(self, line: str) -> None:
        event = json.loads(line)
        self.kinds.append(event["type"])
        if event["type"] == "segment":
            queue = self._server.health()["queue"]
            self._still_busy += queue["running"] + sum(queue["windows"].values())
        elif event["type"] == "progress" and event["stage"] == "transcribing":
            self._shares.add(event["done_s"])

    def check(self) -> None:
        assert self.kinds[-1] == "done"
        assert self.kinds.count("segment") > 5
        assert self._still_busy, "segments were read while the engine worked on later ones"
        assert len(self._shares) > 3


@both
async def test_lines_arrive_over_http2_while_they_are_made(server: RunningServer, site: str) -> None:
    lines = Lines(server)
    async with over_http2(site) as client:
        file = {"file": TALK.path.read_bytes()}
        async with client.stream("POST", "/transcribe/stream", files=file, data=SLOWLY) as answer:
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
            async for line in answer.aiter_lines():
                lines.take(line)
    lines.check()


def test_lines_arrive_over_http3_while_they_are_made(server: RunningServer, behind_caddy: Caddy) -> None:
    python = python_environment("aioquic", "aioquic>=1.2")
    with httpx.Client(verify=untrusting(), http2=True) as client:
        assert 'h3=":' in client.get(f"{behind_caddy.url}/health").headers["alt-svc"]
    url = stream_of_clip(behind_caddy.url)
    lines = Lines(server)
    command = [python, H3_LINES, "POST", url, "Cache-Control: no-cache"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        status = process.stdout.readline()
        assert status == "200\n", process.stderr.read()
        for line in process.stdout:
            lines.take(line)
    lines.check()


def stream_of_clip(site: str) -> str:
    """The address at which a new clip is transcribed."""
    with httpx.Client(base_url=site, verify=untrusting(), http2=True, timeout=60) as client:
        made = client.post("/api/audio", files={"file": TALK.path.read_bytes()}).json()
    return str(httpx.URL(f"{site}/api/transcribe/stream", params={"clip_id": made["clip_id"], **SLOWLY}))


@both
async def test_live_audio_by_both_ways_through_one_port(site: str) -> None:
    address = site.replace("https://", "wss://")
    path = "/ws/stream?codec=pcm_s16le&language=en"
    async with websockets.connect(address + path, ssl=untrusting(), proxy=None) as socket:
        await socket.send((SHORT.samples() * 32767).astype("<i2").tobytes())
        await socket.send('{"type":"stop"}')
        events = [json.loads(message) async for message in socket]
    assert words(" ".join(event["text"] for event in events if event["type"] == "final")) == words(SHORT.text)
    # At / the live port answers, as it does clients that know of no path.
    async with websockets.connect(f"{address}/", ssl=untrusting(), proxy=None) as socket:
        await socket.send("no message of any protocol")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    async with over_http2(site) as client:
        assert "<html" in (await client.get("/")).text


@both
async def test_uploads_do_not_wait_on_the_disk_of_the_proxy(site: str, data_dir: Path, behind_nginx: Nginx) -> None:
    """The second half of a file is sent only when the server has the first."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 2 * 48_000 * 60))
    body = sound.getvalue()
    half = len(body) // 2
    most = 0

    async def halves() -> AsyncIterator[bytes]:
        nonlocal most
        for i in range(0, half, 1 << 16):
            yield body[i : min(i + (1 << 16), half)]
        while most < half - (1 << 20):
            await asyncio.sleep(0.02)
            most = max(most, *(p.stat().st_size for p in (data_dir / "clips" / "incoming").iterdir()), 0)
        assert behind_nginx.kept() == []
        yield body[half:]

    async with over_http2(site) as client:
        headers = {"Content-Type": "audio/wav", "Content-Length": str(len(body))}
        async with asyncio.timeout(60):
            answer = await client.post("/api/audio", content=halves(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert most >= half - (1 << 20)


@both
def test_the_command_line_uses_a_server_behind_it(behind: Caddy | Nginx) -> None:
    command = [sys.executable, "-m", "whisperlive_hybrid", "transcribe", str(SHORT.path), "--language", "en"]
    environment = {**os.environ, "SSL_CERT_FILE": str(behind.root)}
    run = subprocess.run(
        [*command, "--server", behind.url], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert words(run.stdout) == words(SHORT.text)
