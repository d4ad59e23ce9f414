"""What the benchmarks listen to: held-out digit conversations, with references."""

from __future__ import annotations

import argparse
import io
import re
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.clips import clips
from tools.digits_model.conversations import HELD_OUT_SPEAKER, conversation
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples


@dataclass(frozen=True)
class SpokenWord:
    """A word with its times in seconds from the start of the audio, and the number of its utterance."""

    text: str
    start: float
    end: float
    utterance: int


@dataclass(frozen=True)
class Conversation:
    """Samples with what is said in them, and when each utterance and each word ends (s).

    Words of the dataset's recordings have their true times. Of the tests' synthetic voices only utterances have:
    their words' times are spread evenly over it.
    """

    samples: Samples
    text: str
    ends: tuple[float, ...]
    words: tuple[SpokenWord, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the held-out recordings are, and how much to make of them."""
    parser.add_argument(
        "--recordings",
        type=Path,
        help="recordings folder of the Free Spoken Digit Dataset; without it the synthetic clips of the tests are used",
    )
    parser.add_argument("--conversations", type=int, default=8, help="how many (default 8)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each (default 40)")


def conversations(recordings: Path | None, n: int, seconds: float, first: int = 0) -> list[Conversation]:
    """`n` conversations of a speaker the model never heard or, without recordings, of synthetic voices.

    `first`: number of the first one; the same numbers are the same conversations.
    """
    numbers = range(first, first + n)
    if recordings is not None:
        made = (conversation(recordings, HELD_OUT_SPEAKER, seed=1000 + i, seconds=seconds) for i in numbers)
        return [
            Conversation(
                samples.astype(np.float32),
                " ".join(u.text for u in said),
                tuple(u.end for u in said),
                tuple(SpokenWord(w.word, w.start, w.end, i) for i, u in enumerate(said) for w in u.words),
            )
            for samples, said in made
        ]
    return [_synthetic(i, seconds) for i in numbers]


def _synthetic(seed: int, seconds: float) -> Conversation:
    random = np.random.default_rng(seed)
    english = clips("en")
    blocks: list[Samples] = []
    texts: list[str] = []
    ends: list[float] = []
    words: list[SpokenWord] = []
    position = 0
    while position < seconds * SAMPLE_RATE:
        clip = english[random.integers(len(english))]
        pause = np.zeros(int(random.uniform(0.8, 2.5) * SAMPLE_RATE), np.float32)
        spoken = clip.samples()
        blocks += [pause, spoken]
        texts.append(clip.text)
        begin = (position + len(pause)) / SAMPLE_RATE
        for first, last, text in clip.utterances:
            words += _spread(text, begin + first, begin + last, utterance=len(ends))
        ends.append((position + len(pause)) / SAMPLE_RATE + clip.utterances[-1][1])
        position += len(pause) + len(spoken)
    samples = np.concatenate([*blocks, np.zeros(SAMPLE_RATE, np.float32)])
    noise = random.standard_normal(len(samples)).astype(np.float32) * np.float32(0.002)
    return Conversation(samples + noise, " ".join(texts), tuple(ends), tuple(words))


def _spread(text: str, start: float, end: float, utterance: int) -> list[SpokenWord]:
    said = normalized(text).split()
    step = (end - start) / max(1, len(said))
    return [SpokenWord(w, start + i * step, start + (i + 1) * step, utterance) for i, w in enumerate(said)]


def room_tone(seconds: float, seed: int = 0) -> Samples:
    """The faint white noise that lies under every conversation, alone."""
    n = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32) * np.float32(0.002)


def normalized(text: str) -> str:
    """Lower-case words without punctuation: what word error rates are counted on."""
    return " ".join(re.findall(r"\w+", text.lower()))


def wav(samples: Samples) -> bytes:
    """16-bit mono WAV of the samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(pcm(samples))
    return buffer.getvalue()


def pcm(samples: Samples) -> bytes:
    """16-bit little-endian PCM of the samples."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
