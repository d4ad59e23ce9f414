"""One live session as a state machine: fed with speech, hypotheses and time, it returns what is to be done.

Theory of operation
-------------------
The session never reads a clock, awaits or touches a socket. Whoever runs it calls `receive_…`, `stop` or `advance`,
then takes `actions()` and carries them out in order; it calls `advance` again at `next_deadline()` at the latest.
`now` is seconds on any clock that only runs forward; positions are samples at 16 kHz on the session's audio clock.

An utterance is *running* from SpeechStarted to SpeechEnded, and has a segment number from the start:

    running ──SpeechEnded──► ending ──its final is there, and those before it are said──► told

*Running*: at most every `partial_interval_s`, and only when new audio came, a PARTIAL window is asked for; one is under
way at a time, so that a slow engine slows partials down instead of piling them up. Its words go through the commit
policy; committed words are appended, never taken back. *Ending*: one FINAL window hears the whole utterance, and as
long as the model stops early, another one the rest. Finals are told in the order of their segments. *Told*: its audio
is let go; nothing more is ever said about the segment.

Who may cause what:
* A final overwrites the partials of its segment, once. A final without words is told only if partials were shown.
* A failed partial is dropped: the next one hears the same audio. A failed final is tried again; when it fails for good,
  the client is told which segment and what times, and gets what the partials had.
* A forced cut repeats the last moment of audio; words heard twice there are told once.
* `stop` is a marker: when everything before it is told, Done and Close follow.
* A hypothesis for a window that is not waited for any more (cancelled, replaced) is dropped.

Language: given by the client, or detected with each utterance until one is confident, then kept while finals stay so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final as Constant

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, NotFound, Refused
from whisperlive_hybrid.live.actions import Action, Cancel, Close, Run, Send
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Done, Failed, Final, Partial, SpeechState
from whisperlive_hybrid.live.policy import CommitPolicy, LocalAgreement
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.transcript import UtteranceTranscript, joined, split_words, tokens_of
from whisperlive_hybrid.live.utterance import AudioBuffer, EndingUtterance, Heard, RunningUtterance, heard_in
from whisperlive_hybrid.speech.speech import SpeechAudio, SpeechEnded, SpeechEvent, SpeechPaused, SpeechStarted

HOPELESS: Constant = (BadInput, NotFound, ModelUnavailable)
"""Errors that come again when the same window is tried again."""
MIN_REST_S: Constant = 0.1
"""What a model leaves unheard at the end of an utterance is asked for again, unless it is shorter than this."""
WORD_TIMES_BEFORE_TRIM_S: Constant = 3.0
"""Partial windows ask for word times this much before they are long enough to be trimmed."""


class Session:
    """The machine. `model` is the engine's name of the model that partials and finals are made with."""

    def __init__(
        self,
        id: str,
        options: LiveOptions,
        *,
        model: str,
        rules: LiveRules | None = None,
        policy: CommitPolicy | None = None,
    ) -> None:
        self.id = id
        self._options = options
        self._model = model
        self._rules = rules or LiveRules()
        self._policy = policy or LocalAgreement()
        self._language = options.language
        """Of the next windows; None detects."""
        self._running: RunningUtterance | None = None
        self._ending: deque[EndingUtterance] = deque()
        self._last_told: EndingUtterance | None = None
        """Kept only while the next utterance may repeat its last words."""
        self._partial: Window | None = None
        """The partial window under way."""
        self._partial_at: float | None = None
        """When the newest partial window was asked for."""
        self._next_segment = 0
        self._cut_at: int | None = None
        self._history = ""
        self._history_language: str | None = None
        self._stopping: float | None = None
        """Seconds of audio at `stop`."""
        self._closed = False
        self._n_told = 0
        self._n_words = 0
        self._timing = {"queued_s": 0.0, "encode_s": 0.0, "decode_s": 0.0, "align_s": 0.0}
        self._actions: list[Action] = []

    # --- what comes in ---------------------------------------------------------------------------------------------

    def receive_speech(self, events: Sequence[SpeechEvent], now: float) -> None:
        """What the segmenter found, in order."""
        for event in events:
            match event:
                case SpeechStarted(at):
                    self._begin(at)
                case SpeechAudio(start, samples):
                    self._require_running().audio.append(start, samples)
                case SpeechEnded(at, reason):
                    self._end(at, forced=reason == "max_length", now=now)
                case SpeechPaused():
                    pass
        self._ask(now)

    def receive_hypothesis(self, hypothesis: Hypothesis, now: float) -> None:
        """The result of a window that was asked for by Run."""
        if self._partial is not None and hypothesis.window_id == self._partial.id:
            window, self._partial = self._partial, None
            if self._running is not None:
                self._update_partial(self._running, window, hypothesis)
        else:
            ending = self._waiting_for(hypothesis.window_id)
            if ending is not None:
                self._add_part(ending, hypothesis)
        self._tell()
        self._ask(now)

    def receive_failure(self, window_id: int, error: HybridError, now: float) -> None:
        """A window that was asked for by Run has no result."""
        if self._partial is not None and window_id == self._partial.id:
            self._partial = None
        else:
            ending = self._waiting_for(window_id)
            if ending is not None:
                ending.window_id = None
                wait = 0.0
                if isinstance(error, Refused):  # a full queue is no failure: the backlog is bounded, so it may wait
                    wait, ending.tries = error.retry_after_s, ending.tries - 1
                if ending.tries < self._rules.final_tries and not isinstance(error, HOPELESS):
                    ending.retry_at = now + max(wait, self._rules.retry_after_s)
                else:
                    ending.complete, ending.failed = True, error.message
        self._tell()
        self._ask(now)

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
            times.append(self._partial_at + self._rules.partial_interval_s)
        return min(times, default=None)

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
    def backlog_s(self) -> float:
        """Seconds of ended utterances that wait for their finals."""
        return seconds(sum(e.n_samples for e in self._ending))

    @property
    def full(self) -> bool:
        """No more audio should be fed until some finals are told."""
        return self.backlog_s > self._rules.max_backlog_s

    # --- utterances ------------------------------------------------------------------------------------------------

    def _begin(self, at: int) -> None:
        after_cut = self._cut_at is not None and at < self._cut_at
        self._running = RunningUtterance(self._next_segment, AudioBuffer(at), UtteranceTranscript(at), after_cut)
        self._next_segment += 1
        if not after_cut:
            self._cut_at = None
            self._actions.append(Send(SpeechState("started", seconds(at))))

    def _end(self, at: int, *, forced: bool, now: float) -> None:
        running = self._require_running()
        self._running = None
        if self._partial is not None:
            self._actions.append(Cancel(self._partial.id))
            self._partial = None
        self._cut_at = at if forced else None
        if not forced:
            self._actions.append(Send(SpeechState("stopped", seconds(at))))
        self._ending.append(
            EndingUtterance(
                running.segment,
                running.audio,
                at,
                cut=forced,
                after_cut=running.after_cut,
                shown=running.transcript.shown,
                fallback=running.transcript.text(),
                # Who sends faster than real time has several waiting: those go behind other sessions' finals.
                deadline=now + self._rules.final_within_s * (1 + len(self._ending)),
                asked=running.audio.start,
            )
        )

    def _require_running(self) -> RunningUtterance:
        if self._running is None:
            raise ValueError("speech without SpeechStarted")
        return self._running

    def _waiting_for(self, window_id: int) -> EndingUtterance | None:
        return next((e for e in self._ending if e.window_id == window_id), None)

    # --- asking the engine -----------------------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        """Ask for what is due."""
        at_once = 1 if self._rules.history else self._rules.finals_at_once
        for ending in list(self._ending)[:at_once]:
            due = ending.retry_at is None or ending.retry_at <= now
            if not ending.complete and ending.window_id is None and due:
                self._ask_final(ending)
        running = self._running
        if running is None or not self._partial_wanted(running):
            return
        if self._partial_at is None or now >= self._partial_at + self._rules.partial_interval_s:
            self._ask_partial(running, now)

    def _partial_wanted(self, running: RunningUtterance | None) -> bool:
        if running is None or not self._options.interim or self._partial is not None:
            return False
        enough = running.audio.end - running.audio.start >= self._rules.first_partial_s * SAMPLE_RATE
        return enough and running.audio.end > running.heard

    def _ask_partial(self, running: RunningUtterance, now: float) -> None:
        start = running.transcript.window_start
        samples = running.audio.cut(start)
        running.heard = running.audio.end
        timed = len(samples) > (self._rules.trim_after_s - WORD_TIMES_BEFORE_TRIM_S) * SAMPLE_RATE
        options = DecodeOptions(
            language=self._language or running.language,
            task=self._options.task,
            beam_size=self._rules.partial_beam_size,
            temperatures=(0.0,),
            prompt=self._prompt(joined(running.transcript.behind)),
            hotwords=self._options.hotwords,
            word_times=timed,
        )
        self._partial_at = now
        self._partial = Window(
            owner=self.id,
            lane=Lane.PARTIAL,
            deadline=now + self._rules.partial_interval_s,
            start=start,
            samples=samples,
            model=self._model,
            options=options,
        )
        self._actions.append(Run(self._partial))

    def _ask_final(self, ending: EndingUtterance) -> None:
        options = DecodeOptions(
            language=self._language or (ending.parts[0].language if ending.parts else None),
            task=self._options.task,
            beam_size=self._rules.beam_size,
            prompt=self._prompt("".join(s.text for s in ending.segments)),
            hotwords=self._options.hotwords,
            word_times=self._options.words or ending.cut or ending.after_cut,
        )
        window = Window(
            owner=self.id,
            lane=Lane.FINAL,
            deadline=ending.deadline,
            start=ending.asked,
            samples=ending.audio.cut(ending.asked, ending.end),
            model=self._model,
            options=options,
        )
        ending.window_id, ending.retry_at = window.id, None
        ending.tries += 1
        self._actions.append(Run(window))

    def _prompt(self, latest: str) -> str | None:
        """The client's prompt, then what was said last; whole words, bounded."""
        said = ""
        if self._rules.history:
            words = split_words(f"{self._history} {latest.strip()}".strip())
            while words and len("".join(words)) > self._rules.history_chars:
                words.pop(0)
            said = "".join(words).strip()
        return " ".join(part for part in (self._options.prompt, said) if part) or None

    # --- telling the client ----------------------------------------------------------------------------------------

    def _update_partial(self, running: RunningUtterance, window: Window, hypothesis: Hypothesis) -> None:
        transcript = running.transcript
        heard_until = seconds(window.start + len(window.samples))
        tokens = tokens_of(hypothesis)
        if tokens and hypothesis.language_probability >= self._rules.keep_language:
            running.language = hypothesis.language
        tail = transcript.uncovered(tokens) if any(t.key for t in tokens) else ()
        n = self._policy.n_committed(transcript.history, tail, heard_until)
        append, changed = transcript.update(n, tail, self._policy.keep)
        if len(window.samples) > self._rules.trim_after_s * SAMPLE_RATE and window.options.word_times:
            transcript.trim(tokens, SAMPLE_RATE)
        if changed:
            transcript.shown = True
            start = seconds(running.audio.start)
            partial = Partial(running.segment, start, heard_until, append, transcript.tentative_text())
            self._actions.append(Send(partial))

    def _add_part(self, ending: EndingUtterance, hypothesis: Hypothesis) -> None:
        ending.window_id = None
        ending.parts.append(hypothesis)
        ending.tries = 0
        for name in self._timing:
            self._timing[name] += getattr(hypothesis.timing, name)
        rest = ending.asked + round(hypothesis.consumed_s * SAMPLE_RATE)
        if hypothesis.segments and ending.asked < rest < ending.end - MIN_REST_S * SAMPLE_RATE:
            ending.asked = rest
        else:
            ending.complete = True

    def _tell(self) -> None:
        """Tell the finals that are complete and whose turn it is; then, after `stop`, that all is told."""
        while self._ending and self._ending[0].complete:
            ending = self._ending.popleft()
            self._tell_final(ending)
            self._last_told = ending if ending.cut else None
        if self._stopping is not None and self.idle and not self._closed:
            self._closed = True
            timing = {name: round(value, 4) for name, value in self._timing.items()}
            self._actions += [Send(Done(self._stopping, self._n_told, self._n_words, timing)), Close("done")]

    def _tell_final(self, ending: EndingUtterance) -> None:
        start, end = seconds(ending.audio.start), seconds(ending.end)
        if ending.failed is not None:
            message = f"Segment {ending.segment} ({start:.2f} to {end:.2f} s) could not be finalized: {ending.failed}"
            self._actions.append(Send(Failed("final_failed", message, fatal=False)))
        heard = heard_in(ending, self._last_told)
        if ending.failed is not None and len(heard.text) < len(ending.fallback):
            # Of several windows some may have been heard; the partials then had more, and a client has seen it.
            heard = replace(heard, text=ending.fallback, words=())
        text = heard.text
        language = heard.language or self._language or "und"
        if text:
            self._n_told += 1
            self._n_words += len(split_words(text))
        if text and ending.failed is None:
            self._learn(heard)
        if text or ending.shown:
            words = heard.words if self._options.words else None
            final = Final(ending.segment, start, end, text, language, self._model, heard.confidence, words)
            self._actions.append(Send(final))

    def _learn(self, heard: Heard) -> None:
        """Take language and history for the next windows from a final."""
        if heard.language != self._history_language:
            self._history = ""
        self._history_language = heard.language
        self._history = f"{self._history} {heard.text}"[-2 * self._rules.history_chars :]
        if self._options.language is None:
            sure = heard.language_probability >= self._rules.keep_language
            if heard.confidence < self._rules.doubt_language:
                self._language = None
            elif self._language is None and sure:
                self._language = heard.language
