"""Figures of a live session, computed from what was said and what was shown when. Pure.

Latency of a word is the time from its true end in the audio, at which the last of it can have been sent, to the moment
at which the word is on the screen to stay (first shown), will not be taken back (committed), is final. It includes
what the client's message size adds. Erasure is that of Arivazhagan et al. 2020, "Re-translation strategies for long
form, simultaneous, spoken language translation": words that are taken back from the screen, per final word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.live.wire import Update
from benchmarks.material import SpokenWord, normalized
from benchmarks.report import percentile

Pair = tuple[int | None, int | None]

EARLIEST_S = 0.1
"""A word cannot be recognized before it starts; true starts are known to about this."""


def align(
    reference: Sequence[str], heard: Sequence[str], possible: Callable[[int, int], bool] | None = None
) -> list[Pair]:
    """Fewest substitutions, deletions and insertions that turn one text into the other (Levenshtein 1966).

    Returns pairs of positions in order, None on one side where a word is missing or too much. Where `possible` says no,
    two words are not paired, whatever they are. Of equally good alignments, the one that pairs earlier words.
    """
    rows, columns = len(reference) + 1, len(heard) + 1
    cost = [[0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            if i == 0 or j == 0:
                cost[i][j] = i + j
                continue
            best = 1 + min(cost[i - 1][j], cost[i][j - 1])
            same = reference[i - 1] == heard[j - 1]
            if cost[i - 1][j - 1] + (not same) < best and (possible is None or possible(i - 1, j - 1)):
                best = cost[i - 1][j - 1] + (not same)
            cost[i][j] = best
    pairs: list[Pair] = []
    i, j = len(reference), len(heard)
    while i or j:
        if i and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            pairs.append((i, None))
        elif j and cost[i][j] == cost[i][j - 1] + 1:
            j -= 1
            pairs.append((None, j))
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


@dataclass(frozen=True)
class Errors:
    """Counts for word error rates, to be summed before they are divided."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def rate(self) -> float:
        """Word error rate; NaN where nothing was said."""
        wrong = self.substitutions + self.deletions + self.insertions
        return wrong / self.words if self.words else math.nan


def errors(reference: Sequence[str], heard: Sequence[str], pairs: Sequence[Pair]) -> Errors:
    """Count an alignment's errors."""
    return Errors(
        len(reference),
        sum(i is not None and j is not None and reference[i] != heard[j] for i, j in pairs),
        sum(j is None for _, j in pairs),
        sum(i is None for i, _ in pairs),
    )


def erased(updates: Sequence[Update]) -> int:
    """Words taken back from the screen: of every update, what follows the longest common beginning with the last."""
    count = 0
    before: tuple[str, ...] = ()
    for update in updates:
        count += len(before) - _common(before, update.shown)
        before = update.shown
    return count


def committed_erased(updates: Sequence[Update]) -> tuple[int, int]:
    """Committed words that changed: (when their segment's final came, at any other time). The second must be 0."""
    by_final = otherwise = 0
    before: tuple[str, ...] = ()
    n_final = 0
    for update in updates:
        lost = max(0, len(before) - _common(before, update.shown))
        if len(update.final) > n_final:
            by_final += lost
        else:
            otherwise += lost
        before, n_final = update.final + update.open[: update.committed], len(update.final)
    return by_final, otherwise


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def final_times(updates: Sequence[Update]) -> list[float]:
    """When each word of the last update's final text became final (s)."""
    times: list[float] = []
    for update in updates:
        times += [update.at_s] * (len(update.final) - len(times))
    return times


def lasting_times(
    updates: Sequence[Update], not_before: Sequence[float], *, committed_only: bool = False
) -> list[float]:
    """When each word of the final text was first on the screen, to stay there until it was final (s).

    not_before: for each word of the final text, a time at which it cannot have been recognized yet; the same word shown
    before is another one. committed_only: on the screen as committed text.
    """
    if not updates:
        return []
    text = updates[-1].final
    times = final_times(updates)
    alive = [True] * len(text)
    for update in reversed(updates):
        first = len(update.final)
        open_words = update.open[: update.committed] if committed_only else update.open
        beyond = text[first : first + 2 * len(open_words) + 4]

        def possible(i: int, j: int, first: int = first, at: float = update.at_s) -> bool:
            return at >= not_before[first + i]

        paired = align(beyond, open_words, possible) if open_words and beyond else []
        matched = {first + i for i, j in paired if i is not None and j is not None and beyond[i] == open_words[j]}
        for word in range(first, len(text)):
            if word in matched and alive[word]:
                times[word] = min(times[word], update.at_s)
            else:
                alive[word] = False
    return times


