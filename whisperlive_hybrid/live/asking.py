"""The windows a live session asks the engine for: which audio, with which options, under which prompt. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.live.transcript import joined, split_words
from whisperlive_hybrid.live.utterance import EndingUtterance, RunningUtterance


@dataclass(frozen=True, slots=True)
class Asking:
    """How the windows of one session are made."""

    owner: str
    options: LiveOptions
    rules: LiveRules
    model: str
    """Of finals."""
    partial_model: str

    def partial(self, running: RunningUtterance, told: SessionState, *, deadline: float) -> Window:
        """The running utterance from the transcript's window start to its newest sample.

        Where hardly anything was said since the last one, that one's tokens are only to be verified.
        """
        start = running.transcript.window_start
        options = DecodeOptions(
            language=self.options.language or told.language,
            task=self.options.task,
            beam_size=self.rules.partial_beam_size,
            temperatures=(0.0,),
            prompt=self._prompt(told, joined(running.transcript.behind)),
            hotwords=self.options.hotwords,
            word_times=True,
        )
        newest = running.newest
        verify: tuple[int, ...] = ()
        if newest is not None and newest.start == start:
            said_until = running.audio.end if running.silent_from is None else running.silent_from
            if said_until - newest.end < self.rules.verify_below_s * SAMPLE_RATE:
                verify = newest.tokens
        return Window(
            owner=self.owner,
            lane=Lane.PARTIAL,
            deadline=deadline,
            start=start,
            samples=running.audio.cut(start),
            model=self.partial_model,
            options=options,
            verify=verify,
        )

    def speculative(self, running: RunningUtterance, told: SessionState, *, deadline: float) -> Window:
        """What the final of the running utterance will be, should it have ended already."""
        return Window(
            owner=self.owner,
            lane=Lane.FINAL,
            deadline=deadline,
            start=running.audio.start,
            samples=running.audio.cut(running.audio.start),
            model=self.model,
            options=self._final_options(
                self._final_language(told, running.audio.end - running.audio.start),
                told,
                "",
                timed=running.after_cut or self._brief(running.audio.end - running.audio.start),
            ),
            speculative=True,
        )

    def final(self, ending: EndingUtterance, told: SessionState) -> Window:
        """The ended utterance, or what the model has left unheard of it."""
        if ending.parts:
            language: str | None = ending.parts[0].language
        elif ending.in_doubt:
            language = told.language
        else:
            language = self._final_language(told, ending.n_samples)
        said = "".join(s.text for s in ending.segments)
        timed = ending.cut or ending.after_cut or self._brief(ending.n_samples)
        return Window(
            owner=self.owner,
            lane=Lane.FINAL,
            deadline=ending.deadline,
            start=ending.asked,
            samples=ending.audio.cut(ending.asked, ending.end),
            model=self.model,
            options=self._final_options(language, told, said, timed=timed),
        )

    def _brief(self, n_samples: int) -> bool:
        """Whether it may be noise: then the probabilities of its words are needed, which come with their times."""
        around_ms = self.options.speech.pre_roll_ms + self.options.speech.overlap_ms
        return n_samples <= (self.rules.noise_below_s + around_ms / 1000) * SAMPLE_RATE

    def _final_options(self, language: str | None, told: SessionState, said: str, *, timed: bool) -> DecodeOptions:
        return DecodeOptions(
            language=language,
            task=self.options.task,
            beam_size=self.rules.beam_size,
            prompt=self._prompt(told, said),
            hotwords=self.options.hotwords,
            word_times=self.options.words or timed,
        )

    def _final_language(self, told: SessionState, n_samples: int) -> str | None:
        """Of a final. One that is long enough has it detected, which costs one step of its decoder, lest a speaker
        who changes language be written in the old one for ever."""
        kept = told.language if n_samples < self.rules.detect_after_s * SAMPLE_RATE else None
        return self.options.language or kept

    def _prompt(self, told: SessionState, latest: str) -> str | None:
        """The client's prompt, then what was said last; whole words, bounded."""
        said = ""
        if self.rules.history_chars:
            words = split_words(f"{told.history} {latest.strip()}".strip())
            while words and len("".join(words)) > self.rules.history_chars:
                words.pop(0)
            said = "".join(words).strip()
        return " ".join(part for part in (self.options.prompt, said) if part) or None
