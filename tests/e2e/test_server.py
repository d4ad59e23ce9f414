"""The whole server as a process: what a user starts, uses and stops."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.live_load import speak, speak_all
from benchmarks.material import pcm, wav
from tests.support.clips import clips, words
from tests.support.http_server import wait_until
from tests.support.running_server import RunningServer, running_server
from whisperlive_hybrid.audio.samples import SAMPLE_RATE


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


def test_the_three_uses_meet_in_one_server(server: RunningServer) -> None:
    clip, other, spoken = clips("en")[:3]

    def post(path: str, name: str, data: dict[str, str]) -> httpx.Response:
        return httpx.post(server.http_url + path, files={"file": (name, clip.path.read_bytes())}, data=data, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        curl = pool.submit(post, "/transcribe", "a.flac", {})
        openai = pool.submit(post, "/v1/audio/transcriptions", "a.flac", {"model": "whisper-1"})
        live = pool.submit(lambda: asyncio.run(speak_all(server.live_url, [other.samples(), spoken.samples()])))
    assert words(" ".join(s["text"] for s in curl.result().json()["segments"])) == words(clip.text)
    assert words(openai.result().json()["text"]) == words(clip.text)
    assert [words(h.text) for h in live.result()] == [words(other.text), words(spoken.text)]


def test_live_audio_is_taken_on_the_http_port_too(server: RunningServer) -> None:
    clip = clips("en")[0]
    heard = asyncio.run(speak(server.http_url.replace("http", "ws"), clip.samples(), pace=4))
    assert words(heard.text) == words(clip.text)


@pytest.mark.parametrize("path", ["/ws/stream", "/ws/stream/", "/v1/realtime", "/v1/listen"])
def test_a_plain_request_at_a_socket_is_told_to_upgrade(server: RunningServer, path: str) -> None:
    answer = httpx.get(server.http_url + path)
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.headers["Link"] == '</docs>; rel="help"'
    assert "/docs" in answer.text


@pytest.mark.parametrize("path", ["/v1/realtime?intent=transcription", "/ws/stream?codec=pcm_s16le", "/v1/listen"])
@pytest.mark.parametrize(("end", "status"), [("closed", "101"), ("broken off", "499")])
async def test_the_access_log_tells_sessions_that_ended_from_broken_ones(
    server: RunningServer, path: str, end: str, status: str
) -> None:
    route, _, _ = path.partition("?")
    line = f"GET {route} "
    before = server.log.read_text().count(line)
    socket = await connect(server.http_url.replace("http", "ws", 1) + path)
    if route != "/v1/listen":
        await socket.recv()  # there is a session
    if end == "closed":
        await socket.close()
    else:
        socket.transport.abort()
    await asyncio.to_thread(wait_until, lambda: server.log.read_text().count(line) > before, 30)
    logged = [entry.split(line)[1].split()[0] for entry in server.log.read_text().splitlines() if line in entry]
    assert logged[before:] == [status]


@pytest.mark.parametrize("port", ["http", "live"])
async def test_the_largest_message_is_taken_on_both_ports(server: RunningServer, port: str) -> None:
    url = server.live_url if port == "live" else server.http_url.replace("http", "ws", 1)
    async with connect(f"{url}/ws/stream?codec=pcm_s16le") as socket:
        await socket.send(bytes(2**20))
        await socket.send('{"type": "stop"}')
        async with asyncio.timeout(30):
            types = [json.loads(message)["type"] async for message in socket]
    assert types[-1] == "done"


def test_silence_and_noise_give_no_text_and_no_error(server: RunningServer) -> None:
    noise = np.random.default_rng(1).standard_normal(12 * SAMPLE_RATE).astype(np.float32) * np.float32(0.01)
    for samples in (np.zeros(12 * SAMPLE_RATE, np.float32), noise):
        answer = httpx.post(
            f"{server.http_url}/v1/audio/transcriptions",
            files={"file": ("quiet.wav", wav(samples))},
            data={"model": "whisper-1"},
            timeout=60,
        )
        assert answer.status_code == 200
        assert answer.json()["text"] == ""
        heard = asyncio.run(speak(server.live_url, samples, pace=20))
        assert {e["type"] for _, e in heard.events} <= {"ready", "ack", "done", "heartbeat"}


def test_health_says_what_runs(server: RunningServer) -> None:
    health = server.health()
    assert health["status"] == "ok"
    assert health["models"]["default"] == "digits"
    assert health["loop_lag_ms"]["p50"] >= 0


def test_torch_is_not_loaded_by_serving(server: RunningServer) -> None:
    with open(f"/proc/{server.process.pid}/maps") as maps:
        loaded = maps.read()
    assert "ctranslate2" in loaded
    assert "libtorch" not in loaded


def test_sigterm_lets_running_work_finish() -> None:
    conversation = clips("en", conversations=True)[0]
    # Single utterances are what the small model reads without fault. A live one is finished where no other process
    # could go on with it; where one could, it is left to that (test_live_restart.py).
    with running_server(FILE_WINDOW_S="3", RESUME_ACROSS_RESTARTS="false") as server:

        def upload() -> httpx.Response:
            body = wav(conversation.samples())
            files = {"file": ("talk.wav", body)}
            return httpx.post(f"{server.http_url}/transcribe", files=files, data={"language": "en"}, timeout=60)

        async def live_until_the_end() -> None:
            said = clips("en")[0]
            async with connect(f"{server.live_url}/ws/stream?codec=pcm_s16le") as socket:
                await socket.send(pcm(said.samples()))
                await asyncio.sleep(0.5)
                server.process.send_signal(signal.SIGTERM)
                told: list[dict[str, str]] = []
                with suppress(ConnectionClosed):  # 1012 counts as an error to the library
                    while True:
                        told.append(json.loads(await socket.recv()))
            assert "go_away" in {event["type"] for event in told}
            assert words(" ".join(e["text"] for e in told if e["type"] == "final")) == words(said.text)
            assert socket.close_code == 1012

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(upload)
            asyncio.run(live_until_the_end())
            assert words(" ".join(s["text"] for s in answer.result().json()["segments"])) == words(conversation.text)
        assert server.process.wait(timeout=30) == 0


def test_a_model_that_cannot_be_had_is_one_error_with_ways_out() -> None:
    with pytest.raises(AssertionError) as failure, running_server(model="nobody/no-such-model"):
        pass
    said = str(failure.value)
    assert "nobody/no-such-model" in said
    assert "--model digits" in said
    assert "Traceback" not in said


def test_killed_server_leaves_its_ports_free() -> None:
    with pytest.raises(AssertionError, match="ended with -9"), running_server() as server:
        server.process.kill()
        server.process.wait()
    ports = urlsplit(server.http_url).port, urlsplit(server.live_url).port
    assert ports[0] is not None
    assert ports[1] is not None
    with running_server(ports=(ports[0], ports[1])) as again:
        assert again.health()["status"] == "ok"


def test_a_folder_that_takes_no_upload_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError) as failed, running_server(AUDIO_STORAGE_PATH=str(tmp_path / "file" / "uploads")):
        pass
    said = str(failed.value).strip().splitlines()[1:]
    assert len(said) == 1 and "AUDIO_STORAGE_PATH=" in said[0]
