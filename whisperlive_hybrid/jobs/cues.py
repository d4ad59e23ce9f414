"""Transcript to subtitle cues: when each is shown and how its text is broken into lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from whisperlive_hybrid.engine.hypothesis import Segment, Word


@dataclass(frozen=True, slots=True)
class CueRules:
    """What fits on a screen. The defaults are the usual ones for subtitles; 16 characters suit Chinese and Japanese."""

    max_lines: int = 2
    max_line_chars: int = 42
    max_s: float = 6.0
    pause_s: float = 1.0
    """A longer pause between two words ends a cue."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Text shown from `start_ms` to `end_ms`; lines are separated by line breaks."""

    start_ms: int
    end_ms: int
    text: str


_SENTENCE_ENDS = tuple(".?!…。？！")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, *",;:、，；：")


def cues(segments: Iterable[Segment], rules: CueRules | None = None, *, after: Cue | None = None) -> list[Cue]:
    """One cue a segment, or with `rules` as many as its words need. None is empty, too short or overlaps another.

    A segment's first cue begins with its speaker in brackets, where that is known. `after`: the last cue of what came
    before, which becomes the first here, since its end may change.
    """
    raw: list[Cue] = [after] if after is not None else []
    for segment in segments:
        if rules is not None and segment.words:
            own = [
                Cue(_ms(group[0].start), _ms(group[-1].end), _lines(group, rules))
                for group in _groups(segment.words, rules)
            ]
        else:
            own = [Cue(_ms(segment.start), _ms(segment.end), " ".join(segment.text.split()))]
        own = [cue for cue in own if cue.text]
        if own:
            own[0] = replace(own[0], text=speaker_prefix(segment) + own[0].text)
        raw += own
    return _apart(raw)


def speaker_prefix(segment: Segment) -> str:
    """`[NAME] `, or nothing where the speaker is not known."""
    return "" if segment.speaker is None else f"[{' '.join(segment.speaker.split())}] "


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 0)


def _apart(raw: Sequence[Cue]) -> list[Cue]:
    """No cue overlaps the next, none is shorter than a millisecond; starts are kept where possible."""
    out: list[Cue] = []
    for cue in raw:
        start = cue.start_ms
        if out and start < out[-1].end_ms:
            last = out[-1]
            if last.start_ms < start:
                out[-1] = Cue(last.start_ms, start, last.text)
            else:
                start = last.end_ms
        out.append(Cue(start, max(cue.end_ms, start + 1), cue.text))
    return out


def _groups(words: Sequence[Word], rules: CueRules) -> list[list[Word]]:
    """The words of each cue: as many as fit, then back to the last clause that ends in its second half."""
    groups: list[list[Word]] = []
    group: list[Word] = []
    for word in words:
        if group and _ends_before(group, word, rules):
            groups.append(group)
            group = []
        group.append(word)
        while not _fits(group, rules) and len(group) > 1:
            cut = _best_cut(group)
            groups.append(group[:cut])
            group = group[cut:]
    return [*groups, group] if group else groups


def _ends_before(group: Sequence[Word], word: Word, rules: CueRules) -> bool:
    if word.start - group[-1].end > rules.pause_s:
        return True
    full = len(_text(group)) > rules.max_line_chars
    return full and group[-1].text.rstrip().endswith(_SENTENCE_ENDS)


def _fits(group: Sequence[Word], rules: CueRules) -> bool:
    if group[-1].end - group[0].start > rules.max_s:
        return False
    lines = _wrap(group, rules.max_line_chars)
    return len(lines) <= rules.max_lines and all(len(line) <= rules.max_line_chars for line in lines)


def _best_cut(group: Sequence[Word]) -> int:
    """How many words stay: all but the last, which did not fit, or up to the last clause in the second half."""
    last = len(group) - 1
    for cut in range(last, last // 2, -1):
        if group[cut - 1].text.rstrip().endswith(_CLAUSE_ENDS):
            return cut
    return last


def _lines(group: Sequence[Word], rules: CueRules) -> str:
    """The words in as few lines as they need; two lines are broken where they are most alike, best after a comma."""
    lines = _wrap(group, rules.max_line_chars)
    if len(lines) != 2:
        return "\n".join(lines)

    def badness(cut: int) -> tuple[bool, int]:
        first, second = len(_text(group[:cut])), len(_text(group[cut:]))
        late = max(first, second) > rules.max_line_chars
        comma = group[cut - 1].text.rstrip().endswith(_CLAUSE_ENDS)
        return late, abs(first - second) - (rules.max_line_chars // 3 if comma else 0)

    cut = min(range(1, len(group)), key=badness)
    return f"{_text(group[:cut])}\n{_text(group[cut:])}"


def _wrap(group: Sequence[Word], max_chars: int) -> list[str]:
    """Lines filled one after the other. A word longer than a line has one of its own."""
    starts = [0]
    for i in range(1, len(group)):
        if len(_text(group[starts[-1] : i + 1])) > max_chars:
            starts.append(i)
    return [_text(group[a:b]) for a, b in pairwise([*starts, len(group)])]


def _text(words: Sequence[Word]) -> str:
    return " ".join("".join(word.text for word in words).split())
