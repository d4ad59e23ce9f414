"""The body of Deepgram's answer for a file, made from a Transcript. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.transports.deepgram_wire import (
    Parameters,
    confidence_of,
    model_id,
    model_info,
    transcript_of,
    warnings,
    word_object,
)

SENTENCE_ENDS: Final = tuple(".?!…。？！")
PARAGRAPH_GAP_S: Final = 2.0
PARAGRAPH_SENTENCES: Final = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """What is to be told of a transcript, and how."""

    parameters: Parameters
    punctuated: bool
    paragraphs: bool
    utterances: bool
    utterance_gap_s: float
    detected_language: bool
    multilingual: bool


def answer(transcript: Transcript, shape: Shape, *, request_id: str, sha256: str) -> dict[str, Any]:
    """The whole body."""
    words = [word for segment in transcript.segments for word in segment.words]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(w.speaker for w in words if w.speaker))}

    def shown(word: Word) -> dict[str, Any]:
        speaker = None if word.speaker is None else numbers[word.speaker]
        return word_object(word, punctuated=shape.punctuated, speaker=speaker)

    alternative: dict[str, Any] = {
        "transcript": transcript_of(words, punctuated=shape.punctuated),
        "confidence": confidence_of(words),
        "words": [shown(word) for word in words],
    }
    if shape.multilingual:
        alternative["languages"] = [transcript.language]
    if shape.paragraphs:
        alternative["paragraphs"] = _paragraphs(words, numbers)
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if shape.detected_language:
        channel["detected_language"] = transcript.language
        channel["language_confidence"] = round(transcript.language_probability, 4)
    results: dict[str, Any] = {"channels": [channel]}
    if shape.utterances:
        results["utterances"] = [
            _utterance(group, shape, shown, numbers) for group in _apart(words, shape.utterance_gap_s)
        ]
    return {"metadata": _metadata(transcript, shape, request_id, sha256), "results": results}


def _metadata(transcript: Transcript, shape: Shape, request_id: str, sha256: str) -> dict[str, Any]:
    id = model_id(transcript.model)
    told: dict[str, Any] = {
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": sha256,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": round(transcript.duration_s, 3),
        "channels": 1,
        "models": [id],
        "model_info": {id: model_info(transcript.model)},
    }
    found = warnings(shape.parameters)
    if transcript.warning is not None:
        found.append({"parameter": "diarize", "type": "unavailable", "message": transcript.warning})
    if found:
        told["warnings"] = found
    if tags := shape.parameters.many("tag"):
        told["tags"] = tags
    if extra := [e.partition(":") for e in shape.parameters.many("extra")]:
        told["extra"] = {name: value for name, _, value in extra}
    return told


def _apart(words: Sequence[Word], gap_s: float) -> list[list[Word]]:
    """Words in groups: silence of `gap_s` or another speaker begins a new one."""
    return _grouped(words, lambda a, b: b.start - a.end >= gap_s or a.speaker != b.speaker)


def _grouped(words: Sequence[Word], ends: Callable[[Word, Word], bool]) -> list[list[Word]]:
    groups = [[word] for word in words[:1]]
    for before, word in pairwise(words):
        if ends(before, word):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups


def _utterance(
    words: Sequence[Word], shape: Shape, shown: Callable[[Word], dict[str, Any]], numbers: dict[str, int]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "start": words[0].start,
        "end": words[-1].end,
        "confidence": confidence_of(words),
        "channel": 0,
        "transcript": transcript_of(words, punctuated=shape.punctuated),
        "words": [shown(word) for word in words],
        "id": str(uuid.uuid4()),
    }
    return _with_speaker(told, words, numbers)


def _paragraphs(words: Sequence[Word], numbers: dict[str, int]) -> dict[str, Any]:
    """Sentences end with their mark; paragraphs at a pause, another speaker, or after so many sentences."""
    paragraphs: list[list[list[Word]]] = []
    for group in _apart(words, PARAGRAPH_GAP_S):
        sentences = _grouped(group, lambda a, _: a.text.rstrip().endswith(SENTENCE_ENDS))
        paragraphs += [sentences[i : i + PARAGRAPH_SENTENCES] for i in range(0, len(sentences), PARAGRAPH_SENTENCES)]
    return {
        "transcript": "".join(f"\n{_text(_flat(p))}\n" for p in paragraphs),
        "paragraphs": [_paragraph(p, numbers) for p in paragraphs],
    }


def _paragraph(sentences: Sequence[Sequence[Word]], numbers: dict[str, int]) -> dict[str, Any]:
    words = _flat(sentences)
    told: dict[str, Any] = {
        "sentences": [{"text": _text(s), "start": s[0].start, "end": s[-1].end} for s in sentences],
        "start": words[0].start,
        "end": words[-1].end,
        "num_words": len(words),
    }
    return _with_speaker(told, words, numbers)


def _with_speaker(told: dict[str, Any], words: Sequence[Word], numbers: dict[str, int]) -> dict[str, Any]:
    speaker = words[0].speaker
    return told if speaker is None else {**told, "speaker": numbers[speaker]}


def _flat(sentences: Iterable[Sequence[Word]]) -> list[Word]:
    return [word for sentence in sentences for word in sentence]


def _text(words: Sequence[Word]) -> str:
    return transcript_of(words, punctuated=True)
