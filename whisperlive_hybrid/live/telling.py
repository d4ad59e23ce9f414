"""What a live session tells of a hypothesis: the partial of a running utterance, the final of an ended one. Pure."""

from __future__ import annotations

from dataclasses import replace

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Event, Failed, Final, Partial
from whisperlive_hybrid.live.policy import CommitPolicy
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.live.transcript import Token, n_covered, split_words, tokens_of
from whisperlive_hybrid.live.utterance import EndingUtterance, Heard, RunningUtterance, heard_in


def partial_of(
    running: RunningUtterance, window: Window, hypothesis: Hypothesis, policy: CommitPolicy, rules: LiveRules
) -> Partial | None:
    """Take what `window` heard into the transcript of the running utterance; the partial to tell, if it is news.

    A window from before the transcript's window start is a speculative final: it hears the committed words again.
    """
    transcript = running.transcript
    heard_until = seconds(window.end)
    tokens = tokens_of(hypothesis)
    tail: tuple[Token, ...] = ()
    if not any(t.key for t in tokens):
        tokens = ()
    elif window.start < transcript.window_start:
        tail = tokens[n_covered(transcript.committed, tokens) :]
    else:
        tail = transcript.uncovered(tokens)
    n = policy.n_committed(transcript.history, tail, heard_until)
    append, changed = transcript.update(n, tail, policy.keep)
    if window.start == transcript.window_start and len(window.samples) > rules.trim_after_s * SAMPLE_RATE:
        transcript.trim(tokens, SAMPLE_RATE)
    if not changed:
        return None
    transcript.shown = True
    start = seconds(running.audio.start)
    return Partial(running.segment, start, heard_until, append, transcript.tentative_text())


def final_of(
    ending: EndingUtterance, told: SessionState, options: LiveOptions, rules: LiveRules, model: str
) -> tuple[SessionState, list[Event]]:
    """What is told of an ended utterance whose windows are all back, and what the session remembers after it."""
    events: list[Event] = []
    start, end = seconds(ending.audio.start), seconds(ending.end)
    if ending.failed is not None:
        message = f"Segment {ending.segment} ({start:.2f} to {end:.2f} s) could not be finalized: {ending.failed}"
        events.append(Failed("final_failed", message, fatal=False))
    heard = heard_in(ending, told.seam, told.cut_at)
    if ending.failed is not None and len(heard.text) < len(ending.fallback):
        # Of several windows some may have been heard; the partials then had more, and a client has seen it.
        heard = replace(heard, text=ending.fallback, words=())
    text = heard.text
    after = replace(
        told,
        next_segment=ending.segment + 1,
        n_told=told.n_told + bool(text),
        n_words=told.n_words + len(split_words(text)),
        timing=_timing(told, ending),
        told_end=ending.end,
        speaking_from=ending.continued_at,
        cut_at=ending.end if ending.cut else None,
        seam=tuple(w for s in ending.segments for w in s.words) if ending.cut else (),
    )
    if text and ending.failed is None:
        after = _learn(after, ending, heard, options, rules)
    if text or ending.shown:
        words = heard.words if options.words else None
        language = heard.language or told.language or options.language or "und"
        events.append(Final(ending.segment, start, end, text, language, model, heard.confidence, words))
    return after, events


def _learn(
    told: SessionState, ending: EndingUtterance, heard: Heard, options: LiveOptions, rules: LiveRules
) -> SessionState:
    """Take language and history for the next windows from a final."""
    before = told.history if heard.language == told.history_language else ""
    history = f"{before} {heard.text}"[-2 * rules.history_chars :]
    language = told.language
    if options.language is None:
        if heard.confidence < rules.doubt_language:
            language = None
        elif seconds(ending.n_samples) >= rules.detect_after_s and heard.language_probability >= rules.keep_language:
            language = heard.language  # one that was asked for, not detected, comes with probability 1
    return replace(told, history=history, history_language=heard.language, language=language)


def _timing(told: SessionState, ending: EndingUtterance) -> dict[str, float]:
    """Seconds in the engine, with those of `ending`."""
    timings = [part.timing for part in (*ending.in_doubt, *ending.parts)]
    return {name: before + sum(getattr(t, name) for t in timings) for name, before in told.timing.items()}
