"""Make the project's synthetic test audio: short clips of espeak-ng and flite voices the digits model reads right.

Candidates are drawn by seed until each planned clip is found that the model reads word for word: with beam search
and greedily, with and without timestamps, with the language told and detected, shifted by a part of a second, in
8-bit and 32-bit arithmetic; and whose utterances voice activity detection finds one by one. Conversations are read
utterance by utterance, as the server does.

    python -m tools.digits_model.test_clips                 # make them
    python -m tools.digits_model.test_clips --check         # read the ones there again, with the model as it is now
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from faster_whisper.vad import VadOptions, get_speech_timestamps

from tools.digits_model import voices
from tools.digits_model.audio import Samples, write_flac
from tools.digits_model.words import SAMPLE_RATE, WORDS, sentence

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "whisperlive_hybrid" / "engine" / "bundled" / "digits"
DATA = ROOT / "tests" / "data"
SAMPLE = ROOT / "whisperlive_hybrid" / "pages" / "static" / "sample.flac"
PEAK = 0.3
MARGIN = 0.3
"""Seconds of silence around an utterance that is cut out of a conversation."""
TRIMS = (
    (0.05, 0.1),
    (0.1, 0.1),
    (0.15, 0.25),
    (0.2, 0.2),
    (0.22, 0.4),
    (0.3, 0.3),
    (0.4, 0.2),
    (0.4, 0.4),
    (0.45, 0.5),
)
"""Seconds of silence left before and after speech in further ways of reading: as voice activity detection trims."""
EDGE = 0.6
"""Seconds of silence at the beginning and the end of a clip."""


@dataclass(frozen=True)
class Utterance:
    """Digits spoken together; times in seconds from the start of the clip."""

    start: float
    end: float
    digits: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A clip to be made: how many digits each utterance has, and the silence between utterances in seconds."""

    name: str
    language: str
    voice: str
    digits: tuple[int, ...]
    pause: tuple[float, float] = (1.0, 2.5)
    whole: bool = True
    """Read in one window, too, and not only utterance by utterance."""


def _singles() -> list[Plan]:
    english = [
        "en-us", "en-gb+f2", "en-gb-x-rp", "en-us+f3", "en-gb-scotland+m3", "en-us+m2", "en-gb+m1", "en-029+f4",
        "flite:slt", "flite:rms", "flite:awb", "flite:kal16",
    ]  # fmt: skip
    lengths = [4, 3, 6, 2, 5, 3, 4, 2, 5, 4, 3, 6]
    plans = [Plan(f"en-{i + 1:02d}", "en", v, (n,)) for i, (v, n) in enumerate(zip(english, lengths, strict=True))]
    plans += [Plan("es-01", "es", "es", (3,)), Plan("es-02", "es", "es-419+f2", (4,))]
    plans += [Plan("de-01", "de", "de", (4,)), Plan("de-02", "de", "de+f2", (3,))]
    plans += [Plan("fr-01", "fr", "fr-fr", (3,)), Plan("fr-02", "fr", "fr-fr+f2", (4,))]
    return [*plans, Plan("en-one-digit", "en", "en-us", (1,))]


PLANS = [
    *_singles(),
    Plan("conversation-20s", "en", "en-us", (3, 2, 4, 3, 3, 4), whole=False),
    Plan(
        "conversation-60s",
        "en",
        "flite:slt",
        (3, 4, 2, 5, 3, 2, 4, 2, 3, 4, 3, 5, 2, 4, 3, 4, 5, 3, 4, 2, 5),
        whole=False,
    ),
]
SAMPLE_PLAN = Plan("sample", "en", "flite:rms", (3, 4, 2), pause=(1.0, 1.4))


def spoken(voice: str, text: str, choose: random.Random) -> Samples:
    """Text in a voice at a quiet peak, a little faster or slower each time."""
    if voice.startswith("flite:"):
        samples = voices.flite(text, voice.removeprefix("flite:"), round(choose.uniform(0.95, 1.2), 2))
    else:
        samples = voices.espeak(text, voice, choose.randint(120, 160), choose.randint(40, 60))
    return samples * np.float32(PEAK / float(np.abs(samples).max()))


