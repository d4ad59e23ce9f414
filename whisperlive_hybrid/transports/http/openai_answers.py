"""The bodies of OpenAI's audio answers, made from a Transcript."""

from __future__ import annotations

import math
from typing import Any

from whisperlive_hybrid.engine.languages import language_name
from whisperlive_hybrid.jobs.transcript import Transcript


class Deltas:
    """Turns texts of segments into append-only deltas whose join is `text`: no space at either end."""

    def __init__(self) -> None:
        self.text = ""
        self._held = ""

    def add(self, text: str) -> str:
        """What can be told now; white space waits until more text follows it."""
        pending = self._held + text if self.text else text.lstrip()
        delta = pending.rstrip()
        self._held = pending[len(delta) :]
        self.text += delta
        return delta


def short_answer(transcript: Transcript) -> dict[str, Any]:
    """`json`. A translation's type has no usage, but clients take the key."""
    return {"text": transcript.text, "usage": _usage(transcript)}


def verbose_answer(transcript: Transcript, *, words: bool, segments: bool) -> dict[str, Any]:
    """`verbose_json`; `segments` and `words` are there only where they were asked for."""
    task = transcript.options.decode.task
    body: dict[str, Any] = {
        "task": task,
        "language": "english" if task == "translate" else language_name(transcript.language),
        "duration": float(transcript.duration_s),
        "text": transcript.text,
    }
    if segments:
        body["segments"] = [
            {
                "id": i,
                "seek": round(s.start * 100),
                "start": float(s.start),
                "end": float(s.end),
                "text": s.text,
                "tokens": list(s.tokens),
                "temperature": float(s.temperature),
                "avg_logprob": float(s.avg_log_probability),
                "compression_ratio": float(s.compression_ratio),
                "no_speech_prob": float(s.no_speech_probability),
            }
            for i, s in enumerate(transcript.segments)
        ]
    if words:
        body["words"] = [
            {"word": w.text.strip(), "start": float(w.start), "end": float(w.end)}
            for s in transcript.segments
            for w in s.words
        ]
    body["usage"] = _usage(transcript)
    return body


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(transcript.duration_s)}
