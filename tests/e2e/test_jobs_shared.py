"""Two real servers on one PostgreSQL and one store: jobs of one are seen, cancelled and taken over by the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_jobs_restart import long_talk  # noqa: F401  (a fixture)
from tests.support.http_server import wait_until
from tests.support.postgres import new_database, postgres_server
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    folder: Path = tmp_path_factory.mktemp("shared")
    with postgres_server() as postgres:
        settings = {
            "DATABASE_URL": new_database(postgres, "shared"),
            "CLIP_STORAGE_URL": f"file://{folder}/clips",
            "JOB_LEASE_S": "3",
            "FILE_WINDOW_S": "10",
            "OMP_NUM_THREADS": "1",
            "MAX_BATCH": "1",
        }
        with ServerProcess(folder / "one", **settings) as one, ServerProcess(folder / "two", **settings) as two:
            yield one, two


def test_any_server_can_be_asked_and_takes_over(
    servers: tuple[ServerProcess, ServerProcess],
    long_talk: Path,  # noqa: F811
) -> None:
    one, two = servers
    with (
        httpx.Client(base_url=one.http_url, timeout=60) as first,
        httpx.Client(base_url=two.http_url, timeout=60) as second,
    ):
        made = first.post("/upload+transcribe", files={"file": long_talk.read_bytes()}, data={"language": "en"}).json()
        path = f"/api/jobs/{made['job_id']}"
        wait_until(lambda: second.get(path).json()["segments"] > 0, 60)
        assert second.get(f"/api/audio/{made['clip_id']}/content").content == long_talk.read_bytes()
        assert second.post(f"{path}/cancel").status_code == 200
        for client in (first, second):
            wait_until(lambda c=client: c.get(path).json()["state"] == "cancelled")  # type: ignore[misc]
        again = second.post(f"{path}/retry").json()
        assert again["state"] in ("queued", "running")
        wait_until(lambda: second.get(path).json()["segments"] > 4, 60)
        before = second.get(path).json()
        for server, other in ((one, second), (two, first)):  # whoever has it
            server.kill()
            server.start()
            server.wait_ready()
            assert other.get(path).status_code == 200
        with second.stream("GET", f"{path}/events", params={"format": "ndjson"}) as answer:
            events = [json.loads(line) for line in answer.iter_lines()]
        assert events[-1]["type"] == "done"
        assert events[0]["done_s"] >= before["done_s"]
        told = [event["segment"]["id"] for event in events if event["type"] == "segment"]
        assert told == list(range(len(told)))
        assert second.get(path).json()["attempts"] >= 2


def test_requests_of_one_are_seen_and_cancelled_by_the_other(
    servers: tuple[ServerProcess, ServerProcess],
    long_talk: Path,  # noqa: F811
) -> None:
    one, two = servers
    body = {"files": {"file": long_talk.read_bytes()}, "data": {"language": "en"}}
    with (
        httpx.Client(base_url=one.http_url, timeout=60) as first,
        httpx.Client(base_url=two.http_url, timeout=60) as second,
    ):
        with first.stream("POST", "/transcribe/stream", **body) as answer:  # type: ignore[arg-type]
            lines = answer.iter_lines()
            path = f"/api/jobs/{json.loads(next(lines))['job_id']}"
            wait_until(lambda: second.get(path).status_code == 200)
            wait_until(lambda: second.get(path).json()["done_s"] > 0)
            assert second.get(path).json()["state"] == "running"
            assert second.post(f"{path}/cancel").status_code == 200
            assert json.loads(list(lines)[-1])["error"]["code"] == "job_cancelled"
        wait_until(lambda: second.get(path).json()["state"] == "cancelled")
        with first.stream("POST", "/transcribe/stream", **body) as answer:  # type: ignore[arg-type]
            lines = answer.iter_lines()
            path = f"/api/jobs/{json.loads(next(lines))['job_id']}"
            wait_until(lambda: second.get(path).status_code == 200)
            one.kill()
        wait_until(lambda: second.get(path).json()["state"] == "failed")
        assert second.get(path).json()["error"]["code"] == "interrupted"
    one.start()
    one.wait_ready()
