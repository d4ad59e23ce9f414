"""Bodies of OpenAI's answers: what a real model and a short clip do not bring about."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.hypothesis import Segment, Token
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.transports.http.openai_answers import languages, log_probabilities, token_usage, usage

SEGMENT = Segment(0.0, 1.0, " né", (1, 2, 3), 0.0, -0.1, 1.0, 0.0)


def transcript(
    *segments: Segment, language: str | None = None, probability: float = 0.9, duration_s: float = 1.0
) -> Transcript:
    options = FileOptions(decode=DecodeOptions(language=language))
    return Transcript(
        segments, "en", probability, duration_s, 1.0, "digits", options, n_prompt_tokens=4, n_tokens=len(segments) * 3
    )


def test_a_token_may_be_a_part_of_a_character() -> None:
    tokens = (Token(b" n", -0.5), Token(b"\xc3", -1.0), Token(b"\xa9", -0.25))
    told = log_probabilities([Segment(0.0, 1.0, " né", (1, 2, 3), 0.0, -0.1, 1.0, 0.0, text_tokens=tokens)])

    assert [t["token"] for t in told] == [" n", "\ufffd", "\ufffd"]
    assert [t["logprob"] for t in told] == [-0.5, -1.0, -0.25]
    assert bytes(b for t in told for b in t["bytes"]).decode() == " né"


@pytest.mark.parametrize(
    ("heard", "known"),
    [
        (transcript(SEGMENT), True),
        (transcript(SEGMENT, probability=0.0), False),
        (transcript(), False),
        (transcript(language="en", probability=1.0), True),
    ],
)
def test_a_language_is_told_where_it_was_heard_or_named(heard: Transcript, known: bool) -> None:
    assert languages(heard) == ([{"code": "en"}] if known else [])


@pytest.mark.parametrize(("duration_s", "seconds", "tokens"), [(0.0, 0, 0), (0.11, 1, 2), (9.0, 9, 90), (9.01, 10, 91)])
def test_use_is_rounded_up(duration_s: float, seconds: int, tokens: int) -> None:
    assert usage(transcript(duration_s=duration_s)) == {"type": "duration", "seconds": seconds}
    assert token_usage(transcript(SEGMENT, duration_s=duration_s)) == {
        "type": "tokens",
        "input_tokens": tokens + 4,
        "input_token_details": {"text_tokens": 4, "audio_tokens": tokens},
        "output_tokens": 3,
        "total_tokens": tokens + 7,
    }
