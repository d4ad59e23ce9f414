"""The real network: both its forms agree, streams do not see each other, torch stays out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.support.clips import clips
from whisperlive_hybrid.errors import Unavailable
from whisperlive_hybrid.speech.silero import FRAME, START, FramesDue, Silero, VadState


@pytest.fixture(scope="module")
def silero() -> Silero:
    return Silero()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    samples = clips("en", conversations=False)[0].samples()
    return samples[: len(samples) // FRAME * FRAME]


def in_steps(silero: Silero, samples: np.ndarray, n: int) -> np.ndarray:
    """Probabilities, asked `n` frames at a time."""
    state: VadState = START
    out = []
    for i in range(0, len(samples), n * FRAME):
        [scored] = silero.score([FramesDue(state, samples[i : i + n * FRAME])])
        state = scored.state
        out.append(scored.probabilities)
    return np.concatenate(out)


def test_one_call_or_frame_by_frame_is_the_same(silero, speech):
    whole = in_steps(silero, speech, 10_000)
    assert whole.max() > 0.9
    for n in (1, 3, 5, 16):
        np.testing.assert_allclose(in_steps(silero, speech, n), whole, atol=1e-5)


def test_streams_in_one_call_do_not_see_each_other(silero, speech):
    pieces = [speech[: n * FRAME] for n in (1, 3, 2, 20, 0, 3)]
    together = silero.score([FramesDue(START, piece) for piece in pieces])
    for piece, scored in zip(pieces, together, strict=True):
        [alone] = silero.score([FramesDue(START, piece)])
        assert len(scored.probabilities) == len(piece) // FRAME
        np.testing.assert_allclose(scored.probabilities, alone.probabilities, atol=1e-5)
        np.testing.assert_allclose(scored.state.memory, alone.state.memory, atol=1e-4)


@pytest.mark.parametrize("n", [1, 16])
def test_samples_that_are_no_numbers_do_not_stay_in_the_state(silero, speech, n):
    bad = np.full(n * FRAME, np.nan, np.float32)
    [scored] = silero.score([FramesDue(START, bad)])
    assert scored.probabilities.max() < 0.01
    [after] = silero.score([FramesDue(scored.state, speech)])
    assert after.probabilities.max() > 0.9


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(Unavailable, match="silero_vad_16k"):
        Silero(tmp_path)


def test_torch_is_not_imported():
    program = (
        "import asyncio, sys, numpy as np\n"
        "from whisperlive_hybrid.speech.vad_batcher import VadBatcher\n"
        "from whisperlive_hybrid.jobs import pipeline, formats\n"
        "async def main():\n"
        "    async with VadBatcher() as vad:\n"
        "        print(len(await vad.open().probabilities(np.zeros(5120, np.float32))))\n"
        "asyncio.run(main())\n"
        "print(sorted({'torch', 'silero_vad', 'pyannote'} & {m.split('.')[0] for m in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["10", "[]"]