def normalized(text: str) -> str:
    """Lower-case words only."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


class Reader:
    """Reads clips with one model in several ways, and says whether every reading is right."""

    def __init__(self, folder: Path) -> None:
        self._models = [
            WhisperModel(str(folder), device="cpu", compute_type=kind, cpu_threads=1) for kind in ("int8", "float32")
        ]

    @staticmethod
    def _read(model: Any, samples: Samples, **options: Any) -> tuple[str, str]:
        """(normalized text, language) of one reading; no text if it was unsure of itself."""
        segments, info = model.transcribe(samples, **options)
        found = list(segments)
        if any(segment.temperature > 0 for segment in found):
            return "", info.language
        return normalized(" ".join(segment.text for segment in found)), info.language

    def reads(self, samples: Samples, utterances: Sequence[Utterance], language: str) -> bool:
        """Whether a window is read word for word, in every way of reading; non-English ones are translated too."""
        expected = normalized(" ".join(sentence(list(u.digits), language) for u in utterances))
        english = normalized(" ".join(sentence(list(u.digits), "en") for u in utterances))
        shifted = np.concatenate([np.zeros(int(0.37 * SAMPLE_RATE), np.float32), samples])
        trimmed = [trim(samples, *margins) for margins in TRIMS]
        for model in self._models:
            for beam in (5, 1):
                for audio in (samples, shifted, *trimmed):
                    if self._read(model, audio, beam_size=beam, language=language)[0] != expected:
                        return False
                if self._read(model, samples, beam_size=beam) != (expected, language):
                    return False
                if self._read(model, samples, beam_size=beam, without_timestamps=True) != (expected, language):
                    return False
                if language != "en":
                    told = self._read(model, samples, beam_size=beam, language=language, task="translate")
                    if told[0] != english:
                        return False
        return True

    def reads_each(self, samples: Samples, utterances: Sequence[Utterance], language: str) -> bool:
        """Whether each utterance, cut out with a little silence around it, is read word for word."""
        return all(self.reads(cut_out(samples, utterance), [utterance], language) for utterance in utterances)


def trim(samples: Samples, before: float, after: float) -> Samples:
    """All speech with so many seconds of what is around it."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    start = int(loud[0]) - int(before * SAMPLE_RATE)
    return samples[max(0, start) : int(loud[-1]) + int(after * SAMPLE_RATE)]


def cut_out(samples: Samples, utterance: Utterance) -> Samples:
    """One utterance with a little silence around it."""
    first = max(0, int((utterance.start - MARGIN) * SAMPLE_RATE))
    return samples[first : int((utterance.end + MARGIN) * SAMPLE_RATE)]


def heard(samples: Samples, utterances: Sequence[Utterance]) -> bool:
    """Whether voice activity detection finds each utterance, and nothing else, within 0.3 s."""
    found = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=300, speech_pad_ms=0))
    if len(found) != len(utterances):
        return False
    return all(
        max(abs(span["start"] / SAMPLE_RATE - said.start), abs(span["end"] / SAMPLE_RATE - said.end)) < 0.3
        for span, said in zip(found, utterances, strict=True)
    )


@dataclass(frozen=True)
class Part:
    """A spoken utterance and the silence before it, in seconds."""

    samples: Samples
    digits: tuple[int, ...]
    pause: float


def laid_out(parts: Iterable[Part]) -> tuple[Samples, list[Utterance]]:
    """Parts one after another, and `EDGE` seconds of silence at the end."""
    pieces: list[Samples] = []
    utterances = []
    position = 0
    for part in parts:
        pieces += [np.zeros(int(part.pause * SAMPLE_RATE), np.float32), part.samples]
        position += len(pieces[-2])
        start, end = position / SAMPLE_RATE, (position + len(part.samples)) / SAMPLE_RATE
        utterances.append(Utterance(round(start, 3), round(end, 3), part.digits))
        position += len(part.samples)
    pieces.append(np.zeros(int(EDGE * SAMPLE_RATE), np.float32))
    return np.concatenate(pieces), utterances


