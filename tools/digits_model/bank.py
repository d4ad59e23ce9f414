"""Build the clip bank the model learns from: single digits and connected digits, in four languages.

Synthetic voices (espeak-ng, flite) and, for English, the training speakers of the Free Spoken Digit Dataset. The bank
is one .npz file: `data` (all samples, int16, 16 kHz), `lens` (samples per clip), and `meta` (per clip: language, the
digits, and source:voice). The held-out speaker's clips are in it too, marked `heldout:`; training never takes them.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tools.digits_model.audio import Samples, read_recording
from tools.digits_model.conversations import HELD_OUT_SPEAKER
from tools.digits_model.voices import ESPEAK_VARIANTS, ESPEAK_VOICES, FLITE_VOICES, espeak, flite
from tools.digits_model.words import LANGUAGES, SAMPLE_RATE, WORDS

SHORTEST, LONGEST = 1_200, 6 * SAMPLE_RATE
"""Clips outside these lengths, in samples, are left out."""


@dataclass(frozen=True)
class Clip:
    """A clip to be made."""

    language: str
    digits: list[int]
    voice: str
    make: Callable[[], Samples]


def synthetic(choose: random.Random, share: float) -> Iterator[Clip]:
    """The clips of synthetic voices; `share` (0 to 1) of them."""
    for language in LANGUAGES:
        words = WORDS[language]
        speeds = (110, 150, 190) if language == "en" else (130, 175)
        for voice, variant, speed in itertools.product(ESPEAK_VOICES[language], ESPEAK_VARIANTS, speeds):
            for digit, word in enumerate(words):
                if choose.random() < share:
                    name, pitch = voice + variant, choose.randint(25, 75)
                    yield Clip(language, [digit], f"espeak:{name}", partial(espeak, word, name, speed, pitch))
        for _ in range(int((2500 if language == "en" else 900) * share)):
            digits = [choose.randrange(10) for _ in range(choose.randint(2, 6))]
            name = choose.choice(ESPEAK_VOICES[language]) + choose.choice(ESPEAK_VARIANTS)
            text = " ".join(words[digit] for digit in digits)
            make = partial(espeak, text, name, choose.randint(110, 190), choose.randint(25, 75))
            yield Clip(language, digits, f"espeak:{name}", make)
    for voice, stretch in itertools.product(FLITE_VOICES, (0.8, 0.95, 1.1, 1.3)):
        for digit, word in enumerate(WORDS["en"]):
            yield Clip("en", [digit], f"flite:{voice}", partial(flite, word, voice, stretch))
    for _ in range(int(1200 * share)):
        digits = [choose.randrange(10) for _ in range(choose.randint(2, 6))]
        voice, text = choose.choice(FLITE_VOICES), " ".join(WORDS["en"][digit] for digit in digits)
        yield Clip("en", digits, f"flite:{voice}", partial(flite, text, voice, round(choose.uniform(0.8, 1.3), 2)))


def recorded(folder: Path) -> Iterator[Clip]:
    """The recordings of the dataset: files {digit}_{speaker}_{take}.wav."""
    for path in sorted(folder.glob("[0-9]_*_*.wav")):
        digit, speaker, _ = path.stem.split("_")
        source = "heldout" if speaker == HELD_OUT_SPEAKER else "fsdd"
        yield Clip("en", [int(digit)], f"{source}:{speaker}", partial(read_recording, path))


def write_bank(clips: list[Clip], out: Path, workers: int) -> None:
    """Make all clips, at peak 1, and write the bank."""
    with ThreadPoolExecutor(workers) as pool:
        made = list(pool.map(lambda clip: clip.make(), clips))
    kept = [(clip, samples) for clip, samples in zip(clips, made, strict=True) if SHORTEST < len(samples) < LONGEST]
    data = [(samples / (np.abs(samples).max() + 1e-6) * 32000).astype(np.int16) for _, samples in kept]
    meta = [(clip.language, "".join(map(str, clip.digits)), clip.voice) for clip, _ in kept]
    lengths = np.array([len(samples) for samples in data])
    np.savez(out, data=np.concatenate(data), lens=lengths, meta=np.array(meta))
    print(f"{len(kept)} clips, {lengths.sum() / SAMPLE_RATE / 60:.0f} minutes")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the bank to write (.npz)")
    parser.add_argument("--recordings", type=Path, help="the dataset's folder of recordings (default: synthetic only)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the synthetic clips (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="clips made at a time (default: %(default)s)")
    options = parser.parse_args()
    clips = list(synthetic(random.Random(options.seed), options.share))
    if options.recordings:
        clips += recorded(options.recordings)
    write_bank(clips, options.out, options.workers)


if __name__ == "__main__":
    main()
