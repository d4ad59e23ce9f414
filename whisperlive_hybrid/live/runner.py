"""All live sessions of this process: opening, resuming, expiry, pace, shutdown."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from whisperlive_hybrid.errors import HybridError, OverLimit, Refused
from whisperlive_hybrid.live.beginning import Beginning
from whisperlive_hybrid.live.checkpoint import Store, pack
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Ready, Resumed
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.opening import LiveEngine, LiveModels, Opener
from whisperlive_hybrid.live.pacing import Pacer, PaceRules
from whisperlive_hybrid.live.policy import AgreedOrSure, CommitPolicy
from whisperlive_hybrid.live.registry import Registry, no_such_session
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.running_session import RunningSession
from whisperlive_hybrid.live.speaker_tasks import Listener
from whisperlive_hybrid.live.surroundings import Surroundings
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
DECODE_THREADS = 2
RECONNECT_WITHIN_MS = 5000
"""How soon a client should come back after `go_away`."""
PACE_EVERY_S: Final = 1.0
_UNREADABLE: Final = frozenset({"bad_checkpoint", "bad_snapshot"})
"""What another version of the server wrote, or a fault has spoilt."""


@dataclasses.dataclass(frozen=True, slots=True)
class LiveLimits:
    """How many sessions, and how long they are waited for."""

    max_sessions: int = 64
    """Held by a connection. As many again may wait to be resumed; the oldest gives way."""
    max_per_client: int = 0
    """Of these; 0 is any number."""
    idle_s: float = 60.0
    resume_s: float = 60.0
    heartbeat_s: float = HEARTBEAT_S
    retry_after_s: float = 5.0
    """Told to clients that are refused."""
    max_speed: float = 0.0
    """A client's audio is worked off at so many times real time, once it was far ahead; 0 is any speed."""


