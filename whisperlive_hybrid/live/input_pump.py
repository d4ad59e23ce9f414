"""From a client's bytes to speech: one task works off what was received, in order.

inbox → decoder → voice activity → segmenter → session. Where the session has too much audio waiting for its finals the
pump stops, the inbox fills, and the connection is not read any further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from whisperlive_hybrid.audio.codecs import make_decoder
from whisperlive_hybrid.audio.decoder import StreamDecoder
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, seconds
from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.live.commands import Audio, Change, Discard, EndTurn, Flush, LiveOptions, Stop
from whisperlive_hybrid.live.events import Event, GoAway, failed_by
from whisperlive_hybrid.live.frames import FrameLedger
from whisperlive_hybrid.live.inbox import SAMPLE_BYTES, Command, Inbox
from whisperlive_hybrid.live.throttle import Throttle
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.speech import SpeechEvent, SpeechOptions
from whisperlive_hybrid.speech.vad_batcher import VadStream

PCM_SLICE: Final = 2**14
"""Samples of PCM converted at once, on the loop: 3 ms of work at 4 kHz, the slowest."""
CODED_SLICE: Final = 2**13
"""Bytes of coded audio decoded at once, in a thread. Of the sparsest Opus there is (five bytes for 20 ms) half a
minute; samples of a whole message of it would be hundreds of megabytes."""
BLOCK_S: Final = 2.0
"""Samples are worked off in blocks of this, so that much audio at once does not hold the loop."""
MARK_EVERY_S: Final = 0.25
"""Snapshots of decoder and voice activity are taken no closer than this: some kilobytes each."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What turns one stream's bytes into speech."""

    decoder: StreamDecoder
    vad: VadStream
    segmenter: Segmenter


class Hearer(Protocol):
    """Whom the pump feeds."""

    @property
    def full(self) -> bool:
        """No more speech should come just now."""
        ...

    def hear(self, events: Sequence[SpeechEvent]) -> None:
        """Speech, in order."""
        ...

    def worked_off(self) -> None:
        """A message is done with."""
        ...

    def flushed(self, id: str | int) -> None:
        """All speech before a Flush with this `id` has been heard."""
        ...

    def turn_ended(self, id: str | int, *, spoken: bool) -> None:
        """All speech before an EndTurn or Discard with this `id` has been heard; `spoken`: some ran until then."""
        ...

    def discard(self) -> None:
        """The utterance that runs, if one does, is forgotten."""
        ...

    async def change(self, options: LiveOptions) -> LiveOptions:
        """What comes is to be heard as `options` say; returns those that could be had."""
        ...

    def tell(self, event: Event) -> None:
        """The client is to know this."""
        ...

    def stop(self, audio_s: float) -> None:
        """All is heard that there is."""
        ...

    def leave(self, go_away: GoAway) -> None:
        """All is heard that was received before."""
        ...

    def cannot_decode(self, error: HybridError) -> None:
        """The stream cannot be heard any further."""
        ...

    def broken(self) -> None:
        """An exception that nobody expected is being handled."""
        ...


