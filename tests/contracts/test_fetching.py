"""Fetching by URL against real servers: what it brings, and the many ways into private networks it does not take."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.jobs import fetching as fetch
from whisperlive_hybrid.jobs.fetching import fetch_file
from whisperlive_hybrid.ops.egress import AllowedHosts

NOBODY = AllowedHosts()


class Site:
    """A web server on loopback that counts who came in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hits: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def allowed(self) -> AllowedHosts:
        return AllowedHosts.parse(f"127.0.0.1:{self.port}")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    here = Site(0)

    async def serve(request: web.Request) -> web.StreamResponse:
        here.hits.append(request.path)
        match request.path:
            case "/a.wav":
                assert "Cookie" not in request.headers
                return web.Response(body=b"sound", headers={"Set-Cookie": "a=b"})
            case "/moved":
                return web.Response(status=302, headers={"Location": "/a.wav"})
            case "/round":
                return web.Response(status=302, headers={"Location": "/round"})
            case "/away":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "/nowhere":
                return web.Response(status=302)
            case "/large":
                return web.Response(body=bytes(2_000))
            case "/endless":
                response = web.StreamResponse()
                await response.prepare(request)
                for _ in range(10_000):
                    await response.write(bytes(1000))
                return response
            case "/slow":
                await asyncio.sleep(30)
            case "/zipped":
                return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
            case "/empty":
                return web.Response()
        return web.Response(status=404, text="the secret page")

    runner = web.AppRunner(web.Application(), handler_cancellation=True)
    runner.app.router.add_get("/{path:.*}", serve)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.port = runner.addresses[0][1]
    yield here
    await runner.cleanup()


@asynccontextmanager
async def fetched(url: str, folder: Path, allowed: AllowedHosts, limit: int = 1_000) -> AsyncIterator[Any]:
    try:
        async with fetch_file(url, folder, limit, allowed) as upload:
            yield upload
    finally:
        assert list(folder.iterdir()) == []


async def refusal(url: str, folder: Path, allowed: AllowedHosts = NOBODY) -> HybridError:
    with pytest.raises(HybridError) as raised:
        async with fetched(url, folder, allowed):
            pass
    return raised.value


@pytest.mark.parametrize("path", ["/a.wav", "/moved"])
async def test_a_file_of_a_trusted_host(site: Site, tmp_path: Path, path: str) -> None:
    async with fetched(site.url + path, tmp_path, site.allowed) as upload:
        assert upload.file.path.read_bytes() == b"sound"
        assert upload.file.size == 5


INTO_THE_HOUSE = [
    "http://127.0.0.1/a.wav",
    "http://127.1/a.wav",
    "http://2130706433/a.wav",
    "http://0x7f000001/a.wav",
    "http://0177.0.0.1/a.wav",
    "http://0/a.wav",
    "http://0.0.0.0/a.wav",
    "http://localhost/a.wav",
    "http://LOCALHOST./a.wav",
    "http://[::1]/a.wav",
    "http://[::]/a.wav",
    "http://[::ffff:127.0.0.1]/a.wav",
    "http://[::ffff:7f00:1]/a.wav",
    "http://[64:ff9b::7f00:1]/a.wav",
    "http://[2002:7f00:1::]/a.wav",
    "http://[fe80::1]/a.wav",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://192.168.0.1/",
    "http://innocent.example/a.wav",
    "http://rebinding.example/a.wav",
]


@pytest.mark.parametrize("url", INTO_THE_HOUSE)
async def test_no_way_into_the_house(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket would dial a private address: refused before anything is sent."""
    real = socket.getaddrinfo
    dialled: list[Any] = []

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name == "innocent.example":
            return real("127.0.0.1", port, *args, **kwargs)
        if name == "rebinding.example":  # one public and one private address
            family = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*family, ("10.0.0.7", port)), (*family, ("127.0.0.1", port))]
        return real(host, port, *args, **kwargs)

    async def connect(self: Any, sock: Any, address: Any) -> None:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", connect)

    error = await refusal(url, tmp_path)

    assert error.code in ("url_not_allowed", "url_unreachable", "bad_url")
    assert dialled == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.wav",
        "gopher://127.0.0.1:70/",
        "data:audio/wav;base64,AAAA",
        "unix:///run/docker.sock",
        "//example.com/a.wav",
        "a.wav",
        "http://",
        "http://user:secret@example.com/a.wav",
        "http://example.com:99999/",
        "http://[::1/",
        "http://xn--/",
        "http://example.com/" + "a" * 3000,
    ],
)
async def test_what_is_no_address_of_a_file(url: str, tmp_path: Path) -> None:
    error = await refusal(url, tmp_path)

    assert isinstance(error, BadInput)
    assert (error.code, error.param) == ("bad_url", "url")


@pytest.mark.parametrize("url", ["http://1.1.1.1:22/", "http://1.1.1.1:6379/", "https://1.1.1.1:8443/"])
async def test_only_the_ports_of_the_web(url: str, tmp_path: Path) -> None:
    assert (await refusal(url, tmp_path)).code == "url_not_allowed"


@pytest.mark.parametrize(
    "to", ["http://localhost/", "http://[::1]/", "http://169.254.169.254/", "http://127.0.0.1:22/"]
)
async def test_a_redirect_is_no_way_round(site: Site, tmp_path: Path, to: str) -> None:
    error = await refusal(str(URL(site.url + "/away").with_query(to=to)), tmp_path, site.allowed)

    assert error.code == "url_not_allowed"
    assert site.hits == ["/away"]


async def test_a_redirect_to_another_scheme(site: Site, tmp_path: Path) -> None:
    error = await refusal(f"{site.url}/away?to=file:///etc/passwd", tmp_path, site.allowed)

    assert error.code == "bad_url"


async def test_no_redirect_from_https_to_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def redirecting(*args: object) -> URL:
        return URL("http://example.com/a.wav")

    monkeypatch.setattr(fetch, "_get", redirecting)

    assert (await refusal("https://example.com/a.wav", tmp_path)).code == "url_not_allowed"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/round", "url_unreachable"),
        ("/nowhere", "url_unreachable"),
        ("/missing", "url_status"),
        ("/zipped", "encoded_body"),
        ("/empty", "empty_file"),
        ("/large", "file_too_large"),
        ("/endless", "file_too_large"),
    ],
)
async def test_answers_that_are_no_file(site: Site, tmp_path: Path, path: str, code: str) -> None:
    error = await refusal(site.url + path, tmp_path, site.allowed)

    assert error.code == code
    assert "secret" not in error.message
    assert len(site.hits) <= 1 + fetch.MAX_REDIRECTS


async def test_it_does_not_take_for_ever(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.3)

    assert (await refusal(site.url + "/slow", tmp_path, site.allowed)).code == "url_unreachable"


async def test_a_host_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    allowed = AllowedHosts.parse(f"127.0.0.1:{port}")
    assert (await refusal(f"http://127.0.0.1:{port}/", tmp_path, allowed)).code == "url_unreachable"


async def test_proxies_of_the_environment_are_not_asked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would dial for us, unguarded."""
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("HTTP_PROXY", site.url)

    error = await refusal("http://127.0.0.1/a.wav", tmp_path)

    assert error.code == "url_not_allowed"
    assert site.hits == []
