"""Voices of a file told apart, all at once: embeddings → clusters → turns. Pure numpy.

Regions are split where the voice changes; the pieces are joined by average linkage of their cosine similarities,
weighted by their lengths; clusters too small to be a speaker are given to the nearest one; then every window goes to
the nearest cluster, with a price on changing speakers (Viterbi), and short pauses between turns of one speaker are
filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.diarization.turns import MAX_SPEAKERS, SpeakerOptions, Turn, label
from whisperlive_hybrid.diarization.voices import Piece, Region, Vectors, pieces_of, unit

Labels = NDArray[np.intp]

AT_ONCE: Final = 2500
"""Pieces that are joined together; more are joined in lots first, where they are very much alike."""
SURELY_ALIKE: Final = 0.6


@dataclass(frozen=True, slots=True)
class ClusterRules:
    """Numbers of the clustering, measured by `python -m benchmarks.diarization`."""

    change: float = 0.6
    """A region is split where the voices before and after are less alike."""
    same: float = 0.35
    """Mean similarity from which two clusters are one speaker."""
    least_s: float = 2.0
    """Speech of a speaker at least, or `least_share` of all speech where that is less."""
    least_share: float = 0.08
    switch: float = 0.3
    """Price of a change of speaker from one window to the next, in similarity."""
    fill_s: float = 0.75
    """A shorter pause between two turns of one speaker belongs to them."""
    pad_s: float = 0.1
    """Turns begin and end so much around what voice activity finds."""
    known: float = 0.45
    """Similarity from which a speaker is a known one."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownVoice:
    """A speaker with a name and a voice [d]."""

    name: str
    vector: Vectors


def tell_apart(
    regions: Sequence[Region],
    options: SpeakerOptions,
    known: Sequence[KnownVoice] = (),
    rules: ClusterRules | None = None,
) -> tuple[Turn, ...]:
    """Who speaks when, given all regions of a file in order. No regions, no turns."""
    rules = rules or ClusterRules()
    if not regions:
        return ()
    pieces = [piece for region in regions for piece in pieces_of(region, rules.change)]
    speakers = _merge_known(_speakers(pieces, options, rules), known, rules)
    raw = [
        turn for region in regions for turn in _turns_of(region, np.stack([s.vector for s in speakers]), rules.switch)
    ]
    return _named(_filled(raw, rules), speakers)


@dataclass(frozen=True, slots=True, eq=False)
class _Speaker:
    vector: Vectors
    name: str | None = None


@dataclass(slots=True)
class _Raw:
    start: float
    end: float
    speaker: int
    confidence: float


def _speakers(pieces: Sequence[Piece], options: SpeakerOptions, rules: ClusterRules) -> list[_Speaker]:
    """The voices of all speakers."""
    vectors = np.stack([piece.vector for piece in pieces])
    weights = np.array([piece.seconds for piece in pieces])
    labels = cluster(vectors, weights, options, rules)
    return [
        _Speaker(unit((vectors[labels == k] * weights[labels == k, None]).sum(axis=0)))
        for k in range(int(labels.max()) + 1)
    ]


def cluster(
    vectors: Vectors, weights: NDArray[np.float64], options: SpeakerOptions, rules: ClusterRules | None = None
) -> Labels:
    """The speaker of each vector [n, d] of so many seconds [n]: whole numbers from 0 without gaps, [n]."""
    rules = rules or ClusterRules()
    first = _in_lots(vectors, weights)
    joined = np.zeros((int(first.max()) + 1, vectors.shape[1]))
    np.add.at(joined, first, vectors * weights[:, None])
    of_lot = np.bincount(first, weights).astype(np.float64)
    labels = _joined(unit(joined), of_lot, options, rules)[first]
    return _without_small(labels, vectors, weights, _least(weights, rules), options)


def _least(weights: NDArray[np.float64], rules: ClusterRules) -> float:
    return min(rules.least_s, rules.least_share * float(weights.sum()))


