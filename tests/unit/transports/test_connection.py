"""The one loop and the sessions behind it, without sockets and models: broken connections, slow and fast clients."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.support.memory_connection import MemoryConnection
from tests.support.spoken_levels import LevelEngine, LevelVad, speak
from tests.support.waiting import until
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live import audience, inbox
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.runner import LiveLimits, LiveService
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.transports import connection as loop
from whisperlive_hybrid.transports import turnstile
from whisperlive_hybrid.transports.connection import ConnectionLost, serve_connection
from whisperlive_hybrid.transports.websocket.native import NativeDialect

# So many tries that the failures a test asks for never use them up, whatever order things happen in.
RULES = LiveRules(partial_interval_s=0.01, retry_after_s=0.001, trim_after_s=4.0, final_tries=50)
START = {"type": "start", "codec": "pcm_f32le", "vad": {"max_utterance_s": 6}}


class Served:
    """A live service and the connections to it."""

    def __init__(self, live: LiveService) -> None:
        self.live = live
        self.tasks: list[asyncio.Task[None]] = []

    def connect(self, room: int = 4, **attributes: Any) -> MemoryConnection:
        """A new client; its dialect has the `attributes`."""
        connection = MemoryConnection(room)
        dialect = NativeDialect({}, LiveOptions())
        for name, value in attributes.items():
            setattr(dialect, name, value)
        self.tasks.append(asyncio.create_task(serve_connection(connection, dialect, self.live), name="client"))
        return connection


@asynccontextmanager
async def served(engine: LevelEngine, limits: LiveLimits | None = None) -> AsyncIterator[Served]:
    before = asyncio.all_tasks()
    async with (
        VadBatcher(LevelVad()) as vad,  # type: ignore[arg-type]
        LiveService(engine, vad, rules=RULES, limits=limits) as live,
    ):
        serving = Served(live)
        yield serving
    for task in serving.tasks:
        await asyncio.wait_for(task, 5)
    assert engine.held == [], "every model is let go"
    await asyncio.sleep(0)  # cancelled ones of the test's own connection
    assert asyncio.all_tasks() - before == set(), "every task has ended"


def cut_anywhere(samples: Samples, rng: random.Random) -> list[bytes]:
    """PCM messages of any length, not minding where a sample ends."""
    data, messages = samples.tobytes(), []
    while data:
        n = rng.choice((1, 777, 8_000, 32_000, 60_001))
        messages.append(data[:n])
        data = data[n:]
    return messages


async def hear_all(connection: MemoryConnection, events: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    events = [] if events is None else events
    while (event := await connection.hear()) is not None:
        events.append(event)
    return events


def texts(events: list[dict[str, Any]]) -> list[str]:
    return " ".join(e["text"] for e in events if e["type"] == "final").split()


@pytest.mark.parametrize("seed", range(12))
async def test_random_cuts_disconnects_and_failures_lose_no_word_and_change_no_committed_one(seed: int) -> None:
    rng = random.Random(seed)
    numbers = iter(range(1, 900))
    sentences = [[next(numbers) for _ in range(rng.choice((1, 4, 9, 30)))] for _ in range(6)]
    messages = cut_anywhere(speak(*sentences), rng)
    engine = LevelEngine(seed, failures=0.2, delay_s=0.02)
    events: list[dict[str, Any]] = []
    async with served(engine) as serving:
        client = serving.connect()
        await client.say(START)
        ready = await client.hear()
        assert ready is not None
        sent, last = 0, ready["event"]

        async def listen(connection: MemoryConnection) -> None:
            nonlocal last
            while (event := await connection.hear()) is not None:
                if event["type"] != "resumed":
                    assert event["event"] == last + 1, "no event is missing and none comes twice"
                    last = event["event"]
                    events.append(event)

        listener = asyncio.create_task(listen(client))
        while sent < len(messages):
            for _ in range(rng.randrange(1, 60)):
                if sent < len(messages):
                    await client.say(messages[sent])
                    sent += 1
            if rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.05)
            listener.cancel()  # what is not read yet is lost with the connection
            await asyncio.gather(listener, return_exceptions=True)
            client.drop()
            client = serving.connect()
            again = {"type": "resume", "session": ready["session"], "token": ready["token"], "last_event": last}
            await client.say(again)
            resumed = await client.hear()
            assert resumed is not None
            assert resumed["type"] == "resumed"
            sent = resumed["frames"]
            listener = asyncio.create_task(listen(client))
        await client.say({"type": "stop"})
        await asyncio.wait_for(listener, 20)
        assert client.close_code == 1000
    assert texts(events) == [f"w{n}" for sentence in sentences for n in sentence]
    committed: dict[int, str] = {}
    final: set[int] = set()
    for event in events:
        if event["type"] == "partial":
            assert event["segment"] not in final
            committed[event["segment"]] = committed.get(event["segment"], "") + event["append"]
        if event["type"] == "final":
            final.add(event["segment"])
    assert set(committed) <= final
    acks = [(e["received"], e["committed"]) for e in events if e["type"] == "ack"]
    assert acks == sorted(acks)
    assert acks[-1] == (len(messages), len(messages))
    assert not [e for e in events if e["type"] == "error"]


async def test_a_client_that_sends_faster_than_is_transcribed_is_slowed_and_loses_nothing() -> None:
    engine = LevelEngine()
    engine.gate.clear()
    sentences = [list(range(1 + 10 * i, 11 + 10 * i)) for i in range(60)]  # five minutes of speech
    data = speak(*sentences).tobytes()
    async with served(engine) as serving:
        client = serving.connect()
        await client.say(START | {"interim": False})
        taken = 0

        async def push() -> None:
            nonlocal taken
            for i in range(0, len(data), 64_000):
                await client.say(data[i : i + 64_000])
                taken += 1
            await client.say({"type": "stop"})

        pushing = asyncio.create_task(push())
        listening = asyncio.create_task(hear_all(client))
        await asyncio.sleep(0.5)
        # Of 300 s: the backlog (pauses between sentences come on top), the inbox, what is in hand.
        bound_s = 1.25 * RULES.max_backlog_s + inbox.INBOX_S + 20
        assert taken < bound_s, "one message is one second"
        engine.gate.set()
        await asyncio.wait_for(pushing, 20)
        events = await asyncio.wait_for(listening, 20)
    assert texts(events) == [f"w{n}" for s in sentences for n in s]


@pytest.mark.parametrize("message", ["{", {"type": "ping"}, {"type": "nothing"}])
async def test_who_floods_before_there_is_a_session_waits_too(message: str | dict[str, Any]) -> None:
    async with served(LevelEngine()) as serving:
        client = serving.connect()
        said = 0

        async def flood() -> None:
            nonlocal said
            with suppress(ConnectionLost):
                for _ in range(2000):
                    await client.say(message)
                    said += 1

        flooding = asyncio.create_task(flood())
        listening = asyncio.create_task(hear_all(client))
        await until(lambda: said >= turnstile.CONTROL_AT_ONCE)
        await asyncio.sleep(0.3)
        assert said < 500
        client.drop()
        await asyncio.gather(flooding, listening)


async def test_a_client_that_does_not_read_gets_every_final_and_few_partials_when_it_does() -> None:
    sentences = [list(range(1 + 10 * i, 11 + 10 * i)) for i in range(20)]
    data = speak(*sentences).tobytes()
    async with served(LevelEngine()) as serving:
        client = serving.connect(room=4)
        await client.say(START)
        for i in range(0, len(data), 8_000):
            await client.say(data[i : i + 8_000])
            await asyncio.sleep(0.001)
        await client.say({"type": "stop"})
        await asyncio.sleep(0.3)
        events = await asyncio.wait_for(hear_all(client), 10)
    assert texts(events) == [f"w{n}" for s in sentences for n in s]
    assert len([e for e in events if e["type"] == "partial"]) <= 4


async def test_a_client_that_never_reads_is_closed_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "MAX_WAITING_EVENTS", 20)
    sentences = [[n] for n in range(1, 40)]
    data = speak(*sentences).tobytes()
    async with served(LevelEngine()) as serving:
        client = serving.connect(room=1)
        await client.say(START | {"interim": False})
        ready = await client.hear()
        assert ready is not None
        for i in range(0, len(data), 16_000):
            with suppress(ConnectionLost):
                await client.say(data[i : i + 16_000])
            if serving.live.n_waiting:
                break
            await asyncio.sleep(0.002)
        monkeypatch.undo()  # on a busy machine twenty events may well come at once
        # Its socket is full, so it cannot even be told; only the close comes through.
        again = serving.connect()
        await again.say({"type": "resume", "session": ready["session"], "token": ready["token"], "last_event": 1})
        resumed = await again.hear()
        assert resumed is not None
        assert resumed["type"] == "resumed"
        listening = asyncio.create_task(hear_all(again))
        for i in range(resumed["frames"] * 16_000, len(data), 16_000):
            await again.say(data[i : i + 16_000])
            await asyncio.sleep(0.002)
        await again.say({"type": "stop"})
        events = await asyncio.wait_for(listening, 10)
    assert texts(events) == [f"w{n}" for s in sentences for n in s]


async def test_a_half_open_connection_is_found_and_its_session_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PING_EVERY_S", 0.05)
    async with served(LevelEngine()) as serving:
        client = serving.connect()
        await client.say(START)
        await client.say(speak([1]).tobytes())
        await asyncio.sleep(0.3)
        assert (serving.live.n_sessions, client.n_pings >= 2) == (1, True)
        client.answers_pings = False
        await asyncio.wait_for(serving.tasks[0], 2)
        assert (serving.live.n_sessions, serving.live.n_waiting) == (0, 1)


async def test_what_was_said_is_final_when_a_client_sends_nothing_more_where_its_wire_wants_that() -> None:
    speech = speak([1, 2], [3])
    async with served(LevelEngine()) as serving:
        waits, hurries = serving.connect(), serving.connect(flush_after_s=0.2)
        for client in (waits, hurries):
            await client.say(START | {"interim": False})
            await client.say(speech[: -int(0.9 * 16_000)].tobytes())  # the pause is too short to end the last word
        async with asyncio.timeout(5):
            while True:
                event = await hurries.hear()
                assert event is not None
                if event["type"] == "final" and event["text"] == "w3":
                    break
        await hurries.say(speak([4]).tobytes())  # it goes on as if nothing had been
        for client in (waits, hurries):
            await client.say({"type": "stop"})
        of_waits, of_hurries = [await asyncio.wait_for(hear_all(client), 5) for client in (waits, hurries)]
    assert (texts(of_waits), texts(of_hurries)) == (["w1", "w2", "w3"], ["w4"])


async def test_another_model_will_do_where_the_wire_says_so() -> None:
    class Small(LevelEngine):
        async def load(self, name: str | None) -> str:
            if name == "large":
                raise NotFound("no such model", kind="model", id="large")
            return await super().load(name)

    async with served(Small()) as serving:
        strict, easy = serving.connect(), serving.connect(any_model=True)
        for client in (strict, easy):
            await client.say(START | {"model": "large"})
        refused, ready = await strict.hear(), await easy.hear()
        await easy.leave()
    assert refused is not None and ready is not None
    assert (refused["code"], ready["type"]) == ("not_found", "ready")
    assert (ready["settings"]["model"], ready["settings"]["model_asked"]) == ("levels", "large")


async def test_a_wire_may_have_another_code_for_the_close() -> None:
    async with served(LevelEngine(), LiveLimits(idle_s=0.1)) as serving:
        client = serving.connect(close_code=lambda code: {4408: 1000}[code])
        await client.say(START)
        await asyncio.wait_for(hear_all(client), 5)
    assert client.close_code == 1000


async def test_only_so_many_sessions_wait_and_the_oldest_gives_way() -> None:
    async with served(LevelEngine(), LiveLimits(max_sessions=2)) as serving:
        readies = []
        for _ in range(4):
            client = serving.connect()
            await client.say(START)
            readies.append(await client.hear())
            await client.say(bytes(400))
            await client.hear()  # the acknowledgement: it has been taken
            client.drop()
            await asyncio.wait_for(serving.tasks[-1], 2)
        assert serving.live.n_waiting == 2
        for ready, there in zip(readies, (False, False, True, True), strict=True):
            assert ready is not None
            client = serving.connect()
            await client.say({"type": "resume", **{k: ready[k] for k in ("session", "token")}, "last_event": 1})
            answer = await client.hear()
            assert answer is not None
            assert answer["type"] == ("resumed" if there else "error")


async def test_a_client_that_lost_the_end_of_its_session_can_still_fetch_it() -> None:
    async with served(LevelEngine()) as serving:
        client = serving.connect()
        await client.say(START)
        ready = await client.hear()
        assert ready is not None
        await client.say(speak([1, 2]).tobytes())
        await client.say({"type": "stop"})
        await client.hear()
        client.drop()
        await asyncio.wait_for(serving.tasks[0], 2)
        await asyncio.sleep(0.2)  # meanwhile everything is finished
        again = serving.connect()
        await again.say({"type": "resume", "session": ready["session"], "token": ready["token"], "last_event": 1})
        events = await hear_all(again)
    assert (texts(events), events[-1]["type"], again.close_code) == (["w1", "w2"], "done", 1000)


async def test_a_resume_from_an_event_that_never_was_leaves_the_session_to_expire() -> None:
    async with served(LevelEngine()) as serving:
        client = serving.connect()
        await client.say(START)
        ready = await client.hear()
        assert ready is not None
        await client.say(bytes(400))
        await client.hear()
        client.drop()
        await asyncio.wait_for(serving.tasks[0], 2)
        again = serving.connect()
        await again.say({"type": "resume", **{k: ready[k] for k in ("session", "token")}, "last_event": 999})
        (error,) = await hear_all(again)
        assert (error["code"], again.close_code) == ("events_gone", 4404)
        assert (serving.live.n_sessions, serving.live.n_waiting) == (0, 1)


async def test_a_hypothesis_that_breaks_the_session_ends_it_aloud() -> None:
    class Nonsense(LevelEngine):
        async def transcribe(self, window: Window) -> Hypothesis:
            return replace(await super().transcribe(window), consumed_s=math.nan)

    async with served(Nonsense()) as serving:
        client = serving.connect()
        await client.say(START | {"interim": False})
        await client.say(speak([1]).tobytes())
        await client.say({"type": "stop"})
        events = await asyncio.wait_for(hear_all(client), 5)
    assert (events[-1]["code"], events[-1]["fatal"], client.close_code) == ("internal_error", True, 1011)


async def test_resume_in_the_middle_of_a_connection_is_refused_before_audio_goes_astray() -> None:
    async with served(LevelEngine()) as serving:
        client = serving.connect()
        await client.say(START)
        await client.say({"type": "resume", "session": "x", "token": "y", "last_event": 0})
        events = await hear_all(client)
    assert (events[-1]["code"], client.close_code) == ("already_started", 4400)


async def test_our_own_fault_is_told_with_an_incident_and_closes_1011() -> None:
    class Broken(LevelEngine):
        async def load(self, name: str | None) -> str:
            raise ZeroDivisionError

    async with served(Broken()) as serving:
        client = serving.connect()
        await client.say(START)
        (error,) = await hear_all(client)
    assert (error["code"], error["fatal"], client.close_code) == ("internal_error", True, 1011)
    assert "incident" in error["message"]
