"""Transcripts as txt, srt, vtt, tsv and json. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.jobs.cues import Cue, CueRules, cues, speaker_prefix
from whisperlive_hybrid.jobs.transcript import Transcript

VTT_HEAD: Final = "WEBVTT\n\n"


def to_txt(transcript: Transcript) -> str:
    """The text, a line for each segment, which begins with its speaker where that is known."""
    return "".join(
        f"{speaker_prefix(segment)}{text}\n" for segment in transcript.segments if (text := _one_line(segment.text))
    )


def to_srt(transcript: Transcript, rules: CueRules | None = None) -> str:
    """SubRip: numbered cues. With `rules`, segments with words are split into cues that fit a screen."""
    return "".join(srt_cue(number, cue) for number, cue in enumerate(cues(transcript.segments, rules), 1))


def srt_cue(number: int, cue: Cue) -> str:
    """One cue of a SubRip file, with the empty line behind it."""
    return f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n{_no_arrow(cue.text)}\n\n"


def to_vtt(transcript: Transcript, rules: CueRules | None = None) -> str:
    """WebVTT (W3C), hours always written. With `rules` as in `to_srt`."""
    return VTT_HEAD + "".join(vtt_cue(cue) for cue in cues(transcript.segments, rules))


def vtt_cue(cue: Cue) -> str:
    """One cue of a WebVTT file, with the empty line behind it."""
    # In WebVTT's text & and < begin references and tags (§4.2.2).
    text = _no_arrow(cue.text).replace("&", "&amp;").replace("<", "&lt;")
    return f"{clock(cue.start_ms)} --> {clock(cue.end_ms)}\n{text}\n\n"


def to_tsv(transcript: Transcript) -> str:
    """Tab-separated start and end in milliseconds, and text."""
    rows = [f"{cue.start_ms}\t{cue.end_ms}\t{cue.text}\n" for cue in cues(transcript.segments)]
    return "start\tend\ttext\n" + "".join(rows)


def to_json(transcript: Transcript) -> str:
    """Everything that is known, indented for reading."""
    return msgspec.json.format(msgspec.json.encode(plain(transcript)), indent=2).decode() + "\n"


FORMATS: Final[Mapping[str, Callable[[Transcript], str]]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "json": to_json,
}


def render(transcript: Transcript, format_: str) -> str:
    """The transcript in one of FORMATS. Raises BadInput for another name."""
    if format_ not in FORMATS:
        raise BadInput(f"There is no format {format_!r}.", param="format", accepted=tuple(FORMATS))
    return FORMATS[format_](transcript)


def clock(ms: int, point: str = ".") -> str:
    """`HH:MM:SS.mmm`."""
    s, ms = divmod(ms, 1000)
    m, s = divmod(s, 60)
    h, m = divmod(m, 60)
    return f"{h:02}:{m:02}:{s:02}{point}{ms:03}"


def plain(transcript: Transcript) -> dict[str, Any]:
    """Everything that is known, as plain values."""
    return {
        "text": transcript.text,
        "language": transcript.language,
        "language_probability": round(transcript.language_probability, 4),
        "duration": round(transcript.duration_s, 3),
        "speech": round(transcript.speech_s, 3),
        "model": transcript.model,
        **({} if transcript.options.diarization is None else speakers_object(transcript)),
        "segments": [
            _plain_segment(i, segment, transcript.options.diarization is not None)
            for i, segment in enumerate(transcript.segments)
        ],
    }


def speakers_object(transcript: Transcript) -> dict[str, Any]:
    """`speakers` in order, `turns`, and a `warning` where they could not be had."""
    told: dict[str, Any] = {
        "speakers": list(transcript.speakers),
        "turns": [
            {
                "start": round(t.start, 3),
                "end": round(t.end, 3),
                "speaker": t.speaker,
                "confidence": round(t.confidence, 3),
            }
            for t in transcript.turns
        ],
    }
    return told if transcript.warning is None else {**told, "warning": transcript.warning}


def _plain_segment(number: int, segment: Segment, diarized: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": number,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text.strip(),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_log_probability,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_probability,
    }
    if diarized:
        plain["speaker"] = segment.speaker
    if segment.words:
        plain["words"] = [
            {"word": w.text.strip(), "start": w.start, "end": w.end, "probability": round(w.probability, 4)}
            | ({"speaker": w.speaker} if diarized else {})
            for w in segment.words
        ]
    return plain


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _no_arrow(text: str) -> str:
    """`-->` in a text would be read as a cue's times."""
    return text.replace("-->", "->")