def _in_lots(vectors: Vectors, weights: NDArray[np.float64]) -> Labels:
    """Labels for lots small enough to be joined at once; each vector its own where all are few."""
    n = len(vectors)
    if n <= AT_ONCE:
        return np.arange(n)
    labels = np.zeros(n, np.intp)
    n_labels = 0
    for begin in range(0, n, AT_ONCE):
        end = min(begin + AT_ONCE, n)
        merges = average_linkage(vectors[begin:end], weights[begin:end])
        own = labels_after([m for m in merges if m[0] >= SURELY_ALIKE], end - begin)
        labels[begin:end] = own + n_labels
        n_labels += int(own.max()) + 1
    return labels


def _joined(vectors: Vectors, weights: NDArray[np.float64], options: SpeakerOptions, rules: ClusterRules) -> Labels:
    """Labels at the similarity of the rules, or as near to it as the number of speakers that is wanted allows."""
    merges = average_linkage(vectors, weights)
    n = len(vectors)
    level = sum(similarity >= rules.same for similarity, _, _ in merges)
    most = options.num_speakers or options.max_speakers or MAX_SPEAKERS
    fewest = options.num_speakers or options.min_speakers or 1
    least = _least(weights, rules)

    def n_speakers(level: int) -> int:
        return max(1, int((np.bincount(labels_after(merges[:level], n), weights) >= least).sum()))

    while level < len(merges) and n_speakers(level) > most:
        level += 1
    enough = level
    while enough > 0 and n_speakers(enough) < fewest:
        enough -= 1
    if n_speakers(enough) >= fewest:
        level = enough
    elif fewest > 1:  # somebody says next to nothing: the largest clusters are the speakers then
        level = max(0, n - fewest)
    return labels_after(merges[:level], n)


def average_linkage(
    vectors: Vectors, weights: NDArray[np.float64], apart: Sequence[tuple[int, int]] = ()
) -> list[tuple[float, int, int]]:
    """All merges (similarity, i, j) in order of falling similarity; the merged cluster goes on as i < j.

    Weighted average linkage over cosines of `vectors` [n, d], without merges that would bring a pair of `apart`
    together. The best partner of each row is kept, so that a merge costs O(n).
    """
    n = len(vectors)
    alike = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(alike, -np.inf)
    for i, j in apart:  # an average with it stays without end
        alike[i, j] = alike[j, i] = -np.inf
    weight = weights.astype(np.float64).copy()
    best = alike.argmax(axis=1)
    value = alike[np.arange(n), best]
    merges: list[tuple[float, int, int]] = []
    for _ in range(n - 1):
        first = int(value.argmax())
        if not np.isfinite(value[first]):
            break
        i, j = sorted((first, int(best[first])))
        merges.append((float(value[first]), i, j))
        row = (weight[i] * alike[i] + weight[j] * alike[j]) / (weight[i] + weight[j])
        weight[i] += weight[j]
        row[[i, j]] = -np.inf
        alike[i], alike[:, i] = row, row
        alike[j], alike[:, j] = -np.inf, -np.inf
        value[j] = -np.inf
        for k in np.flatnonzero((best == i) | (best == j) | (np.arange(n) == i)):
            if k != j and np.isfinite(value[k]):
                best[k] = alike[k].argmax()
                value[k] = alike[k, best[k]]
        better = (row > value) & np.isfinite(value)
        best[better], value[better] = i, row[better]
    return merges


def labels_after(merges: Sequence[tuple[float, int, int]], n: int) -> Labels:
    """Labels [n] without gaps of what `merges` have joined."""
    parents = list(range(n))
    for _, i, j in merges:
        parents[j] = i
    for k in range(n):  # a parent's number is smaller than its children's
        parents[k] = parents[parents[k]]
    return np.unique(parents, return_inverse=True)[1].astype(np.intp)


def _without_small(
    labels: Labels, vectors: Vectors, weights: NDArray[np.float64], least: float, options: SpeakerOptions
) -> Labels:
    """Vectors of clusters too small for a speaker are given to the nearest of the others."""
    sizes = np.bincount(labels, weights)
    large = np.flatnonzero(sizes >= least)
    fewest = options.num_speakers or options.min_speakers or 1
    if len(large) < fewest:
        large = np.sort(np.argsort(sizes)[::-1][:fewest])
    centers = unit(np.stack([(vectors[labels == k] * weights[labels == k, None]).sum(axis=0) for k in large]))
    nearest = large[(vectors @ centers.T).argmax(axis=1)]
    kept = np.where(np.isin(labels, large), labels, nearest)
    return np.unique(kept, return_inverse=True)[1].astype(np.intp)


