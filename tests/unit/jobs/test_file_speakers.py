"""Speech that another run has transcribed is heard again by the pieces in which it was heard then."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.jobs.file_speakers import SpeakersOfFile
from whisperlive_hybrid.jobs.transcript import FileOptions


class Listening:
    """A diarizer, and the file it is asked for, that remember what they are given."""

    def __init__(self) -> None:
        self.n_audio = 0
        self.speech: list[tuple[int, Samples]] = []

    async def file(self, _: SpeakerOptions) -> Listening:
        return self

    async def hear_audio(self, samples: Samples) -> None:
        self.n_audio += len(samples)

    async def hear_speech(self, start: int, samples: Samples) -> None:
        self.speech.append((start, samples))


async def test_told_pieces_come_whole_wherever_blocks_end() -> None:
    audio = np.arange(100, dtype=np.float32)
    told = ((0, 5), (5, 12), (18, 47), (60, 61))
    for n in (1, 7, 10, 100):
        listening = Listening()
        speakers = SpeakersOfFile(cast(Any, listening), FileOptions(diarization=SpeakerOptions()), told)
        await speakers.open()
        for start in range(0, len(audio), n):
            await speakers.hear_block(audio[start : start + n], start)
        assert listening.n_audio == len(audio)
        assert [start for start, _ in listening.speech] == [begin for begin, _ in told]
        for (_, samples), (begin, end) in zip(listening.speech, told, strict=True):
            assert np.array_equal(samples, audio[begin:end])


async def test_nobody_listens_where_nobody_asked() -> None:
    listening = Listening()
    speakers = SpeakersOfFile(cast(Any, listening), FileOptions(), ((0, 5),))
    await speakers.open()
    await speakers.hear_block(np.zeros(10, np.float32), 0)
    assert (listening.n_audio, listening.speech) == (0, [])
