"""One live session at work: the state machine, its decoder, its voice activity, its windows in the engine, its timer.

Everything happens on the event loop, so nothing here needs a lock. One task works off what was received, in order:
decode → voice activity → segmenter → session; a session that has too much audio waiting for finals stops there, the
inbox fills, and the connection is not read any further. Each window has a task of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

from whisperlive_hybrid.audio.decoder import StreamDecoder
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, n_samples, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import BadInput, HybridError, Unavailable
from whisperlive_hybrid.live.actions import Cancel, Close, Run, Send
from whisperlive_hybrid.live.commands import Audio, Flush, LiveOptions, Stop
from whisperlive_hybrid.live.events import Ack, Done, Event, Failed, GoAway, Heartbeat, failed_by
from whisperlive_hybrid.live.events import Final as FinalEvent
from whisperlive_hybrid.live.frames import FrameLedger
from whisperlive_hybrid.live.link import Closing, Link
from whisperlive_hybrid.live.replay import EventLog
from whisperlive_hybrid.live.session import Session
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.vad_batcher import VadStream

log = logging.getLogger(__name__)

INBOX_BYTES: Final = 2 * 2**20
"""Received and not yet decoded; the largest message is half of it."""
IN_PLACE_BYTES: Final = 2**15
"""PCM messages up to this (3 ms of work at 4 kHz, the slowest) are converted on the loop, larger ones in a thread."""
BLOCK_S: Final = 2.0
"""Samples are worked off in blocks of this, so that a large message does not hold the loop."""
ACK_INTERVAL_S: Final = 0.5
MAX_WAITING_EVENTS: Final = 256
"""Events a client has not fetched: finals, mostly, because newer partials replace older ones. More is a slow client."""


class Transcriber(Protocol):
    """What a session needs of the engine."""

    async def transcribe(self, window: Window) -> Hypothesis:
        """The result of one window. Cancelling the call cancels the window."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of a server share."""

    engine: Transcriber
    threads: Executor
    """Where audio is decoded."""
    heartbeat_s: float
    idle_s: float
    on_let_go: Callable[[RunningSession, bool], None]
    """Called when the session lost its connection; True when nobody will come back."""


