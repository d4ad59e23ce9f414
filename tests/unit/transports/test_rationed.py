"""A connection is read little at a time, and no further than its share of the event loop goes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from whisperlive_hybrid.transports import rationed
from whisperlive_hybrid.transports.rationed import READ_BYTES, ration


class Parser(asyncio.Protocol):
    """Takes `cost_s` of the test's CPU clock for each piece. `pauses`: reads no further for a while after each."""

    def __init__(self, cost_s: float = 0.0, *, pauses: bool = False) -> None:
        self.cost_s = cost_s
        self.pauses = pauses
        self.cpu_s = 0.0
        self.pieces: list[bytes] = []
        self.answer = b""
        self.full = False
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        ration(transport, lambda: self.cpu_s)

    def data_received(self, data: bytes) -> None:
        assert not self.full, "nothing is handed over while it does not read"
        self.pieces.append(data)
        self.cpu_s += self.cost_s
        if self.answer:
            self.transport.write(self.answer)
        if self.pauses:
            self.full = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.005, self.go_on)

    def go_on(self) -> None:
        self.full = False
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)


@asynccontextmanager
async def connected(parser: Parser) -> AsyncIterator[socket.socket]:
    """A client's blocking socket to it."""
    server = await asyncio.get_running_loop().create_server(lambda: parser, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        yield client
    server.close()
    await asyncio.wait_for(parser.lost.wait(), 5)


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def test_what_was_sent_at_once_comes_in_small_pieces_and_whole() -> None:
    parser = Parser()
    data = bytes(range(256)) * 400
    async with connected(parser) as client:
        await send(client, data)
        client.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(parser.ended.wait(), 5)
    assert parser.received == data
    assert max(len(piece) for piece in parser.pieces) <= READ_BYTES


async def test_who_has_used_up_its_share_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rationed, "PARSING_AT_ONCE_S", 0.5)
    monkeypatch.setattr(rationed, "PARSING_PER_S", 0.001)
    parser = Parser(cost_s=0.2)
    async with connected(parser) as client:
        await send(client, bytes(20 * READ_BYTES))
        client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.2)
        assert len(parser.pieces) == 3, "the third one uses it up"
        assert not parser.ended.is_set()
        parser.transport.abort()


@pytest.mark.parametrize("pauses", [False, True])
async def test_what_is_held_back_is_handed_over_later_and_in_order(
    pauses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rationed, "PARSING_AT_ONCE_S", 0.001)
    monkeypatch.setattr(rationed, "PARSING_PER_S", 1.0)
    parser = Parser(cost_s=0.003, pauses=pauses)
    data = bytes(range(256)) * 400
    async with connected(parser) as client:
        await send(client, data)
        client.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(parser.ended.wait(), 10)
    assert parser.received == data


async def test_who_asks_and_never_listens_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rationed, "UNREAD_BYTES", 100_000)
    parser = Parser()
    parser.answer = bytes(50_000)
    async with connected(parser) as client:
        while not parser.lost.is_set():
            try:
                client.send(b"ping")
            except BlockingIOError:
                pass
            except ConnectionError:
                break
            await asyncio.sleep(0.001)
        await asyncio.wait_for(parser.lost.wait(), 5)


async def test_a_client_that_leaves_while_it_is_held_back_is_forgotten() -> None:
    parser = Parser(cost_s=10.0)
    async with connected(parser) as client:
        await send(client, bytes(20_000))
        await asyncio.sleep(0.1)
        parser.transport.abort()
        await asyncio.wait_for(parser.lost.wait(), 5)
    assert len(parser.pieces) == 1
