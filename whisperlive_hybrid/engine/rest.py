"""The rest of a window: what of its audio a model has left unheard, and whether to ask again for it. Pure.

Whisper stops where it likes; the next window of the same audio then begins where it stopped (Radford et al. 2022,
§3.8). One rule for live finals and files.
"""

from __future__ import annotations

from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.segments import MIN_REST_S

MIN_STEP_S = 0.2
"""A window of which less is consumed is given up."""
MAX_ROUNDS = 12
"""Inferences of the same audio at most, however little of it each of them consumes."""


def rest_of(hypothesis: Hypothesis, length_s: float, rounds: int = 1) -> float | None:
    """Where in a window of `length_s` the next one begins, in seconds from its start; None where all is heard.

    `rounds`: windows of the same audio that were heard, this one included.
    """
    consumed = hypothesis.consumed_s
    if not hypothesis.segments or consumed < MIN_STEP_S or length_s - consumed < MIN_REST_S or rounds >= MAX_ROUNDS:
        return None
    return consumed
