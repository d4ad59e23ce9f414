"""Connections that carry nothing any more and say nothing about it: both ends find out, and the session goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.e2e.test_live_stream import http_port, until
from tests.support.clips import clips, words
from tests.support.live_server import LiveServer, listen, live_server, messages, pcm16, say
from tests.support.tcp_proxy import tcp_proxy
from whisperlive_hybrid.client import LiveSession
from whisperlive_hybrid.live.runner import HEARTBEAT_S, LiveLimits
from whisperlive_hybrid.transports import connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

EN = "codec=pcm_s16le&language=en"
IN_FORCE = (connection.PING_EVERY_S, connection.PONG_WITHIN_S)
PING_EVERY_S, PONG_WITHIN_S = 0.4, 0.4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[LiveServer]:
    async with live_server(limits=LiveLimits(max_sessions=4, resume_s=30.0, heartbeat_s=0.4)) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_EVERY_S", PING_EVERY_S)
    monkeypatch.setattr(connection, "PONG_WITHIN_S", PONG_WITHIN_S)


async def door(server: LiveServer, name: str, stack: AsyncExitStack) -> int:
    """The port of the live listener, or of an HTTP application with the same sessions."""
    url = server.url if name == "live" else await stack.enter_async_context(http_port(server))
    return urlsplit(url).port or 0


async def test_twenty_seconds_are_enough() -> None:
    assert IN_FORCE[0] + IN_FORCE[1] < 19.0  # and a second to come back
    assert 1.8 * HEARTBEAT_S < 19.0


@pytest.mark.parametrize("name", ["live", "http"])
async def test_the_server_finds_a_silent_connection_and_keeps_its_session(server: LiveServer, name: str) -> None:
    clip = clips("en")[0]
    audio = messages(pcm16(clip.samples()), 8000)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        port = await door(server, name, stack)
        proxy = stack.enter_context(tcp_proxy(port))
        url = f"ws://127.0.0.1:{proxy.port}/ws/stream"
        socket = await connect(f"{url}?{EN}", ping_interval=None)
        ready = json.loads(await socket.recv())
        for message in audio[:3]:
            await socket.send(message)
        heard = ready
        while heard.get("received") != 3:
            heard = json.loads(await socket.recv())
        # A connection that is open and quiet is left alone: pings are answered.
        await asyncio.sleep(3 * (PING_EVERY_S + PONG_WITHIN_S))
        assert (server.live.n_sessions, server.live.n_waiting) == (1, 0)

        assert proxy.silence() == 1
        silent_since = loop.time()
        await socket.send(audio[3])  # goes nowhere, and nobody says so
        await until(lambda: server.live.n_waiting == 1)
        assert loop.time() - silent_since < PING_EVERY_S + PONG_WITHIN_S + 1.0  # and what a busy machine takes
        socket.transport.abort()

        async with connect(url) as again:
            await again.send(
                json.dumps(
                    {
                        "type": "resume",
                        "session": ready["session"],
                        "token": ready["token"],
                        "last_event": heard["event"],
                    }
                )
            )
            resumed = json.loads(await again.recv())
            assert (resumed["type"], resumed["frames"]) == ("resumed", 3)
            for message in audio[3:]:
                await again.send(message)
            await again.send('{"type":"stop"}')
            said = await listen(again)
        assert words(said.text) == words((await say(server.url, audio, EN)).text)


@pytest.mark.parametrize("name", ["live", "http"])
async def test_the_python_client_finds_it_too_and_loses_nothing(server: LiveServer, name: str) -> None:
    audio = messages(pcm16(clips("en")[0].samples()), 8000)
    async with AsyncExitStack() as stack:
        port = await door(server, name, stack)
        proxy = stack.enter_context(tcp_proxy(port))
        session = await stack.enter_async_context(
            LiveSession(f"ws://127.0.0.1:{proxy.port}", codec="pcm_s16le", language="en")
        )

        async def speak() -> None:
            for i, message in enumerate(audio):
                if i == len(audio) // 2:
                    assert proxy.silence() == 1
                await session.send(message)
                await asyncio.sleep(0.05)
            await session.stop()

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(20):
            events = [event async for event in session]
        await speaking
        assert [e["state"] for e in events if e["type"] == "connection"] == ["lost", "resumed"]
        text = " ".join(e["text"] for e in events if e["type"] == "final")
        assert words(text) == words((await say(server.url, audio, EN)).text)
