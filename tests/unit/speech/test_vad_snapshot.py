"""Voice activity that goes on in another process says the same numbers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.support.clips import clips
from whisperlive_hybrid.errors import BadInput, Conflict
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.vad_batcher import VadBatcher


@pytest.mark.parametrize("cut", [0, 100, FRAME, 9 * FRAME + 511, 20_000])
async def test_it_goes_on_exactly(cut: int) -> None:
    samples = clips("en", conversations=False)[0].samples()[: 60 * FRAME + 77]
    async with VadBatcher() as vad:
        first = vad.open()
        heard = await first.probabilities(samples[:cut])
        assert first.unscored == cut % FRAME
        snapshot = first.snapshot()
        assert len(snapshot) < 3500
        expected = await first.probabilities(samples[cut:])
    async with VadBatcher() as vad:
        second = vad.open(snapshot=snapshot)
        assert second.unscored == cut % FRAME
        np.testing.assert_array_equal(await second.probabilities(samples[cut:]), expected)
    assert len(heard) + len(expected) == 60


async def test_a_damaged_snapshot_is_refused() -> None:
    async with VadBatcher() as vad:
        stream = vad.open()
        await stream.probabilities(np.zeros(5 * FRAME + 5, np.float32))
        snapshot = stream.snapshot()
        for damaged in (b"", snapshot[:-1], snapshot[:100] + b"\0" + snapshot[101:], snapshot + b"\0"):
            if damaged != snapshot:
                with pytest.raises(BadInput) as caught:
                    vad.open(snapshot=damaged)
                assert caught.value.code == "bad_snapshot"


async def test_there_is_none_while_a_call_is_waiting() -> None:
    async with VadBatcher() as vad:
        stream = vad.open()
        call = asyncio.create_task(stream.probabilities(np.zeros(5 * FRAME, np.float32)))
        await asyncio.sleep(0)
        with pytest.raises(Conflict):
            stream.snapshot()
        await call
        assert stream.snapshot()
