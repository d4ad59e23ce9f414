"""Where speech begins, pauses, ends and is cut, from the probabilities of 32 ms frames. Pure: no clock, no I/O.

    silent ──p ≥ threshold──► rising ──min_speech_ms heard──► speaking ──p < negative──► paused
       ▲                        │ p < negative                   ▲  │ ▲                    │ │
       └────────────────────────┘              cut at max length └──┘ └───p ≥ threshold────┘ │
       └──────────────────────────────────── min_silence_ms of it ◄──────────────────────────┘

Audio is handed out as soon as it is known to be speech. In a pause only `overlap_ms` of it is, the rest is held back
until speech goes on. The threshold to go back below is lower than the one to rise above (hysteresis), so that a
probability that wavers does not chop a sentence.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.speech import (
    EndReason,
    SpeechAudio,
    SpeechEnded,
    SpeechEvent,
    SpeechOptions,
    SpeechPaused,
    SpeechStarted,
)
from whisperlive_hybrid.speech.tail import Tail

PAUSE_HINT_MS: Final = 200
"""Silence after which SpeechPaused is said: sooner, it would be said between words; later, it saves no time."""
CUT_SEARCH_S: Final = 5.0
"""How far back from the maximum length a quiet point is looked for."""


class Segmenter:
    """One stream's utterances. `start` is the number of the first sample that will be fed.

    To go on where another segmenter was, `start` is at most what that one called `settled`; `unscored` is how many
    samples before it belong to the first frame; nothing before `deaf_until` starts an utterance (it was told before),
    and where `speaking_from` is given an utterance runs from there, as after a forced cut. The utterances that follow
    are then the same.

    Between a SpeechStarted and its SpeechEnded every sample is handed out once and in order, from `SpeechStarted.at`
    on. Keeps no more audio than the pre-roll, a pause, and the seconds in which a cut may be looked for.
    """

    def __init__(
        self,
        options: SpeechOptions,
        start: int = 0,
        *,
        unscored: int = 0,
        deaf_until: int = 0,
        speaking_from: int | None = None,
    ) -> None:
        if not 0 <= unscored < FRAME or (speaking_from is not None and speaking_from < start):
            raise ValueError(f"{unscored} samples before {start}, speaking from {speaking_from}")
        self.options = options
        self._rise = options.threshold
        self._fall = (
            max(options.threshold - 0.15, 0.01) if options.negative_threshold is None else options.negative_threshold
        )
        self._min_silence = _samples(options.min_silence_ms)
        self._overlap = _samples(options.overlap_ms)
        self._max_length = int(options.max_utterance_s * SAMPLE_RATE)
        self._search = int(min(CUT_SEARCH_S, options.max_utterance_s / 2) * SAMPLE_RATE)
        # A cut must get on by a good part of the length, however long the overlap is.
        self._repeat = min(self._overlap, self._max_length // 4)
        # Nor may it lie before speech was certain: who goes on from there would take the pre-roll for a pause.
        before_cut = max(self._max_length - self._search - self._repeat - FRAME, 0)
        self._min_speech = min(_samples(options.min_speech_ms), before_cut)
        self._pre_roll = min(_samples(options.pre_roll_ms), before_cut - self._min_speech)

        self._audio = Tail(start)
        self._frame = start - unscored
        """First sample of the next frame."""
        self._deaf_until = deaf_until
        self._speaking_from = speaking_from
        """Start of an utterance that was running elsewhere, until it is heard."""
        # A cut is looked for once its limit is passed: by a pause, or by a pre-roll and first burst that are longer.
        passed = max(self._min_silence, self._pre_roll + self._min_speech)
        self._probabilities: deque[float] = deque(maxlen=math.ceil((self._search + passed) / FRAME) + 2)
        """Of the newest frames."""
        self._given = max(start, deaf_until)
        """End of what was handed out: nothing before it is handed out again, but for a cut's overlap."""
        self._started: int | None = None
        """Where the running utterance began."""
        self._rising: int | None = None
        """Start of a burst that is not yet long enough to be speech."""
        self._silent: int | None = None
        """Start of the pause in the running utterance."""
        self._hinted = False
        self._events: list[SpeechEvent] = []
        self._pending: int | None = None
        """Start of audio that is handed out but not yet an event, so that one call makes one block of it."""

    @property
    def speaking(self) -> bool:
        """An utterance is running."""
        return self._started is not None

    @property
    def settled(self) -> int:
        """What comes before this sample is not needed again, but for utterances that have ended."""
        if self._started is not None:
            return self._started
        if self._speaking_from is not None:
            return self._speaking_from
        since = self._frame if self._rising is None else self._rising
        return max(self._given, since - self._pre_roll)

    def feed(self, samples: Samples, probabilities: NDArray[np.float32]) -> list[SpeechEvent]:
        """What follows from `samples` [n] and the `probabilities` [n_frames] of all frames complete with them."""
        self._audio.append(samples)
        if self._frame + len(probabilities) * FRAME > self._audio.end:
            raise ValueError(f"{len(probabilities)} probabilities, but not so many frames of samples")
        for probability in probabilities.tolist():
            self._step(probability)
        return self._take_events()

    def flush(self) -> list[SpeechEvent]:
        """End the running utterance now, with the samples of the frame that is not complete yet. More may be fed."""
        if self._speaking_from is not None and self._audio.end > self._speaking_from:
            self._start(self._speaking_from)
        if self._started is not None:
            if self._silent is None:
                self._give(self._audio.end)
            else:
                self._give_tail(self._started, self._silent, self._audio.end)
            self._end(self._given, "flush")
        return self._take_events()

    def _step(self, probability: float) -> None:
        begin, self._frame = self._frame, self._frame + FRAME
        self._probabilities.append(probability)
        if self._speaking_from is not None:
            if self._frame <= self._speaking_from:
                return
            self._start(self._speaking_from)
        if self._started is None:
            if self._frame <= self._deaf_until:
                return
            self._step_silent(probability, begin)
        else:
            self._step_speaking(self._started, probability, begin)

    def _step_silent(self, probability: float, begin: int) -> None:
        if probability >= self._rise and self._rising is None:
            self._rising = begin
        elif probability < self._fall:
            self._rising = None
        if self._rising is not None and self._frame - self._rising >= self._min_speech:
            at = max(self._rising - self._pre_roll, self._given, self._audio.begin)
            self._rising = None
            self._speak_on(self._start(at))

    def _step_speaking(self, started: int, probability: float, begin: int) -> None:
        if probability >= self._rise:
            self._silent = None
            self._hinted = False
        elif probability < self._fall and self._silent is None:
            self._silent = begin
        if self._silent is None:
            self._speak_on(started)
            return
        self._give_tail(started, self._silent, self._frame)
        silence = self._frame - self._silent
        if silence >= self._min_silence:
            self._end(self._given, "silence")
        elif silence >= _samples(PAUSE_HINT_MS) and not self._hinted:
            self._hinted = True
            self._say(SpeechPaused(self._silent))

    def _speak_on(self, started: int) -> None:
        """Hand out everything so far, with cuts where that is too long."""
        while self._frame - started > self._max_length:
            started = self._cut(started)
        self._give(self._frame)

    def _give_tail(self, started: int, silent: int, heard: int) -> None:
        """Hand out the overlap after the last speech, as far as the maximum length lets it."""
        self._give(min(heard, silent + self._overlap, started + self._max_length))

    def _cut(self, started: int) -> int:
        """End the utterance at its quietest point and start the next one; return where that starts."""
        at = self._quietest(started + self._max_length)
        # Where a pause ran into the limit, some of what is before the cut was held back until now.
        self._give(at)
        self._end(at, "max_length")
        return self._start(at - self._repeat)

    def _quietest(self, limit: int) -> int:
        """Middle of the frame of lowest probability, then lowest energy, in the last seconds before `limit`."""
        newest = self._frame - FRAME
        oldest = newest - (len(self._probabilities) - 1) * FRAME
        candidates = []
        for i, probability in enumerate(self._probabilities):
            begin = oldest + i * FRAME
            if limit - self._search <= begin <= limit - FRAME:
                samples = self._audio.cut(begin, begin + FRAME)
                # Tenths: among frames that are all silent the quieter one counts, not the third decimal.
                candidates.append((round(probability, 1), float(samples @ samples), begin))
        return min(candidates)[2] + FRAME // 2

    def _start(self, at: int) -> int:
        self._started = self._given = at
        self._speaking_from = None
        self._silent = None
        self._hinted = False
        self._say(SpeechStarted(at))
        return at

    def _give(self, upto: int) -> None:
        """Hand out audio up to sample `upto`."""
        if upto > self._given:
            if self._pending is None:
                self._pending = self._given
            self._given = upto

    def _end(self, at: int, reason: EndReason) -> None:
        self._say(SpeechEnded(at, reason))
        self._started = self._silent = None
        self._given = at

    def _say(self, event: SpeechEvent) -> None:
        self._close_audio()
        self._events.append(event)

    def _close_audio(self) -> None:
        if self._pending is not None:
            self._events.append(SpeechAudio(self._pending, self._audio.cut(self._pending, self._given)))
            self._pending = None

    def _take_events(self) -> list[SpeechEvent]:
        """The events so far, and forget the audio that none of the next can need."""
        self._close_audio()
        events, self._events = self._events, []
        if self._started is None:
            since = self._frame if self._rising is None else self._rising
            self._audio.forget(since - self._pre_roll)
        else:
            self._audio.forget(self._given - self._search - self._repeat - FRAME)
        return events


def _samples(ms: float) -> int:
    return int(ms * SAMPLE_RATE / 1000)
