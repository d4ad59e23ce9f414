"""Measures which short encoder inputs a model takes well: each window in short and in 30 s, and who errs more.

A window that wants a size (its content and the tail) is tried at that size, then at the next larger ones, until one is
not clearly worse than 30 s. Finals are compared with the words that were said, where a text tells
them, else with the final in 30 s. Partials are windows that break off in mid-utterance; they are compared with the
words that had been said by then, timed by the final in 30 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.cli.gate_decision import Tried
from whisperlive_hybrid.cli.word_errors import n_errors, shared_out, words_of
from whisperlive_hybrid.engine.backend import Backend, Request
from whisperlive_hybrid.engine.features import content_frames
from whisperlive_hybrid.engine.gate import BUCKETS, FULL_FRAMES, TAIL_FRAMES, Padding
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

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


def try_sizes(
    backend: Backend,
    recordings: Sequence[Recording],
    *,
    limit: float = 0.3,
    language: str | None = None,
    final: DecodeOptions | None = None,
    partial: DecodeOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Tried]:
    """Try all lengths with both paddings; `limit` in percent of words. Blocks meanwhile. `tell` is given progress."""
    final = final or DecodeOptions()
    partial = partial or DecodeOptions(beam_size=1, temperatures=(0.0,))
    finals, partials = _clips(backend, recordings, language, final, tell)
    tried: list[Tried] = []
    for lane, clips, options in ((Lane.FINAL, finals, final), (Lane.PARTIAL, partials, partial)):
        listener = _Listener(backend, lane, options)
        for band, below in zip(BUCKETS, (0, *BUCKETS), strict=False):
            inside = [clip for clip in clips if below < clip.wanted <= band]
            n_words = sum(len(clip.words) for clip in inside)
            if n_words < MIN_WORDS:
                if n_words:
                    what = f"{'partials' if lane is Lane.PARTIAL else 'finals'} that want up to {band / 100:g} s"
                    tell(f"{what}: {n_words} words, too few to measure (at least {MIN_WORDS})")
                continue
            errors_30s = listener.errors(inside, FULL_FRAMES, "zero")
            for padding in get_args(Padding):
                for size in (size for size in BUCKETS if size >= band):
                    errors = listener.errors(inside, size, padding)
                    tried.append(
                        Tried(
                            lane="partials" if lane is Lane.PARTIAL else "finals",
                            padding=padding,
                            wanted=band,
                            size=size,
                            windows=len(inside),
                            words=n_words,
                            errors=int(errors.sum()),
                            errors_30s=int(errors_30s.sum()),
                            noise=float(100 * np.sqrt(((errors - errors_30s) ** 2).sum()) / n_words),
                        )
                    )
                    tell(str(tried[-1]))
                    if tried[-1].allowed(limit):
                        break
    return tried


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

    def errors(self, clips: Sequence[Clip], size: int, padding: Padding) -> NDArray[np.int64]:
        """Words that are wrong in each."""
        heard = self.hear(clips, size, padding)
        return np.array([n_errors(words_of(h.text), clip.words) for h, clip in zip(heard, clips, strict=True)])

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
