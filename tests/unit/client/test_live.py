"""The client against a server of a few lines that breaks connections where a test wants it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from whisperlive_hybrid.client import BlockingLiveSession, ClientError, ConnectionLost, LiveSession, ServerUnreachable
from whisperlive_hybrid.client.live import stream_url

Script = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]

READY = {"type": "ready", "event": 1, "session": "s", "token": "t", "protocol": 1, "resume_s": 5}


@asynccontextmanager
async def server(*scripts: Script) -> AsyncIterator[str]:
    """Each connection is handled by the next script, which is given the client's first message."""
    left = list(scripts)

    async def handle(socket: ServerConnection) -> None:
        script = left.pop(0)
        await script(socket, json.loads(await socket.recv()))

    async with serve(handle, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
    assert not left, "fewer connections than the script has"


async def say(socket: ServerConnection, **event: Any) -> None:
    await socket.send(json.dumps(event))


async def frames(socket: ServerConnection, n: int) -> list[bytes]:
    return [bytes(await socket.recv(decode=False)) for _ in range(n)]


async def test_a_session_from_start_to_done() -> None:
    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        assert first == {"type": "start", "codec": "pcm_s16le", "language": "en"}
        assert socket.request is not None
        assert socket.request.headers["Authorization"] == "Bearer secret"
        assert socket.request.path == "/ws/stream"
        await say(socket, **READY)
        assert await frames(socket, 2) == [b"ab", b"cd"]
        assert json.loads(await socket.recv()) == {"type": "stop"}
        await say(socket, type="final", event=2, text="one")
        await say(socket, type="done", event=3)

    async with (
        server(script) as url,
        LiveSession(url, codec="pcm_s16le", language="en", api_key="secret") as session,
    ):
        assert session.ready["session"] == "s"
        await session.send(b"ab")
        await session.send(b"")
        await session.send(bytearray(b"cd"))
        await session.stop()
        assert [event["type"] async for event in session] == ["ready", "final", "done"]
        assert [event async for event in session] == []
        with pytest.raises(ClientError):
            await session.send(b"late")


async def test_a_broken_connection_is_resumed_without_loss_or_repetition() -> None:
    async def breaks(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        assert await frames(socket, 3) == [b"0", b"1", b"2"]
        await say(socket, type="ack", event=2, received=3, committed=1)
        await say(socket, type="partial", event=3, append="one")
        socket.transport.abort()

    async def resumes(socket: ServerConnection, first: dict[str, Any]) -> None:
        assert first == {"type": "resume", "session": "s", "token": "t", "last_event": 3}
        await say(socket, type="resumed", event=3, frames=2)
        await say(socket, type="partial", event=3, append="one")
        assert await frames(socket, 2) == [b"2", b"3"]
        assert json.loads(await socket.recv()) == {"type": "stop"}
        await say(socket, type="final", event=4, text="one two")
        await say(socket, type="done", event=5)

    async with server(breaks, resumes) as url, LiveSession(url) as session:
        for data in (b"0", b"1", b"2"):
            await session.send(data)
        seen = []
        async for event in session:
            seen.append(event.get("state") or event["type"])
            if seen[-1] == "lost":
                await session.send(b"3")
                await session.stop()
        assert seen == ["ready", "ack", "partial", "lost", "resumed", "final", "done"]
        assert session.n_resumed == 1


async def test_a_server_that_was_started_again_goes_on_where_its_checkpoint_is() -> None:
    async def goes_away(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        assert await frames(socket, 3) == [b"0", b"1", b"2"]
        await say(socket, type="ack", event=2, received=3, committed=1)
        await say(socket, type="partial", event=3, segment=0, append="one")
        await say(socket, type="go_away", event=4, reconnect_within_ms=5000)
        await socket.close(1012)

    async def loading(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, type="error", event=0, code="shutting_down", message="Not yet.", fatal=True)
        await socket.close(1012)

    async def restored(socket: ServerConnection, first: dict[str, Any]) -> None:
        assert first["last_event"] == 4
        await say(socket, type="resumed", event=4, frames=1, restored=True)
        assert await frames(socket, 2) == [b"1", b"2"]
        await say(socket, type="ack", event=5, received=2, committed=1)
        await say(socket, type="final", event=6, segment=0, text="one")
        await say(socket, type="done", event=7)

    async with server(goes_away, loading, restored) as url, LiveSession(url) as session:
        for data in (b"0", b"1", b"2"):
            await session.send(data)
        seen = [event async for event in session]
    assert [event["type"] for event in seen] == [
        *("ready", "ack", "partial", "go_away", "connection", "connection", "ack", "final", "done")
    ]
    assert seen[5] == {"type": "connection", "state": "resumed", "restored": True}


async def test_a_connection_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **{**READY, "heartbeat_s": 0.5})
        await say(socket, type="heartbeat", event=2)
        await asyncio.sleep(0.5)  # 0.4 s before it is given up: what a busy machine takes
        await say(socket, type="heartbeat", event=3)
        await socket.wait_closed()

    async def resumes(socket: ServerConnection, first: dict[str, Any]) -> None:
        assert first["last_event"] == 3
        await say(socket, type="resumed", event=3, frames=0)
        await say(socket, type="done", event=4)

    async with server(silent, resumes) as url, LiveSession(url) as session:
        states = [event["state"] async for event in session if event["type"] == "connection"]
        assert states == ["lost", "resumed"]


async def test_a_server_that_is_down_for_a_while_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        await socket.close(1012)

    async def resumes(socket: ServerConnection, first: dict[str, Any]) -> None:
        first_message = json.loads(await socket.recv())
        assert first_message["type"] == "resume"
        await say(socket, type="resumed", event=1, frames=0)
        await say(socket, type="done", event=2)

    async with server(breaks) as url:
        session = await LiveSession(url).__aenter__()
        lost = [await anext(session), await anext(session)][1]
    assert lost["state"] == "lost"
    await asyncio.sleep(0.6)  # nobody listens there
    port = int(url.rsplit(":", 1)[1])

    async def handle(socket: ServerConnection) -> None:
        await resumes(socket, {})

    async with serve(handle, "127.0.0.1", port):
        assert [event["type"] async for event in session] == ["connection", "done"]
    await session.close()


async def test_an_unknown_session_ends_the_trying() -> None:
    async def breaks(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        await socket.close(1012)

    async def forgot(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, type="error", event=1, code="no_such_session", message="Unknown.", fatal=True)
        await socket.close(4404)

    async with server(breaks, forgot) as url, LiveSession(url) as session:
        with pytest.raises(ClientError) as lost:
            async for _ in session:
                pass
        assert (lost.value.code, lost.value.status) == ("no_such_session", 4404)
        with pytest.raises(ClientError):
            await session.send(b"x")


async def test_a_fatal_error_is_raised_with_the_servers_code() -> None:
    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        await socket.recv()
        await say(socket, type="error", event=2, code="bad_opus_packet", message="Not Opus.", fatal=True)
        await socket.close(1003)

    async with server(script) as url, LiveSession(url, codec="opus") as session:
        await session.send(b"noise")
        with pytest.raises(ClientError, match="Not Opus") as refused:
            async for _ in session:
                pass
        assert (refused.value.code, refused.value.status) == ("bad_opus_packet", 1003)


async def test_a_full_server_says_when_to_come_back() -> None:
    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, type="error", event=1, code="full", message="Full.", fatal=True, retry_after_s=7)
        await socket.close(1013)

    async with server(script) as url:
        with pytest.raises(ClientError) as refused:
            await LiveSession(url).__aenter__()
        assert (refused.value.code, refused.value.status, refused.value.retry_after_s) == ("full", 1013, 7)


async def test_a_server_that_is_gone_is_given_up_after_the_time_set() -> None:
    async def breaks(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)

    async with server(breaks) as url:
        session = await LiveSession(url, reconnect_s=0.5).__aenter__()
    with pytest.raises((ServerUnreachable, ClientError)):
        async for _ in session:
            pass
    await session.close()


async def test_a_connection_that_always_breaks_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisperlive_hybrid.client.live._FIRST_WAIT_S", 0.001)

    async def breaks(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY) if first["type"] == "start" else await say(socket, type="resumed", event=1, frames=0)
        await socket.recv()
        socket.transport.abort()

    async with server(*[breaks] * 7) as url, LiveSession(url) as session:
        await session.send(b"poison")
        with pytest.raises(ConnectionLost):
            async for _ in session:
                pass


async def test_sending_waits_while_too_much_is_uncommitted() -> None:
    commit = asyncio.Event()

    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        await frames(socket, 2)
        await commit.wait()
        await say(socket, type="ack", event=2, received=2, committed=2)
        await frames(socket, 1)
        await say(socket, type="done", event=3)

    async with server(script) as url, LiveSession(url, max_buffered_bytes=8) as session:
        await session.send(b"1234")
        await session.send(b"5678")
        third = asyncio.create_task(session.send(b"9"))
        await asyncio.sleep(0.05)
        assert not third.done()
        commit.set()
        await third
        assert [e["type"] async for e in session][-1] == "done"


async def test_long_audio_is_cut_into_messages_but_packets_are_not() -> None:
    sizes: list[list[int]] = []

    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        n = 3 if first["codec"] == "pcm_s16le" else 1
        sizes.append([len(f) for f in await frames(socket, n)])
        await say(socket, type="done", event=2)

    for codec in ("pcm_s16le", "opus"):
        async with server(script) as url, LiveSession(url, codec=codec) as session:
            await session.send(bytes(500_000))
            assert [e["type"] async for e in session][-1] == "done"
    assert sizes == [[240_000, 240_000, 20_000], [500_000]]


async def test_nobody_there() -> None:
    with pytest.raises(ServerUnreachable):
        await LiveSession("ws://127.0.0.1:1").__aenter__()
    with pytest.raises(ServerUnreachable):
        await asyncio.to_thread(BlockingLiveSession("ws://127.0.0.1:1").__enter__)


async def test_the_blocking_session_behaves_alike() -> None:
    async def script(socket: ServerConnection, first: dict[str, Any]) -> None:
        await say(socket, **READY)
        assert await frames(socket, 1) == [b"ab"]
        assert json.loads(await socket.recv()) == {"type": "flush"}
        assert json.loads(await socket.recv()) == {"type": "stop"}
        await say(socket, type="done", event=2)

    def program(url: str) -> list[str]:
        with BlockingLiveSession(url, codec="pcm_s16le") as session:
            session.send(b"ab")
            session.flush()
            session.stop()
            return [event["type"] for event in session]

    async with server(script) as url:
        assert await asyncio.to_thread(program, url) == ["ready", "done"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:5050", "ws://localhost:5050/ws/stream"),
        ("http://h:8080/", "ws://h:8080/ws/stream"),
        ("https://h", "wss://h/ws/stream"),
        ("ws://h/other?x=1", "ws://h/other?x=1"),
    ],
)
def test_addresses_as_people_write_them(given: str, url: str) -> None:
    assert stream_url(given) == url
