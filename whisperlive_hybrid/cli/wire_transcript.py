"""A server's answer as the transcript it was made of, to be written out as one that was made here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript


def transcript_of(answer: Mapping[str, Any]) -> Transcript:
    """From the answer of /transcribe, or of a job in the form `full` (docs/protocols/files.md). Raises KeyError."""
    info = answer["info"]
    diarized = "turns" in answer
    return Transcript(
        segments=tuple(map(_segment, answer["segments"])),
        language=info["language"],
        language_probability=info["language_probability"],
        duration_s=info["duration"],
        speech_s=info["duration_after_vad"],
        model=info["transcription_options"]["model"],
        options=FileOptions(diarization=SpeakerOptions() if diarized else None),
        turns=tuple(Turn(t["start"], t["end"], t["speaker"], t["confidence"]) for t in answer.get("turns", ())),
        warning=answer.get("warning"),
    )


def _segment(segment: Mapping[str, Any]) -> Segment:
    return Segment(
        start=segment["start"],
        end=segment["end"],
        text=segment["text"],
        tokens=tuple(segment["tokens"]),
        temperature=segment["temperature"],
        avg_log_probability=segment["avg_logprob"],
        compression_ratio=segment["compression_ratio"],
        no_speech_probability=segment["no_speech_prob"],
        words=tuple(
            Word(w["word"], w["start"], w["end"], w["probability"], w.get("speaker")) for w in segment.get("words", ())
        ),
        speaker=segment.get("speaker"),
    )
