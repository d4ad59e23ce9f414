"""The same with everything between a client's bytes and its events: decoder, voice activity, segmenter, runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.support.spoken_levels import LevelEngine, LevelVad, speak
from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live.commands import Audio, Change, Discard, EndTurn, LiveOptions, Stop
from whisperlive_hybrid.live.events import Done, Event, Failed, Final, SpeechState, TurnEnded
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.parting import Closing
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

FLOATS = LiveOptions(codec="pcm_f32le", interim=False, every_final=True)


@asynccontextmanager
async def talking(engine: LevelEngine, options: LiveOptions = FLOATS) -> AsyncIterator[Link]:
    async with VadBatcher(LevelVad()) as vad, LiveService(engine, vad) as live:  # type: ignore[arg-type]
        link = await live.open(options, can_resume=False)
        yield link
        link.let_go(clean=True)
    assert engine.held == [], "every model is let go"


async def hear(link: Link) -> list[Event]:
    """All there is to hear until it is closed, without what says nothing of turns."""
    heard: list[Event] = []
    while True:
        told = await asyncio.wait_for(link.next(), 10)
        if isinstance(told, Closing):
            return heard
        if isinstance(told.event, SpeechState | Final | TurnEnded | Failed | Done):
            heard.append(told.event)


def audio(*sentences: Sequence[int], seconds: float | None = None) -> Audio:
    samples = speak(*sentences)
    return Audio(samples[: None if seconds is None else round(16_000 * seconds)].tobytes())


def texts(heard: list[Event]) -> list[str]:
    return [e.text for e in heard if isinstance(e, Final)]


async def test_a_turn_ends_where_the_client_says_so_and_nothing_reaches_back_before_it() -> None:
    async with talking(LevelEngine()) as link:
        await link.take(audio([1, 2, 3], seconds=0.5 + 0.8))  # ends with the second word
        await link.take(EndTurn("a"))
        await link.take(audio([4], seconds=1.2))
        await link.take(EndTurn("b"))
        await link.take(EndTurn("c"))
        await link.take(Stop())
        heard = await hear(link)
    turns = [e for e in heard if isinstance(e, TurnEnded)]
    assert turns == [TurnEnded("a", 1, True), TurnEnded("b", 2, True), TurnEnded("c", 2, False)]
    assert texts(heard) == ["w1 w2", "w4"]
    second = [e for e in heard if isinstance(e, Final)][1]
    assert second.start >= 1.3


async def test_a_client_that_cannot_come_back_is_not_waited_for() -> None:
    engine = LevelEngine()
    async with VadBatcher(LevelVad()) as vad, LiveService(engine, vad) as live:  # type: ignore[arg-type]
        for can_resume in (False, True):
            link = await live.open(FLOATS, can_resume=can_resume)
            await link.take(audio([1]))
            link.let_go(clean=False)
            assert live.n_waiting == can_resume


async def test_several_utterances_make_one_turn() -> None:
    async with talking(LevelEngine()) as link:
        await link.take(audio([1], [2], [3]))
        await link.take(EndTurn("a"))
        await link.take(Stop())
        heard = await hear(link)
    assert [e for e in heard if isinstance(e, TurnEnded)] == [TurnEnded("a", 3, False)]
    assert texts(heard) == ["w1", "w2", "w3"]


async def test_what_is_discarded_is_never_heard_of() -> None:
    async with talking(LevelEngine()) as link:
        await link.take(audio([1]))
        await link.take(audio([2, 3], seconds=1.2))
        await link.take(Discard("x"))
        await link.take(audio([4]))
        await link.take(Stop())
        heard = await hear(link)
    assert [e for e in heard if isinstance(e, TurnEnded)] == [TurnEnded("x", 2, True)]
    assert texts(heard) == ["w1", "w4"]


async def test_the_form_of_the_audio_may_change() -> None:
    pcm16 = (speak([2]) * 32768).astype("<i2").tobytes()
    async with talking(LevelEngine()) as link:
        await link.take(audio([1]))
        await link.take(Change(replace(FLOATS, codec="pcm_s16le")))
        await link.take(Audio(pcm16))
        await link.take(Change(FLOATS))
        await link.take(audio([3]))
        await link.take(Stop())
        heard = await hear(link)
    assert texts(heard) == ["w1", "w2", "w3"]
    assert isinstance(heard[-1], Done)
    assert heard[-1].audio == pytest.approx((2 * len(speak([1])) + len(pcm16) // 2) / 16_000)


async def test_half_a_sample_before_a_change_of_form_is_no_error() -> None:
    async with talking(LevelEngine()) as link:
        await link.take(Audio(speak([1]).tobytes() + b"\0\0\0"))
        await link.take(Change(replace(FLOATS, codec="pcm_s16le", sample_rate=8_000)))
        await link.take(Stop())
        heard = await hear(link)
    assert texts(heard) == ["w1"]
    assert not [e for e in heard if isinstance(e, Failed)]


async def test_longer_pauses_may_belong_to_an_utterance_from_now_on() -> None:
    patient = replace(FLOATS, speech=replace(FLOATS.speech, min_silence_ms=2000))
    async with talking(LevelEngine()) as link:
        await link.take(audio([1], [2]))
        await link.take(Change(patient))
        await link.take(audio([3], [4]))
        await link.take(Stop())
        heard = await hear(link)
    assert texts(heard) == ["w1", "w2", "w3 w4"]


async def test_another_model_is_loaded_and_both_are_let_go_at_the_end() -> None:
    engine = LevelEngine()
    async with talking(engine) as link:
        await link.take(audio([1]))
        for model in ("other", "levels", "other"):
            await link.take(Change(replace(FLOATS, model=model)))
        await link.take(audio([2]))
        await link.take(Stop())
        heard = await hear(link)
        assert sorted(engine.held) == ["levels", "other"]
    assert [(e.text, e.model) for e in heard if isinstance(e, Final)] == [("w1", "levels"), ("w2", "other")]


async def test_a_model_that_cannot_be_had_is_told_and_all_else_changes() -> None:
    engine = LevelEngine()
    load = engine.load

    async def sometimes(name: str | None) -> str:
        if name == "gone":
            raise NotFound("no such model", kind="model", id="gone", code="model_not_found")
        return await load(name)

    engine.load = sometimes  # type: ignore[method-assign]
    async with talking(engine) as link:
        await link.take(Change(replace(FLOATS, model="gone", prompt="numbers")))
        await link.take(audio([1]))
        await link.take(Stop())
        heard = await hear(link)
    (failed,) = (e for e in heard if isinstance(e, Failed))
    assert (failed.code, failed.fatal, failed.param) == ("model_not_found", False, "model")
    assert texts(heard) == ["w1"]
    assert engine.asked[-1].options.prompt == "numbers"
