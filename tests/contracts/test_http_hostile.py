"""Bytes that no honest client sends, on the HTTP port: an answer, a quiet log, and the next request works."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.http_server import HttpServer, http_server
from whisperlive_hybrid.transports.http import app

LONE_SURROGATES = b"\xff\xed\xa0\x80"
"""What is no UTF-8 in a header becomes lone surrogates in a Python text, which nothing can encode again."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("uploads")) as server:
        yield server


def exchange(server: HttpServer, request: bytes) -> bytes:
    """Everything that is answered until the server closes or two seconds pass."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=2) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while b"\r\n\r\n" not in answer or b"Connection: close" in answer or answer.startswith(b"HTTP/1.0"):
                if not (more := connection.recv(65536)):
                    break
                answer += more
        except TimeoutError:
            pass
    return answer


def form(disposition: bytes, headers: bytes = b"Host: localhost\r\n") -> bytes:
    body = b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nabc\r\n--b--\r\n"
    head = b"POST /transcribe HTTP/1.1\r\n%sContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n"
    return head % (headers, len(body)) + body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (form(b'name="' + LONE_SURROGATES + b'"; filename="a"'), 400),
        (form(b'name="' + LONE_SURROGATES + b'"'), 400),
        (form(b'name="file"', b"Host: localhost\r\nOrigin: http://" + LONE_SURROGATES + b"\r\n"), 403),
        (form(b'name="file"', b"Host: " + LONE_SURROGATES + b"\r\n"), 403),
        (form(b'name="file"', b"Host: localhost\r\nContent-Encoding: gzip\r\n"), 400),
    ],
)
def test_headers_that_are_not_text(
    server: HttpServer, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = exchange(server, request_)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/json" in answer
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_http_fills_no_log(server: HttpServer, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert exchange(server, request_).split()[1] == b"400"
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_headers_that_never_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly they trickle in: otherwise a few thousand such connections would be all that the server has."""
    monkeypatch.setattr(app, "IDLE_S", 0.5)
    with http_server(tmp_path) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(100):
                    time.sleep(0.05)
                    connection.sendall(b"X-Slow: 1\r\n")


@pytest.mark.parametrize(
    "disposition", [b'name="file"; filename="a\\"; x="y', b'name="language"; name*=utf-8', b"a=;;b"]
)
def test_a_disposition_without_sense_is_not_repeated_in_the_log(tmp_path: Path, disposition: bytes) -> None:
    """aiohttp warns of each, in the caller's words. Here a warning would be an error."""
    with http_server(tmp_path / "uploads") as server:
        assert exchange(server, form(disposition)).startswith(b"HTTP/1.1 400 ")
