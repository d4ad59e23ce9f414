"""Measures which short encoder inputs a model takes well: each window in short and in 30 s, and who errs more.

A window that wants a size (its content and the tail) is tried at that size, then at the next larger ones, until they
are no worse than 30 s by more than the limit. Finals are compared with the words that were said, where a text tells
them, else with the final in 30 s. Partials are windows that break off in mid-utterance; they are compared with the
words that had been said by then, timed by the final in 30 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine.backend import Backend, Request
from whisperlive_hybrid.engine.features import content_frames
from whisperlive_hybrid.engine.gate import (
    BUCKETS,
    FULL_FRAMES,
    TAIL_FRAMES,
    UNMEASURED,
    Gate,
    Padding,
    Steps,
    size_for,
)
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.live.transcript import key_of, split_words

CUT_EVERY_S = 1.5
"""Where partials break off."""
MIN_WORDS = 300
"""With fewer words of one length nothing is said about it."""
_BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The utterances of one recording, as voice activity cuts them, and what is said in all of it, if that is known."""

    utterances: tuple[Samples, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A window with the words it should give."""

    samples: Samples
    words: tuple[str, ...]
    language: str | None

    @property
    def wanted(self) -> int:
        """Frames of its content and the tail."""
        return content_frames(len(self.samples)) + TAIL_FRAMES


@dataclass(frozen=True, slots=True)
class Tried:
    """Windows that want at most `wanted` frames, at one size. Errors are words wrong, left out or too many."""

    lane: str
    padding: str
    wanted: int
    size: int
    windows: int
    words: int
    errors: int
    errors_30s: int

    @property
    def worse(self) -> float:
        """Errors more than in 30 s, in percent of the words."""
        return 100 * (self.errors - self.errors_30s) / max(1, self.words)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: the gate, and every size that was tried."""

    gate: Gate
    tried: tuple[Tried, ...]


def words_of(text: str) -> list[str]:
    """Words to compare: without case and punctuation, character by character where no spaces are written."""
    return [key for key in map(key_of, split_words(text)) if key]


def measure(
    backend: Backend,
    recordings: Sequence[Recording],
    *,
    limit: float = 0.3,
    language: str | None = None,
    final: DecodeOptions | None = None,
    partial: DecodeOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Trial:
    """Try all sizes and paddings; `limit` in percent of words. Blocks for as long as that takes. `tell`: progress."""
    final = final or DecodeOptions()
    partial = partial or DecodeOptions(beam_size=1, temperatures=(0.0,))
    finals, partials = _clips(backend, recordings, language, final, tell)
    tried: list[Tried] = []
    steps: dict[tuple[Lane, Padding], Steps] = {}
    frames: dict[Padding, int] = dict.fromkeys(get_args(Padding), 0)
    for lane, clips, options in ((Lane.FINAL, finals, final), (Lane.PARTIAL, partials, partial)):
        listener = _Listener(backend, lane, options)
        unmeasured = UNMEASURED.partials if lane is Lane.PARTIAL else UNMEASURED.finals
        for band, below in zip(BUCKETS, (0, *BUCKETS), strict=False):
            inside = [clip for clip in clips if below < clip.wanted <= band]
            enough = sum(len(clip.words) for clip in inside) >= MIN_WORDS
            errors_30s = listener.errors(inside, FULL_FRAMES, "zero") if enough else 0
            for padding in get_args(Padding):
                size = size_for(unmeasured, band)
                if enough:
                    found = listener.try_sizes(inside, band, padding, errors_30s, limit=limit)
                    for one in found:
                        tell(described(one))
                    size = found[-1].size if found[-1].worse <= limit else FULL_FRAMES
                    tried += found
                steps[lane, padding] = (*steps.get((lane, padding), ()), (band, size))
                frames[padding] += size * len(inside)
    # The cheaper padding; if both are, the one with fewer errors.
    padding = min(frames, key=lambda p: (frames[p], sum(one.errors for one in tried if one.padding == p)))
    figures = [asdict(one) for one in tried if one.padding == padding]
    gate = Gate(
        partials=steps[Lane.PARTIAL, padding],
        finals=steps[Lane.FINAL, padding],
        padding=padding,
        measured={"limit": limit, "tried": figures},
    )
    return Trial(gate, tuple(tried))


def described(one: Tried) -> str:
    """A line about it."""
    return (
        f"{one.lane}s that want up to {one.wanted / 100:g} s, in {one.size / 100:g} s ({one.padding}): "
        f"{one.windows} windows, {one.words} words, {one.errors} errors, in 30 s {one.errors_30s} ({one.worse:+.2f} %)"
    )


class _Listener:
    """Runs clips through the model as the server would."""

    def __init__(self, backend: Backend, lane: Lane, options: DecodeOptions) -> None:
        self._backend = backend
        self.lane = lane
        self._options = options

    def hear(self, clips: Sequence[Clip], size: int, padding: Padding) -> list[Hypothesis]:
        """What the model hears in each."""
        heard: list[Hypothesis] = []
        for first in range(0, len(clips), _BATCH):
            heard += self._backend.run([self._request(clip, size, padding) for clip in clips[first : first + _BATCH]])
        return heard

    def errors(self, clips: Sequence[Clip], size: int, padding: Padding) -> int:
        """Words that are wrong in all of them together."""
        heard = self.hear(clips, size, padding)
        return sum(n_errors(words_of(h.text), clip.words) for h, clip in zip(heard, clips, strict=True))

    def try_sizes(
        self, clips: Sequence[Clip], band: int, padding: Padding, errors_30s: int, *, limit: float
    ) -> list[Tried]:
        """Sizes from `band`, which holds the clips, to the first that is good enough."""
        n_words = sum(len(clip.words) for clip in clips)
        tried: list[Tried] = []
        for size in (size for size in BUCKETS if size >= band):
            errors = self.errors(clips, size, padding)
            tried.append(Tried(self.lane.name.lower(), padding, band, size, len(clips), n_words, errors, errors_30s))
            if tried[-1].worse <= limit:
                break
        return tried

    def _request(self, clip: Clip, size: int, padding: Padding) -> Request:
        options = replace(self._options, language=clip.language)
        window = Window("gate", self.lane, 0.0, 0, clip.samples, "", options)
        features = self._backend.features(clip.samples, size, padding)
        return Request(window, features, min(content_frames(len(clip.samples)), size), ())


def _clips(
    backend: Backend,
    recordings: Sequence[Recording],
    language: str | None,
    options: DecodeOptions,
    tell: Callable[[str], None],
) -> tuple[list[Clip], list[Clip]]:
    """Finals and partials to try, with the words that each should give."""
    listener = _Listener(backend, Lane.FINAL, replace(options, word_times=True))
    finals: list[Clip] = []
    partials: list[Clip] = []
    for number, recording in enumerate(recordings, 1):
        tell(f"recording {number} of {len(recordings)} in 30 s")
        clips = [Clip(samples, (), language) for samples in recording.utterances]
        heard = listener.hear(clips, FULL_FRAMES, "zero")
        spoken = language or _language(heard)
        timed = [[(key, word.end) for word in h.words for key in words_of(word.text)] for h in heard]
        if recording.text is not None:
            timed = shared_out(words_of(recording.text), timed)
        for clip, words in zip(clips, timed, strict=True):
            finals.append(Clip(clip.samples, tuple(word for word, _ in words), spoken))
            for cut_s in np.arange(CUT_EVERY_S, len(clip.samples) / SAMPLE_RATE, CUT_EVERY_S):
                part = clip.samples[: int(cut_s * SAMPLE_RATE)]
                partials.append(Clip(part, tuple(word for word, end in words if end <= cut_s), spoken))
    return finals, partials


def _language(heard: Sequence[Hypothesis]) -> str | None:
    """The likeliest language of a recording."""
    with_text = [h for h in heard if h.segments]
    return max(with_text, key=lambda h: h.language_probability).language if with_text else None


def distances(heard: Sequence[str], said: Sequence[str]) -> NDArray[np.int32]:
    """Levenshtein's distance of the first i words heard and the first j said: [len(heard) + 1, len(said) + 1]."""
    numbers: dict[str, int] = {}
    of_said = np.array([numbers.setdefault(word, len(numbers)) for word in said], np.int32)
    steps = np.arange(len(said) + 1, dtype=np.int32)
    table = np.empty((len(heard) + 1, len(said) + 1), np.int32)
    table[0] = steps
    for i, word in enumerate(heard, 1):
        row = table[i - 1] + 1
        row[1:] = np.minimum(row[1:], table[i - 1, :-1] + (of_said != numbers.get(word, -1)))
        # A word left out costs one more than what is left of it: the least of all that is to the left, and the way.
        table[i] = np.minimum.accumulate(row - steps) + steps
    return table


def n_errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """Words wrong, left out or too many."""
    return int(distances(heard, said)[-1, -1])


def shared_out(said: Sequence[str], heard: Sequence[Sequence[tuple[str, float]]]) -> list[list[tuple[str, float]]]:
    """What was said, shared out among the utterances in which it was heard, with the times (s) of what was heard.

    A word that was not heard goes to the utterance of the word before it, and ends when that one does.
    """
    places = [(utterance, end) for utterance, words in enumerate(heard) for _, end in words]
    flat = [word for words in heard for word, _ in words]
    shared: list[list[tuple[str, float]]] = [[] for _ in heard]
    if not heard:
        return shared
    table = distances(flat, said)
    i, j = len(flat), len(said)
    matched: list[int | None] = [None] * len(said)
    while i and j:
        if table[i, j] == table[i - 1, j - 1] + (flat[i - 1] != said[j - 1]):
            i, j = i - 1, j - 1
            matched[j] = i
        elif table[i, j] == table[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    utterance, end = 0, 0.0
    for word, place in zip(said, matched, strict=True):
        utterance, end = (utterance, end) if place is None else places[place]
        shared[utterance].append((word, end))
    return shared