@dataclass(frozen=True)
class SessionFigures:
    """One session's. Latencies in seconds; infinite where a word never came."""

    errors: Errors
    first_shown: list[float]
    """Of words that were recognized rightly."""
    committed: list[float]
    word_final: list[float]
    utterance_final: list[float]
    """From the end of an utterance's last word to its last word that came being final."""
    erased: int
    final_words: int
    committed_changed: int
    committed_broken: int
    text: str = ""


def session_figures(said: Sequence[SpokenWord], updates: Sequence[Update]) -> SessionFigures:
    """What a session's updates amount to, beside what was said in it."""
    reference = [normalized(word.text) for word in said]
    text = updates[-1].final if updates else ()
    final_at = final_times(updates)

    def possible(i: int, j: int) -> bool:
        return final_at[j] >= said[i].start - EARLIEST_S

    pairs = align(reference, text, possible)
    not_before = [-math.inf] * len(text)
    for i, j in pairs:
        if i is not None and j is not None:
            not_before[j] = said[i].start - EARLIEST_S
    shown = lasting_times(updates, not_before)
    committed = lasting_times(updates, not_before, committed_only=True)
    right = [(i, j) for i, j in pairs if i is not None and j is not None and reference[i] == text[j]]
    ends: dict[int, float] = {}
    came: dict[int, float] = {}
    for i, j in pairs:
        if i is not None:
            ends[said[i].utterance] = max(ends.get(said[i].utterance, 0.0), said[i].end)
            if j is not None:
                came[said[i].utterance] = max(came.get(said[i].utterance, 0.0), final_at[j])
    by_final, otherwise = committed_erased(updates)
    return SessionFigures(
        errors(reference, text, pairs),
        [shown[j] - said[i].end for i, j in right],
        [committed[j] - said[i].end for i, j in right],
        [final_at[j] - said[i].end for i, j in right],
        [came.get(each, math.inf) - end for each, end in ends.items()],
        erased(updates),
        len(text),
        by_final,
        otherwise,
        " ".join(text),
    )


def tail_delivered(said: Sequence[SpokenWord], updates: Sequence[Update]) -> tuple[int, int, int]:
    """Of the last utterance's words: how many came as final, how many were on the screen at all in the end, how many
    were said. A word counts when there is one in its place, right or wrong."""
    last = said[-1].utterance if said else 0
    reference = [normalized(word.text) for word in said]

    def came(text: Sequence[str]) -> int:
        return sum(i is not None and j is not None and said[i].utterance == last for i, j in align(reference, text))

    end = updates[-1] if updates else Update(0.0, ())
    return came(end.final), came(end.shown), sum(word.utterance == last for word in said)


@dataclass(frozen=True)
class Spread:
    """Percentiles (nearest rank) of latencies in seconds."""

    p50: float
    p95: float
    p99: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of measured values; NaN for none."""
        return Spread(percentile(values, 50), percentile(values, 95), percentile(values, 99), len(values))


@dataclass(frozen=True)
class Summary:
    """Sessions taken together: errors summed, latencies pooled."""

    errors: Errors
    first_shown: Spread
    committed: Spread
    word_final: Spread
    utterance_final: Spread
    erased_per_word: float
    committed_changed_per_word: float
    committed_broken: int
    never_final: int
    """Utterances of which no word came."""
    texts: list[str] = field(default_factory=list)


def summarize(sessions: Sequence[SessionFigures]) -> Summary:
    """Pool the figures of sessions that ran at once."""
    words = sum(s.final_words for s in sessions)
    finals = [t for s in sessions for t in s.utterance_final]
    return Summary(
        sum((s.errors for s in sessions), Errors()),
        Spread.of([t for s in sessions for t in s.first_shown]),
        Spread.of([t for s in sessions for t in s.committed]),
        Spread.of([t for s in sessions for t in s.word_final]),
        Spread.of(finals),
        sum(s.erased for s in sessions) / words if words else math.nan,
        sum(s.committed_changed for s in sessions) / words if words else math.nan,
        sum(s.committed_broken for s in sessions),
        sum(math.isinf(t) for t in finals),
        [s.text for s in sessions],
    )
