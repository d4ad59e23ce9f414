"""Events of a live session as Deepgram's messages. Pure.

An utterance's final is one `Results` with `is_final`; `speech_final` where the speaker paused behind it. While a
Finalize is not answered the newest final is held back until it is known to be the last, which says `from_finalize`.
With speakers a final waits for them, and so does what comes behind it; interim results are left out meanwhile.
UtteranceEnd is told by the audio's own clock, which only samples have: for other audio it follows the final.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live import events
from whisperlive_hybrid.transports.deepgram_wire import (
    confidence_of,
    model_id,
    model_info,
    plain,
    transcript_of,
    word_object,
)
from whisperlive_hybrid.transports.websocket.deepgram_speakers import FLUSHED, WaitForSpeakers, Waiting

Json: TypeAlias = dict[str, Any]

CHANNEL: Final = (0, 1)
"""Index of the channel, and how many there are."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a client wants to be told."""

    interim: bool = False
    punctuated: bool = False
    speech_final: bool = True
    """Pauses are told."""
    speech_events: bool = False
    utterance_end_s: float | None = None
    multilingual: bool = False


class Results:
    """One session's. `clock`: whether `heard` says how far its audio is."""

    def __init__(self, telling: Telling, request_id: str, *, clock: bool) -> None:
        self._telling = telling
        self._request_id = request_id
        self._clock: float | None = 0.0 if clock else None
        self.model = ""
        self.speakers: WaitForSpeakers | None = None
        """Set where speakers are told apart."""
        self._segment = -1
        """Of the newest partial."""
        self._committed = ""
        """Its text that is not taken back."""
        self._paused: set[int] = set()
        """Segments behind which the speaker paused."""
        self._speaking: tuple[int, float] | None = None
        """Segment and beginning of the newest speech."""
        self._silent_since: float | None = None
        """End of the last word before a silence that may become an UtteranceEnd."""
        self._flushes = 0
        """Finalize messages that are not answered."""
        self._held: events.Final | None = None
        self._told_until = 0.0

    # --- what comes in ---------------------------------------------------------------------------------------------

    def heard(self, seconds: float) -> list[Json]:
        """So much more audio has come."""
        if self._clock is not None:
            self._clock += seconds
        return self._utterance_end(self._clock)

    def finalize(self) -> None:
        """The client wants everything until now to be final."""
        self._flushes += 1

    def speech(self, state: events.SpeechState) -> list[Json]:
        """Speech began or ended."""
        if state.state == "stopped":
            self._paused.add(state.segment)
            return []
        told = self._utterance_end(state.at)
        self._silent_since, self._speaking = None, (state.segment, state.at)
        if self._telling.speech_events:
            told.append({"type": "SpeechStarted", "channel": list(CHANNEL), "timestamp": round(state.at, 3)})
        return told

    def partial(self, partial: events.Partial) -> list[Json]:
        """An interim result, where those are wanted."""
        if partial.segment != self._segment:
            self._segment, self._committed = partial.segment, ""
        self._committed += partial.append
        if not self._telling.interim or (self.speakers is not None and self.speakers.busy):
            return []
        text = (self._committed + partial.tentative).strip()
        if not self._telling.punctuated:
            text = " ".join(plain(word) for word in text.split())
        return [self._results(partial.start, partial.end, text, partial.words, partial.language)]

    def final(self, final: events.Final) -> list[Json]:
        """The final of an utterance."""
        return self._tell([final] if self.speakers is None else self.speakers.add(final))

    def named(self, named: events.SpeakerNamed) -> list[Json]:
        """Who spoke a segment."""
        return [] if self.speakers is None else self._tell(self.speakers.name(named))

    def flushed(self) -> list[Json]:
        """Everything before a Finalize is final."""
        return self._tell([FLUSHED] if self.speakers is None else self.speakers.add(FLUSHED))

    def done(self) -> list[Json]:
        """What is still held back."""
        waiting = [] if self.speakers is None else self.speakers.give_up()
        return [*self._tell(waiting), *self._release()]

    # --- what goes out ---------------------------------------------------------------------------------------------

    def _tell(self, items: Sequence[Waiting]) -> list[Json]:
        told: list[Json] = []
        for item in items:
            if isinstance(item, str):
                told += self._answer_finalize()
            elif self._flushes:
                told += self._release()
                self._held = item
            else:
                told += self._final(item)
        return told

    def _answer_finalize(self) -> list[Json]:
        """Everything before a Finalize is told, but what is held back."""
        self._flushes = max(0, self._flushes - 1)
        held, self._held = self._held, None
        if held is not None:
            return self._final(held, from_finalize=True)
        at = self._told_until
        return [self._results(at, at, "", (), "", is_final=True, speech_final=True, from_finalize=True)]

    def _release(self) -> list[Json]:
        held, self._held = self._held, None
        return [] if held is None else self._final(held)

    def _final(self, final: events.Final, *, from_finalize: bool = False) -> list[Json]:
        words = final.words or ()
        self._told_until = final.end
        paused = final.segment in self._paused
        self._paused = {segment for segment in self._paused if segment > final.segment}
        text = final.text
        if not self._telling.punctuated:
            text = transcript_of(words, punctuated=False) or " ".join(plain(word) for word in text.split())
        told = self._results(
            final.start,
            final.end,
            text,
            words,
            final.language,
            speakers=None if self.speakers is None else self.speakers.numbers_of(final.segment, words),
            is_final=True,
            speech_final=paused and self._telling.speech_final,
            from_finalize=from_finalize,
        )
        return [told, *(self._silence_after(final.segment, words[-1].end) if paused and words else ())]

    def _silence_after(self, segment: int, last_word_end: float) -> list[Json]:
        """An utterance has ended: its silence lasts until now, or until somebody spoke again."""
        self._silent_since = last_word_end
        if self._speaking is not None and self._speaking[0] > segment:
            told = self._utterance_end(self._speaking[1])
            self._silent_since = None
            return told
        return self._utterance_end(last_word_end + 1e9 if self._clock is None else self._clock)

    def _utterance_end(self, now: float | None) -> list[Json]:
        gap_s, since = self._telling.utterance_end_s, self._silent_since
        if gap_s is None or since is None or now is None or now < since + gap_s:
            return []
        self._silent_since = None
        return [{"type": "UtteranceEnd", "channel": list(CHANNEL), "last_word_end": round(since, 3)}]

    def _results(
        self,
        start: float,
        end: float,
        text: str,
        words: Sequence[Word],
        language: str,
        *,
        speakers: Sequence[int | None] | None = None,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> Json:
        alternative: Json = {
            "transcript": text,
            "confidence": confidence_of(words),
            "words": [
                word_object(word, punctuated=self._telling.punctuated, speaker=speaker)
                for word, speaker in zip(words, speakers or [None] * len(words), strict=True)
            ],
        }
        if self._telling.multilingual and language:
            alternative["languages"] = [language]
        return {
            "type": "Results",
            "channel_index": list(CHANNEL),
            "duration": round(end - start, 3),
            "start": round(start, 3),
            "is_final": is_final,
            "speech_final": speech_final,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self._request_id,
                "model_info": model_info(self.model),
                "model_uuid": model_id(self.model),
            },
            "from_finalize": from_finalize,
        }
