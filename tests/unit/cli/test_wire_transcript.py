from __future__ import annotations

import json

import msgspec
import pytest

from whisperlive_hybrid.cli.wire_transcript import transcript_of
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.cues import CueRules
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.transports.http.rendering import result_object


def transcript(*, diarized: bool, warning: str | None = None) -> Transcript:
    speaker = "SPEAKER_01" if diarized and warning is None else None
    words = (Word(" one", 0.5, 0.9, 0.98765, speaker), Word(" two,", 1.0, 1.25, 0.5, speaker))
    return Transcript(
        segments=(
            Segment(0.5, 1.25, " one two,", (50364, 472, 732), 0.2, -0.123456, 0.75, 0.0123, words, speaker),
            Segment(2.0, 2.5, "三", (50414,), 0.0, -0.5, 0.7, 0.1),
        ),
        language="en",
        language_probability=0.987654,
        duration_s=3.14159,
        speech_s=2.0,
        model="digits",
        options=FileOptions(diarization=SpeakerOptions() if diarized else None),
        turns=(Turn(0.25, 1.5, "SPEAKER_01", 0.875),) if speaker else (),
        warning=warning,
    )


@pytest.mark.parametrize(
    "made", [transcript(diarized=False), transcript(diarized=True), transcript(diarized=True, warning="No GPU.")]
)
def test_nothing_that_is_written_out_is_lost_on_the_way(made: Transcript) -> None:
    on_the_wire = json.loads(msgspec.json.encode(result_object(made, "talk.mp3")))
    arrived = transcript_of(on_the_wire)
    for format_ in formats.FORMATS:
        assert formats.render(arrived, format_) == formats.render(made, format_)
    assert formats.to_srt(arrived, CueRules()) == formats.to_srt(made, CueRules())
