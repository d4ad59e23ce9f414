"""Sessions that go on in another process: several services over one store, none of which knows of the others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory_connection import MemoryConnection
from tests.support.spoken_levels import LevelEngine, LevelVad, speak
from whisperlive_hybrid.audio.snapshot import bad_snapshot
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.runner import LiveLimits, LiveService
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.storage.records import Entry, Record, RecordStore, StoreFailed
from whisperlive_hybrid.transports.connection import ConnectionLost, serve_connection
from whisperlive_hybrid.transports.websocket.native import NativeDialect

RULES = LiveRules(partial_interval_s=0.01, retry_after_s=0.001, trim_after_s=4.0, final_tries=50)
START = {"type": "start", "codec": "pcm_f32le", "vad": {"max_utterance_s": 6}}


pytestmark = pytest.mark.timeout(30)


class Process:
    """One service. `hang` is as much of a sudden death as can be had within one: nothing it does shows any more."""

    def __init__(self, live: LiveService, store: RecordStore) -> None:
        self.live = live
        self.store = store
        self.connections: list[MemoryConnection] = []
        self._tasks: list[asyncio.Task[None]] = []

    def connect(self, room: int = 100) -> MemoryConnection:
        connection = MemoryConnection(room)
        self.connections.append(connection)
        serving = serve_connection(connection, NativeDialect({}, LiveOptions()), self.live)
        self._tasks.append(asyncio.create_task(serving))
        return connection

    def hang(self) -> None:
        for connection in self.connections:
            connection.drop()

        async def refuse(*_: Any, **__: Any) -> bool:
            raise StoreFailed("dead")

        self.store.save = self.store.delete = refuse  # type: ignore[method-assign, assignment]


@asynccontextmanager
async def processes(tmp_path: Path, n: int, seed: int = 0, **engine: Any) -> AsyncIterator[list[Process]]:
    """So many services over one file."""
    async with AsyncExitStack() as stack:
        running = []
        for i in range(n):
            store = await stack.enter_async_context(RecordStore(tmp_path / "live.sqlite", keep_s=60))
            vad = await stack.enter_async_context(VadBatcher(LevelVad()))  # type: ignore[arg-type]
            limits = LiveLimits(resume_s=60)
            service = LiveService(LevelEngine(seed + i, **engine), vad, rules=RULES, limits=limits, store=store)
            running.append(Process(await stack.enter_async_context(service), store))
        yield running


@dataclass
class Client:
    """Keeps what is not committed, and says it again."""

    messages: Sequence[bytes]
    events: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[int, str] = field(default_factory=dict)
    partials: dict[int, str] = field(default_factory=dict)
    last: int = 0
    sent: int = 0
    committed: int = 0
    restored: int = 0
    connection: MemoryConnection | None = None
    ready: dict[str, Any] = field(default_factory=dict)
    _listener: asyncio.Task[None] | None = None

    async def start(self, process: Process, options: dict[str, Any] | None = None) -> None:
        self.connection = process.connect()
        await self.connection.say(START | (options or {}))
        ready = await self.connection.hear()
        assert ready is not None
        self.ready, self.last = ready, ready["event"]
        self._listener = asyncio.create_task(self._listen(self.connection))

    async def resume(self, process: Process) -> None:
        await self.cut()
        self.connection = process.connect()
        again = {"session": self.ready["session"], "token": self.ready["token"], "last_event": self.last}
        await self.connection.say({"type": "resume"} | again)
        resumed = await self.connection.hear()
        assert resumed is not None
        assert resumed["type"] == "resumed", resumed
        assert self.committed <= resumed["frames"] <= self.sent, "what is committed is never asked for"
        assert resumed["event"] == self.last
        self.sent = resumed["frames"]
        if resumed["restored"]:
            self.restored += 1
            self.partials = {s: t for s, t in self.partials.items() if s in self.finals}
        self._listener = asyncio.create_task(self._listen(self.connection))

    async def cut(self) -> None:
        if self._listener is not None:
            self._listener.cancel()  # what is not read yet is lost with the connection
            await asyncio.gather(self._listener, return_exceptions=True)
        if self.connection is not None:
            self.connection.drop()

    async def send(self, n: int) -> None:
        assert self.connection is not None
        with suppress(ConnectionLost):
            while n > 0 and self.sent < len(self.messages):
                await self.connection.say(self.messages[self.sent])
                self.sent += 1
                n -= 1

    async def stop(self) -> None:
        assert self.connection is not None
        assert self._listener is not None
        with suppress(ConnectionLost):
            await self.connection.say({"type": "stop"})
        await asyncio.wait_for(self._listener, 20)

    async def _listen(self, connection: MemoryConnection) -> None:
        while (event := await connection.hear()) is not None:
            assert event["event"] > self.last, "none comes twice"
            self.last = event["event"]
            self.events.append(event)
            match event["type"]:
                case "final":
                    assert event["segment"] not in self.finals, "once"
                    self.finals[event["segment"]] = event["text"]
                    appended = self.partials.get(event["segment"], "").split()
                    assert appended == [] or event["text"], "what was shown is replaced"
                case "partial":
                    assert event["segment"] not in self.finals
                    self.partials[event["segment"]] = self.partials.get(event["segment"], "") + event["append"]
                case "ack":
                    assert event["committed"] >= self.committed
                    self.committed = event["committed"]

    @property
    def words(self) -> list[str]:
        assert list(self.finals) == sorted(self.finals), "in order"
        return " ".join(self.finals.values()).split()


def said(rng: random.Random) -> tuple[list[bytes], list[str]]:
    """Sentences, some longer than an utterance may be; as messages cut anywhere, and as words."""
    numbers = iter(range(1, 900))
    sentences = [[next(numbers) for _ in range(rng.choice((1, 4, 9, 30)))] for _ in range(6)]
    data, messages = speak(*sentences).tobytes(), []
    while data:
        n = rng.choice((1, 777, 8_000, 32_000, 60_001))
        messages.append(data[:n])
        data = data[n:]
    return messages, [f"w{n}" for sentence in sentences for n in sentence]


@pytest.mark.parametrize("seed", range(10))
async def test_whichever_process_is_asked_and_whichever_dies_each_word_comes_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    messages, words = said(rng)
    async with processes(tmp_path, 4, seed, failures=0.1, delay_s=0.02) as running:
        client, alive = Client(messages), list(running)
        await client.start(alive[0])
        while client.sent < len(messages):
            await client.send(rng.randrange(1, 20))
            await asyncio.sleep(rng.random() * 0.1)
            if len(alive) > 1 and rng.random() < 0.2:
                alive.pop(rng.randrange(len(alive))).hang()
            await client.resume(rng.choice(alive))
        await client.stop()
        done = client.events[-1]
        assert (done["type"], client.connection and client.connection.close_code) == ("done", 1000)
        assert client.words == words
        assert client.restored > 0
        assert client.committed == len(messages)
        # A segment may have been heard by several processes; it counts once.
        assert (done["segments"], done["words"]) == (len(client.finals), len(words))


async def test_a_process_whose_session_went_elsewhere_says_no_more_and_closes_4410(tmp_path: Path) -> None:
    messages, words = said(random.Random(3))
    async with processes(tmp_path, 2) as (first, second):
        client = Client(messages)
        await client.start(first)
        await client.send(20)
        listener, old = client._listener, client.connection
        assert listener is not None
        assert old is not None
        listener.cancel()
        client.connection = client._listener = None  # it stays open, and is not read
        await client.resume(second)
        for message in messages[20:]:
            with suppress(ConnectionLost):
                await old.say(message)
        heard: list[dict[str, Any]] = []
        while (event := await asyncio.wait_for(old.hear(), 10)) is not None:
            heard.append(event)
        assert (heard[-1]["code"], old.close_code) == ("taken_over", 4410)
        assert first.live.n_sessions + first.live.n_waiting == 0
        await client.send(len(messages))
        await client.stop()
        assert client.words == words
        # What it told after all it had written before; the other process then told the same.
        told = {e["segment"]: e["text"] for e in heard if e["type"] == "final"}
        assert told.items() <= client.finals.items()
        assert len(told) < len(client.finals)


async def test_shutting_down_leaves_what_runs_to_the_next_process(tmp_path: Path) -> None:
    messages, words = said(random.Random(5))
    async with processes(tmp_path, 1, delay_s=0.05) as (first,):
        client = Client(messages)
        await client.start(first)
        await client.send(len(messages) // 2)
        await asyncio.sleep(0.1)
        draining = asyncio.create_task(first.live.drain(10.0))
        assert client._listener is not None
        await asyncio.wait_for(client._listener, 10)
        await asyncio.wait_for(draining, 5)
        assert client.connection is not None
        assert client.connection.close_code == 1012
        assert [e for e in client.events if e["type"] == "go_away"]
        late = first.connect()
        again = {"session": client.ready["session"], "token": client.ready["token"], "last_event": client.last}
        await late.say({"type": "resume"} | again)
        refused = await late.hear()
        assert refused is not None
        assert (refused["code"], late.close_code) == ("shutting_down", 1012)
    async with processes(tmp_path, 1) as (second,):
        await client.resume(second)
        assert client.restored == 1
        await client.send(len(messages))
        await client.stop()
        assert client.words == words


async def test_nothing_is_left_of_a_session_that_is_over(tmp_path: Path) -> None:
    messages, words = said(random.Random(7))
    async with processes(tmp_path, 2) as (first, second):
        client = Client(messages)
        await client.start(first)
        await client.send(len(messages))
        await client.stop()
        assert client.words == words
        id, token = client.ready["session"], client.ready["token"]
        while await first.store.owns(id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await second.store.take(id, token) is None
        elsewhere = second.connect()
        await elsewhere.say({"type": "resume", "session": id, "token": token, "last_event": 1})
        answer = await elsewhere.hear()
        assert answer is not None
        assert (answer["code"], elsewhere.close_code) == ("no_such_session", 4404)


async def test_a_session_that_cannot_be_gone_on_with_is_not_kept_for_ever(tmp_path: Path) -> None:
    messages, words = said(random.Random(11))
    async with processes(tmp_path, 2) as (first, second):
        client = Client(messages)
        await client.start(first)
        await client.send(len(messages) // 2)
        first.hang()
        elsewhere = second.connect()
        again = {"session": client.ready["session"], "token": client.ready["token"], "last_event": 10**9}
        await elsewhere.say({"type": "resume"} | again)
        answer = await elsewhere.hear()
        assert answer is not None
        assert answer["code"] == "events_gone"
        assert not await second.store.owns(client.ready["session"])
        await client.resume(second)  # it may still be had
        await client.send(len(messages))
        await client.stop()
        assert client.words == words


@pytest.mark.parametrize("name", ["a checkpoint", "a snapshot"])
async def test_what_another_version_wrote_is_no_session_so_that_its_client_begins_anew(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    messages, _ = said(random.Random(13))
    async with processes(tmp_path, 2) as (first, second):
        client = Client(messages)
        await client.start(first)
        await client.send(len(messages) // 2)
        first.hang()
        if name == "a checkpoint":
            take = second.store.take

            async def spoilt(id: str, token: str) -> Record | None:
                written = await take(id, token)
                return written and replace(written, body=b"\xc1" + written.body)

            monkeypatch.setattr(second.store, "take", spoilt)
        else:

            def refuse(*_: Any, **__: Any) -> None:
                raise bad_snapshot()

            monkeypatch.setattr("whisperlive_hybrid.live.opening.make_decoder", refuse)
        elsewhere = second.connect()
        again = {"session": client.ready["session"], "token": client.ready["token"], "last_event": client.last}
        await elsewhere.say({"type": "resume"} | again)
        answer = await elsewhere.hear()
        assert answer is not None
        assert (answer["code"], elsewhere.close_code) == ("no_such_session", 4404)
        assert "cannot go on in this process" in caplog.text


async def test_a_wrong_token_takes_nothing_over(tmp_path: Path) -> None:
    messages, words = said(random.Random(9))
    async with processes(tmp_path, 2) as (first, second):
        client = Client(messages)
        await client.start(first)
        thief = second.connect()
        await thief.say({"type": "resume", "session": client.ready["session"], "token": "guess", "last_event": 1})
        answer = await thief.hear()
        assert answer is not None
        assert (answer["code"], thief.close_code) == ("no_such_session", 4404)
        await client.send(len(messages))
        await client.stop()
        assert client.words == words


async def test_where_no_checkpoint_can_be_written_captions_go_on_and_nothing_may_be_forgotten(tmp_path: Path) -> None:
    messages, words = said(random.Random(11))
    async with processes(tmp_path, 1) as (process,):
        client = Client(messages)
        await client.start(process)
        save, fails = process.store.save, True

        async def full_disk(id: str, body: bytes, entries: Sequence[Entry] = (), forget_upto: int = 0) -> bool:
            if fails:
                raise StoreFailed("the disk is full")
            return await save(id, body, entries, forget_upto)

        process.store.save = full_disk  # type: ignore[method-assign]
        half = len(messages) // 2
        await client.send(half)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if len(client.finals) >= 2:
                break
        assert len(client.finals) >= 2
        assert client.committed == 0
        fails = False
        await client.send(len(messages))
        await client.stop()
        assert client.words == words
        assert client.committed == len(messages)
