"""How live sessions come to be: new ones, and those that another process left."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from whisperlive_hybrid.audio.codecs import make_decoder
from whisperlive_hybrid.diarization.speaker_book import Book, BookRules, book_with
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, NotFound
from whisperlive_hybrid.live.beginning import Beginning
from whisperlive_hybrid.live.checkpoint import Store, Written, unpack, unpack_finals
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.input_pump import Ears
from whisperlive_hybrid.live.policy import CommitPolicy
from whisperlive_hybrid.live.replay import EventLog
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.live.speaker_tasks import Listener
from whisperlive_hybrid.live.window_tasks import Transcriber
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

log = logging.getLogger(__name__)


class LiveEngine(Transcriber, Protocol):
    """What the live room needs of the engine."""

    async def load(self, name: str | None) -> str:
        """Load the model; returns its full name."""
        ...

    def hold(self, name: str) -> None:
        """A loaded model stays until `release` was called as often."""
        ...

    def release(self, name: str) -> None:
        """The inverse of `hold`."""
        ...

    def cancel(self, owner: str) -> None:
        """Forget all that is kept of an owner."""
        ...


@dataclass(frozen=True, slots=True)
class LiveModels:
    """Which models sessions use."""

    final: str | None = None
    """Where the client names none; None is the engine's default."""
    partial: str | None = None
    """None is the same as for finals."""


@dataclass(frozen=True, slots=True)
class Opener:
    """Builds sessions. The models of what it returns are held: `engine.release` them when the session is over."""

    engine: LiveEngine
    vad: VadBatcher
    rules: LiveRules
    models: LiveModels
    policy: Callable[[], CommitPolicy]
    listener: Listener | None = None
    """Who tells speakers apart; None: nobody does."""

    async def new(self, options: LiveOptions, *, any_model: bool = False) -> Beginning:
        """A session that has heard nothing.

        Raises BadInput (codec, known_speakers), NotFound or ModelUnavailable (model).

        `any_model`: where the model that `options` name cannot be had, the server's own will do.
        """
        decoder = make_decoder(options.codec, sample_rate=options.sample_rate, channels=options.channels)
        options, book = await self._learn(options)
        try:
            model, partial_model = await self.models_of(options)
        except (NotFound, ModelUnavailable):
            if not any_model or options.model is None:
                raise
            options = replace(options, model=None)
            model, partial_model = await self.models_of(options)
        session = Session(
            secrets.token_hex(8),
            options,
            model=model,
            partial_model=partial_model,
            rules=self.rules,
            policy=self.policy(),
        )
        ears = Ears(decoder, self.vad.open(), Segmenter(options.speech))
        return Beginning(session, options, model, partial_model, secrets.token_urlsafe(18), ears, book=book)

    async def _learn(self, options: LiveOptions) -> tuple[LiveOptions, Book | None]:
        """The options without the audio of known speakers, and a book that knows them. Raises BadInput."""
        if self.listener is None or not (options.diarize or options.known_speakers):
            return replace(options, diarize=False, known_speakers=()), None
        known = []
        try:
            for speaker in options.known_speakers:
                known.append(await self.listener.learn(speaker))
        except BadInput:
            raise
        except HybridError as error:  # the session will be told when its first segment has no speaker
            log.warning("known speakers of a live session cannot be learnt: %s", error.message)
        return replace(options, diarize=True, known_speakers=()), book_with(known, BookRules())

    async def restored(self, id: str, token: str, written: Written, last_event: int, store: Store) -> Beginning:
        """A session that goes on where its checkpoint was written.

        Raises NotFound (events_gone; model), ModelUnavailable, Unavailable (bad_checkpoint), BadInput (bad_snapshot).
        """
        checkpoint = unpack(written.body)
        finals = unpack_finals(written.entries)
        events = EventLog.restored(finals, checkpoint.next_number, checkpoint.floor, last_event)
        options, state, mark = checkpoint.options, checkpoint.state, checkpoint.mark
        decoder = make_decoder(
            options.codec,
            sample_rate=options.sample_rate,
            channels=options.channels,
            snapshot=mark.decoder or None,
        )
        vad = self.vad.open("live", snapshot=mark.vad or None)
        try:
            model, partial_model = await self.models_of(options)
        except BaseException:
            vad.close()
            raise
        segmenter = Segmenter(
            options.speech,
            mark.position,
            unscored=vad.unscored,
            deaf_until=state.told_end,
            speaking_from=state.speaking_from,
        )
        session = Session(
            id,
            options,
            model=model,
            partial_model=partial_model,
            rules=self.rules,
            policy=self.policy(),
            state=state,
        )
        ears = Ears(decoder, vad, segmenter)
        book = (checkpoint.book or Book()) if options.diarize and self.listener is not None else None
        return Beginning(session, options, model, partial_model, token, ears, events, mark, store, book)

    async def models_of(self, options: LiveOptions, held: Sequence[str] = ()) -> tuple[str, str | None]:
        """Load the models of a session and hold them, unless they are `held` already; their full names.

        A session that goes on asks anew: the next process may have been told to use others. Raises NotFound or
        ModelUnavailable.
        """
        model = await self.engine.load(options.model or self.models.final)
        if model not in held:
            self.engine.hold(model)
        if self.models.partial is None:
            return model, None
        try:
            other = await self.engine.load(self.models.partial)
        except BaseException:
            if model not in held:
                self.engine.release(model)
            raise
        if other == model:
            return model, None
        if other not in held:
            self.engine.hold(other)
        return model, other
