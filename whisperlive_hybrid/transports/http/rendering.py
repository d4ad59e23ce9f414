"""Transcripts as the bodies of answers: text, subtitles, segments; in a thread where there is much to write out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from aiohttp import web

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.transcript import Transcript

T = TypeVar("T")

MANY_SEGMENTS = 100
"""Longer transcripts are written out in a thread."""
_TEXTS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (formats.to_txt, "text/plain"),
    "txt": (formats.to_txt, "text/plain"),
    "srt": (formats.to_srt, "application/x-subrip"),
    "vtt": (formats.to_vtt, "text/vtt"),
    "tsv": (formats.to_tsv, "text/tab-separated-values"),
}


async def text_response(transcript: Transcript, format_: str) -> web.Response:
    """The transcript as plain text, a table or subtitles."""
    write, media_type = _TEXTS[format_]
    text = await off_loop(transcript, lambda: write(transcript))
    return web.Response(text=text, content_type=media_type, charset="utf-8")


async def off_loop(transcript: Transcript, render: Callable[[], T]) -> T:
    """`render()`, in a thread where there is much to write out."""
    return await asyncio.to_thread(render) if len(transcript.segments) > MANY_SEGMENTS else render()


def segment_object(number: int, segment: Segment, *, diarized: bool = False) -> dict[str, Any]:
    """One segment with faster-whisper's names; `words` and `speaker` only where they were asked for."""
    shown: dict[str, Any] = {
        "id": number,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_log_probability,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_probability,
    }
    if diarized:
        shown["speaker"] = segment.speaker
    if segment.words:
        shown["words"] = [
            {"word": w.text, "start": w.start, "end": w.end, "probability": w.probability}
            | ({"speaker": w.speaker} if diarized else {})
            for w in segment.words
        ]
    return shown


def result_object(transcript: Transcript, filename: str) -> dict[str, Any]:
    """Everything that is known, with faster-whisper's names: the native answer."""
    diarized = transcript.options.diarization is not None
    return {
        "success": True,
        "segments": [segment_object(i, s, diarized=diarized) for i, s in enumerate(transcript.segments)],
        **(formats.speakers_object(transcript) if diarized else {}),
        "info": {
            "language": transcript.language,
            "language_probability": transcript.language_probability,
            "duration": transcript.duration_s,
            "duration_after_vad": transcript.speech_s,
            "transcription_options": _options_object(transcript),
        },
        "filename": filename,
    }


def _options_object(transcript: Transcript) -> dict[str, Any]:
    decode = asdict(transcript.options.decode)
    decode["initial_prompt"] = decode.pop("prompt")
    decode["word_timestamps"] = decode.pop("word_times")
    decode["without_timestamps"] = not decode.pop("timestamps")
    del decode["prompt_tokens"], decode["token_probabilities"]
    return {
        "model": transcript.model,
        **decode,
        "condition_on_previous_text": transcript.options.condition_on_previous_text,
        "vad_options": asdict(transcript.options.speech),
    }
