"""Sessions that cannot be built leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.spoken_levels import LevelEngine, LevelVad
from whisperlive_hybrid.errors import BadInput, HybridError, NotFound
from whisperlive_hybrid.live.beginning import Beginning
from whisperlive_hybrid.live.checkpoint import pack
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.opening import LiveModels, Opener
from whisperlive_hybrid.live.policy import AgreedOrSure
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.storage.records import Record


async def restored(opener: Opener, before: Beginning, vad: bytes) -> Beginning:
    checkpoint = before.checkpoint(replace(before.mark, vad=vad))
    store: Any = None
    return await opener.restored("id", "token", Record(pack(checkpoint), ()), 0, store)


@pytest.mark.parametrize("what", ["snapshot", "model"])
async def test_a_session_that_cannot_go_on_holds_no_model_and_no_stream(what: str) -> None:
    engine = LevelEngine()
    async with VadBatcher(LevelVad()) as vad:  # type: ignore[arg-type]
        opener = Opener(engine, vad, LiveRules(), LiveModels(), AgreedOrSure)
        before = await opener.new(LiveOptions(codec="pcm_f32le"))
        held, streams = list(engine.held), vad._n_live

        async def gone(name: str | None) -> str:
            raise NotFound("no such model", kind="model", id="m")

        if what == "model":
            engine.load = gone  # type: ignore[method-assign]
        with pytest.raises(BadInput if what == "snapshot" else HybridError):
            await restored(opener, before, b"junk" if what == "snapshot" else b"")
        assert (engine.held, vad._n_live) == (held, streams)
