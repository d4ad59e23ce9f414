"""Word times: from an alignment of tokens to audio, to words placed in their segments.

The alignment is a path of dynamic time warping over cross-attention; a word begins where the path first reaches its
first token. Attention is vague around pauses, so words next to one come out too long: the rules here shorten them, with
the same limits as faster-whisper, so that times agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from faster_whisper.tokenizer import Tokenizer

from whisperlive_hybrid.engine.segments import TIMESTAMP_STEP_S, Draft, TimedWord

_OPENING = "\"'“¿([{-"
"""Punctuation that belongs to the word after it."""
_CLOSING = "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word before it."""
_SENTENCE_ENDS = ".。!！?？"
_LONGEST_MEDIAN_S = 0.7


def place_words(
    drafts: Sequence[Draft],
    tokens: Tokenizer,
    path: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
) -> None:
    """Give each draft its words, and move its ends to theirs.

    `path`: pairs (index of text token, position in the encoder's output, 20 ms each); `probabilities`: one per text
    token. Text tokens are those of all drafts, without timestamps.
    """
    texts = [[t for t in draft.tokens if t < tokens.eot] for draft in drafts]
    words = spell([t for text in texts for t in text], tokens, path, probabilities)
    usual, longest = usual_durations(words)
    shorten_at_sentence_ends(words, longest)
    attach_punctuation(words)
    _share_out(words, drafts, [len(text) for text in texts])
    last_speech = 0.0
    for draft in drafts:
        if draft.words:
            shorten_after_pause(draft.words, last_speech, usual, longest)
            agree_with_timestamps(draft, usual)
            last_speech = draft.end


def spell(
    text: list[int], tokens: Tokenizer, path: Sequence[tuple[int, int]], probabilities: Sequence[float]
) -> list[TimedWord]:
    """Join tokens to words and take each word's times from the path."""
    spelled, parts = tokens.split_to_word_tokens([*text, tokens.eot])
    if len(parts) <= 1 or not path:
        return []
    steps = np.asarray(path)
    first_visits = np.concatenate(([True], np.diff(steps[:, 0]) != 0))
    reached = steps[first_visits, 1] * TIMESTAMP_STEP_S
    borders = np.concatenate(([0], np.cumsum([len(part) for part in parts[:-1]])))
    return [
        TimedWord(
            spelled[i],
            list(parts[i]),
            float(reached[first]),
            float(reached[after]),
            float(np.mean(probabilities[first:after])),
        )
        for i, (first, after) in enumerate(pairwise(borders))
    ]


def usual_durations(words: Sequence[TimedWord]) -> tuple[float, float]:
    """Median length of the words, at most 0.7 s, and the longest believable next to a pause: twice that."""
    durations = [w.duration for w in words if w.duration != 0]
    median = min(_LONGEST_MEDIAN_S, float(np.median(durations))) if durations else 0.0
    return median, 2 * median


def shorten_at_sentence_ends(words: Sequence[TimedWord], longest: float) -> None:
    """A full stop, or the word after it, that is too long has swallowed the pause between sentences."""
    for before, word in pairwise(words):
        if word.duration <= longest:
            continue
        if word.text in _SENTENCE_ENDS:
            word.end = word.start + longest
        elif before.text in _SENTENCE_ENDS:
            word.start = word.end - longest


def attach_punctuation(words: list[TimedWord]) -> None:
    """Join punctuation to its word. The word keeps its own times; emptied entries stay in their place."""
    following = len(words) - 1
    for i in range(len(words) - 2, -1, -1):
        mark, word = words[i], words[following]
        if mark.text.startswith(" ") and mark.text.strip() in _OPENING:
            word.text, word.tokens = mark.text + word.text, mark.tokens + word.tokens
            mark.text, mark.tokens = "", []
        else:
            following = i
    previous = 0
    for i in range(1, len(words)):
        word, mark = words[previous], words[i]
        if not word.text.endswith(" ") and mark.text in _CLOSING:
            word.text, word.tokens = word.text + mark.text, word.tokens + mark.tokens
            mark.text, mark.tokens = "", []
        else:
            previous = i


def _share_out(words: Sequence[TimedWord], drafts: Sequence[Draft], sizes: Sequence[int]) -> None:
    """Hand the words to the drafts in order; a draft takes words until its text tokens are covered."""
    position = 0
    for draft, size in zip(drafts, sizes, strict=True):
        covered = 0
        while position < len(words) and covered < size:
            word = words[position]
            covered += len(word.tokens)
            position += 1
            if word.text:
                word.start, word.end = round(word.start, 2), round(word.end, 2)
                draft.words.append(word)


def shorten_after_pause(words: Sequence[TimedWord], last_speech: float, usual: float, longest: float) -> None:
    """The first word, or the first two, after a pause may have swallowed it: cut their beginning."""
    first = words[0]
    second = words[1] if len(words) > 1 else None
    if first.end - last_speech <= usual * 4:
        return
    if first.duration <= longest and (second is None or second.end - first.start <= longest * 2):
        return
    if second is not None and second.duration > longest:
        first.end = second.start = max(second.end / 2, second.end - longest)
    first.start = max(0.0, first.end - longest)


def agree_with_timestamps(draft: Draft, usual: float) -> None:
    """At its ends, a segment takes the times of its words, unless they reach over half a second beyond its own."""
    first, last = draft.words[0], draft.words[-1]
    if draft.start < first.end and draft.start - 0.5 > first.start:
        first.start = max(0.0, min(first.end - usual, draft.start))
    else:
        draft.start = first.start
    if draft.end > last.start and draft.end + 0.5 < last.end:
        last.end = max(last.start + usual, draft.end)
    else:
        draft.end = last.end
