"""One live session at work: the state machine with its input, its windows in the engine, its client, its checkpoints.

Everything happens on the event loop, so nothing here needs a lock. `input_pump.py` brings speech, `window_tasks.py`
results of windows, a timer the time; after each of them the session's actions are carried out. A final goes out once
the checkpoint that holds it is safe; so does the acknowledgement of audio that may be forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

from whisperlive_hybrid.audio.samples import seconds
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import HybridError, Unavailable
from whisperlive_hybrid.live.actions import Cancel, Close, Listen, Run, Send
from whisperlive_hybrid.live.audience import Audience
from whisperlive_hybrid.live.beginning import Beginning
from whisperlive_hybrid.live.checkpoint import Checkpoint, Checkpointer
from whisperlive_hybrid.live.commands import Change, Flush, LiveOptions, Work
from whisperlive_hybrid.live.events import Done, Event, Failed, GoAway, Heartbeat, failed_by
from whisperlive_hybrid.live.input_pump import InputPump
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.pacing import Pace
from whisperlive_hybrid.live.parting import Closing, Parting
from whisperlive_hybrid.live.presence import Presence
from whisperlive_hybrid.live.progress import SILENT_INTERVAL_S, Progress
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.speaker_tasks import LAST_WAIT_S, SpeakerTasks, all_again
from whisperlive_hybrid.live.surroundings import Surroundings
from whisperlive_hybrid.live.throttle import Throttle
from whisperlive_hybrid.live.window_tasks import Outcome, WindowTasks
from whisperlive_hybrid.speech.speech import SpeechEvent

log = logging.getLogger(__name__)


class RunningSession:
    """See above. Made by LiveService, ended by `close`."""

    def __init__(self, beginning: Beginning, surroundings: Surroundings) -> None:
        self.id = beginning.session.id
        self.token = beginning.token
        self.log = beginning.log
        self._audience = Audience(self.id, beginning.log)
        self._beginning = beginning
        self._session = beginning.session
        self._options = beginning.options
        self._model, self._partial_model = beginning.model, beginning.partial_model
        self._around = surroundings
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        durable = beginning.store is not None
        self._progress = Progress(self._now(), beginning.mark, SILENT_INTERVAL_S if durable else 0.0)
        self._checkpointer = Checkpointer(self.id, beginning.store, self._on_written, self._on_lost)
        self._windows = WindowTasks(self.id, surroundings.engine, self._on_outcome, surroundings.on_timing)
        self._speakers = self._new_speakers(beginning, surroundings)
        self._more_models: list[str] = []
        """Those it has changed to."""
        self._parting = Parting()
        self._closed = False
        self._presence = Presence(
            self._now(),
            heartbeat_s=surroundings.heartbeat_s,
            idle_s=surroundings.idle_s if beginning.idle_s is None else beginning.idle_s,
            flush_after_s=beginning.flush_after_s,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._pump = InputPump(
            f"live {self.id}",
            self,
            beginning.ears,
            options=beginning.options,
            frames=self._progress.frames,
            threads=surroundings.threads,
            throttle=Throttle(surroundings.max_speed, surroundings.burst_s, self._now()),
            snapshots=durable,
        )

    def _new_speakers(self, beginning: Beginning, around: Surroundings) -> SpeakerTasks | None:
        if beginning.book is None or around.listener is None:
            return None
        return SpeakerTasks(
            self.id,
            around.listener,
            beginning.book,
            max_speakers=beginning.options.max_speakers,
            within_s=beginning.options.speakers_within_s,
            tell=self.tell,
            on_idle=self._on_speakers_known,
        )

    # --- connections -----------------------------------------------------------------------------------------------

    @property
    def closing(self) -> Closing | None:
        """How the connection is to be closed; set when everything is told."""
        return self._parting.closing

    @property
    def received(self) -> int:
        """Binary messages taken."""
        return self._progress.frames.received

    @property
    def untouched(self) -> bool:
        """Nothing was received yet."""
        return self.received == 0 and self._pump.idle

    @property
    def models(self) -> list[str]:
        """Names of the models it uses."""
        return [*self._beginning.models, *self._more_models]

    @property
    def awaited(self) -> bool:
        """Its client may come back."""
        return self._beginning.can_resume

    @property
    def resumable(self) -> bool:
        """Another process could go on with it."""
        return self._beginning.store is not None

    def hold(self, link: Link) -> None:
        """`link` is the session's connection from now on; the one before is closed."""
        self._audience.hold(link)
        self._presence.greet(self._now())
        self._pump.look_again()
        self._set_timer()

    def let_go(self, link: Link, *, clean: bool) -> None:
        """The connection of `link` is gone."""
        if self._audience.let_go(link):
            self._set_timer()
            self._around.on_let_go(self, clean)

    def touch(self) -> None:
        """The client is there."""
        self._presence.touch(self._now())

    def tell(self, event: Event) -> None:
        """Queue an event for the client."""
        self._audience.push(event)

    def tell_speakers_again(self) -> None:
        """What the process before told of speakers may not have reached the client."""
        if self._speakers is not None and (named := all_again(self._speakers.book)) is not None:
            self.tell(named)

    async def take(self, command: Work, link: Link) -> None:
        """Add to the inbox, waiting for room. Nothing is taken from a connection that has been taken over."""
        if isinstance(command, Change) and self.resumable:
            raise ValueError("options of a session that another process may go on with do not change")
        while self._pump.full and not link.ended:
            await self._pump.wait_for_room()
        if link.ended or self._parting.ending:
            return
        self._pump.put(command)
        self.touch()
        self._set_timer()

    def go_away(self, reconnect_within_ms: int) -> None:
        """The server shuts down: close 1012 once all is final that was received, or that is being made final.

        A client that can come back says the rest again: then what runs is not cut short.
        """
        if not self.resumable:
            self._pump.put(GoAway(reconnect_within_ms))
            return
        self.tell(GoAway(reconnect_within_ms))
        if self._pump.finished:  # it stopped, or ends for another reason: that is soon over
            return
        self._parting.leave_to_another(Closing(1012, "server is going away"))
        self._pump.cancel()
        self._pump.look_again()
        self._apply()

    async def close(self) -> None:
        """End all tasks; the session cannot be used any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._audience.end(Closing(1012, "server is going away"))
        await asyncio.gather(self._pump.close(), self._windows.close())
        if self._speakers is not None:
            await self._speakers.close()
        await self._checkpointer.close()
        log.info("live session %s is over: %.1f s of audio", self.id, seconds(self._pump.decoded))

    # --- what comes in ---------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """See Hearer."""
        return self._session.full

    def hear(self, events: Sequence[SpeechEvent]) -> None:
        """See Hearer."""
        self._session.receive_speech(events, self._now())
        self._apply()

    def worked_off(self) -> None:
        """See Hearer."""
        self._apply()

    def flushed(self, id: str | int) -> None:
        """See Hearer."""
        self._session.mark_flush(id)
        self._apply()

    def turn_ended(self, id: str | int, *, spoken: bool) -> None:
        """See Hearer."""
        self._session.mark_turn(id, spoken=spoken)
        self._apply()

    def discard(self) -> None:
        """See Hearer."""
        self._session.discard(self._now())
        self._apply()

    async def change(self, options: LiveOptions) -> LiveOptions:
        """See Hearer: where the models cannot be had, the client is told and the old ones stay."""
        if options.model != self._options.model:
            try:
                self._model, self._partial_model = await self._around.take_models(options, self.models)
            except HybridError as error:
                self.tell(failed_by(error, fatal=False))
                options = replace(options, model=self._options.model)
            else:
                used = {self._model, self._partial_model} - {None, *self.models}
                self._more_models += [name for name in used if name is not None]
        self._options = options
        self._session.change(options, self._model, self._partial_model, self._now())
        self._apply()
        return options

    def stop(self, audio_s: float) -> None:
        """See Hearer."""
        self._session.stop(audio_s, self._now())
        self._apply()

    def leave(self, go_away: GoAway) -> None:
        """See Hearer."""
        self.tell(go_away)
        self._end_with(None, Closing(1012, "server is going away"))

    def cannot_decode(self, error: HybridError) -> None:
        """See Hearer: what was heard is finalized, then the client is told."""
        code = 1011 if isinstance(error, Unavailable) else 1003
        self._end_with(failed_by(error, fatal=True), Closing(code, error.code))

    def broken(self) -> None:
        """See Hearer."""
        self._end_with(self._our_fault(), Closing(1011, "our fault"))

    def receive_pace(self, pace: Pace) -> None:
        """How often partials may be made from now on."""
        self._session.receive_pace(pace, self._now())
        self._apply()

    def _on_outcome(self, window: Window, outcome: Outcome) -> None:
        try:
            if isinstance(outcome, HybridError):
                self._session.receive_failure(window.id, outcome, self._now())
            else:
                self._session.receive_hypothesis(outcome, self._now())
            self._apply()
        except Exception:  # the window is lost to the state machine: it would wait for it for ever
            self._pump.cancel()
            self._parting.end(self._our_fault(), Closing(1011, "our fault"))
            self._finish()

    def _our_fault(self) -> Failed:
        """What a client is told of the exception being handled, which goes to the log."""
        incident = secrets.token_hex(4)
        log.exception("live session %s failed (incident %s)", self.id, incident)
        return Failed("internal_error", f"Our fault; incident {incident}.", fatal=True)

    # --- what the state machine wants done -------------------------------------------------------------------------

    def _apply(self) -> None:
        finals: list[Numbered] = []
        done: Done | None = None
        for action in self._session.actions():
            match action:
                case Send(Done() as event):
                    done = event
                case Send(event):
                    if (numbered := self._audience.push(event)) is not None:
                        finals.append(numbered)
                case Run(window):
                    self._windows.start(window)
                case Cancel(window_id):
                    self._windows.cancel(window_id)
                case Listen():
                    if self._speakers is not None and not self._closed:
                        self._speakers.start(action)
                case Close(reason):
                    self._say_last(done, Closing(1000, reason))
        if not self._session.full:
            self._pump.go_on()
        if self._session.idle or (self._parting.leaving and self._session.backlog_s == 0):
            self._parting.all_final()
        self._write(finals)
        self._set_timer()

    def _say_last(self, done: Done | None, closing: Closing) -> None:
        """All is told but, perhaps, who spoke the last segments."""
        if self._speakers is None or self._speakers.idle:
            self._parting.say(done, closing)
        elif self._parting.hold(done, closing):
            self._loop.call_later(LAST_WAIT_S, self._stop_waiting_for_speakers)

    def _stop_waiting_for_speakers(self) -> None:
        if self._speakers is not None and not self._parting.settled and not self._closed:
            self._speakers.give_up()
            self._on_speakers_known()

    def _on_speakers_known(self) -> None:
        """No segment waits for its speaker."""
        if not self._closed and self._parting.release():
            self._write([])

    def _end_with(self, event: Failed | None, closing: Closing) -> None:
        """Finalize what was heard, then say why it ends."""
        self._parting.end(event, closing)
        self._pump.look_again()
        try:
            self._pump.flush()
        except Exception:  # the state machine itself is broken: say so at least
            log.exception("live session %s cannot be finalized", self.id)
            self._finish()

    def _finish(self) -> None:
        """Say why it ends, and end."""
        self._parting.all_final()
        self._write([])

    # --- checkpoints and acknowledgements --------------------------------------------------------------------------

    def _write(self, finals: Sequence[Numbered]) -> None:
        """Write a checkpoint if there is a reason to."""
        over = self._parting.settled and not self._parting.leaving
        settled = self._pump.heard if over else self._session.settled(self._pump.settled)
        self._progress.frames.settle(settled)
        now = self._now()
        if self.closing is not None or self._closed:
            return
        if finals or self._parting.settled or self._progress.checkpoint_due(now):
            self._checkpointer.write(self._checkpoint(now), finals)

    def _checkpoint(self, now: float) -> Checkpoint:
        book = None if self._speakers is None else self._speakers.book
        return self._beginning.checkpoint(self._progress.ask(now), book)

    def _on_written(self, checkpoint: Checkpoint, n_finals: int, safe: bool) -> None:
        self.log.release(checkpoint.next_number - 1)
        if safe:
            self._progress.written(checkpoint.mark.frames)
        else:
            self._progress.not_written()
        over = self._parting.settled and self._checkpointer.idle
        self._ack(force=n_finals > 0 or over)
        if over and self.closing is None:
            last_word = self._parting.depart()
            if last_word is not None:
                self.tell(last_word)
        self._audience.wake()
        self._set_timer()

    def _on_lost(self) -> None:
        """Another process goes on with the session."""
        log.info("live session %s was taken over by another process", self.id)
        self._closed = True
        self._audience.lose()
        self._around.on_lost(self)

    def _ack(self, *, force: bool = False) -> None:
        """Tell what was received and what is final, if that is news; not too often unless forced."""
        ack = self._progress.ack(self._now(), force=force)
        if ack is not None:
            self.tell(ack)

    # --- time ------------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Wake at the nearest deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        times = [self._session.next_deadline()]
        if self.closing is None:
            times.append(self._progress.next_deadline())
            if self._audience.present:
                times += [self._presence.heartbeat_at, self._idle_at(), self._quiet_at()]
        due = min((t for t in times if t is not None), default=None)
        if due is not None:
            # Never at once: a deadline that is always due must not starve the loop.
            self._timer = self._loop.call_at(max(due, self._now() + 0.005), self._tick)

    def _idle_at(self) -> float:
        busy = not self._pump.idle or self._session.backlog_s > 0
        return self._presence.idle_at(self._now(), busy=busy)

    def _quiet_at(self) -> float | None:
        """When the client has sent nothing for so long that it will not go on with what it said."""
        said_all = self._session.speaking and self._pump.idle and not self._pump.finished
        return self._presence.quiet_at() if said_all else None

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        self._session.advance(now)
        if self._audience.present and self.closing is None:
            if self._presence.beat(now):
                self.tell(Heartbeat())
            quiet_at = self._quiet_at()
            if quiet_at is not None and now >= quiet_at:
                self._pump.put(Flush())
            if now >= self._idle_at() and not self._parting.ending:
                self._pump.cancel()
                message = f"Nothing was received for {self._presence.idle_s:g} s."
                self._end_with(Failed("idle", message, fatal=True), Closing(4408, "idle"))
        self._ack()
        self._apply()