def _merge_known(speakers: Sequence[_Speaker], known: Sequence[KnownVoice], rules: ClusterRules) -> list[_Speaker]:
    """Speakers that are known ones get their names; two that are the same one become one."""
    if not known:
        return list(speakers)
    voices = np.stack([voice.vector for voice in known])
    named: dict[str, list[Vectors]] = {}
    others: list[_Speaker] = []
    for speaker in speakers:
        alike = voices @ speaker.vector
        if alike.max() >= rules.known:
            named.setdefault(known[int(alike.argmax())].name, []).append(speaker.vector)
        else:
            others.append(speaker)
    return [*(_Speaker(unit(np.sum(v, axis=0)), name) for name, v in named.items()), *others]


def _turns_of(region: Region, centers: Vectors, switch: float) -> list[_Raw]:
    """Turns in one region: the likeliest speaker of each window, given that changes have a price."""
    scores = region.vectors @ centers.T
    path = _viterbi(scores, switch)
    times = region.centers
    cuts = [i for i in range(1, len(path)) if path[i] != path[i - 1]]
    edges = [region.start, *((times[i - 1] + times[i]) / 2 for i in cuts), region.end]
    return [
        _Raw(float(start), float(end), path[begin], _confidence(scores[begin:stop], path[begin]))
        for (start, end), (begin, stop) in zip(pairwise(edges), pairwise([0, *cuts, len(path)]), strict=True)
    ]


def _confidence(scores: Vectors, speaker: int) -> float:
    """0 to 1: how much more alike the windows are to the speaker than to anybody else, or than strangers are."""
    mean = scores.mean(axis=0)
    others = np.delete(mean, speaker)
    rival = max(float(others.max()) if len(others) else 0.0, 0.2)
    return float(np.clip((float(mean[speaker]) - rival) / 0.4 + 0.5, 0.0, 1.0))


def _viterbi(scores: Vectors, switch: float) -> list[int]:
    """The best path [n] through scores [n, speakers] when each change costs `switch`."""
    total = scores[0].astype(np.float64)
    steps = []
    everyone = np.arange(scores.shape[1])
    for score in scores[1:]:
        change = total.max() - switch
        stays = total >= change
        steps.append(np.where(stays, everyone, int(total.argmax())))
        total = np.where(stays, total, change) + score
    path = [int(total.argmax())]
    for step in reversed(steps):
        path.append(int(step[path[-1]]))
    return path[::-1]


def _filled(turns: Sequence[_Raw], rules: ClusterRules) -> list[_Raw]:
    """Turns a little longer, as far as there is room, and those of one speaker with a short pause between as one."""
    padded: list[_Raw] = []
    for i, turn in enumerate(turns):
        room_before = turn.start if i == 0 else (turn.start - turns[i - 1].end) / 2
        room_after = rules.pad_s if i + 1 == len(turns) else (turns[i + 1].start - turn.end) / 2
        start = turn.start - min(rules.pad_s, max(0.0, room_before))
        end = turn.end + min(rules.pad_s, max(0.0, room_after))
        last = padded[-1] if padded else None
        if last is not None and last.speaker == turn.speaker and start - last.end <= rules.fill_s:
            share = (last.end - last.start) / max(last.end - last.start + end - start, 1e-9)
            last.confidence = share * last.confidence + (1 - share) * turn.confidence
            last.end = end
        else:
            padded.append(_Raw(start, end, turn.speaker, turn.confidence))
    return padded


def _named(turns: Sequence[_Raw], speakers: Sequence[_Speaker]) -> tuple[Turn, ...]:
    """Speakers without a name are numbered in the order in which they first speak."""
    names: dict[int, str] = {}
    n_unknown = 0
    for turn in turns:
        if turn.speaker not in names:
            name = speakers[turn.speaker].name
            if name is None:
                name, n_unknown = label(n_unknown), n_unknown + 1
            names[turn.speaker] = name
    return tuple(Turn(round(t.start, 3), round(t.end, 3), names[t.speaker], round(t.confidence, 3)) for t in turns)
