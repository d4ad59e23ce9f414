"""When a decoding is not good enough, and what to take in the end (Radford et al. 2022, §4.5). Pure decisions.

A window is decoded at the first temperature. It is decoded again at the next one while its text repeats itself
(compression ratio too high), is too fast for speech (`guards`), or the model was unsure (mean log probability too low).
Where the model thinks that nobody speaks, unsure text is silence, not an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whisperlive_hybrid.engine.guards import Fault
from whisperlive_hybrid.engine.window import DecodeOptions


@dataclass(frozen=True, slots=True)
class Attempt:
    """One decoding of a window."""

    tokens: tuple[int, ...]
    temperature: float
    avg_log_probability: float
    compression_ratio: float
    no_speech_probability: float
    fault: Fault | None = None
    """What cannot be true about it, whatever the model thinks."""


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of it compressed: high when it repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def mean_log_probability(score: float, n_tokens: int, length_penalty: float) -> float:
    """Mean over the tokens and the end mark, from a beam search score (the sum divided by length ** penalty)."""
    return score * float(n_tokens**length_penalty) / (n_tokens + 1)


def needs_retry(attempt: Attempt, options: DecodeOptions) -> bool:
    """Whether to decode again at the next temperature."""
    unsure = options.log_prob_threshold is not None and attempt.avg_log_probability < options.log_prob_threshold
    if unsure and _nobody_speaks(attempt, options):
        return False
    return unsure or _unlikely(attempt, options)


def choose(attempts: Sequence[Attempt], options: DecodeOptions) -> Attempt:
    """The one to take: the last if it passed, else the likeliest of those that may have been said.

    Where all failed, the result carries the last temperature, so that whoever continues knows how bad it was.
    """
    last = attempts[-1]
    if not needs_retry(last, options):
        return last
    candidates = [a for a in attempts if not _unlikely(a, options)] or attempts
    best = max(candidates, key=lambda a: a.avg_log_probability)
    return replace(best, temperature=last.temperature)


def is_silence(attempt: Attempt, options: DecodeOptions) -> bool:
    """Whether the window holds no speech, whatever was written: the model says so and was not sure of its text."""
    if not _nobody_speaks(attempt, options):
        return False
    sure = options.log_prob_threshold is not None and attempt.avg_log_probability > options.log_prob_threshold
    return not sure


def _nobody_speaks(attempt: Attempt, options: DecodeOptions) -> bool:
    threshold = options.no_speech_threshold
    return threshold is not None and attempt.no_speech_probability > threshold


def _unlikely(attempt: Attempt, options: DecodeOptions) -> bool:
    """Whether its text cannot be what was said: it repeats itself, or was spoken too fast."""
    threshold = options.compression_ratio_threshold
    return attempt.fault is not None or (threshold is not None and attempt.compression_ratio > threshold)
