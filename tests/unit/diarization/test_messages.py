"""What goes through the pipes comes out as it was."""

from __future__ import annotations

import numpy as np
import pytest

from whisperlive_hybrid.diarization import messages
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.messages import (
    Answer,
    Cluster,
    Embed,
    Failed,
    Heard,
    Progress,
    Request,
    RunPipeline,
    Told,
)
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region

REGION = Region(1.5, 4.25, np.arange(6, dtype=np.float32).reshape(2, 3))
PACKED = messages.pack_region(REGION)
VOICE = messages.pack_voice(KnownVoice("Anna", np.ones(3, np.float32)))


@pytest.mark.parametrize(
    "request_",
    [
        Embed(1, messages.pack_samples(np.ones(3, np.float32))),
        Cluster(2, [PACKED], SpeakerOptions(max_speakers=3), [VOICE]),
        RunPipeline(3, "/tmp/x", SpeakerOptions(2)),
    ],
)
def test_requests(request_: Request) -> None:
    data = messages.frame(request_)

    assert int.from_bytes(data[:4], "little") == len(data) - 4
    assert messages.read_request(data[4:]) == request_


@pytest.mark.parametrize(
    "answer",
    [
        Progress(1, 0.5),
        Heard(2, [PACKED]),
        Told(3, [Turn(0.0, 1.0, "A", 0.5)]),
        Failed(4, "no_gpu", "", ["buy"]),
    ],
)
def test_answers(answer: Answer) -> None:
    assert messages.read_answer(messages.frame(answer)[4:]) == answer


def test_regions_and_voices() -> None:
    region = messages.unpack_region(PACKED)

    assert (region.start, region.end) == (REGION.start, REGION.end)
    assert np.array_equal(region.vectors, REGION.vectors)
    assert np.array_equal(messages.unpack_voice(VOICE).vector, np.ones(3))
    assert np.array_equal(messages.unpack_samples(messages.pack_samples(np.arange(4.0))), np.arange(4.0))
