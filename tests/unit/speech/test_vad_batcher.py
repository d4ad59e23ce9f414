"""Who is scored when. A scripted network says what it was asked; the real one proves the numbers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.clips import clips
from whisperlive_hybrid.errors import Conflict, Unavailable
from whisperlive_hybrid.speech.silero import FRAME, START, FramesDue, Scored, Silero
from whisperlive_hybrid.speech.vad_batcher import SLICE, VadBatcher


class ScriptedSilero(Silero):
    """Says which streams each call had (a stream is known by its samples' value); waits while `gate` is shut."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.fail = False

    def score(self, due: Sequence[FramesDue]) -> list[Scored]:
        self.calls.append([(int(d.samples[0]), d.n_frames) for d in due])
        self.begun.set()
        assert self.gate.wait(10)
        if self.fail:
            raise RuntimeError("broken")
        return [Scored(d.samples[::FRAME].copy(), START) for d in due]


def frames(n: int, value: float) -> np.ndarray:
    return np.full(n * FRAME, value, np.float32)


async def begun(silero: ScriptedSilero) -> None:
    """A call is running and the gate is shut."""
    assert await asyncio.to_thread(silero.begun.wait, 10)


async def test_the_numbers_are_the_networks_whatever_the_cuts():
    samples = clips("en", conversations=False)[0].samples()
    [whole] = Silero().score([FramesDue(START, samples[: len(samples) // FRAME * FRAME])])
    rng = np.random.default_rng(1)

    async def listen(vad: VadBatcher) -> np.ndarray:
        cuts = np.sort(rng.integers(0, len(samples), 30))
        stream = vad.open("file" if rng.random() < 0.3 else "live")
        return np.concatenate([await stream.probabilities(part) for part in np.split(samples, cuts)])

    async with VadBatcher() as vad:
        for probabilities in await asyncio.gather(*(listen(vad) for _ in range(8))):
            np.testing.assert_allclose(probabilities, whole.probabilities, atol=1e-5)


async def test_while_one_call_runs_the_next_collects():
    silero = ScriptedSilero()
    silero.gate.clear()
    async with VadBatcher(silero) as vad:
        first = asyncio.create_task(vad.open().probabilities(frames(1, 1)))
        await begun(silero)
        rest = [asyncio.create_task(vad.open().probabilities(frames(2, i))) for i in (2, 3, 4)]
        await asyncio.sleep(0)
        silero.gate.set()
        await asyncio.gather(first, *rest)
    assert silero.calls == [[(1, 1)], [(2, 2), (3, 2), (4, 2)]]


async def test_a_file_waits_for_live_streams_never_the_other_way_round():
    silero = ScriptedSilero()
    async with VadBatcher(silero) as vad:
        live = vad.open()
        files = [asyncio.create_task(vad.open("file").probabilities(frames(10 * SLICE, value))) for value in (7, 8)]
        await begun(silero)
        await live.probabilities(frames(1, 1))
        calls_until_live = len(silero.calls)
        lengths = [len(p) for p in await asyncio.gather(*files)]
    assert lengths == [10 * SLICE, 10 * SLICE]
    assert calls_until_live < 10  # both files together take 20
    [shared] = [call for call in silero.calls if (1, 1) in call]
    assert shared[0] == (1, 1)
    assert all(n <= SLICE for call in silero.calls for _, n in call)
    assert [call[-1][0] for call in silero.calls[:6]] == [7, 8, 7, 8, 7, 8]  # files take turns


async def test_a_file_alone_is_scored_in_fewer_calls():
    silero = ScriptedSilero()
    async with VadBatcher(silero) as vad:
        live = vad.open()
        await vad.open("file").probabilities(frames(300, 7))
        beside_live = len(silero.calls)
        live.close()
        await vad.open("file").probabilities(frames(300, 7))
        assert len(silero.calls) - beside_live == 1 < beside_live


async def test_nothing_runs_while_nothing_is_due():
    async with VadBatcher(ScriptedSilero()) as vad:
        stream = vad.open()
        await stream.probabilities(frames(3, 1))
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "vad"]
        assert len(await stream.probabilities(frames(1, 1)[:-1])) == 0
        assert len(await stream.probabilities(frames(1, 1)[:1])) == 1


async def test_who_is_cancelled_or_closed_is_dropped_and_nobody_else():
    silero = ScriptedSilero()
    silero.gate.clear()
    async with VadBatcher(silero) as vad:
        running = asyncio.create_task(vad.open().probabilities(frames(1, 1)))
        await begun(silero)
        cancelled = asyncio.create_task(vad.open().probabilities(frames(1, 2)))
        closed_stream = vad.open()
        closed = asyncio.create_task(closed_stream.probabilities(frames(1, 3)))
        other = asyncio.create_task(vad.open().probabilities(frames(1, 4)))
        await asyncio.sleep(0)
        cancelled.cancel()
        running.cancel()
        closed_stream.close()
        closed_stream.close()
        with pytest.raises(Conflict):
            await closed
        silero.gate.set()
        assert len(await other) == 1
        with pytest.raises(Conflict):
            await closed_stream.probabilities(frames(1, 3))
    assert silero.calls == [[(1, 1)], [(4, 1)]]


async def test_a_stream_is_asked_once_at_a_time():
    silero = ScriptedSilero()
    silero.gate.clear()
    async with VadBatcher(silero) as vad:
        stream = vad.open()
        first = asyncio.create_task(stream.probabilities(frames(1, 1)))
        await begun(silero)
        with pytest.raises(Conflict):
            await stream.probabilities(frames(1, 1))
        silero.gate.set()
        assert len(await first) == 1


async def test_a_failed_call_is_told_to_its_own_and_the_next_works():
    silero = ScriptedSilero()
    silero.fail = True
    async with VadBatcher(silero) as vad:
        stream = vad.open()
        with pytest.raises(Unavailable, match="broken"):
            await stream.probabilities(frames(1, 1))
        silero.fail = False
        assert len(await stream.probabilities(frames(1, 1))) == 1


async def test_leaving_ends_what_waits():
    silero = ScriptedSilero()
    silero.gate.clear()
    vad = VadBatcher(silero)
    async with vad:
        waiting = [asyncio.create_task(vad.open().probabilities(frames(1, i))) for i in range(2)]
        await begun(silero)
        waiting.append(asyncio.create_task(vad.open().probabilities(frames(1, 9))))
        await asyncio.sleep(0)
        silero.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[2], Unavailable)
    with pytest.raises(Unavailable):
        await vad.open().probabilities(frames(1, 1))
