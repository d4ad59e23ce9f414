"""Segments on their way to their speakers: in order, bounded, and never in the way of a session's end."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.speaker_book import Book
from whisperlive_hybrid.diarization.turns import KnownSpeaker
from whisperlive_hybrid.diarization.voices import Region, windows_of
from whisperlive_hybrid.errors import Refused, Unavailable
from whisperlive_hybrid.live.actions import Listen
from whisperlive_hybrid.live.events import Event, Failed, SpeakerNamed
from whisperlive_hybrid.live.speaker_tasks import MAX_WAITING, SpeakerTasks, all_again


class Voices:
    """A listener whose voices are the first sample's number; segments wait until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def warm(self) -> None:
        """Nothing to load."""

    async def regions_of_segment(self, samples: Samples) -> list[Region]:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        end = len(samples) / SAMPLE_RATE
        vector = np.eye(8, dtype=np.float32)[int(samples[0])]
        return [Region(0.0, end, np.stack([vector] * len(windows_of(0.0, end))))]

    async def learn(self, speaker: KnownSpeaker) -> KnownVoice:
        raise NotImplementedError


class Told:
    """What the client hears."""

    def __init__(self, within_s: float | None = None) -> None:
        self.voices = Voices()
        self.events: list[Event] = []
        self.idle = asyncio.Event()
        self.tasks = SpeakerTasks(
            "s",
            self.voices,
            Book(),
            max_speakers=None,
            within_s=within_s,
            tell=self.events.append,
            on_idle=self.idle.set,
        )

    def say(self, segment: int, voice: int, seconds: float = 3.0) -> None:
        samples = np.full(round(seconds * SAMPLE_RATE), voice, np.float32)
        self.tasks.start(Listen(segment, 10.0 * segment, samples))

    async def settled(self) -> list[tuple[int, str | None]]:
        await asyncio.wait_for(self.idle.wait(), 10)
        self.idle.clear()
        return [(e.segment, e.speaker) for e in self.events if isinstance(e, SpeakerNamed)]

    @property
    def complaints(self) -> list[str]:
        return [e.code for e in self.events if isinstance(e, Failed)]


async def test_segments_are_named_in_order_and_idle_is_said_at_the_end() -> None:
    told = Told()
    told.voices.go.clear()
    for segment, voice in enumerate((1, 2, 1)):
        told.say(segment, voice)
    assert not told.tasks.idle
    told.voices.go.set()

    assert await told.settled() == [(0, "SPEAKER_00"), (1, "SPEAKER_01"), (2, "SPEAKER_00")]
    assert told.tasks.idle
    assert told.tasks.book.newest[1].start == 10.0, "on the session's clock"
    await told.tasks.close()


async def test_who_is_late_is_told_as_nobody_first() -> None:
    told = Told(within_s=0.01)
    told.voices.go.clear()
    told.say(0, 1)
    await asyncio.sleep(0.05)
    assert told.events == [SpeakerNamed(0, None, 0.0)]
    told.voices.go.set()

    assert await told.settled() == [(0, None), (0, "SPEAKER_00")]
    await told.tasks.close()


async def test_failures_leave_segments_without_a_speaker_and_are_said_once() -> None:
    told = Told()
    told.voices.error = Unavailable("gone", code="worker_lost")
    told.say(0, 1)
    told.say(1, 1)

    assert await told.settled() == [(0, None), (1, None)]
    assert told.complaints == ["worker_lost"]

    told.voices.error = None
    told.say(2, 1)
    assert (await told.settled())[-1] == (2, "SPEAKER_00")
    await told.tasks.close()


async def test_a_full_queue_is_said_each_time() -> None:
    told = Told()
    told.voices.error = Refused("full", retry_after_s=1, code="speakers_full")
    told.say(0, 1)
    await told.settled()
    told.say(1, 1)
    await told.settled()

    assert told.complaints == ["speakers_full", "speakers_full"]
    await told.tasks.close()


async def test_no_more_segments_wait_than_may() -> None:
    told = Told()
    told.voices.go.clear()
    for segment in range(MAX_WAITING + 1):
        told.say(segment, 1)

    (last,) = [e for e in told.events if isinstance(e, SpeakerNamed)]
    assert (last.segment, last.speaker) == (MAX_WAITING, None)
    await told.tasks.close()


async def test_giving_up_names_nobody_and_is_idle_at_once() -> None:
    told = Told()
    told.voices.go.clear()
    told.say(0, 1)
    await asyncio.sleep(0)
    told.tasks.give_up()

    assert told.tasks.idle
    assert [(e.segment, e.speaker) for e in told.events if isinstance(e, SpeakerNamed)] == [(0, None)]
    assert told.complaints == ["speakers_late"]
    told.voices.go.set()
    told.say(1, 1)
    assert (await told.settled())[-1] == (1, "SPEAKER_00"), "it goes on"
    await told.tasks.close()


async def test_all_that_is_remembered_can_be_told_again() -> None:
    told = Told()
    assert all_again(told.tasks.book) is None
    for segment, voice in enumerate((1, 2, 1)):
        told.say(segment, voice)
    await told.settled()

    again = all_again(told.tasks.book)
    assert again == SpeakerNamed(2, "SPEAKER_00", 0.0, ((0, "SPEAKER_00"), (1, "SPEAKER_01")))
    await told.tasks.close()


@pytest.mark.parametrize("busy", [True, False])
async def test_close_leaves_nothing_running(busy: bool) -> None:
    told = Told()
    told.voices.go.clear()
    if busy:
        told.say(0, 1)
    await asyncio.sleep(0)
    await told.tasks.close()

    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