class InputPump:
    """See above. Begins at once, in a task; `close` ends it."""

    def __init__(
        self,
        name: str,
        hearer: Hearer,
        ears: Ears,
        *,
        options: LiveOptions,
        frames: FrameLedger,
        threads: Executor,
        throttle: Throttle,
        snapshots: bool,
    ) -> None:
        self.decoded = self.heard = frames.settled.position
        """Samples decoded, and those that went through the segmenter."""
        self.finished = False
        """Nothing more will be worked off."""
        self._hearer = hearer
        self._ears = ears
        self._frames = frames
        self._threads = threads
        self._throttle = throttle
        self._snapshots = snapshots
        self._options = options
        self._inbox = Inbox(options)
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._not_full = asyncio.Event()
        self._task = asyncio.create_task(self._pump(), name=name)

    # --- for the session -------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing waits to be worked off."""
        return not self._inbox

    @property
    def full(self) -> bool:
        """Nothing more should be put in until `wait_for_room` returns."""
        return self._inbox.full

    def put(self, command: Command) -> None:
        """Have it worked off after what came before."""
        if isinstance(command, Audio):
            self._frames.take()
        self._inbox.put(command)
        self._work.set()

    async def wait_for_room(self) -> None:
        """Wait until something was worked off, or `look_again` is called."""
        self._room.clear()
        await self._room.wait()

    def look_again(self) -> None:
        """Whoever waits for room has to look whether it still should."""
        self._room.set()

    def go_on(self) -> None:
        """The hearer may not be full any more."""
        self._not_full.set()

    @property
    def settled(self) -> int:
        """What comes before this sample is not needed again, but for utterances that have ended."""
        return self._ears.segmenter.settled

    def flush(self) -> None:
        """End the running utterance."""
        self._hearer.hear(self._ears.segmenter.flush())

    def cancel(self) -> None:
        """Work nothing more off."""
        self.finished = True
        self._task.cancel()

    async def close(self) -> None:
        """End the task."""
        self.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._ears.vad.close()

    # --- the task --------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        try:
            while not self.finished:
                while not self._inbox:
                    self._work.clear()
                    await self._work.wait()
                command = self._inbox.get()
                self._room.set()
                await self._work_off(command)
        except HybridError as error:
            self.finished = True
            self._hearer.cannot_decode(error)
        except Exception:
            self.finished = True
            self._hearer.broken()

    async def _work_off(self, command: Command) -> None:
        match command:
            case Audio(data):
                await self._listen(data)
                self._hearer.worked_off()
            case Flush(id):
                self.flush()
                if id is not None:
                    self._hearer.flushed(id)
            case EndTurn(id):
                spoken = self._ears.segmenter.speaking
                self.flush()
                self._begin_anew(self._ears.segmenter.options)
                self._hearer.turn_ended(id, spoken=spoken)
            case Discard(id):
                spoken = self._ears.segmenter.speaking
                self._begin_anew(self._ears.segmenter.options)
                self._hearer.turn_ended(id, spoken=spoken)
                self._hearer.discard()
            case Change(options):
                await self._change(options)
            case Stop():
                self._mark()
                await self._hear_tail()
                self.flush()
                self.finished = True
                self._hearer.stop(seconds(self.decoded))
            case GoAway():
                self.finished = True
                self._hearer.leave(command)

    async def _change(self, wanted: LiveOptions) -> None:
        options = await self._hearer.change(wanted)
        if _audio_of(options) != _audio_of(self._options):
            with suppress(BadInput):  # half a sample before a change is nothing that anybody said
                tail = self._ears.decoder.flush()
                self.decoded += len(tail)
                await self._hear(tail)
            decoder = make_decoder(options.codec, sample_rate=options.sample_rate, channels=options.channels)
            self._ears = replace(self._ears, decoder=decoder)
            self._inbox.change(options)
        if options.speech != self._ears.segmenter.options:
            self.flush()
            self._begin_anew(options.speech)
        self._options = options

    def _begin_anew(self, options: SpeechOptions) -> None:
        """Look for speech from here on, whatever was heard before."""
        segmenter = Segmenter(options, self.heard, unscored=self._ears.vad.unscored)
        self._ears = replace(self._ears, segmenter=segmenter)

    async def _listen(self, data: bytes) -> None:
        """One binary message."""
        size = SAMPLE_BYTES.get(self._options.codec or "")
        step = CODED_SLICE if size is None else PCM_SLICE * size
        for i in range(0, len(data), step):
            part = data[i : i + step]
            samples = await self._decode(part)
            self._inbox.decoded(len(part), seconds(len(samples)))
            self.decoded += len(samples)
            await self._hear(samples)
        self._frames.decoded(self.decoded)
        if not self._snapshots or self._frames.unmarked >= MARK_EVERY_S * SAMPLE_RATE:
            self._mark()

    def _mark(self) -> None:
        if self._snapshots:
            self._frames.mark(self._ears.decoder.snapshot(), self._ears.vad.snapshot())
        else:
            self._frames.mark()

    async def _decode(self, data: bytes) -> Samples:
        if self._options.codec in SAMPLE_BYTES:
            return self._ears.decoder.feed(data)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ears.decoder.feed, data)

    async def _hear(self, samples: Samples) -> None:
        step = int(BLOCK_S * SAMPLE_RATE)
        for i in range(0, len(samples), step):
            block = samples[i : i + step]
            while self._hearer.full:
                self._not_full.clear()
                await self._not_full.wait()
            await self._keep_to_speed(seconds(len(block)))
            probabilities = await self._ears.vad.probabilities(block)
            events = self._ears.segmenter.feed(block, probabilities)
            self.heard += len(block)
            self._hearer.hear(events)

    async def _keep_to_speed(self, audio_s: float) -> None:
        wait_s = self._throttle.wait_s(audio_s, asyncio.get_running_loop().time())
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _hear_tail(self) -> None:
        """What the decoder still holds at the end of the stream."""
        try:
            tail = self._ears.decoder.flush()
        except BadInput as error:
            # Only what is left is bad: everything before it is heard as usual, and the client told of the rest.
            self._hearer.tell(failed_by(error, fatal=False))
            return
        self.decoded += len(tail)
        await self._hear(tail)


def _audio_of(options: LiveOptions) -> tuple[str | None, int, int]:
    return options.codec, options.sample_rate, options.channels
