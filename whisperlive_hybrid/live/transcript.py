"""The text of one running utterance: what is committed, what may still change, and where its next window begins. Pure.

A partial window hears the utterance from `window_start` to its newest sample. Its text therefore repeats the committed
words that lie behind `window_start`; they are recognized by aligning the two (the model may spell one differently this
time) and skipped. Once the window is long it is trimmed at a committed word; words before that point are no longer
heard and become the prompt.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whisperlive_hybrid.engine.hypothesis import Hypothesis, Word

# Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without spaces: compared character by character.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")

ALIGN_WORDS = 40
"""Committed words compared with a new hypothesis at most; bounds the cost of a partial in a long utterance."""

GRID = 160
"""Samples of a frame: windows of an utterance that begin on the same grid have their frames in common."""

END_MARKS = ".!?…。！？"


@dataclass(frozen=True, slots=True)
class Token:
    """One word as shown: `text` with its leading space, `key` to compare by (may be empty for punctuation)."""

    text: str
    key: str
    end: float | None = None
    """Seconds on the session's clock, where the hypothesis has word times, as those of partials do."""
    start: float | None = None
    probability: float | None = None
    """That the model gives the word at this place, 0 to 1."""


def key_of(text: str) -> str:
    """The word without case and punctuation: two spellings of one word have one key."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c).startswith("M"))


def split_words(text: str) -> list[str]:
    """Words of `text`, each with its leading space, punctuation left on."""
    return _WORD.findall(text.rstrip())


def tokens_of(hypothesis: Hypothesis) -> tuple[Token, ...]:
    """The hypothesis word by word, with times where it has them."""
    tokens: list[Token] = []
    for segment in hypothesis.segments:
        if segment.words:
            tokens += [Token(w.text, key_of(w.text), w.end, w.start, w.probability) for w in segment.words]
        else:
            tokens += [Token(text, key_of(text)) for text in split_words(segment.text)]
    return tuple(tokens)


def joined(tokens: Sequence[Token]) -> str:
    """The tokens' text as written, leading space kept."""
    return "".join(t.text for t in tokens)


def n_covered(committed: Sequence[Token], hypothesis: Sequence[Token]) -> int:
    """How many leading tokens of `hypothesis` say what `committed` says: the cut with the smallest edit distance.

    Among equal cuts one behind the last committed word counts, then the one nearest to `len(committed)`: a word that
    the model now spells differently is not said twice. Words' times are no help: they wander further than text does.
    """
    old, new = [t.key for t in committed], [t.key for t in hypothesis]
    if new[: len(old)] == old:
        return len(old)
    skipped = max(0, len(old) - ALIGN_WORDS)
    shift = min(skipped, len(new))
    old, new = old[skipped:], new[shift : shift + 2 * ALIGN_WORDS]
    row = list(range(len(new) + 1))
    for i, word in enumerate(old, 1):
        above, row = row, [i]
        for j, other in enumerate(new, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))

    def badness(j: int) -> tuple[int, bool, int]:
        ends_alike = bool(old) and j > 0 and new[j - 1] == old[-1]
        return row[j], not ends_alike, abs(j - len(old))

    return shift + min(range(len(row)), key=badness)


class UtteranceTranscript:
    """Committed and tentative words of an utterance that begins at sample `start`."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.window_start = start
        """First sample (session's clock) of the next partial window."""
        self.committed: list[Token] = []
        self.tentative: tuple[Token, ...] = ()
        self.history: list[tuple[Token, ...]] = []
        """Uncommitted tails of the newest hypotheses, newest last, each without what is committed now."""
        self._n_behind = 0
        """Committed tokens that end before `window_start`."""
        self._tail = ""
        """The tentative text that is shown."""
        self._n_shown = 0
        """Tentative words in it."""
        self.shown = False
        """The client has seen a partial of this utterance."""

    @property
    def behind(self) -> list[Token]:
        """Committed words that the window no longer hears."""
        return self.committed[: self._n_behind]

    def uncovered(self, hypothesis: Sequence[Token]) -> tuple[Token, ...]:
        """What `hypothesis` (of a window from `window_start`) says beyond the committed words."""
        return tuple(hypothesis[n_covered(self.committed[self._n_behind :], hypothesis) :])

    def update(
        self, n_commit: int, tail: tuple[Token, ...], keep: int, *, n_held: int = 0, ended: bool = False
    ) -> tuple[str, bool]:
        """Commit the first `n_commit` tokens of `tail`, the rest is tentative; remember `keep` tails.

        The last `n_held` tokens, as far as they are tentative, are not shown yet. `ended`: the speaker pauses behind
        them, so that a full stop means something.

        Returns the text appended (to be joined as it is to what was appended before) and whether anything is new.
        """
        words, self.tentative = tail[:n_commit], tail[n_commit:]
        if words and not self.tentative:  # the model ends every window with a full stop, speech going on or not
            words = (*words[:-1], replace(words[-1], text=words[-1].text.rstrip(END_MARKS)))
        self.history = [h[n_commit:] for h in self.history] + [self.tentative]
        self.history = self.history[max(0, len(self.history) - keep) :]
        append = self.as_shown(words)
        self.committed += words
        before = self._tail
        self._n_shown = max(0, len(self.tentative) - n_held)
        self._tail = self.as_shown(self.tentative[: self._n_shown])
        if not ended:
            self._tail = self._tail.rstrip(END_MARKS)
        return append, bool(append) or self._tail != before

    def as_shown(self, words: Sequence[Token]) -> str:
        """The text of `words` as it follows the committed text: no space at the very beginning."""
        text = joined(words)
        return text if self.committed else text.lstrip()

    def tentative_text(self) -> str:
        """The shown tail, which may still change, to be joined as it is to the committed text."""
        return self._tail

    def shown_words(self) -> tuple[Word, ...]:
        """The committed words and the shown tail, as far as they have times."""
        return tuple(
            Word(t.text, t.start, t.end, t.probability or 0.0)
            for t in (*self.committed, *self.tentative[: self._n_shown])
            if t.start is not None and t.end is not None and t.key
        )

    def text(self) -> str:
        """Everything, committed or not, shown or not."""
        return (joined(self.committed) + joined(self.tentative)).strip()

    def trim(self, times: Sequence[Token], sample_rate: int) -> bool:
        """Move `window_start` up to the last committed word, which stays in the window.

        That word is heard again, so that it is known where the new words begin, and so that the first sound of the
        window is not the end of a word. The cut lies between it and the one before, on the frames' grid.
        `times`: the newest hypothesis of the present window, with word times. Returns whether the window moved.
        """
        heard = self.committed[self._n_behind :]
        n = min(n_covered(heard, times), len(times))
        if not heard or n == 0:
            return False
        begin = times[n - 1].start
        before = times[n - 2].end if n > 1 else begin
        if begin is None or before is None:
            return False
        return self._begin_at(int((before + begin) / 2 * sample_rate), len(self.committed) - 1)

    def skip(self, to: int) -> bool:
        """Move `window_start` to sample `to`: what was said before and is not committed is left to the final."""
        return self._begin_at(to, len(self.committed))

    def _begin_at(self, at: int, n_behind: int) -> bool:
        at -= (at - self._start) % GRID
        if at <= self.window_start:
            return False
        self.window_start, self._n_behind = at, n_behind
        return True
