"""All live sessions of this process: opening, resuming, expiry, shutdown. With running_session.py, all that awaits."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from whisperlive_hybrid.audio.codecs import make_decoder
from whisperlive_hybrid.errors import Refused
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Ready, Resumed
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.policy import CommitPolicy, LocalAgreement
from whisperlive_hybrid.live.registry import Registry
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.running_session import RunningSession, Surroundings, Transcriber
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
DECODE_THREADS = 2
RECONNECT_WITHIN_MS = 5000
"""How soon a client should come back after `go_away`."""


class LiveEngine(Transcriber, Protocol):
    """What the live room needs of the engine."""

    async def load(self, name: str | None) -> str:
        """Load the model; returns its full name."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class LiveLimits:
    """How many sessions, and how long they are waited for."""

    max_sessions: int = 64
    """Held by a connection. As many again may wait to be resumed; the oldest gives way."""
    idle_s: float = 60.0
    resume_s: float = 60.0
    heartbeat_s: float = HEARTBEAT_S
    retry_after_s: float = 5.0
    """Told to clients that are refused."""


class LiveService:
    """Opens and keeps live sessions."""

    def __init__(
        self,
        engine: LiveEngine,
        vad: VadBatcher,
        *,
        rules: LiveRules | None = None,
        limits: LiveLimits | None = None,
        policy: Callable[[], CommitPolicy] = LocalAgreement,
    ) -> None:
        self._engine = engine
        self._vad = vad
        self._rules = rules or LiveRules()
        self._limits = limits or LiveLimits()
        self._policy = policy
        self._registry: Registry[RunningSession] = Registry()
        self._opening = 0
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
            self._engine, self._threads, self._limits.heartbeat_s, self._limits.idle_s, self._on_let_go
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draining = True
        if self._expiry is not None:
            self._expiry.cancel()
        for session in self._registry.sessions:
            self._end(session)
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

    async def open(self, options: LiveOptions) -> Link:
        """A new session and its connection's hold on it.

        Raises Refused (full, shutting_down), BadInput (codec), NotFound or ModelUnavailable (model).
        """
        self._require_accepting()
        if self._registry.n_held + self._opening >= self._limits.max_sessions:
            message = f"All {self._limits.max_sessions} live sessions are taken."
            raise Refused(message, retry_after_s=self._limits.retry_after_s)
        decoder = make_decoder(options.codec, sample_rate=options.sample_rate, channels=options.channels)
        self._opening += 1
        try:
            model = await self._engine.load(options.model)
        finally:
            self._opening -= 1
        self._require_accepting()
        assert self._surroundings is not None, "LiveService is used outside its context"
        state = Session(secrets.token_hex(8), options, model=model, rules=self._rules, policy=self._policy())
        session = RunningSession(state, options, decoder, self._vad.open(), self._surroundings)
        self._registry.add(session.id, session.token, session)
        settings = self._settings(options, model)
        session.tell(Ready(session.id, session.token, settings, self._limits.heartbeat_s, self._limits.resume_s))
        link = Link(session)
        session.hold(link)
        return link

    async def resume(self, id: str, token: str, last_event: int) -> Link:
        """A new connection's hold on a session; an older connection of it is closed (4410).

        Raises NotFound: no_such_session, or events_gone when events after `last_event` are no longer kept.
        """
        session = self._registry.find(id, token)
        session.log.rewind(last_event)
        self._registry.hold(id)
        link = Link(session, Numbered(last_event, Resumed(session.received)))
        session.hold(link)
        self._set_expiry()
        return link

    async def drain(self, grace_s: float) -> None:
        """Take no new sessions; finalize what was received, tell it, close 1012. Returns when all are gone."""
        self._draining = True
        for session in self._registry.sessions:
            session.go_away(RECONNECT_WITHIN_MS)
        self._tell_if_gone()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), grace_s)

    def _tell_if_gone(self) -> None:
        if self._registry.n_held == 0:
            self._gone.set()
        else:
            self._gone.clear()

    def _require_accepting(self) -> None:
        if self._draining:
            message = "The server is shutting down."
            raise Refused(message, retry_after_s=RECONNECT_WITHIN_MS / 1000, code="shutting_down")

    def _settings(self, options: LiveOptions, model: str) -> dict[str, Any]:
        """The settings in force, as `ready` tells them."""
        settings = dataclasses.asdict(options)
        speech = settings.pop("speech")
        settings["model"] = model
        settings["language"] = options.language or "auto"
        settings["diarize"] = False  # speakers are not told apart yet, whatever was asked for
        settings["vad"] = {k: speech[k] for k in ("threshold", "min_silence_ms", "overlap_ms", "max_utterance_s")}
        settings["partial_interval_ms"] = round(self._rules.partial_interval_s * 1000)
        return settings

    # --- sessions without a connection -----------------------------------------------------------------------------

    def _on_let_go(self, session: RunningSession, clean: bool) -> None:
        if clean or session.untouched or self._draining or self._limits.resume_s <= 0:
            self._end(session)
            return
        if self._registry.n_waiting >= self._limits.max_sessions:
            oldest = self._registry.oldest_waiting()
            if oldest is not None:
                self._end(oldest)
        self._registry.let_wait(session.id, asyncio.get_running_loop().time() + self._limits.resume_s)
        self._set_expiry()

    def _end(self, session: RunningSession) -> None:
        self._registry.remove(session.id)
        self._tell_if_gone()
        task = asyncio.create_task(session.close(), name=f"live {session.id} close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

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
