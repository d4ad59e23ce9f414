"""What a live session tells of a hypothesis: the partial of a running utterance, the final of an ended one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Event, Failed, Final, Partial
from whisperlive_hybrid.live.guards import is_noise, without_squeezed
from whisperlive_hybrid.live.policy import CommitPolicy, n_forced, n_held_back
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.live.transcript import Token, UtteranceTranscript, n_covered, split_words, tokens_of
from whisperlive_hybrid.live.utterance import EndingUtterance, Heard, RunningUtterance, heard_in


def partial_of(
    running: RunningUtterance,
    window: Window,
    hypothesis: Hypothesis,
    policy: CommitPolicy,
    rules: LiveRules,
    *,
    options: LiveOptions,
) -> Partial | None:
    """Take what `window` heard into the transcript of the running utterance; the partial to tell, if it is news.

    A window from before the transcript's window start is a speculative final: it hears the committed words again.
    """
    if window.lane is Lane.FINAL and _is_noise(running, hypothesis, options, rules):
        return None
    transcript = running.transcript
    heard_until = seconds(window.end)
    tokens = without_squeezed(tokens_of(hypothesis), rules.shortest_word_s)
    tail: tuple[Token, ...] = ()
    if not any(t.key for t in tokens):
        tokens = ()
    elif window.start < transcript.window_start:
        tail = tokens[n_covered(transcript.committed, tokens) :]
    else:
        tail = transcript.uncovered(tokens)
    n = policy.n_committed(transcript.history, tail, heard_until)
    if n == 0 and policy.may_force and _stalled(transcript, window, rules):
        n = n_forced(tail)
    ended = window.lane is Lane.FINAL
    n_held = 0 if ended else n_held_back(tail, heard_until, rules.hold_new_s, rules.hold_below)
    append, changed = transcript.update(n, tail, policy.keep, n_held=n_held, ended=ended)
    if window.start == transcript.window_start and policy.may_force:
        _trim(transcript, window, tokens, rules)
    if not changed:
        return None
    transcript.shown = True
    start = seconds(running.audio.start)
    shown = transcript.tentative_text()
    language, sure = hypothesis.language, hypothesis.language_probability
    words = transcript.shown_words() if options.words else ()
    return Partial(running.segment, start, heard_until, append, shown, language, sure, words)


def _is_noise(
    utterance: RunningUtterance | EndingUtterance, heard: Hypothesis | Heard, options: LiveOptions, rules: LiveRules
) -> bool:
    """Whether an utterance that ended, or may have ended, in a pause is no speech at all."""
    if utterance.silent_from is None or utterance.after_cut:
        return False
    speech_s = seconds(utterance.silent_from - utterance.audio.start) - options.speech.pre_roll_ms / 1000
    least_s, sure = rules.noise_below_s, rules.noise_sure
    return is_noise(speech_s, heard.words, heard.language_probability, least_s=least_s, sure=sure)


def _stalled(transcript: UtteranceTranscript, window: Window, rules: LiveRules) -> bool:
    """Nothing was committed in as much audio as a window may hold."""
    committed_until = transcript.committed[-1].end if transcript.committed else None
    since = max(seconds(window.start), committed_until or 0.0)
    return seconds(window.end) - since > rules.max_window_s


def pass_over(running: RunningUtterance, window: Window, policy: CommitPolicy, rules: LiveRules) -> None:
    """What `window` heard is not believed: nothing is told, but the next window may begin later."""
    if window.start == running.transcript.window_start and policy.may_force:
        _trim(running.transcript, window, (), rules)


def _trim(transcript: UtteranceTranscript, window: Window, tokens: Sequence[Token], rules: LiveRules) -> None:
    """Let the next window begin later where this one was too long."""
    if len(window.samples) <= rules.trim_after_s * SAMPLE_RATE:
        return
    transcript.trim(tokens, SAMPLE_RATE)
    if window.end - transcript.window_start > rules.max_window_s * SAMPLE_RATE:
        transcript.skip(window.end - round(rules.trim_after_s * SAMPLE_RATE))


def final_of(
    ending: EndingUtterance, told: SessionState, options: LiveOptions, rules: LiveRules, model: str
) -> tuple[SessionState, list[Event]]:
    """What is told of an ended utterance whose windows are all back, and what the session remembers after it."""
    events: list[Event] = []
    start, end = seconds(ending.audio.start), seconds(ending.end)
    if ending.failed is not None:
        message = f"Segment {ending.segment} ({start:.2f} to {end:.2f} s) could not be finalized: {ending.failed}"
        events.append(Failed("final_failed", message, fatal=False, segment=ending.segment))
    heard = heard_in(ending, told.seam, told.cut_at)
    if ending.failed is None and _is_noise(ending, heard, options, rules):
        heard = Heard()
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
    if text or ending.shown or options.every_final:
        words = heard.words if options.words else None
        language = heard.language or told.language or options.language or "und"
        sure = heard.language_probability
        events.append(Final(ending.segment, start, end, text, language, model, heard.confidence, words, sure))
    return after, events


def _learn(
    told: SessionState, ending: EndingUtterance, heard: Heard, options: LiveOptions, rules: LiveRules
) -> SessionState:
    """Take language and history for the next windows from a final."""
    before = told.history if heard.language == told.history_language else ""
    history = f"{before} {heard.text}"[-2 * rules.history_chars :] if rules.history_chars else ""
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