class RunningSession:
    """See above. Made by LiveService, ended by `close`."""

    def __init__(
        self,
        session: Session,
        options: LiveOptions,
        decoder: StreamDecoder,
        vad: VadStream,
        surroundings: Surroundings,
    ) -> None:
        self.id = session.id
        self.token = secrets.token_urlsafe(18)
        self.log = EventLog()
        self.closing: Closing | None = None
        """Set when everything is told."""
        self._session = session
        self._decoder = decoder
        self._vad = vad
        self._around = surroundings
        self._segmenter = Segmenter(options.speech)
        self._margin = n_samples((options.speech.pre_roll_ms + options.speech.min_speech_ms) / 1000) + FRAME
        """The newest samples may still become the beginning of an utterance."""
        self._in_place = options.codec in ("pcm_s16le", "pcm_f32le")
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._frames = FrameLedger()
        self._decoded = 0
        """Samples decoded."""
        self._heard = 0
        """Samples that went through voice activity and segmenter."""
        self._sealed = 0
        """Position of the last flush: nothing before it can become speech any more."""
        self._acked = Ack(0, 0)
        self._acked_at = self._now()
        self._inbox: deque[Audio | Flush | Stop | GoAway] = deque()
        self._inbox_bytes = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._not_full = asyncio.Event()
        self._windows: dict[int, asyncio.Task[None]] = {}
        self._link: Link | None = None
        self._ending: tuple[Failed | GoAway | None, Closing] | None = None
        """What to say and how to close once everything is final, other than by `stop`."""
        self._touched = self._heartbeat_at = self._now()
        self._timer: asyncio.TimerHandle | None = None
        self._pump_task = asyncio.create_task(self._pump(), name=f"live {self.id}")

    # --- connections -----------------------------------------------------------------------------------------------

    @property
    def received(self) -> int:
        """Binary messages taken."""
        return self._frames.received

    @property
    def untouched(self) -> bool:
        """Nothing was received yet."""
        return self._frames.received == 0 and not self._inbox

    def hold(self, link: Link) -> None:
        """`link` is the session's connection from now on; the one before is closed."""
        before, self._link = self._link, link
        if before is not None:
            message = "A newer connection has resumed this session."
            before.end(Closing(4410, "taken over"), Failed("taken_over", message, fatal=True))
        self.touch()
        self._heartbeat_at = self._now()
        self._room.set()
        self._set_timer()

    def let_go(self, link: Link, *, clean: bool) -> None:
        """The connection of `link` is gone."""
        if self._link is link:
            self._link = None
            self._set_timer()
            self._around.on_let_go(self, clean)

    def touch(self) -> None:
        """The client is there."""
        self._touched = self._now()

    def tell(self, event: Event) -> None:
        """Queue an event for the client."""
        if (numbered := self.log.push(event)) is not None:
            self.log.release(numbered.number)
        if self._link is not None:
            if self.log.n_waiting > MAX_WAITING_EVENTS:
                log.info("live session %s: client reads too slowly, connection closed", self.id)
                self._link.end(Closing(1013, "reading too slowly"))
            self._link.wake()

    async def take(self, command: Audio | Flush | Stop, link: Link) -> None:
        """Add to the inbox, waiting for room. Nothing is taken from a connection that has been taken over."""
        while self._inbox_bytes >= INBOX_BYTES and not link.ended:
            self._room.clear()
            await self._room.wait()
        if link.ended or self._ending is not None:
            return
        if isinstance(command, Audio):
            self._frames.take()
            self._inbox_bytes += len(command.data)
        self._inbox.append(command)
        self.touch()
        self._work.set()
        self._set_timer()

    def go_away(self, reconnect_within_ms: int) -> None:
        """The server shuts down: finalize what was received, then close 1012."""
        self._inbox.append(GoAway(reconnect_within_ms))
        self._work.set()

    async def close(self) -> None:
        """End all tasks; the session cannot be used any more."""
        if self._timer is not None:
            self._timer.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.end(Closing(1012, "server is going away"))
        tasks = [self._pump_task, *self._windows.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._vad.close()
        log.info("live session %s is over: %.1f s of audio", self.id, seconds(self._decoded))

    # --- from bytes to speech --------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Work off the inbox, in order."""
        try:
            while self.closing is None:
                while not self._inbox:
                    self._work.clear()
                    await self._work.wait()
                command = self._inbox.popleft()
                if isinstance(command, Audio):
                    self._inbox_bytes -= len(command.data)
                    self._room.set()
                try:
                    if not await self._work_off(command):
                        return
                except HybridError as error:
                    self._fail(error, 1011 if isinstance(error, Unavailable) else 1003)
                    return
        except Exception:
            self._end_with(self._our_fault(), 1011, "our fault")

    async def _work_off(self, command: Audio | Flush | Stop | GoAway) -> bool:
        """Do what was asked; False when nothing more is to be worked off."""
        match command:
            case Audio(data):
                samples = await self._decode(data)
                self._decoded += len(samples)
                self._frames.decoded(self._decoded)
                self._frames.mark()
                await self._hear(samples)
                self._ack()
                self._set_timer()
            case Flush():
                self._flush()
            case Stop():
                await self._hear_tail()
                self._flush()
                self._session.stop(seconds(self._decoded), self._now())
                self._apply()
                return False
            case GoAway():
                self.tell(command)
                self._end_with(None, 1012, "server is going away")
                return False
        return True

    async def _decode(self, data: bytes) -> Samples:
        if self._in_place and len(data) <= IN_PLACE_BYTES:
            return self._decoder.feed(data)
        return await self._loop.run_in_executor(self._around.threads, self._decoder.feed, data)

    async def _hear(self, samples: Samples) -> None:
        step = int(BLOCK_S * SAMPLE_RATE)
        for i in range(0, len(samples), step):
            block = samples[i : i + step]
            while self._session.full:
                self._not_full.clear()
                await self._not_full.wait()
            probabilities = await self._vad.probabilities(block)
            events = self._segmenter.feed(block, probabilities)
            self._heard += len(block)
            self._session.receive_speech(events, self._now())
            self._apply()

    async def _hear_tail(self) -> None:
        """What the decoder still holds at the end of the stream."""
        try:
            tail = self._decoder.flush()
        except BadInput as error:
            # Only what is left is bad: everything before it is heard as usual, and the client told of the rest.
            self.tell(failed_by(error, fatal=False))
            return
        self._decoded += len(tail)
        await self._hear(tail)

    def _flush(self) -> None:
        self._session.receive_speech(self._segmenter.flush(), self._now())
        self._sealed = self._heard
        self._apply()

    def _fail(self, error: HybridError, code: int) -> None:
        """The audio cannot be decoded any further: what was heard is finalized, then the client is told."""
        self._end_with(failed_by(error, fatal=True), code, error.code)

    def _our_fault(self) -> Failed:
        """What a client is told of the exception being handled, which goes to the log."""
        incident = secrets.token_hex(4)
        log.exception("live session %s failed (incident %s)", self.id, incident)
        return Failed("internal_error", f"Our fault; incident {incident}.", fatal=True)

    def _end_with(self, event: Failed | None, code: int, reason: str) -> None:
        self._ending = (event, Closing(code, reason))
        self._room.set()
        try:
            self._flush()
        except Exception:  # the state machine itself is broken: say so at least
            log.exception("live session %s cannot be finalized", self.id)
            self._finish()

    # --- what the state machine wants done -------------------------------------------------------------------------

    def _apply(self) -> None:
        for action in self._session.actions():
            match action:
                case Send(event):
                    if isinstance(event, Done):
                        self._ack(force=True)
                    self.tell(event)
                    if isinstance(event, FinalEvent):
                        self._ack(force=True)
                case Run(window):
                    task = asyncio.create_task(self._infer(window), name=f"live {self.id} window {window.id}")
                    self._windows[window.id] = task
                case Cancel(window_id):
                    if task_of := self._windows.get(window_id):
                        task_of.cancel()
                case Close(reason):
                    self._close_with(Closing(1000, reason))
        if not self._session.full:
            self._not_full.set()
        if self._ending is not None and self._session.idle and self.closing is None:
            self._finish()
        self._set_timer()

    def _finish(self) -> None:
        """Everything is final: say why it ends, and end."""
        assert self._ending is not None
        event, closing = self._ending
        self._ack(force=True)
        if event is not None:
            self.tell(event)
        self._close_with(closing)

    def _close_with(self, closing: Closing) -> None:
        if self.closing is None:
            self.closing = closing
        if self._link is not None:
            self._link.wake()

    async def _infer(self, window: Window) -> None:
        outcome: Hypothesis | HybridError
        try:
            outcome = await self._around.engine.transcribe(window)
        except HybridError as error:
            log.debug("live session %s: window %d failed: %s", self.id, window.id, error)
            outcome = error
        except Exception as error:
            log.exception("live session %s: window %d failed", self.id, window.id)
            outcome = Unavailable(f"{type(error).__name__}")
        finally:
            self._windows.pop(window.id, None)
        try:
            if isinstance(outcome, HybridError):
                self._session.receive_failure(window.id, outcome, self._now())
            else:
                self._session.receive_hypothesis(outcome, self._now())
            self._apply()
        except Exception:  # the window is lost to the state machine: it would wait for it for ever
            self._pump_task.cancel()
            self._ending = (self._our_fault(), Closing(1011, "our fault"))
            self._finish()

    # --- acknowledgements and time ---------------------------------------------------------------------------------

    def _ack(self, *, force: bool = False) -> None:
        """Tell what was received and what is final, if that is news; not too often unless forced."""
        position = self._session.settled(max(self._heard - self._margin, self._sealed))
        ack = Ack(self._frames.received, self._frames.settle(position))
        if ack != self._acked and (force or self._now() >= self._acked_at + ACK_INTERVAL_S):
            self._acked, self._acked_at = ack, self._now()
            self.tell(ack)

    def _set_timer(self) -> None:
        """Wake at the nearest deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = []
        deadline = self._session.next_deadline()
        if deadline is not None:
            times.append(deadline)
        if self._acked.received != self._frames.received:
            times.append(self._acked_at + ACK_INTERVAL_S)
        if self._link is not None and self.closing is None:
            times += [self._heartbeat_at + self._around.heartbeat_s, self._idle_at()]
        if times:
            # Never at once: a deadline that is always due must not starve the loop.
            self._timer = self._loop.call_at(max(min(times), self._now() + 0.005), self._tick)

    def _idle_at(self) -> float:
        busy = bool(self._inbox) or self._session.backlog_s > 0
        return (self._now() if busy else self._touched) + self._around.idle_s

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        self._session.advance(now)
        if self._link is not None and self.closing is None:
            if now >= self._heartbeat_at + self._around.heartbeat_s:
                self._heartbeat_at = now
                self.tell(Heartbeat())
            if now >= self._idle_at() and self._ending is None:
                self._pump_task.cancel()
                message = f"Nothing was received for {self._around.idle_s:g} s."
                self._end_with(Failed("idle", message, fatal=True), 4408, "idle")
        self._ack()
        self._apply()
