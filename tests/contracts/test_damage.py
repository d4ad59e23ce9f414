"""What is answered where the bytes of a clip are gone, changed or cut short behind the server's back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.api_server import STORAGES, api_server, clip_id
from tests.support.clips import clips
from tests.support.http_server import wait_until
from whisperlive_hybrid.jobs import retry

pytestmark = pytest.mark.timeout(300)

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with api_server(STORAGES[0], folder) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        yield http


@pytest.fixture
def place(client: httpx.Client, folder: Path) -> Path:
    """Where a clip's bytes are; the name is its id."""
    id = clip_id(client, CLIP)
    return folder / "data" / "clips" / "clips" / id[-2:] / id


def failed(client: httpx.Client, id: str) -> tuple[str, int]:
    """The error of a job for the clip, and how often it was tried."""
    fresh = {"Cache-Control": "no-cache"}
    job = client.post("/api/jobs", json={"clip_id": id}, headers=fresh).raise_for_status().json()["job_id"]
    wait_until(lambda: client.get(f"/api/jobs/{job}").json()["state"] == "failed")
    shown = client.get(f"/api/jobs/{job}").json()
    return shown["error"]["code"], shown["attempts"]


def test_bytes_that_are_gone(client: httpx.Client, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    place.unlink()
    answer = client.get(f"/api/audio/{place.name}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audio_lost")
    assert failed(client, place.name) == ("audio_lost", retry.MAX_ATTEMPTS)
    assert client.delete(f"/api/audio/{place.name}").status_code == 204


def test_bytes_that_were_changed_are_not_transcribed(client: httpx.Client, place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    assert failed(client, place.name) == ("audio_damaged", 1)


def test_bytes_that_were_cut_short_keep_no_reader_waiting(client: httpx.Client, place: Path) -> None:
    place.write_bytes(place.read_bytes()[:3000])
    path = f"/api/audio/{place.name}/content"
    with pytest.raises(httpx.TransportError):
        client.get(path, timeout=20)
    assert client.get(path, headers={"Range": "bytes=0-99"}).content == CLIP.path.read_bytes()[:100]
    assert client.get(path, headers={"Range": "bytes=5000-5009"}).status_code in (416, 503)
    assert failed(client, place.name) == ("audio_damaged", 1)
