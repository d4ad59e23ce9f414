"""When a word that was heard in a running utterance is committed: shown for good. Pure, without state of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from whisperlive_hybrid.live.transcript import Token


class CommitPolicy(Protocol):
    """Decides how much of the newest hypothesis is committed."""

    keep: int
    """Earlier hypotheses it wants to see."""

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """Leading tokens of `hypothesis` to commit.

        `history`: the hypotheses before, newest last, at most `keep` of them. All are without what was committed
        before. `heard_until`: end of the window's audio, seconds on the session's clock.
        """
        ...


class LocalAgreement:
    """Commit what `n` successive hypotheses agree on (Liu et al. 2020; Macháček et al. 2023, §2.2).

    Words are compared without case and punctuation: whether a comma stands behind a word often wavers while the word
    does not. The newest spelling is the one committed.
    """

    def __init__(self, n: int = 2) -> None:
        if n < 2:
            raise ValueError(f"agreement needs at least two hypotheses, not {n}")
        self.keep = n - 1

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """The longest common prefix of the last `n` hypotheses."""
        if len(history) < self.keep:
            return 0
        newest = history[len(history) - self.keep :]
        for i, token in enumerate(hypothesis):
            if any(i >= len(other) or other[i].key != token.key for other in newest):
                return i
        return len(hypothesis)


class FinalsOnly:
    """Commit nothing before the utterance ends: the tail stays tentative."""

    keep = 0

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """Never a word."""
        return 0
