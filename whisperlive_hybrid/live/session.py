"""One live session as a state machine: fed with speech, hypotheses and time, it returns what is to be done.

Theory of operation
-------------------
The session never reads a clock, awaits or touches a socket. Whoever runs it calls `receive_…`, `stop` or `advance`,
then takes `actions()` and carries them out in order; it calls `advance` again at `next_deadline()` at the latest.
`now` is seconds on any clock that only runs forward; positions are samples at 16 kHz on the session's audio clock.
`asking.py` says what windows are like, `telling.py` what is told of a hypothesis; when, is said here.

An utterance is *running* from SpeechStarted to SpeechEnded, and has a segment number from the start:

    running ──SpeechEnded──► ending ──its final is there, and those before it are said──► told

*Running*: at most every interval of the pace, and only when new audio came, a PARTIAL window is asked for; one is under
way at a time, so that a slow engine slows partials down instead of piling them up. Its words go through the commit
policy; committed words are appended, never taken back. *Ending*: one FINAL window hears the whole utterance, and as
long as the model stops early, another one the rest. Finals are told in the order of their segments. *Told*: its audio
is let go; nothing more is ever said about the segment. What the session remembers of it is a SessionState, with which
another process could go on.

In a pause the FINAL window is asked for ahead of time, as soon as all audio is there that the final would hear. When
the utterance ends there, that window is its final; when speech goes on, it is dropped. Meanwhile its text is the
newest partial there can be, and no other is asked for. Not when the pace is degraded, or finals wait already.

Who may cause what:
* A final overwrites the partials of its segment, once. A final without words is told only if partials were shown.
* A failed or doubtful partial is dropped: the next one hears the same audio. A failed final is tried again; when it
  fails for good, the client is told which segment and what times, and gets what the partials had.
* A forced cut repeats the last moment of audio; words heard twice there are told once.
* A client that sends far ahead of time gets no partials, and its finals one by one, behind those of others.
* `stop` is a marker: when everything before it is told, Done and Close follow.
* A hypothesis for a window that is not waited for any more (cancelled, replaced) is dropped.

Language: given by the client, or detected with each window until one of some length is sure, then kept. Longer finals
go on to detect it; one in another language than was kept is made in both, and the likelier text counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final as Constant

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, n_samples, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.rest import rest_of
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, NotFound, Refused
from whisperlive_hybrid.live.actions import Action, Cancel, Close, Listen, Run, Send
from whisperlive_hybrid.live.asking import Asking
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Done, Final, Flushed, SpeechState, Status, TurnEnded
from whisperlive_hybrid.live.pacing import Lead, Pace
from whisperlive_hybrid.live.policy import AgreedOrSure, CommitPolicy
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.live.telling import final_of, partial_of, pass_over
from whisperlive_hybrid.live.transcript import UtteranceTranscript
from whisperlive_hybrid.live.utterance import AudioBuffer, EndingUtterance, HeardPartial, RunningUtterance, Speculation
from whisperlive_hybrid.speech.speech import SpeechAudio, SpeechEnded, SpeechEvent, SpeechPaused, SpeechStarted

HOPELESS: Constant = (BadInput, NotFound, ModelUnavailable)
"""Errors that come again when the same window is tried again."""


class Session:
    """The machine. `model` is the engine's name of the model that makes finals, `partial_model` of that of partials.

    `state`: what another session, since gone, remembered; this one goes on where that one was.
    """

    def __init__(
        self,
        id: str,
        options: LiveOptions,
        *,
        model: str,
        partial_model: str | None = None,
        rules: LiveRules | None = None,
        policy: CommitPolicy | None = None,
        state: SessionState | None = None,
    ) -> None:
        self.id = id
        self._rules = rules or LiveRules()
        self._policy = policy or AgreedOrSure()
        self._set_options(options, model, partial_model)
        self._pace = Pace(self._rules.partial_interval_s)
        self._told = state or SessionState()
        self._next_segment = self._told.next_segment
        self._cut_at = self._told.cut_at
        """Where the newest utterance was cut by force."""
        self._running: RunningUtterance | None = None
        self._ending: deque[EndingUtterance] = deque()
        self._partial: Window | None = None
        """The partial window under way."""
        self._partial_at: float | None = None
        """When the newest partial window was asked for."""
        self._lead = Lead(self._rules.catch_up_s, 0.0 if state is None else -self._rules.catch_up_s)
        self._block_s = 0.0
        """Seconds of audio that come at a time."""
        self._flushes: deque[tuple[int, str | int]] = deque()
        """(segments before this number, id) of each flush that is not answered yet."""
        self._stopping: float | None = None
        """Seconds of audio at `stop`."""
        self._closed = False
        self._actions: list[Action] = []

    # --- what comes in ---------------------------------------------------------------------------------------------

    def receive_speech(self, events: Sequence[SpeechEvent], now: float) -> None:
        """What the segmenter found, in order."""
        fresh = 0
        for event in events:
            match event:
                case SpeechStarted(at):
                    self._begin(at)
                case SpeechAudio(start, samples):
                    running = self._require_running()
                    running.hear(start, samples, self._overlap)
                    self._lead.advance(seconds(len(samples)), now)
                    fresh += len(samples)
                    self._drop_speculation(running, unless_end=running.audio.end)
                case SpeechPaused(at):
                    self._require_running().silent_from = at
                case SpeechEnded(at, reason):
                    self._end(at, forced=reason == "max_length", now=now)
        self._tell()
        if fresh:
            self._block_s = min(seconds(fresh), self._pace.interval_s)
        self._ask(now, fresh=fresh > 0)

    def receive_hypothesis(self, hypothesis: Hypothesis, now: float) -> None:
        """The result of a window that was asked for by Run."""
        running = self._running
        if self._partial is not None and hypothesis.window_id == self._partial.id:
            window, self._partial = self._partial, None
            if running is not None:
                self._hear_partial(running, window, hypothesis)
        elif running is not None and (speculation := running.speculation_of(hypothesis.window_id)) is not None:
            self._hear_speculation(running, speculation, hypothesis)
        elif (ending := self._waiting_for(hypothesis.window_id)) is not None:
            self._add_part(ending, hypothesis)
        self._tell()
        self._ask(now)

    def receive_failure(self, window_id: int, error: HybridError, now: float) -> None:
        """A window that was asked for by Run has no result."""
        running = self._running
        if self._partial is not None and window_id == self._partial.id:
            self._partial = None
        elif running is not None and running.speculation_of(window_id) is not None:
            running.speculation = None
            running.heard = running.audio.start  # a partial may be asked for instead
        elif (ending := self._waiting_for(window_id)) is not None:
            ending.window_id = None
            wait = 0.0
            if isinstance(error, Refused):  # a full queue is no failure: the backlog is bounded, so it may wait
                wait, ending.tries = error.retry_after_s, ending.tries - 1
            if ending.tries < self._rules.final_tries and not isinstance(error, HOPELESS):
                ending.retry_at = now + max(wait, self._rules.retry_after_s)
            else:
                ending.fail(error.message)
        self._tell()
        self._ask(now)

    def receive_pace(self, pace: Pace, now: float) -> None:
        """How often partials may be asked for from now on. The client is told when that changes."""
        before, self._pace = self._pace, pace
        if (pace.interval_s, pace.degraded) != (before.interval_s, before.degraded):
            status = Status(round(1000 * pace.interval_s), pace.degraded, round(1000 * pace.queue_s))
            self._actions.append(Send(status))
        self._ask(now)

    def change(self, options: LiveOptions, model: str, partial_model: str | None, now: float) -> None:
        """What has not ended is heard with these options and models from now on."""
        self._set_options(options, model, partial_model)
        if self._running is not None:
            self._drop_partial()
            self._drop_speculation(self._running, unless_end=None)
            self._running.newest = self._running.speculated = None
        self._ask(now)

    def discard(self, now: float) -> None:
        """The segmenter has forgotten the running utterance: there will be no final of it."""
        running, self._running = self._running, None
        if running is None:
            return
        self._drop_partial()
        self._drop_speculation(running, unless_end=None)
        self._cut_at = None
        if self._ending:
            self._ending[-1].continued_at = None
        self._actions.append(Send(SpeechState("stopped", seconds(running.audio.end), running.segment)))
        self._tell()

    def mark_turn(self, id: str | int, *, spoken: bool) -> None:
        """Say which segments were heard until now."""
        self._actions.append(Send(TurnEnded(id, self._next_segment, spoken)))

    def mark_flush(self, id: str | int) -> None:
        """The segmenter was flushed: say so when the finals of all that was heard until now are told."""
        self._flushes.append((self._next_segment, id))
        self._tell()

    def stop(self, audio_s: float, now: float) -> None:
        """No more speech will come (the segmenter was flushed); `audio_s` seconds of audio were received."""
        self._stopping = audio_s
        self._tell()
        self._ask(now)

    def advance(self, now: float) -> None:
        """Time has passed."""
        self._ask(now)

    # --- what comes out --------------------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """What is to be done now, in order. Each action is returned once."""
        actions, self._actions = self._actions, []
        return actions

    def next_deadline(self) -> float | None:
        """When `advance` has to be called at the latest, or None."""
        times = [e.retry_at for e in self._ending if e.retry_at is not None]
        if self._partial_wanted(self._running) and self._partial_at is not None:
            times.append(self._partial_due(self._partial_at, fresh=False))
        return min(times, default=None)

    def state(self) -> SessionState:
        """What another session would need to go on after the last final that was told."""
        return self._told

    def settled(self, heard: int) -> int:
        """Position before which all text is final, or there was no speech; nothing after `heard` is known yet."""
        starts = [e.audio.start for e in self._ending]
        if self._running is not None:
            starts.append(self._running.audio.start)
        return min([heard, *starts])

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits for its final."""
        return self._running is None and not self._ending

    @property
    def speaking(self) -> bool:
        """An utterance has begun and not ended."""
        return self._running is not None

    @property
    def backlog_s(self) -> float:
        """Seconds of ended utterances that wait for their finals."""
        return seconds(sum(e.n_samples for e in self._ending))

    @property
    def full(self) -> bool:
        """No more audio should be fed until some finals are told."""
        return self.backlog_s > self._rules.max_backlog_s

    @property
    def _ahead(self) -> bool:
        """The client sends faster than anybody speaks: it may have what the others leave."""
        return self._lead.seconds > self._rules.ahead_s

    def _set_options(self, options: LiveOptions, model: str, partial_model: str | None) -> None:
        self._options = options
        self._asking = Asking(self.id, options, self._rules, model, partial_model or model)
        self._overlap = n_samples(options.speech.overlap_ms / 1000)

    # --- utterances ------------------------------------------------------------------------------------------------

    def _begin(self, at: int) -> None:
        after_cut = self._cut_at is not None and at <= self._cut_at
        self._running = RunningUtterance(self._next_segment, AudioBuffer(at), UtteranceTranscript(at), after_cut)
        self._next_segment += 1
        if after_cut:
            if self._ending and self._ending[-1].cut:
                self._ending[-1].continued_at = at
        else:
            self._cut_at = None
            self._actions.append(Send(SpeechState("started", seconds(at), self._running.segment)))

    def _end(self, at: int, *, forced: bool, now: float) -> None:
        running = self._require_running()
        self._running = None
        self._drop_partial()
        # A forced cut's final needs the times of its words, which a speculative one does not have.
        self._drop_speculation(running, unless_end=None if forced else at)
        self._cut_at = at if forced else None
        if not forced:
            self._actions.append(Send(SpeechState("stopped", seconds(at), running.segment)))
        # Who sends faster than real time goes behind other sessions' finals.
        deadline = now + self._rules.final_within_s * (1 + len(self._ending)) + max(0.0, self._lead.seconds)
        ending = EndingUtterance.of(running, self._asking, at, cut=forced, deadline=deadline)
        self._ending.append(ending)
        self._lead.advance(max(0.0, self._rules.least_utterance_s - seconds(ending.n_samples)), now)
        if running.speculation is not None:
            ending.tries = 1
            if running.speculation.hypothesis is None:
                ending.window_id = running.speculation.window.id
            else:
                self._add_part(ending, running.speculation.hypothesis)

    def _require_running(self) -> RunningUtterance:
        if self._running is None:
            raise ValueError("speech without SpeechStarted")
        return self._running

    def _waiting_for(self, window_id: int) -> EndingUtterance | None:
        return next((e for e in self._ending if e.window_id == window_id), None)

    # --- asking the engine -----------------------------------------------------------------------------------------

    def _ask(self, now: float, *, fresh: bool = False) -> None:
        """Ask for what is due. `fresh`: new audio came just now."""
        at_once = 1 if self._rules.history_chars or self._ahead else self._rules.finals_at_once
        for ending in list(self._ending)[:at_once]:
            due = ending.retry_at is None or ending.retry_at <= now
            if not ending.complete and ending.window_id is None and due:
                window = ending.asking.final(ending, self._told)
                ending.window_id, ending.retry_at = window.id, None
                ending.tries += 1
                self._actions.append(Run(window))
        running = self._running
        if running is None:
            return
        self._speculate(running, now)
        if not self._partial_wanted(running):
            return
        if self._partial_at is None or now >= self._partial_due(self._partial_at, fresh=fresh):
            deadline = now + self._pace.interval_s
            self._partial_at, running.heard = now, running.audio.end
            self._partial = self._asking.partial(running, self._told, deadline=deadline)
            self._actions.append(Run(self._partial))

    def _partial_due(self, last: float, *, fresh: bool) -> float:
        """When the next partial is due. Rather somewhat early or late than just before new audio comes."""
        return last + self._pace.interval_s + self._block_s / (-2 if fresh else 2)

    def _partial_wanted(self, running: RunningUtterance | None) -> bool:
        if running is None or not self._options.interim or self._partial is not None:
            return False
        if running.quiet or self._ahead:
            return False
        enough = running.audio.end - running.audio.start >= self._rules.first_partial_s * SAMPLE_RATE
        return enough and running.audio.end > running.heard

    def _speculate(self, running: RunningUtterance, now: float) -> None:
        """Ask for the final ahead of time, once a pause."""
        pause = running.silent_from
        if pause is None or pause == running.speculated or running.audio.end < pause + self._overlap:
            return
        if not self._rules.speculate or self._pace.degraded or self._ahead or self._ending:
            return
        expected_s = self._options.speech.min_silence_ms / 1000 - seconds(running.audio.end - pause)
        deadline = now + max(0.0, expected_s) + self._rules.final_within_s
        window = self._asking.speculative(running, self._told, deadline=deadline)
        running.speculation, running.speculated = Speculation(window), pause
        self._partial_at, running.heard = now, running.audio.end
        self._actions.append(Run(window))

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._actions.append(Cancel(self._partial.id))
            self._partial = None

    def _drop_speculation(self, running: RunningUtterance, *, unless_end: int | None) -> None:
        """The running utterance is longer than what was speculated on, unless that ends where it does."""
        speculation = running.speculation
        if speculation is not None and speculation.window.end != unless_end:
            running.speculation = None
            if speculation.hypothesis is None:
                self._actions.append(Cancel(speculation.window.id))

    # --- telling the client ----------------------------------------------------------------------------------------

    def _hear_partial(self, running: RunningUtterance, window: Window, hypothesis: Hypothesis) -> None:
        if hypothesis.doubt is not None:
            pass_over(running, window, self._policy, self._rules)
            return
        tokens = tuple(t for s in hypothesis.segments for t in s.tokens)
        running.newest = HeardPartial(window.start, window.end, tokens)
        if hypothesis.verified and running.silent_from is not None:
            running.quiet = window.end >= running.silent_from
        self._keep_language(hypothesis, window)
        self._tell_partial(running, window, hypothesis)

    def _hear_speculation(self, running: RunningUtterance, speculation: Speculation, hypothesis: Hypothesis) -> None:
        speculation.hypothesis = hypothesis
        heard_all = rest_of(hypothesis, len(speculation.window.samples) / SAMPLE_RATE) is None
        if not self._options.interim or not heard_all or hypothesis.doubt is not None:
            return
        self._drop_partial()  # it heard less, with a smaller beam
        self._tell_partial(running, speculation.window, hypothesis)

    def _tell_partial(self, running: RunningUtterance, window: Window, hypothesis: Hypothesis) -> None:
        partial = partial_of(running, window, hypothesis, self._policy, self._rules, options=self._options)
        if partial is not None:
            self._actions.append(Send(partial))

    def _keep_language(self, hypothesis: Hypothesis, window: Window) -> None:
        """A partial may settle the language, so that the next ones need no detection."""
        if self._options.language is not None or self._told.language is not None or not hypothesis.segments:
            return
        enough = len(window.samples) >= self._rules.detect_after_s * SAMPLE_RATE
        if enough and hypothesis.language_probability >= self._rules.keep_language:
            self._told = replace(self._told, language=hypothesis.language)

    def _add_part(self, ending: EndingUtterance, hypothesis: Hypothesis) -> None:
        ending.add(hypothesis)
        kept = self._told.language
        if not ending.complete or ending.asking.options.language is not None or kept is None:
            return
        if ending.in_doubt:
            ending.choose_language(self._rules.keep_language)
        elif ending.segments and ending.parts[0].language != kept:
            ending.doubt()

    def _tell(self) -> None:
        """Tell the finals that are complete and whose turn it is; then, after `stop`, that all is told."""
        self._tell_flushed()
        while self._ending and self._ending[0].complete:
            ending = self._ending.popleft()
            asking = ending.asking
            self._told, events = final_of(ending, self._told, asking.options, self._rules, asking.model)
            self._actions += [Send(event) for event in events]
            if asking.options.diarize and any(isinstance(event, Final) and event.text for event in events):
                samples = ending.audio.cut(ending.audio.start, ending.end)
                self._actions.append(Listen(ending.segment, seconds(ending.audio.start), samples))
            self._tell_flushed()
        if self._stopping is not None and self.idle and not self._closed:
            self._closed = True
            told = self._told
            timing = {name: round(value, 4) for name, value in told.timing.items()}
            self._actions += [Send(Done(self._stopping, told.n_told, told.n_words, timing)), Close("done")]

    def _tell_flushed(self) -> None:
        """Answer the flushes whose segments are all told."""
        while self._flushes and not (self._ending and self._ending[0].segment < self._flushes[0][0]):
            self._actions.append(Send(Flushed(self._flushes.popleft()[1])))
