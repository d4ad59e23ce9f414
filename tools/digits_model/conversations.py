"""Held-out conversations of spoken digits, put together from recordings of single digits.

The recordings are those of the Free Spoken Digit Dataset: files ``{digit}_{speaker}_{take}.wav``. The speaker to
measure on is george: the bundled model was never trained on him. Needs numpy only.

    from tools.digits_model.conversations import conversation
    samples, utterances = conversation(Path("recordings"), "george", seed=1)
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tools.digits_model.audio import Samples, read_recording, write_flac
from tools.digits_model.words import SAMPLE_RATE, WORDS

HELD_OUT_SPEAKER = "george"


@dataclass(frozen=True)
class Word:
    """A spoken word; times in seconds from the start of the audio."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """Words spoken together, without a pause; `text` has no full stop."""

    start: float
    end: float
    speaker: str
    text: str
    words: tuple[Word, ...]


@lru_cache(maxsize=64)
def _takes(recordings: Path, speaker: str) -> dict[int, list[Path]]:
    takes: dict[int, list[Path]] = {digit: [] for digit in range(10)}
    for path in sorted(recordings.glob(f"[0-9]_{speaker}_*.wav")):
        takes[int(path.name[0])].append(path)
    if not all(takes.values()):
        raise FileNotFoundError(f"no recordings of {speaker} for each digit in {recordings}")
    return takes


@lru_cache(maxsize=1024)
def _recording(path: Path) -> Samples:
    """One digit at peak 0.5."""
    samples = read_recording(path)
    return samples * np.float32(0.5 / (float(np.abs(samples).max()) + 1e-6))


def conversation(
    recordings: Path,
    speaker: str | Sequence[str] = HELD_OUT_SPEAKER,
    seed: int = 0,
    *,
    seconds: float = 20.0,
    utterances: int | None = None,
    digits: tuple[int, int] = (2, 7),
    pause: tuple[float, float] = (0.8, 2.5),
    word_gap: tuple[float, float] = (0.06, 0.2),
    noise: float = 0.002,
) -> tuple[Samples, list[Utterance]]:
    """A conversation of digit groups: (samples, float32, mono, 16 kHz; its utterances in order).

    The same arguments give the same audio. It holds as many utterances as fit into `seconds`, or exactly
    `utterances` of them whatever their length. With several speakers each utterance has one drawn at random.
    digits: fewest and most per utterance. pause, word_gap: shortest and longest silence between utterances and
    between words, in seconds. noise: deviation of the white noise over everything.
    """
    choose = random.Random(seed)
    speakers = [speaker] if isinstance(speaker, str) else list(speaker)
    pieces: list[Samples] = []
    result: list[Utterance] = []
    position = 0

    def silence(length: float) -> None:
        nonlocal position
        pieces.append(np.zeros(round(length * SAMPLE_RATE), np.float32))
        position += len(pieces[-1])

    silence(choose.uniform(0.3, 1.0))
    while utterances is None or len(result) < utterances:
        name = choose.choice(speakers)
        takes = _takes(recordings, name)
        spoken: list[Word] = []
        before, count = position, len(pieces)
        for number in range(choose.randint(*digits)):
            if number:
                silence(choose.uniform(*word_gap))
            digit = choose.randrange(10)
            samples = _recording(choose.choice(takes[digit]))
            pieces.append(samples)
            spoken.append(Word(WORDS["en"][digit], position / SAMPLE_RATE, (position + len(samples)) / SAMPLE_RATE))
            position += len(samples)
        if utterances is None and result and position / SAMPLE_RATE + pause[0] > seconds:
            del pieces[count:]
            position = before
            break
        text = " ".join(word.word for word in spoken)
        result.append(Utterance(spoken[0].start, spoken[-1].end, name, text, tuple(spoken)))
        silence(choose.uniform(*pause))
    mixed = np.concatenate(pieces)
    hiss = np.random.default_rng(seed).standard_normal(len(mixed)).astype(np.float32) * np.float32(noise)
    return mixed + hiss, result


def main() -> None:
    """Command line: write conversations as FLAC with a JSON reference beside each."""
    parser = argparse.ArgumentParser(description="Write held-out digit conversations as FLAC and JSON.")
    parser.add_argument("recordings", type=Path, help="the dataset's folder of recordings")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--speaker", action="append", help="may be given several times (default: george)")
    parser.add_argument("--count", type=int, default=4, help="how many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        speakers = options.speaker or [HELD_OUT_SPEAKER]
        samples, utterances = conversation(options.recordings, speakers, seed, seconds=options.seconds)
        path = options.out / f"conversation-{seed:03d}.flac"
        write_flac(path, samples)
        reference = {"duration": len(samples) / SAMPLE_RATE, "utterances": [asdict(u) for u in utterances]}
        path.with_suffix(".json").write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
