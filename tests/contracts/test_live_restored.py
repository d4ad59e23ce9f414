"""A live session that goes on elsewhere after any of its finals tells the rest as if nothing had happened.

Real speech, voice activity, segmentation and model; only time is made up.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.clips import clips
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.live.actions import Run, Send
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Final
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

MESSAGE = 8 * FRAME
"""Samples that come at a time: 256 ms."""

Checkpoint = tuple[SessionState, int, int]
"""State, first sample that is needed again, finals told by then."""


async def hear(
    engine: Engine,
    options: LiveOptions,
    samples: Samples,
    probabilities: NDArray[np.float32],
    checkpoint: Checkpoint,
) -> tuple[list[Final], list[Checkpoint]]:
    """A session from `checkpoint` to the end of `samples`: its finals, and a checkpoint after each."""
    state, begin, n_before = checkpoint
    session = Session("s", options, model=engine.default_model, state=state)
    segmenter = Segmenter(options.speech, start=begin, deaf_until=state.told_end, speaking_from=state.speaking_from)
    finals: list[Final] = []
    checkpoints: list[Checkpoint] = []
    for at in range(begin, len(samples) + 1, MESSAGE):
        block = samples[at : at + MESSAGE]
        now = (at + len(block)) / 16000
        heard = probabilities[at // FRAME : (at + len(block)) // FRAME]
        session.receive_speech(segmenter.feed(block, heard), now)
        if len(block) < MESSAGE:
            session.receive_speech(segmenter.flush(), now)
        while actions := session.actions():
            for action in actions:
                if isinstance(action, Run):
                    session.receive_hypothesis(await engine.transcribe(action.window), now)
                elif isinstance(action, Send) and isinstance(action.event, Final):
                    finals.append(action.event)
                    kept = msgspec.json.decode(msgspec.json.encode(session.state()), type=SessionState)
                    needed = min(session.settled(segmenter.settled), at + len(block)) // FRAME * FRAME
                    checkpoints.append((kept, needed, n_before + len(finals)))
    return finals, checkpoints


@pytest.mark.parametrize("speech", [SpeechOptions(), SpeechOptions(max_utterance_s=2.0)], ids=["whole", "cut by force"])
async def test_the_rest_is_told_as_it_would_have_been(speech: SpeechOptions) -> None:
    samples = next(c for c in clips(conversations=True) if "20s" in c.path.name).samples()
    options = LiveOptions(language="en", interim=False, speech=speech)
    engine_options = EngineOptions(model=models.DIGITS, threads=1)
    async with VadBatcher() as vad, Engine(engine_options) as engine:
        await engine.ready()
        probabilities = await vad.open().probabilities(samples)
        whole, checkpoints = await hear(engine, options, samples, probabilities, (SessionState(), 0, 0))
        assert len(whole) >= 4
        for checkpoint in checkpoints:
            rest, _ = await hear(engine, options, samples, probabilities, checkpoint)
            assert rest == whole[checkpoint[2] :]