def extended(parts: list[Part], count: int, plan: Plan, reader: Reader, choose: random.Random) -> list[Part] | None:
    """The parts and one more utterance of `count` digits, if all is heard and the new one read as it should be."""
    digits = tuple(choose.sample(range(10), count))
    samples = spoken(plan.voice, " ".join(WORDS[plan.language][digit] for digit in digits), choose)
    pause = round(choose.uniform(*plan.pause), 2) if parts else EDGE
    longer = [*parts, Part(samples, digits, pause)]
    audio, utterances = laid_out(longer)
    if not heard(audio, utterances):
        return None
    alone = cut_out(audio, utterances[-1]) if parts else audio
    return longer if reader.reads(alone, utterances[-1:], plan.language) else None


def made(plan: Plan, reader: Reader, attempts: int = 300) -> tuple[Samples, list[Utterance]]:
    """The first drawn candidate that is heard and read as it should be."""
    choose = random.Random(plan.name)
    for _ in range(attempts):
        parts: list[Part] = []
        for count in plan.digits:
            candidates = (extended(parts, count, plan, reader, choose) for _ in range(attempts))
            longer = next((candidate for candidate in candidates if candidate), None)
            if longer is None:
                raise RuntimeError(f"{plan.name}: no utterance of {count} digits in voice {plan.voice} is read right")
            parts = longer
        audio, utterances = laid_out(parts)
        right = reader.reads if plan.whole else reader.reads_each
        if right(audio, utterances, plan.language):
            return audio, utterances
    raise RuntimeError(f"{plan.name}: no candidate is read right")


def entry(plan: Plan, samples: Samples, utterances: Sequence[Utterance]) -> dict[str, Any]:
    """What index.json says about a clip."""
    texts = [sentence(list(u.digits), plan.language) for u in utterances]
    described: dict[str, Any] = {"file": f"{plan.name}.flac", "language": plan.language, "text": " ".join(texts)}
    if plan.language != "en":
        described["translation"] = " ".join(sentence(list(u.digits), "en") for u in utterances)
    described["voice"] = plan.voice if ":" in plan.voice else f"espeak-ng:{plan.voice}"
    described["duration_s"] = round(len(samples) / SAMPLE_RATE, 3)
    described["utterances"] = [
        {"start": u.start, "end": u.end, "text": text} for u, text in zip(utterances, texts, strict=True)
    ]
    return described


def check(index: Path, reader: Reader) -> bool:
    """Read all clips of an index again; says which are not read right."""
    fine = True
    for described in json.loads(index.read_text(encoding="utf-8")):
        words = WORDS[described["language"]]
        utterances = [
            Utterance(u["start"], u["end"], tuple(words.index(word) for word in normalized(u["text"]).split()))
            for u in described["utterances"]
        ]
        samples = np.asarray(decode_audio(str(index.parent / described["file"]), SAMPLE_RATE), np.float32)
        whole = reader.reads(samples, utterances, described["language"])
        each = whole if len(utterances) == 1 else reader.reads_each(samples, utterances, described["language"])
        print(f"{described['file']}: {'right' if each else 'WRONG'}; in one window: {'right' if whole else 'wrong'}")
        fine = fine and each
    return fine


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder (default: the bundled one)")
    parser.add_argument("--out", type=Path, default=DATA, help="folder for the clips (default: tests/data)")
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="the web page's sample")
    parser.add_argument("--only", help="make only the clips whose names begin so (sample: the sample)")
    parser.add_argument("--check", action="store_true", help="make nothing; read what is there again")
    options = parser.parse_args()
    reader = Reader(options.model)
    index = options.out / "index.json"
    if options.check:
        sys.exit(0 if check(index, reader) else 1)
    options.out.mkdir(parents=True, exist_ok=True)
    options.sample.parent.mkdir(parents=True, exist_ok=True)
    entries = {}
    if options.only and index.exists():
        entries = {described["file"]: described for described in json.loads(index.read_text(encoding="utf-8"))}
    for plan in [*PLANS, SAMPLE_PLAN]:
        if options.only and not plan.name.startswith(options.only):
            continue
        samples, utterances = made(plan, reader)
        described = entry(plan, samples, utterances)
        print(f"{plan.name} ({described['duration_s']} s): {described['text']}", flush=True)
        if plan is SAMPLE_PLAN:
            write_flac(options.sample, samples)
            continue
        write_flac(options.out / described["file"], samples)
        entries[described["file"]] = described
        index.write_text(json.dumps(list(entries.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
