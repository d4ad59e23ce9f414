"""What one client may have of the server: requests at once, requests a minute, a slow upload's patience.

Clients are told apart as on a real server: by their address (127.0.0.2 is another than 127.0.0.1), by what the proxy in
front says, or by their key.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from websockets.sync.client import connect

from tests.contracts.test_http_description import check
from tests.support.api_server import clip_id
from tests.support.clips import clips
from tests.support.http_server import HttpServer, http_server, wait_until
from whisperlive_hybrid.ops.clients import client_of_address
from whisperlive_hybrid.transports.http import uploads

CLIP = clips()[0]
AUDIO = CLIP.path.read_bytes()
_numbers = itertools.count(1)


def new_client() -> dict[str, str]:
    """Headers of a client that nobody knows yet, as a proxy on this machine would send them."""
    number = next(_numbers)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


class SlowUpload:
    """A POST whose body comes byte by byte, as `send` says; read and written with plain sockets."""

    def __init__(self, server: HttpServer, body: bytes, path: str = "/transcribe", source: str = "127.0.0.1") -> None:
        address = urlsplit(server.url)
        self.socket = socket.create_connection((address.hostname, address.port), 20, source_address=(source, 0))
        self._left = body
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/flac\r\nContent-Length: {len(body)}"
        self.socket.sendall(head.encode() + b"\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, n_bytes: int = 1) -> bool:
        """The next bytes; whether there are more, and anybody who takes them."""
        chunk, self._left = self._left[:n_bytes], self._left[n_bytes:]
        try:
            self.socket.sendall(chunk)
        except OSError:
            return False
        return bool(self._left)

    def answered(self) -> bool:
        """Whether an answer has begun."""
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(20)

    def answer(self) -> str:
        """Wait for it."""
        data = b""
        while not data.endswith(b"}") and (more := self.socket.recv(65536)):
            data += more
        return data.decode()


def under_way(server: HttpServer) -> int:
    """Requests that have a place."""
    return server.services.limits.places.n_taken


# --- requests at once ----------------------------------------------------------------------------------------------


def test_slow_uploads_of_one_client_leave_places_for_others(tmp_path: Path) -> None:
    """As many as the server takes of all clients, at a byte a minute, as it is set up by default."""
    with http_server(tmp_path / "uploads") as server, ExitStack() as stack:
        most = server.services.limits.places.most
        slow = [SlowUpload(server, bytes(1000)) for _ in range(most)]
        for each in slow:
            stack.enter_context(each)
            each.send()
        wait_until(lambda: under_way(server) + sum(each.answered() for each in slow) == most)
        refused = [each.answer() for each in slow if each.answered()]
        assert len(refused) == most // 3
        assert all(answer.startswith("HTTP/1.1 429 ") and "Retry-After: 5\r\n" in answer for answer in refused)
        assert "56 requests under way, of 56 that it may have at once" in refused[0]

        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"), timeout=60) as other:
            answer = other.post(f"{server.url}/transcribe", files={"file": AUDIO})
        assert answer.status_code == 200, answer.text
        mine = httpx.post(f"{server.url}/transcribe", files={"file": AUDIO}, timeout=60)
        assert mine.status_code == 429
        assert mine.json()["error"] | {"message": ""} == {
            "code": "too_many_at_once",
            "message": "",
            "param": None,
            "accepted": [],
            "retry_after_s": 5.0,
            "limit": 56,
            "used": 56,
        }

        stack.close()
        wait_until(lambda: under_way(server) == 0)
        assert httpx.post(f"{server.url}/transcribe", files={"file": AUDIO}, timeout=60).status_code == 200


def test_clients_with_keys_are_told_apart_by_them(tmp_path: Path) -> None:
    with http_server(tmp_path / "uploads", api_key="one,two", client_requests_at_once=1) as server:
        with SlowUpload(server, bytes(1000), "/transcribe?token=one"):
            wait_until(lambda: under_way(server) == 1)
            codes = {
                key: httpx.post(f"{server.url}/inference", files={"file": AUDIO}, headers=header).status_code
                for key, header in {
                    "one": {"Authorization": "Bearer one"},
                    "one, elsewhere": {"X-API-Key": "one", **new_client()},
                    "two": {"Authorization": "Bearer two"},
                    "none": {},
                }.items()
            }
        assert codes == {"one": 429, "one, elsewhere": 429, "two": 200, "none": 401}


# --- slow uploads --------------------------------------------------------------------------------------------------


class Trickle:
    """Uploads that bring a little every 50 ms, from a thread of their own."""

    def __init__(self, slow: list[SlowUpload], n_bytes: int = 1) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(slow, n_bytes))
        self._slow = slow

    def _run(self, slow: list[SlowUpload], n_bytes: int) -> None:
        while not self._over.wait(0.05):
            for each in slow:
                each.send(n_bytes)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for each in self._slow:
            each.socket.close()


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """17 places, all of which one client may take."""
    folder = tmp_path_factory.mktemp("small") / "uploads"
    settings: dict[str, Any] = {"max_file_jobs": 1, "max_queued_files": 0, "client_requests_at_once": 0}
    with http_server(folder, min_upload_speed=20_000, **settings) as running:
        yield running


def test_slow_uploads_make_room_when_places_are_short(
    small_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PACE_WINDOW_S", 0.5)
    slow = [SlowUpload(small_server, bytes(10_000)) for _ in range(16)]
    # The steady one brings 40 KB/s, twice what it must, while others are given up.
    with Trickle(slow), SlowUpload(small_server, AUDIO) as steady:
        while steady.send(2000):
            time.sleep(0.05)
        assert "HTTP/1.1 200 OK" in steady.answer()
        wait_until(lambda: any(each.answered() for each in slow))
        answer = next(each for each in slow if each.answered()).answer()
        assert answer.startswith("HTTP/1.1 408 ")
        assert '"upload_slow"' in answer
        wait_until(lambda: not small_server.services.limits.places.is_short)
    wait_until(lambda: under_way(small_server) == 0)


def test_slow_uploads_are_left_alone_while_there_is_room(
    small_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PACE_WINDOW_S", 0.05)
    with SlowUpload(small_server, AUDIO) as slow:
        for _ in range(10):
            slow.send(10)
            time.sleep(0.06)
        assert not slow.answered()
        slow.send(len(AUDIO))
        assert "HTTP/1.1 200 OK" in slow.answer()


# --- requests a minute ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """60 requests a minute, so that a client that has made them waits a second for the next."""
    folder = tmp_path_factory.mktemp("rated")
    with http_server(folder / "uploads", data_dir=folder / "data", client_requests_per_minute=60) as running:
        yield running


def exhaust(server: HttpServer) -> dict[str, str]:
    """Headers of a client that has made all its requests."""
    headers = new_client()
    client = client_of_address(headers["X-Forwarded-For"])

    async def count() -> None:
        while (verdict := server.services.limits.count(client)) is not None and verdict.taken:
            pass

    server.call(count())
    return headers


def test_the_official_client_comes_again_when_it_is_told_to(rated: HttpServer) -> None:
    headers = new_client()
    with httpx.Client(base_url=rated.url, headers=headers) as http:
        assert any(http.get("/v1/models").status_code == 429 for _ in range(200))
    client = openai.OpenAI(base_url=f"{rated.url}/v1", api_key="any", default_headers=headers, max_retries=0)

    def transcribe(client: openai.OpenAI) -> str:
        return client.audio.transcriptions.create(model="whisper-1", file=("a.flac", AUDIO)).text

    for _ in range(20):  # a machine that stood still for a second has earned it a request
        try:
            transcribe(client)
        except openai.RateLimitError as error:
            refused = error
            break
    assert refused.status_code == 429
    assert refused.code == "rate_limit_exceeded"
    assert refused.type == "requests"
    assert "60 requests a minute" in refused.message
    told = refused.response.headers
    assert told["Retry-After"] == "1"
    assert 0 < int(told["retry-after-ms"]) <= 1000
    assert told["x-ratelimit-limit-requests"] == "60"
    assert told["x-ratelimit-remaining-requests"] == "0"
    assert told["x-ratelimit-reset-requests"].endswith("s")

    assert transcribe(client.with_options(max_retries=3)) != ""


def test_content_and_sockets_of_jobs_are_requests_like_others(rated: HttpServer) -> None:
    """They look at keys themselves, for links and for browsers, and must not forget to count."""
    with httpx.Client(base_url=rated.url, headers=new_client()) as client:
        id = clip_id(client, CLIP)
    headers = exhaust(rated)
    refused = httpx.get(f"{rated.url}/api/audio/{id}/content", headers=headers)
    check(refused, "/api/audio/{id}/content", "get")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
    headers = exhaust(rated)
    url = rated.url.replace("http", "ws", 1) + "/ws/jobs/job_0"
    with connect(url, additional_headers=headers, proxy=None) as socket:
        assert json.loads(socket.recv(timeout=20))["error"]["code"] == "too_many_requests"


def test_answers_tell_what_is_left(rated: HttpServer) -> None:
    headers = new_client()
    left = [
        int(httpx.get(f"{rated.url}/v1/models", headers=headers).headers["x-ratelimit-remaining-requests"])
        for _ in range(2)
    ]
    assert left[0] == 59
    assert left[1] in (58, 59)
    assert "x-ratelimit-limit-requests" not in httpx.get(f"{rated.url}/health", headers=headers).headers


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/transcribe", lambda body: body["error"]["message"]),
        ("/api/jobs", lambda body: body["error"]["message"]),
        ("/v1/audio/transcriptions", lambda body: body["error"]["message"]),
        ("/v1/realtime/client_secrets", lambda body: body["error"]["message"]),
        ("/v1/listen", lambda body: body["err_msg"]),
        ("/asr", lambda body: body["detail"]),
        ("/inference", lambda body: body["error"]),
    ],
)
def test_every_door_says_it_in_its_own_envelope(rated: HttpServer, path: str, message: Any) -> None:
    headers = exhaust(rated)
    for _ in range(20):
        answer = httpx.post(f"{rated.url}{path}", headers=headers)
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert "60 requests a minute" in message(answer.json())
    assert int(answer.headers["Retry-After"]) == 1
    if path == "/v1/listen":
        assert answer.json()["err_code"] == "TOO_MANY_REQUESTS"


def test_asking_for_what_is_left_is_a_request(rated: HttpServer) -> None:
    told = httpx.get(f"{rated.url}/api/usage", headers=new_client())
    check(told, "/api/usage", "get")
    rate = told.json()["requests_per_minute"]
    assert (rate["limit"], rate["used"]) == (60, 1)
    assert 0 < rate["frees_in_s"] <= 1


def test_pages_and_health_are_not_counted(rated: HttpServer) -> None:
    headers = exhaust(rated)
    assert all(httpx.get(f"{rated.url}{path}", headers=headers).status_code == 200 for path in ("/", "/health"))


def test_what_a_client_writes_itself_makes_it_no_other_client(rated: HttpServer) -> None:
    """The proxy's word counts; what stands before it in the header has come from anybody."""
    headers = exhaust(rated)
    forged = {"X-Forwarded-For": f"203.0.113.77, {headers['X-Forwarded-For']}"}
    statuses = [httpx.get(f"{rated.url}/v1/models", headers=forged).status_code for _ in range(10)]
    assert 429 in statuses
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as stranger:
        for i in range(70):  # whom nobody has made a proxy
            last = stranger.get(f"{rated.url}/v1/models", headers={"X-Forwarded-For": f"203.0.113.{i}"}).status_code
    assert last == 429
