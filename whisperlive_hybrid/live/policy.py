"""When a word that was heard in a running utterance is committed: shown for good. Pure, without state of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from whisperlive_hybrid.live.transcript import Token

NEAR_S: Final = 0.3
"""Words of two hypotheses that are further apart than this are not the same word said once. The same word said twice
is further apart; the model's times wander less."""


class CommitPolicy(Protocol):
    """Decides how much of the newest hypothesis is committed."""

    keep: int
    """Earlier hypotheses it wants to see."""
    may_force: bool
    """Words may be committed against its judgement where the window would grow without bounds otherwise."""

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """Leading tokens of `hypothesis` to commit.

        `history`: the hypotheses before, newest last, at most `keep` of them. All are without what was committed
        before. `heard_until`: end of the window's audio, seconds on the session's clock.
        """
        ...


class AgreedOrSure:
    """Commit a word once it lies `guard_s` behind the newest audio and is either agreed on or sure.

    Agreed: the hypothesis before has it at the same place. Sure: the model, asked to align its text with the audio,
    gave it at least `probability`. A word near the end of the audio may be half a word, and a model is often sure of
    it all the same: hence the guard, which is what AlignAtt (Papi et al. 2023) does with attention. A word without
    times (its audio was heard to the end of a pause) needs to be agreed on.
    """

    keep = 1
    may_force = True

    def __init__(self, guard_s: float = 0.3, probability: float = 0.8) -> None:
        self.guard_s = guard_s
        self.probability = probability

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """Words up to the first that is too new, or neither agreed on nor sure."""
        before = history[-1] if history else ()
        following = 0
        """Place in `before` from where the next word is looked for."""
        for i, token in enumerate(hypothesis):
            if token.end is not None and token.end > heard_until - self.guard_s:
                return i
            place = _found(token, before, following)
            if place is not None:
                following = place + 1
            elif token.end is None or token.probability is None or token.probability < self.probability:
                return i
        return len(hypothesis)


def n_forced(tail: Sequence[Token]) -> int:
    """Words of `tail` to commit where no policy would and the window has to be cut: those up to its largest gap, looked
    for in the middle half so that the cut is worth it; half of them where there is no gap."""
    n = len(tail)
    best, widest = (n + 1) // 2, 0.0
    for i in range(max(1, n // 4), n - n // 4):
        before, after = tail[i - 1 : i + 1]
        if before.end is not None and after.start is not None and after.start - before.end > widest:
            best, widest = i, after.start - before.end
    return best


def n_held_back(hypothesis: Sequence[Token], heard_until: float, new_s: float, probability: float) -> int:
    """Words at the end of `hypothesis` that are better not shown yet: they end within the newest `new_s` seconds of
    audio, and the model gives them less than `probability`. Such a word is mostly half a word, and would change."""
    n = 0
    for token in reversed(hypothesis):
        if token.end is None or token.probability is None:
            break
        if token.end <= heard_until - new_s or token.probability >= probability:
            break
        n += 1
    return n


def _found(token: Token, others: Sequence[Token], start: int) -> int | None:
    """Place in `others`, from `start` on, of the same word at the same time; of the very next one without times."""
    for i in range(start, len(others)):
        other = others[i]
        if token.end is None or other.end is None:
            return i if i == start and other.key == token.key else None
        if other.end > token.end + NEAR_S:
            return None
        if other.key == token.key and other.end >= token.end - NEAR_S:
            return i
    return None


class LocalAgreement:
    """Commit what `n` successive hypotheses agree on (Liu et al. 2020; Macháček et al. 2023, §2.2).

    Words are compared without case and punctuation: whether a comma stands behind a word often wavers while the word
    does not. The newest spelling is the one committed.
    """

    may_force = True

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
    """Commit nothing before the utterance ends: the tail stays tentative, and its window grows with it."""

    keep = 0
    may_force = False

    def n_committed(self, history: Sequence[Sequence[Token]], hypothesis: Sequence[Token], heard_until: float) -> int:
        """Never a word."""
        return 0


POLICIES: Final[Mapping[str, Callable[[float, float], CommitPolicy]]] = MappingProxyType(
    {
        "agreed-or-sure": AgreedOrSure,
        "local-agreement-2": lambda guard_s, probability: LocalAgreement(2),
        "local-agreement-3": lambda guard_s, probability: LocalAgreement(3),
        "finals-only": lambda guard_s, probability: FinalsOnly(),
    }
)
"""By the names that settings have for them; each takes the guard (s) and the probability of AgreedOrSure."""