class LiveService:
    """Opens and keeps live sessions. With a `store` they go on in another process when this one ends."""

    def __init__(
        self,
        engine: LiveEngine,
        vad: VadBatcher,
        *,
        rules: LiveRules | None = None,
        limits: LiveLimits | None = None,
        policy: Callable[[], CommitPolicy] = AgreedOrSure,
        models: LiveModels | None = None,
        pace: PaceRules | None = None,
        store: Store | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._engine = engine
        self._listener = listener
        self._rules = rules or LiveRules()
        self._limits = limits or LiveLimits()
        self._opener = Opener(engine, vad, self._rules, models or LiveModels(), policy, listener)
        interval_s = self._rules.partial_interval_s
        self._pacer = Pacer(pace or PaceRules(interval_s, max(interval_s, PaceRules().longest_s)))
        self._pace = self._pacer.pace
        self._pace_timer: asyncio.TimerHandle | None = None
        self._store = store
        self._registry: Registry[RunningSession] = Registry()
        self._resuming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._opening = 0
        self._opening_of: Counter[str | None] = Counter()
        self._draining = False
        self._gone = asyncio.Event()
        """No connection holds a session."""
        self._threads: ThreadPoolExecutor | None = None
        self._surroundings: Surroundings | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="live-decode")
        self._surroundings = Surroundings(
            self._engine,
            self._threads,
            self._limits.heartbeat_s,
            self._limits.idle_s,
            self._on_let_go,
            self._on_lost,
            self._on_timing,
            self._opener.models_of,
            self._listener,
            self._limits.max_speed,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draining = True
        for timer in (self._expiry, self._pace_timer):
            if timer is not None:
                timer.cancel()
        for session in self._registry.sessions:
            self._end(session, keep=True)
        await asyncio.gather(*self._closing)
        if self._threads is not None:
            self._threads.shutdown()

    @property
    def n_sessions(self) -> int:
        """Sessions that a connection holds."""
        return self._registry.n_held

    @property
    def n_waiting(self) -> int:
        """Sessions that lost their connection and may be resumed."""
        return self._registry.n_waiting

    async def open(
        self,
        options: LiveOptions,
        *,
        can_resume: bool = True,
        idle_s: float | None = None,
        flush_after_s: float | None = None,
        any_model: bool = False,
        client: str | None = None,
    ) -> Link:
        """A new session and its connection's hold on it. `can_resume`: its client knows how to come back to it.
        `idle_s`: how long it may send nothing, where that is not as the limits say; after `flush_after_s` of it what
        was said is finalized. `any_model`: where that of the options cannot be had, the server's own will do. `client`:
        whom it counts for.

        Raises Refused (full, shutting_down), OverLimit (too_many_sessions), BadInput (codec), NotFound or
        ModelUnavailable (model).
        """
        self._require_room()
        self._require_share(client)
        self._opening += 1
        self._opening_of[client] += 1
        try:
            beginning = await self._opener.new(options, any_model=any_model)
            beginning = dataclasses.replace(
                beginning, idle_s=idle_s, flush_after_s=flush_after_s, can_resume=can_resume, client=client
            )
            if self._store is not None and can_resume:
                beginning = await self._durable(beginning, self._store)
            session = self._begin(beginning)
        finally:
            self._opening -= 1
            self._opening_of -= Counter([client])  # which leaves no zeros behind
        settings = self._settings(options, beginning.model)
        if beginning.options.model != options.model:
            settings["model_asked"] = options.model
        session.tell(Ready(session.id, session.token, settings, self._limits.heartbeat_s, self._limits.resume_s))
        link = Link(session)
        session.hold(link)
        session.receive_pace(self._pace)
        return link

    def held_by(self, client: str) -> int:
        """Sessions that connections of this client hold, or are about to."""
        return self._registry.n_held_by(client) + self._opening_of[client]

    async def resume(self, id: str, token: str, last_event: int, *, client: str | None = None) -> Link:
        """A new connection's hold on a session; an older connection of it is closed (4410).

        A session that this process does not have is taken over from the one that has it, or had.
        Raises NotFound: no_such_session, or events_gone when events after `last_event` are no longer kept; Refused.
        """
        self._require_accepting()
        lock = self._resuming.setdefault(id, asyncio.Lock())
        async with lock:
            await self._forget_if_lost(id)
            session = self._registry.get(id, token)
            restored = session is None
            if session is None:
                session = await self._restore(id, token, last_event, client)
            else:
                session.log.rewind(last_event)
            self._registry.hold(id)
            link = Link(session, Numbered(last_event, Resumed(session.received, restored)))
            session.hold(link)
        self._set_expiry()
        if restored:
            session.receive_pace(self._pace)
            session.tell_speakers_again()
        return link

    async def drain(self, grace_s: float) -> None:
        """Take no new sessions; finish what is under way, tell it, close 1012. Returns when all are gone."""
        self._draining = True
        for session in self._registry.sessions:
            session.go_away(RECONNECT_WITHIN_MS)
        self._tell_if_gone()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._gone.wait()

    def _tell_if_gone(self) -> None:
        if self._registry.n_held == 0:
            self._gone.set()
        else:
            self._gone.clear()

    def _require_accepting(self) -> None:
        if self._draining:
            message = "The server is shutting down."
            raise Refused(message, retry_after_s=RECONNECT_WITHIN_MS / 1000, code="shutting_down")

    def _require_room(self) -> None:
        self._require_accepting()
        if self._registry.n_held + self._opening >= self._limits.max_sessions:
            message = f"All {self._limits.max_sessions} live sessions are taken."
            raise Refused(message, retry_after_s=self._limits.retry_after_s)

    def _require_share(self, client: str | None) -> None:
        most = self._limits.max_per_client
        if client is not None and 0 < most <= (held := self.held_by(client)):
            raise OverLimit(
                f"This client has {held} live sessions, of {most} that it may have at once; "
                "begin the next when one of them has ended.",
                code="too_many_sessions",
                limit=most,
                used=held,
                retry_after_s=self._limits.retry_after_s,
            )

    def _settings(self, options: LiveOptions, model: str) -> dict[str, Any]:
        """The settings in force, as `ready` tells them."""
        settings = dataclasses.asdict(options)
        speech = settings.pop("speech")
        settings["model"] = model
        settings["language"] = options.language or "auto"
        del settings["every_final"]
        settings["diarize"] = self._listener is not None and (options.diarize or bool(options.known_speakers))
        settings["known_speakers"] = [known.name for known in options.known_speakers]
        settings["vad"] = {k: speech[k] for k in ("threshold", "min_silence_ms", "overlap_ms", "max_utterance_s")}
        settings["partial_interval_ms"] = round(self._rules.partial_interval_s * 1000)
        return settings

    # --- how sessions begin ----------------------------------------------------------------------------------------

    def _begin(self, beginning: Beginning) -> RunningSession:
        """The session at work. Raises Refused when the server began to shut down meanwhile."""
        try:
            self._require_accepting()
        except Refused:
            beginning.ears.vad.close()
            self._release(beginning.models)
            raise
        assert self._surroundings is not None, "LiveService is used outside its context"
        if self._pace_timer is None:  # nobody was there to keep it up to date
            self._advance_pace()
        session = RunningSession(beginning, self._surroundings)
        self._registry.add(session.id, session.token, session, beginning.client)
        self._set_pace_timer()
        return session

    async def _durable(self, beginning: Beginning, store: Store) -> Beginning:
        """The same with a record in the store, from the start; without, where that fails."""
        id = beginning.session.id
        try:
            await store.create(id, beginning.token, pack(beginning.checkpoint(beginning.mark)))
        except HybridError as error:
            log.error("live session %s: no checkpoint can be written: %s", id, error)
            return beginning
        return dataclasses.replace(beginning, store=store)

    async def _forget_if_lost(self, id: str) -> None:
        """Another process may have taken the session over and been left again, without a write of ours since."""
        session = self._registry.any(id)
        if session is None or not session.resumable or self._store is None:
            return
        with suppress(HybridError):  # it cannot be told: then it is still ours
            if not await self._store.owns(id) and self._registry.any(id) is session:
                self._on_lost(session)

    async def _restore(self, id: str, token: str, last_event: int, client: str | None) -> RunningSession:
        """The session as its checkpoint has it. Raises NotFound, Refused, and what Opener.restored does."""
        if self._store is None:
            raise no_such_session(id)
        self._require_room()
        self._opening += 1
        try:
            written = await self._store.take(id, token)
            if written is None:
                raise no_such_session(id)
            try:
                beginning = await self._opener.restored(id, token, written, last_event, self._store)
                beginning = dataclasses.replace(beginning, client=client)
                session = self._begin(beginning)
            except BaseException as error:
                with suppress(HybridError):
                    await self._store.let_go(id)  # as one of ours it would be kept for ever
                if isinstance(error, HybridError) and error.code in _UNREADABLE:
                    log.warning("live session %s cannot go on in this process: %s", id, error.message)
                    raise no_such_session(id) from error  # its client begins a new one with the audio that it kept
                raise
        finally:
            self._opening -= 1
        log.info("live session %s goes on in this process", id)
        return session

    def _release(self, models: list[str]) -> None:
        for model in models:
            self._engine.release(model)

    # --- pace ------------------------------------------------------------------------------------------------------

    def _on_timing(self, queued_s: float, took_s: float) -> None:
        self._pacer.receive(queued_s, took_s, asyncio.get_running_loop().time())
        self._spread_pace()

    def _spread_pace(self) -> None:
        if self._pacer.pace is not self._pace:
            self._pace = self._pacer.pace
            for session in self._registry.sessions:
                session.receive_pace(self._pace)

    def _set_pace_timer(self) -> None:
        """Nothing runs while there is no session."""
        if self._pace_timer is None and self._registry.sessions and not self._draining:
            self._pace_timer = asyncio.get_running_loop().call_later(PACE_EVERY_S, self._advance_pace)

    def _advance_pace(self) -> None:
        self._pace_timer = None
        self._pacer.advance(asyncio.get_running_loop().time())
        self._spread_pace()
        self._set_pace_timer()

    # --- how sessions end ------------------------------------------------------------------------------------------

    def _on_let_go(self, session: RunningSession, clean: bool) -> None:
        gone = clean or session.untouched or not session.awaited
        if gone or self._draining or self._limits.resume_s <= 0:
            self._end(session, keep=self._draining and not clean)
            return
        if self._registry.n_waiting >= self._limits.max_sessions:
            oldest = self._registry.oldest_waiting()
            if oldest is not None:
                self._end(oldest)
        self._registry.let_wait(session.id, asyncio.get_running_loop().time() + self._limits.resume_s)
        self._set_expiry()

    def _on_lost(self, session: RunningSession) -> None:
        if self._registry.any(session.id) is session:
            self._end(session, keep=True)

    def _end(self, session: RunningSession, *, keep: bool = False) -> None:
        """The session is over here. `keep` its checkpoint: it may go on elsewhere."""
        self._registry.remove(session.id)
        self._tell_if_gone()
        task = asyncio.create_task(self._close(session, keep), name=f"live {session.id} close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, session: RunningSession, keep: bool) -> None:
        await session.close()
        self._engine.cancel(session.id)
        self._release(session.models)
        if session.resumable and not keep and self._store is not None:
            with suppress(HybridError):  # it expires
                await self._store.delete(session.id)

    def _set_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        at = self._registry.next_expiry()
        if at is not None:
            self._expiry = asyncio.get_running_loop().call_at(at, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for session in self._registry.take_expired(asyncio.get_running_loop().time()):
            log.info("live session %s expired", session.id)
            self._end(session)
        self._set_expiry()
