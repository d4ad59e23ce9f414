"""Live sessions of one client: so many at once, refused in each wire's own way. Real sockets, a real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.live_server import LiveServer, live_server
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.live.runner import LiveLimits
from whisperlive_hybrid.ops.clients import client_of_address
from whisperlive_hybrid.ops.limits import ClientLimits
from whisperlive_hybrid.transports.admission import identification

ONE, OTHER = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "198.51.100.2"}
START = json.dumps({"type": "start", "codec": "pcm_s16le"})


@pytest.fixture
async def server() -> AsyncIterator[LiveServer]:
    """One session for each client, and twenty requests a minute."""
    settings = Settings(_env_file=None, client_requests_per_minute=20)  # type: ignore[call-arg]
    identify = identification(settings, ClientLimits.of(settings))
    async with live_server(limits=LiveLimits(max_per_client=1), identify=identify) as running:
        yield running


async def begin(server: LiveServer, client: dict[str, str]) -> ClientConnection:
    """A native session."""
    socket = await connect(f"{server.url}/ws/stream", additional_headers=client)
    await socket.send(START)
    assert json.loads(await socket.recv())["type"] == "ready"
    return socket


async def refused(server: LiveServer, path: str, first: str | None) -> tuple[list[dict[str, Any]], int | None]:
    """What a second session of the client is told, and the close code."""
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(20), connect(f"{server.url}{path}", additional_headers=ONE) as socket:
        try:
            if first is not None:
                await socket.send(first)
            while True:
                told.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            pass
    return told, socket.close_code


async def test_each_wire_says_it_in_its_own_way(server: LiveServer) -> None:
    held = await begin(server, ONE)
    elsewhere = await begin(server, OTHER)

    told, code = await refused(server, "/ws/stream", START)
    assert (told[-1]["type"], told[-1]["code"], code) == ("error", "too_many_sessions", 1013)
    assert told[-1]["retry_after_s"] > 0
    assert "1 live sessions, of 1" in told[-1]["message"]

    whisperlive = json.dumps({"uid": "a", "language": "en", "task": "transcribe", "model": "digits", "use_vad": True})
    told, code = await refused(server, "/", whisperlive)
    assert (told[-1]["status"], code) == ("WAIT", 1000)

    told, code = await refused(server, "/v1/listen?encoding=linear16&sample_rate=16000", None)
    assert (told[-1]["type"], code) == ("Error", 1013)

    told, code = await refused(server, "/v1/realtime?intent=transcription", None)
    assert (told[-1]["type"], code) == ("error", 1013)

    assert server.live.held_by(client_of_address(ONE["X-Forwarded-For"])) == 1
    await held.close()
    async with asyncio.timeout(20):
        while server.live.held_by(client_of_address(ONE["X-Forwarded-For"])):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await (await begin(server, ONE)).close()
    await elsewhere.close()


async def test_who_comes_back_to_his_session_needs_no_other(server: LiveServer) -> None:
    """Also while the server has not noticed yet that the old connection is gone."""
    socket = await connect(f"{server.url}/ws/stream", additional_headers=ONE)
    await socket.send(START)
    ready = json.loads(await socket.recv())
    async with connect(f"{server.url}/ws/stream", additional_headers=ONE) as again:
        resume = {"type": "resume", "session": ready["session"], "token": ready["token"], "last_event": 0}
        await again.send(json.dumps(resume))
        assert json.loads(await again.recv())["type"] == "resumed"
    await socket.close()


async def test_handshakes_are_requests(server: LiveServer) -> None:
    for _ in range(20):
        await (await connect(f"{server.url}/ws/stream", additional_headers=OTHER)).close()
    async with asyncio.timeout(20), connect(f"{server.url}/ws/stream", additional_headers=OTHER) as socket:
        error = json.loads(await socket.recv())
        assert (error["type"], error["code"]) == ("error", "too_many_requests")
        await socket.wait_closed()
    assert socket.close_code == 1013
