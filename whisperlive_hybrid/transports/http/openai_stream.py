"""OpenAI's transcriptions as server-sent events.

`transcript.text.delta` for each group of finished segments, `transcript.text.segment` before it where the speakers are
told, one `transcript.text.done`, `[DONE]`. Deltas are only ever added, and join to the text of the last event: the
text, the dialogue or the subtitle file that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.growing import Growing, GrowingDialogue, GrowingSubtitles, GrowingText
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.transports.http.openai_answers import (
    languages,
    log_probabilities,
    segment_event,
    segment_id,
    token_usage,
    warning,
)
from whisperlive_hybrid.transports.http.openai_options import Wanted

DONE = b"data: [DONE]\n\n"
WAITING = b": waiting\n\n"
"""A comment, which every client passes over."""


class EventStream:
    """The events of one file."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._text = _growing(wanted.response_format)
        self._log_probabilities: list[dict[str, Any]] = []

    def segments(self, segments: Sequence[Segment]) -> bytes:
        """More segments are final. Who speaks in them is only known at the end, so that they wait where it matters."""
        if self._wanted.options.diarization is not None:
            return b""
        piece = self._text.add(segments)
        return self._delta(piece, log_probabilities(segments) if self._wanted.log_probabilities else [])

    def done(self, transcript: Transcript) -> bytes:
        """There are no more segments."""
        rest = b""
        if self._wanted.response_format == "diarized_json":
            rest = b"".join(self._spoken(i, segment) for i, segment in enumerate(transcript.segments))
        elif self._wanted.options.diarization is not None:
            rest = self._delta(self._text.add(transcript.segments), [])
        rest += self._delta(self._text.end(), [])
        last: dict[str, Any] = {"type": "transcript.text.done", "text": self._text.text}
        if self._wanted.languages:
            last["languages"] = languages(transcript)
        if self._wanted.log_probabilities:
            last["logprobs"] = self._log_probabilities
        # The event's type knows no seconds.
        return rest + event({**last, "usage": token_usage(transcript), **warning(transcript)})

    def _spoken(self, number: int, segment: Segment) -> bytes:
        delta = self._text.add([segment])
        told = {"type": "transcript.text.delta", "delta": delta, "segment_id": segment_id(number)}
        return event(segment_event(number, segment)) + (event(told) if delta else b"")

    def _delta(self, piece: str, tokens: list[dict[str, Any]]) -> bytes:
        if not piece:
            return b""
        delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece}
        if tokens:
            delta["logprobs"] = tokens
            self._log_probabilities += tokens
        return event(delta)


def event(body: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _growing(response_format: str) -> Growing:
    if response_format in ("srt", "vtt"):
        return GrowingSubtitles(cast(Literal["srt", "vtt"], response_format))
    return GrowingDialogue() if response_format == "diarized_json" else GrowingText()
