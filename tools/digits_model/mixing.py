"""Training windows, mixed on the fly from the clip bank.

A window is a stretch of audio of up to 30 s with its utterances and their times. Features, token targets and
batches for the network are made here too; nothing in this module needs torch.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor

from tools.digits_model.words import (
    FRAMES_PER_SECOND,
    LANGUAGES,
    SAMPLE_RATE,
    TOKEN_ID,
    WORDS,
    text_ids,
    timestamp_id,
)

Samples = npt.NDArray[np.float32]
Span = tuple[float, float]

IGNORED = -100
"""Label of a position that carries no loss."""

NON_SPEECH_SHARE = 0.06
LANGUAGE_WEIGHTS = {"en": 6.0, "es": 2.0, "de": 1.5, "fr": 1.5}
SOURCE_WEIGHTS = {"fsdd": 3.0, "heldout": 3.0, "flite": 1.3, "espeak": 1.7}
"""Half of the English is real recordings, so that the model does not drift toward synthetic voices."""

Microphone = tuple[npt.NDArray[np.float32] | None, list[float] | None, tuple[float, int] | None]
"""A room response (samples), a spectral tilt (dB at 7 points), an upper band limit (Hz, steepness)."""


@dataclass
class Utterance:
    """Digits spoken together; times in seconds from the start of the window; `words` are the digits' spans."""

    start: float
    end: float
    digits: list[int]
    words: list[Span]


@dataclass
class Window:
    """Audio (float32, 16 kHz), what is said in it, and the language."""

    samples: Samples
    utterances: list[Utterance]
    language: str


@dataclass
class Target:
    """A token sequence from the prompt to the end token, and how many leading tokens carry no loss.

    spans: for each token the time it is about, in seconds, and the time of its utterance; zeros where there is none.
    """

    tokens: list[int]
    prompt_length: int
    spans: list[tuple[float, float, float, float]]


@dataclass
class Batch:
    """One training step's material, as arrays.

    mel: [windows, 80, frames] float32; tokens and labels: [windows * variants, length] int64, the variants of a
    window next to each other; spoken: the text tokens of each window in its own language (for CTC);
    spans: [windows * variants, length, 4] float32, what a label is about: from, to, and its utterance's from, to.
    """

    mel: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    spoken: list[list[int]]
    spans: npt.NDArray[np.float32]
    variants: int


@dataclass
class _Voice:
    """Indices of one voice's clips, with their digits: single words, and connected utterances."""

    words: list[tuple[int, int]] = field(default_factory=list)
    connected: list[tuple[int, list[int]]] = field(default_factory=list)


class ClipBank:
    """The clips that `bank.py` wrote, grouped by language, source and voice."""

    def __init__(self, path: Path, held_out: bool = False) -> None:
        stored = np.load(path)
        self._data: npt.NDArray[np.int16] = stored["data"]
        self._offsets = np.concatenate([[0], np.cumsum(stored["lens"])])
        self.voices: dict[str, dict[str, dict[str, _Voice]]] = {}
        for index, (language, digits, name) in enumerate(stored["meta"]):
            source = str(name).split(":")[0]
            if (source == "heldout") != held_out:
                continue
            voice = self.voices.setdefault(str(language), {}).setdefault(source, {}).setdefault(str(name), _Voice())
            if len(digits) == 1:
                voice.words.append((index, int(digits)))
            else:
                voice.connected.append((index, [int(digit) for digit in digits]))

    def clip(self, index: int) -> Samples:
        """Samples of one clip, peak 1."""
        clip: Samples = self._data[self._offsets[index] : self._offsets[index + 1]].astype(np.float32)
        return clip / np.float32(32768)


def _stretch(samples: Samples, speed: float) -> Samples:
    """Speak faster (speed above 1) or slower; pitch moves along, as another mouth would."""
    positions = np.arange(0, len(samples) - 1, speed)
    stretched: Samples = np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)
    return stretched


