"""The real process, killed while it has clips and jobs: nothing acknowledged is lost, and nothing begins from zero."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.clips import clips
from tests.support.http_server import wait_until
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.timeout(300)

TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)
CLIP = next(c for c in clips("en") if c.path.stem == "en-05")


@pytest.fixture
def long_talk(tmp_path: Path) -> Path:
    """Four minutes of speech."""
    samples = np.tile(TALK.samples(), 4)
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"FILE_WINDOW_S": "10", "OMP_NUM_THREADS": "1", "MAX_BATCH": "1", "SHUTDOWN_GRACE_S": "0.5"}
    with ServerProcess(tmp_path / "server", **settings) as running:
        yield running


def test_a_job_goes_on_behind_its_last_window(server: ServerProcess, long_talk: Path) -> None:
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        made = client.post("/upload+transcribe", files={"file": long_talk.read_bytes()}, data={"language": "en"}).json()
        path = f"/api/jobs/{made['job_id']}"
        wait_until(lambda: client.get(path).json()["segments"] >= 8, 60)
        before = client.get(path).json()
        with client.stream("GET", f"{path}/events", params={"format": "ndjson"}) as answer:
            first = [json.loads(line) for line, _ in zip(answer.iter_lines(), range(6), strict=False)]
    assert before["state"] == "running"
    server.kill()
    server.start()
    server.wait_ready()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        again = client.get(path).json()
        assert again["segments"] >= before["segments"]
        with client.stream("GET", f"{path}/events", params={"format": "ndjson"}) as answer:
            events = [json.loads(line) for line in answer.iter_lines()]
        assert events[0]["done_s"] >= before["done_s"]
        after = client.get(path).json()
        assert (after["state"], after["attempts"]) == ("done", 2)
        told = [event["segment"] for event in events if event["type"] == "segment"]
        assert told == events[-1]["transcription"]["segments"]
        assert [s["id"] for s in told] == list(range(len(told)))
        heard = [event["segment"] for event in first if event["type"] == "segment"]
        assert heard == told[: len(heard)], "what was told before the end of the process stands"


def test_what_was_acknowledged_is_there_after_a_kill(server: ServerProcess) -> None:
    data = CLIP.path.read_bytes()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        clip = client.post("/api/audio", files={"file": data}).json()["clip_id"]
        done = client.post("/api/transcribe", params={"clip_id": clip}).json()
        queued = client.post("/api/jobs", json={"clip_id": clip, "language": "de", "name": "batch"}).json()
    server.kill()
    server.start()
    server.wait_ready()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        assert client.get(f"/api/audio/{clip}/content").content == data
        assert client.get(f"/api/jobs/{done['job_id']}/result").json() == done
        wait_until(lambda: client.get(f"/api/jobs/{queued['job_id']}").json()["state"] == "done")


def test_a_server_that_stops_puts_its_jobs_back(server: ServerProcess, long_talk: Path) -> None:
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        made = client.post("/upload+transcribe", files={"file": long_talk.read_bytes()}, data={"language": "en"}).json()
        path = f"/api/jobs/{made['job_id']}"
        wait_until(lambda: client.get(path).json()["segments"] > 0, 60)
        before = client.get(path).json()
    assert server.terminate() == 0
    server.start()
    server.wait_ready()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        again = client.get(path).json()
        assert (again["state"], again["attempts"]) in (("queued", 0), ("running", 1))
        assert again["done_s"] >= before["done_s"]
        client.post(f"{path}/cancel").raise_for_status()


def test_a_request_that_was_interrupted_is_failed(server: ServerProcess, long_talk: Path) -> None:
    """Nothing of it is kept that could be gone on with; its caller has noticed, and the list says so."""
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        body = {"files": {"file": long_talk.read_bytes()}, "data": {"language": "en"}}
        with client.stream("POST", "/transcribe/stream", **body) as answer:  # type: ignore[arg-type]
            lines = answer.iter_lines()
            id = json.loads(next(lines))["job_id"]
            wait_until(lambda: _listed(server, "running") == [id])
            server.kill()
    server.start()
    server.wait_ready()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        job = client.get(f"/api/jobs/{id}").json()
        assert (job["state"], job["error"]["code"], job["attempts"]) == ("failed", "interrupted", 1)
        assert client.get("/api/webhooks").json()["webhooks"] == []
        assert _listed(server, "queued,running") == []
        assert client.post(f"/api/jobs/{id}/retry").json()["error"]["code"] == "not_kept"


def _listed(server: ServerProcess, state: str) -> list[str]:
    answer = httpx.get(f"{server.http_url}/api/jobs", params={"state": state, "route": "/transcribe/stream"})
    return [job["job_id"] for job in answer.json()["jobs"]]
