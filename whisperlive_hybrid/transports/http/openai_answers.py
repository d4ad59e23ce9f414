"""The bodies of OpenAI's audio answers, made from a Transcript. Keys without a value are left out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.engine.languages import language_name
from whisperlive_hybrid.jobs.growing import GrowingDialogue, short_name
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.transports.http.openai_options import Wanted

AUDIO_TOKENS_PER_SECOND: Final = 10
"""How OpenAI counts audio."""


def short_answer(transcript: Transcript, wanted: Wanted) -> dict[str, Any]:
    """`json`. A translation's type has no usage, but clients take the key."""
    body: dict[str, Any] = {"text": transcript.text}
    if wanted.log_probabilities:
        body["logprobs"] = log_probabilities(transcript.segments)
    if wanted.languages:
        body["languages"] = languages(transcript)
    body["usage"] = token_usage(transcript) if wanted.token_usage else usage(transcript)
    return body


def verbose_answer(transcript: Transcript, wanted: Wanted) -> dict[str, Any]:
    """`verbose_json`; `segments` and `words` are there only where they were asked for, `speaker` where diarize was."""
    task = transcript.options.decode.task
    diarized = transcript.options.diarization is not None
    body: dict[str, Any] = {
        "task": task,
        "language": "english" if task == "translate" else language_name(transcript.language),
        "duration": float(transcript.duration_s),
        "text": transcript.text,
    }
    if wanted.segments:
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
            | ({"speaker": s.speaker} if diarized else {})
            for i, s in enumerate(transcript.segments)
        ]
    if wanted.words:
        body["words"] = [
            {"word": w.text.strip(), "start": float(w.start), "end": float(w.end)}
            | ({"speaker": w.speaker} if diarized else {})
            for s in transcript.segments
            for w in s.words
        ]
    body["usage"] = usage(transcript)
    return body | warning(transcript)


def diarized_answer(transcript: Transcript) -> dict[str, Any]:
    """`diarized_json`: the text is a dialogue."""
    dialogue = GrowingDialogue()
    dialogue.add(transcript.segments)
    return {
        "task": "transcribe",
        "duration": float(transcript.duration_s),
        "text": dialogue.text,
        "segments": [segment_event(i, s) for i, s in enumerate(transcript.segments)],
        "usage": usage(transcript),
        **warning(transcript),
    }


def warning(transcript: Transcript) -> dict[str, Any]:
    """Ours: what went wrong beside the text, such as that speakers could not be told apart."""
    return {} if transcript.warning is None else {"warning": transcript.warning}


def segment_event(number: int, segment: Segment) -> dict[str, Any]:
    """A segment of `diarized_json`, which is the same as an event of its own in a stream."""
    return {
        "type": "transcript.text.segment",
        "id": segment_id(number),
        "start": float(segment.start),
        "end": float(segment.end),
        "text": segment.text.strip(),
        "speaker": short_name(segment.speaker),
    }


def segment_id(number: int) -> str:
    """seg_001 for the first, number 0."""
    return f"seg_{number + 1:03}"


def log_probabilities(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """The text's tokens. One that is part of a character has U+FFFD as its text; its bytes are always right."""
    return [
        {
            "token": token.spelling.decode(errors="replace"),
            "logprob": token.log_probability,
            "bytes": list(token.spelling),
        }
        for segment in segments
        for token in segment.text_tokens
    ]


def languages(transcript: Transcript) -> list[dict[str, str]]:
    """The language that was heard; none where nothing was, and none was named."""
    known = transcript.language_probability > 0 and (transcript.segments or transcript.options.decode.language)
    return [{"code": transcript.language}] if known else []


def usage(transcript: Transcript) -> dict[str, Any]:
    """In seconds, rounded up."""
    return {"type": "duration", "seconds": math.ceil(transcript.duration_s)}


def token_usage(transcript: Transcript) -> dict[str, Any]:
    """In tokens: the audio's by its length, the prompt's and the text's as they are, timestamps included."""
    audio = math.ceil(transcript.duration_s * AUDIO_TOKENS_PER_SECOND)
    text, written = transcript.n_prompt_tokens, transcript.n_tokens
    return {
        "type": "tokens",
        "input_tokens": audio + text,
        "input_token_details": {"text_tokens": text, "audio_tokens": audio},
        "output_tokens": written,
        "total_tokens": audio + text + written,
    }