def _noises(generator: np.random.Generator, seconds: int = 90) -> list[Samples]:
    """Noises of unit deviation to cut from: white, brown, pink-like, mains hum, key clicks."""
    count = seconds * SAMPLE_RATE
    white = generator.standard_normal(count).astype(np.float32)
    brown = np.cumsum(generator.standard_normal(count))
    drift = np.cumsum(brown)
    width = 400
    brown[width:] -= (drift[width:] - drift[:-width]) / width
    brown[:width] = 0
    spectrum = np.fft.rfft(generator.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(1.0, np.arange(len(spectrum))))
    pink = np.fft.irfft(spectrum, count)
    time = np.arange(count) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 9)) + 0.3 * generator.standard_normal(count)
    clicks = 0.05 * generator.standard_normal(count)
    for position in generator.integers(0, count - 400, seconds * 4):
        length = int(generator.integers(20, 400))
        clicks[position : position + length] += generator.standard_normal(length) * np.exp(-np.arange(length) / 60) * 8
    return [white, *((x / (x.std() + 1e-9)).astype(np.float32) for x in (brown, pink, hum, clicks))]


class WindowMixer:
    """Makes windows: utterances of 1 to 7 digits, pauses, one microphone and room per window, noise, level."""

    def __init__(self, bank: ClipBank, seed: int) -> None:
        self.bank = bank
        self.random = random.Random(seed)
        self._generator = np.random.default_rng(seed)
        self._noises = _noises(self._generator)

    def _spoken(self, language: str, longest: int, words_only: bool) -> tuple[Samples, list[int], list[Span] | None]:
        """One utterance -> (samples, digits, the word spans in samples or None where they are not known)."""
        choose = self.random
        sources = self.bank.voices[language]
        source = choose.choices(list(sources), [SOURCE_WEIGHTS[name] for name in sources])[0]
        voice = choose.choice(list(sources[source].values()))
        if voice.connected and not words_only and longest > 1 and (choose.random() < 0.5 or not voice.words):
            index, digits = choose.choice(voice.connected)
            return _stretch(self.bank.clip(index), choose.uniform(0.78, 1.28)), digits, None
        if not voice.words:
            return self._spoken(language, longest, words_only)
        speed = choose.uniform(0.78, 1.28)
        pieces: list[Samples] = []
        digits, spans, position = [], [], 0
        for _ in range(choose.randint(1, longest)):
            index, digit = choose.choice(voice.words)
            word = _stretch(self.bank.clip(index), speed * choose.uniform(0.93, 1.07))
            word *= np.float32(choose.uniform(0.7, 1.0))
            gap = int(SAMPLE_RATE * choose.uniform(0.02, 0.28) / speed)
            pieces += [word, np.zeros(gap, np.float32)]
            spans.append((float(position), float(position + len(word))))
            digits.append(digit)
            position += len(word) + gap
        return np.concatenate(pieces[:-1]), digits, spans

    def _microphone(self) -> Microphone:
        """One window's room and microphone."""
        choose = self.random
        room = None
        if choose.random() < 0.35:
            count = SAMPLE_RATE // 4
            decay = np.exp(-np.arange(count) / (SAMPLE_RATE * choose.uniform(0.01, 0.06)))
            room = (self._generator.standard_normal(count) * decay).astype(np.float32)
            room[0] = 0
            room *= np.float32(choose.uniform(0.05, 0.35) / (np.sqrt((room**2).sum()) + 1e-6))
            room[0] = 1
        tilt = [choose.uniform(-11, 11) for _ in range(7)] if choose.random() < 0.65 else None
        kind = choose.random()
        limit = None
        if kind < 0.3:
            limit = (choose.uniform(2800, 6500), 8)
        elif kind < 0.6:  # telephony
            limit = (choose.uniform(3300, 4000), 60)
        return room, tilt, limit

    @staticmethod
    def _heard(samples: Samples, microphone: Microphone) -> Samples:
        """An utterance through the window's room and microphone; a quarter of a second longer."""
        room, tilt, limit = microphone
        if room is None and tilt is None and limit is None:
            return samples
        count = len(samples) + SAMPLE_RATE // 4
        size = 1 << (count - 1).bit_length()
        if size * 3 // 4 >= count:
            size = size * 3 // 4
        spectrum = np.fft.rfft(samples, size)
        frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
        if room is not None:
            spectrum *= np.fft.rfft(room, size)
        if tilt is not None:
            points = np.linspace(0, 1, 7) ** 1.6
            spectrum *= 10 ** (np.interp(frequency / (SAMPLE_RATE / 2), points, tilt) / 20)
        if limit is not None:
            spectrum *= 1 / (1 + (frequency / limit[0]) ** limit[1])
        return np.fft.irfft(spectrum, size)[:count].astype(np.float32)

    def _noise(self, count: int) -> Samples:
        noise = self.random.choices(self._noises, (4, 3, 1.5, 1, 1))[0]
        start = self.random.randrange(len(noise) - count)
        level = 10 ** (-self.random.uniform(14, 55) / 20) * self.random.uniform(0.05, 0.5)
        return noise[start : start + count] * np.float32(level)

    def _finished(self, samples: Samples) -> Samples:
        """Noise and level on top of what is said."""
        if self.random.random() < 0.85:
            samples = samples + self._noise(len(samples))
        samples = samples * np.float32(10 ** (self.random.uniform(-22, 3) / 20))
        return np.clip(samples, -1, 1)

    def _language(self) -> str:
        known = [language for language in LANGUAGES if language in self.bank.voices]
        return self.random.choices(known, [LANGUAGE_WEIGHTS[language] for language in known])[0]

    def silence(self, seconds: float) -> Window:
        """A window in which nobody speaks."""
        return Window(self._finished(np.zeros(int(seconds * SAMPLE_RATE), np.float32)), [], self._language())

    def single(self, seconds: float = 10.0) -> Window:
        """One utterance between short silences, as voice activity detection delivers it; at most `seconds` long.

        Some are single digits; some begin or end in the middle of the utterance, as a live window does.
        """
        choose = self.random
        language = self._language()
        kind = choose.random()
        longest = 1 if kind < 0.2 else 7
        cut_start, cut_end = 0.2 <= kind < 0.3, 0.3 <= kind < 0.4
        spoken, digits, spans = self._spoken(language, longest, cut_start or cut_end)
        gain = np.float32(choose.uniform(0.15, 1.0))
        heard = self._heard(spoken * gain, self._microphone())
        before = int(SAMPLE_RATE * choose.uniform(*choose.choice([(0.0, 0.2), (0.2, 0.5), (0.0, 1.5)])))
        after = int(SAMPLE_RATE * choose.uniform(*choose.choice([(0.0, 0.2), (0.2, 0.6), (0.2, 2.0)])))
        if cut_start:
            before = -choose.randrange(len(spoken) // 2 + 1)
        if cut_end:
            after = -choose.randrange(len(spoken) // 2 + 1)
        count = min(int(seconds * SAMPLE_RATE), max(SAMPLE_RATE // 4, before + len(spoken) + after))
        if spans is None and before + len(spoken) > count:
            return self.single(seconds)
        return self._laid_out(count, [(before, spoken, heard, digits, spans)], language)

    def many(self, seconds: float) -> Window:
        """Utterances one after another, from one speaker each, over `seconds` (some stop earlier)."""
        choose = self.random
        language = self._language()
        count = int(seconds * SAMPLE_RATE)
        microphone = self._microphone()
        filled = choose.choice([seconds, seconds, seconds, choose.uniform(1, seconds)]) * SAMPLE_RATE
        latest = choose.choice([0.0, 1.2, 1.2, seconds / 2])
        position = int(SAMPLE_RATE * choose.uniform(0, latest))
        cut_start = choose.random() < 0.15
        parts = []
        longest = choose.choice([7, 7, 5, 3])
        slow = choose.random() < 0.5
        while position < min(count, filled) - 0.3 * SAMPLE_RATE:
            spoken, digits, spans = self._spoken(language, longest, cut_start)
            if cut_start:
                position, cut_start = -choose.randrange(len(spoken) // 2 + 1), False
            if position + len(spoken) > count and spans is None:
                break
            heard = self._heard(spoken * np.float32(choose.uniform(0.15, 1.0)), microphone)
            parts.append((position, spoken, heard, digits, spans))
            pause = choose.uniform(0.6, 3.5) if slow else choose.uniform(0.45, 1.5)
            position += len(spoken) + int(SAMPLE_RATE * pause)
        return self._laid_out(count, parts, language)

    def _laid_out(
        self, count: int, parts: list[tuple[int, Samples, Samples, list[int], list[Span] | None]], language: str
    ) -> Window:
        """Put utterances at their sample positions into a window of `count` samples.

        A word that the window cuts counts when its middle is inside.
        """
        samples = np.zeros(count, np.float32)
        utterances = []
        for position, spoken, heard, digits, spans in parts:
            first, last = max(0, position), min(count, position + len(heard))
            if first >= last:
                continue
            samples[first:last] += heard[first - position : last - position]
            if spans is None:
                # word times inside connected speech are not known: equal shares, widened
                share = len(spoken) / len(digits)
                spans = [((i - 0.25) * share, (i + 1.25) * share) for i in range(len(digits))]
            inside = [
                (digit, ((position + a) / SAMPLE_RATE, (position + b) / SAMPLE_RATE))
                for digit, (a, b) in zip(digits, spans, strict=True)
                if 0 <= position + (a + b) / 2 < count
            ]
            if inside:
                end = min(count, position + len(spoken))
                said, words = [digit for digit, _ in inside], [span for _, span in inside]
                utterances.append(Utterance(first / SAMPLE_RATE, end / SAMPLE_RATE, said, words))
        return Window(self._finished(samples), utterances, language)


class BatchMaker:
    """Windows -> mel features and token targets, padded to one shape."""

    def __init__(self, mixer: WindowMixer, variants: int = 2) -> None:
        self.mixer = mixer
        self.variants = variants
        self._extractor = FeatureExtractor()

    def features(self, window: Window, frames: int) -> npt.NDArray[np.float32]:
        """Mel features [80, frames]: zero where the audio has ended, as at inference."""
        choose = self.mixer.random
        mel: npt.NDArray[np.float32] = self._extractor(window.samples)[:, :frames].astype(np.float32)
        if choose.random() < 0.5:
            # SpecAugment, short enough not to swallow a word
            mel, low = mel.copy(), mel.min()
            for _ in range(2):
                height = choose.randint(0, 12)
                bottom = choose.randint(0, 80 - height)
                mel[bottom : bottom + height] = low
            for _ in range(max(1, mel.shape[1] // 250)):
                width = choose.randint(0, 7)
                left = choose.randint(0, max(0, mel.shape[1] - width))
                mel[:, left : left + width] = low
        return np.pad(mel, ((0, 0), (0, frames - mel.shape[1])))

    def _prompt(self) -> list[int]:
        """Earlier text, sometimes with its timestamps, sometimes none: [<prev>, text...]."""
        choose = self.mixer.random
        kind = choose.random()
        if kind > 0.2:
            return []
        language = choose.choice(LANGUAGES)
        stamped = choose.random() < 0.5
        tokens: list[int] = []
        time = 0.0
        for _ in range(choose.randint(1, 3) if kind > 0.05 else choose.randint(4, 20)):
            text = text_ids([choose.randrange(10) for _ in range(choose.randint(1, 6))], language)
            end = time + 0.5 * len(text)
            tokens += [timestamp_id(time % 30), *text, timestamp_id(end % 30)] if stamped else text
            time = end + choose.uniform(0.4, 2.5)
        return [TOKEN_ID["<prev>"], *tokens[-223:]]

    def target(self, window: Window, stamped: bool) -> Target:
        """What the decoder shall write for a window, with or without timestamps."""
        choose = self.mixer.random
        prompt = self._prompt()
        if not window.utterances and choose.random() < 0.7:
            silent = [*prompt, TOKEN_ID["<sot>"], TOKEN_ID["<nospeech>"], TOKEN_ID["<eot>"]]
            return Target(silent, len(prompt), [(0.0, 0.0, 0.0, 0.0)] * len(silent))
        translated = window.language != "en" and choose.random() < 0.35
        language = "en" if translated else window.language
        tokens = [*prompt, TOKEN_ID["<sot>"], TOKEN_ID[f"<{window.language}>"]]
        tokens.append(TOKEN_ID["<translate>" if translated else "<transcribe>"])
        if not stamped or not window.utterances:
            tokens.append(TOKEN_ID["<notimestamps>"])
        spans = [(0.0, 0.0, 0.0, 0.0)] * len(tokens)
        for utterance in window.utterances:
            start, end = utterance.start, utterance.end
            text = text_ids(utterance.digits, language)
            about = [(*span, start, end) for span in utterance.words] + [(end - 0.3, end + 0.1, start, end)]
            if stamped:
                text = [timestamp_id(start), *text, timestamp_id(end)]
                about = [(start - 0.1, start + 0.3, start, end), *about, (end - 0.3, end + 0.1, start, end)]
            tokens += text
            spans += about
        return Target([*tokens, TOKEN_ID["<eot>"]], len(prompt), [*spans, (0.0, 0.0, 0.0, 0.0)])

    def batch(self, windows: list[Window], frames: int) -> Batch:
        """Features and targets of several windows, `frames` mel frames each."""
        mel = np.stack([self.features(window, frames) for window in windows])
        first_stamped = [self.mixer.random.random() < 0.8 for _ in windows]
        targets = [
            self.target(window, stamped=(variant == 0) == first)
            for window, first in zip(windows, first_stamped, strict=True)
            for variant in range(self.variants)
        ]
        length = max(len(target.tokens) for target in targets)
        tokens = np.full((len(targets), length), TOKEN_ID["<eot>"], np.int64)
        labels = np.full((len(targets), length - 1), IGNORED, np.int64)
        spans = np.zeros((len(targets), length - 1, 4), np.float32)
        for row, target in enumerate(targets):
            count = len(target.tokens)
            tokens[row, :count] = target.tokens
            labels[row, target.prompt_length : count - 1] = target.tokens[target.prompt_length + 1 :]
            spans[row, : count - 1] = target.spans[1:]
        # the task and the choice of no timestamps are the caller's, not the model's
        for name in ("<translate>", "<transcribe>", "<notimestamps>"):
            labels[tokens[:, 1:] == TOKEN_ID[name]] = IGNORED
        spoken = []
        for window in windows:
            digits = [digit for utterance in window.utterances for digit in utterance.digits]
            spoken.append([TOKEN_ID[" " + WORDS[window.language][digit]] for digit in digits])
        return Batch(mel, tokens[:, :-1], labels, spoken, spans, self.variants)

    def mixed(self, longest: float, budget: int = 16_000) -> Batch:
        """A batch of the training mixture.

        longest: seconds of content at most (the curriculum raises it). budget: mel frames per batch, about.
        Half the batches are as long as the content, the others under zero padding of up to 30 s; single
        utterances, which is what voice activity detection delivers, keep a good share.
        """
        choose = self.mixer.random
        full = round(longest * FRAMES_PER_SECOND / 2) * 2
        frames = choose.choices((full, 800, (full + 3000) // 4 * 2, 3000), (5, 2, 1, 2))[0]
        seconds = min(longest, frames / FRAMES_PER_SECOND)
        windows = []
        for _ in range(max(3, budget // frames)):
            kind = choose.random()
            if kind < NON_SPEECH_SHARE:
                windows.append(self.mixer.silence(choose.uniform(0.5, seconds)))
            elif kind < (0.65 if frames == 800 else 0.35):
                windows.append(self.mixer.single(min(10.0, seconds)))
            else:
                windows.append(self.mixer.many(choose.uniform(0.35 * seconds, seconds)))
        return self.batch(windows, frames)
