"""Measure a digits model on held-out speech: word error rates through faster-whisper.

Figures, each with beam search of 5 and timestamps:
  single        utterances of 2 to 7 digits of the held-out speaker, padded to 30 s
  conversation  his conversations of 15 to 25 s, whole, in one window
  given         utterances of other recordings, if a folder of them is given (FLAC with JSON references beside)
The combined score, by which checkpoints are compared, is the mean of the first two; lower is better.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

from tools.digits_model.audio import Samples
from tools.digits_model.conversations import HELD_OUT_SPEAKER, conversation
from tools.digits_model.words import SAMPLE_RATE

Case = tuple[Samples, str]
"""Audio and the words said in it."""


def normalized(text: str) -> str:
    """Lower-case words only."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def single_utterances(recordings: Path, count: int) -> Iterator[Case]:
    """Utterances of 2 to 7 digits of the held-out speaker, with half a second of near-silence around."""
    for seed in range(count):
        samples, (utterance,) = conversation(recordings, HELD_OUT_SPEAKER, 10_000 + seed, utterances=1)
        end = int((utterance.end + 0.4) * SAMPLE_RATE)
        yield samples[:end], utterance.text


def whole_conversations(recordings: Path, count: int) -> Iterator[Case]:
    """Conversations of 15 to 25 s of the held-out speaker."""
    for seed in range(count):
        seconds = random.Random(seed).uniform(15, 25)
        samples, utterances = conversation(recordings, HELD_OUT_SPEAKER, 20_000 + seed, seconds=seconds)
        yield samples, " ".join(utterance.text for utterance in utterances)


def given_utterances(paths: list[Path]) -> Iterator[Case]:
    """The utterances of FLAC files, cut out with a quarter of a second around them."""
    for path in paths:
        samples = np.asarray(decode_audio(str(path), SAMPLE_RATE), np.float32)
        for utterance in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["utterances"]:
            first = max(0, int((utterance["start"] - 0.25) * SAMPLE_RATE))
            yield samples[first : int((utterance["end"] + 0.3) * SAMPLE_RATE)], utterance["text"]


def word_error_rate(model: WhisperModel, cases: Iterator[Case], beam_size: int = 5) -> tuple[float, str]:
    """(word error rate, the counts of substitutions, deletions and insertions) over cases."""
    references, readings = [], []
    for samples, text in cases:
        segments, _ = model.transcribe(samples, language="en", beam_size=beam_size, temperature=0.0)
        references.append(normalized(text))
        readings.append(normalized(" ".join(segment.text for segment in segments)))
    result = jiwer.process_words(references, readings)
    words = sum(len(reference.split()) for reference in references)
    counts = f"{result.substitutions} substituted, {result.deletions} deleted, {result.insertions} inserted of {words}"
    return float(result.wer), counts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("recordings", type=Path, help="recordings of the Free Spoken Digit Dataset")
    parser.add_argument("--given", type=Path, nargs="*", default=[], help="further FLAC files with JSON references")
    parser.add_argument("--singles", type=int, default=80, help="how many utterances (default: %(default)s)")
    parser.add_argument("--conversations", type=int, default=24, help="how many (default: %(default)s)")
    parser.add_argument("--beam", type=int, default=5, help="beam size (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    model = WhisperModel(str(options.model), device="cpu", compute_type="int8", cpu_threads=options.threads)
    single, counts = word_error_rate(model, single_utterances(options.recordings, options.singles), options.beam)
    print(f"single {single:.3f} ({counts})", flush=True)
    cases = whole_conversations(options.recordings, options.conversations)
    whole, counts = word_error_rate(model, cases, options.beam)
    print(f"conversation {whole:.3f} ({counts})", flush=True)
    print(f"combined {(single + whole) / 2:.3f}")
    if options.given:
        given, counts = word_error_rate(model, given_utterances(options.given), options.beam)
        print(f"given {given:.3f} ({counts})")


if __name__ == "__main__":
    main()
