"""What the same model makes of the same audio without a server, for the cost of being live in word error rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.live.metrics import Errors, align, errors
from benchmarks.material import Conversation, SpokenWord, normalized, wav
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

AROUND_S = 0.2
"""Audio kept before and after an utterance that is transcribed by itself."""


def offline(model: Path, said: Sequence[Conversation], threads: int, device: str = "cpu") -> dict[str, Errors]:
    """faster-whisper, beam 5: each whole conversation with its voice activity filter, and each utterance by itself."""
    text = _transcriber(model, threads, device)
    whole, parts = Errors(), Errors()
    for conversation in said:
        whole += count(conversation.text, text(conversation.samples, vad=True))
        alone = [text(samples, vad=False) for samples in utterances(conversation)]
        parts += count(conversation.text, " ".join(alone))
    return {"whole": whole, "utterances": parts}


def _transcriber(model: Path, threads: int, device: str) -> Callable[..., str]:
    from faster_whisper import WhisperModel

    compute = "int8" if device == "cpu" else "float16"
    whisper = WhisperModel(str(model), device=device, compute_type=compute, cpu_threads=threads)

    def text(samples: Samples, *, vad: bool) -> str:
        segments, _ = whisper.transcribe(samples, language="en", beam_size=5, vad_filter=vad)
        return " ".join(segment.text for segment in segments)

    return text


def clips(said: Conversation, count: int) -> list[tuple[Samples, list[SpokenWord]]]:
    """Single utterances that end with their last sample of speech, and their words."""
    made = []
    for number in range(min(count, len(said.ends))):
        words = [word for word in said.words if word.utterance == number]
        first = max(0.0, words[0].start - 0.5)
        made.append((said.samples[round(first * SAMPLE_RATE) : round(words[-1].end * SAMPLE_RATE)], words))
    return made


def words_heard(model: Path, said: Conversation, count: int, threads: int, device: str = "cpu") -> int:
    """Words of those clips in whose place the model alone, offline, writes one."""
    text = _transcriber(model, threads, device)
    found = 0
    for samples, words in clips(said, count):
        heard = normalized(text(samples, vad=False)).split()
        found += sum(i is not None and j is not None for i, j in align([normalized(w.text) for w in words], heard))
    return found


def posted(url: str, said: Sequence[Conversation]) -> Errors:
    """Our server's file door on the same conversations: whole files, beam 5."""
    import httpx

    total = Errors()
    for conversation in said:
        answer = httpx.post(
            f"{url}/v1/audio/transcriptions",
            files={"file": ("conversation.wav", wav(conversation.samples), "audio/wav")},
            data={"model": "whisper-1", "language": "en"},
            timeout=600,
        )
        answer.raise_for_status()
        total += count(conversation.text, str(answer.json()["text"]))
    return total


def utterances(conversation: Conversation) -> list[Samples]:
    """The audio of each utterance, with a little around it."""
    cut = []
    for number in range(len(conversation.ends)):
        words = [word for word in conversation.words if word.utterance == number]
        first = max(0, round((words[0].start - AROUND_S) * SAMPLE_RATE))
        cut.append(conversation.samples[first : round((words[-1].end + AROUND_S) * SAMPLE_RATE)])
    return cut


def count(reference: str, heard: str) -> Errors:
    """Word errors of one text."""
    said, words = normalized(reference).split(), normalized(heard).split()
    return errors(said, words, align(said, words))
