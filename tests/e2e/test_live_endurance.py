"""Short versions of the endurance benchmarks, against the real server as a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import disturbed
from benchmarks.chaos_clients import difference, steady_material, undisturbed
from benchmarks.live_load import speak
from benchmarks.material import conversations, normalized
from benchmarks.noises import NOISES, noise
from benchmarks.offenders import OFFENDERS
from benchmarks.silence import fed_fast
from benchmarks.soak import served, soak, whole
from tests.support.server_process import ServerProcess

CODECS = ("pcm_s16le", "webm-opus")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_noise_gives_no_text(server: ServerProcess) -> None:
    outcomes = {name: fed_fast(server, noise(name, 60.0), pace=200.0) for name in NOISES}
    assert {name: o.texts for name, o in outcomes.items() if o.texts} == {}


def _through(server: ServerProcess, kinds: list[str], audio_s: float) -> None:
    samples = conversations(None, 1, audio_s)[0].samples
    wires = steady_material(server.live_url, samples, CODECS, pace=20.0)
    expected = {codec: asyncio.run(undisturbed(server.live_url, codec, wires[codec], 20.0)) for codec in wires}
    assert all(len(told.words) > 3 for told in expected.values()), "there is something to lose"
    told, _ = asyncio.run(disturbed(server, wires, kinds, 3.0, seed=1))
    for codec, reference in expected.items():
        assert told[codec].failure is None
        assert difference(reference.words, told[codec].words).where == ()
        assert told[codec].twice == 0


def test_cut_connections_lose_and_double_nothing(server: ServerProcess) -> None:
    _through(server, ["cut", "torn", "again", "cut"], 14.0)


def test_killed_and_stopped_servers_lose_and_double_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        _through(server, ["kill", "cut", "term"], 14.0)
        assert server.starts == 3


async def test_bad_clients_take_nothing_from_a_good_one(server: ServerProcess) -> None:
    said = conversations(None, 1, 8.0)[0]
    alone = await speak(server.live_url, said.samples, pace=2.0)
    until = time.monotonic() + 6.0
    ports = (server.live_url, server.http_url.replace("http", "ws", 1))
    offences = [asyncio.create_task(offend(url, until)) for offend in OFFENDERS.values() for url in ports]
    beside = await speak(server.live_url, said.samples, pace=2.0)
    assert difference(normalized(alone.text).split(), normalized(beside.text).split()).where == ()
    await asyncio.gather(*offences, return_exceptions=True)
    assert (await asyncio.to_thread(server.health))["status"] == "ok"


async def test_a_long_session_says_the_same_from_beginning_to_end(tmp_path: Path) -> None:
    samples = whole(conversations(None, 1, 10.0)[0].samples)
    with served(tmp_path, "digits", 20.0) as server:
        block = (await asyncio.to_thread(steady_material, server.live_url, samples, ["opus"], 20.0))["opus"]
        rows, pairs, held = await soak(server, block, 6, 20.0, "opus", 1)
    assert all(row.same_text for row in rows)
    assert rows[-1].files <= rows[0].files + 2
    assert len(held) == 2
    assert all(0 < cost < 10 for pair in pairs for cost in (pair.long, pair.new))
