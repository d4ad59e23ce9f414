"""What is stored of jobs comes back as it was."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from whisperlive_hybrid.diarization.turns import KnownSpeaker, SpeakerOptions, Turn
from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.jobs.chunk import Chunk
from whisperlive_hybrid.jobs.stored import (
    content_key,
    decode_chunks,
    decode_options,
    decode_transcript,
    encode_chunk,
    encode_options,
    encode_transcript,
)
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript

WORDS = (Word(" ja", 0.1, 0.4, 0.9), Word(" und", 0.4, 0.6, 0.8, speaker="SPEAKER_00"))
SEGMENT = Segment(0.1, 0.6, " ja und", (1, 2, 3), 0.2, -0.3, 1.1, 0.01, WORDS, speaker="SPEAKER_00")
OPTIONS = FileOptions(
    model="digits",
    decode=DecodeOptions(language="de", task="translate", temperatures=(0.0, 0.5), prompt="a\n“b”", languages=("de",)),
    condition_on_previous_text=True,
    diarization=SpeakerOptions(None, 1, 3, (KnownSpeaker("Ada", b"\x00\xff"),)),
)


def test_options() -> None:
    assert decode_options(encode_options(OPTIONS)) == OPTIONS
    assert decode_options(encode_options(FileOptions())) == FileOptions()
    assert decode_options(b'{"model":"m","of a newer version":1}') == FileOptions(model="m")


def test_chunks() -> None:
    chunks = [
        Chunk(
            (SEGMENT,), end=16_000, speech=8_000, language="de", detected=("de", 0.9), said=("ja",), n_prompt_tokens=3
        ),
        Chunk((), end=32_000, speech=9_000, silent_windows=2),
    ]
    assert decode_chunks(map(encode_chunk, chunks)) == chunks


def test_transcripts() -> None:
    turns = (Turn(0.0, 1.0, "SPEAKER_00", 0.5),)
    whole = Transcript((SEGMENT,), "de", 0.9, 1.0, 0.5, "digits", OPTIONS, elapsed_s=0.1, turns=turns, warning="w")
    body = encode_transcript(whole)
    assert decode_transcript(body, OPTIONS) == whole
    assert b"Ada" not in body, "options are the job's"
    assert msgspec.json.decode(body)["language"] == "de"


def test_the_same_content_is_known_by_its_key() -> None:
    key = content_key("a" * 64, OPTIONS, "digits")
    assert key == content_key("a" * 64, replace(OPTIONS, model=None), "digits")
    others = {
        content_key("b" * 64, OPTIONS, "digits"),
        content_key("a" * 64, OPTIONS, "tiny"),
        content_key("a" * 64, replace(OPTIONS, condition_on_previous_text=False), "digits"),
    }
    assert len(others) == 3
    assert key not in others
