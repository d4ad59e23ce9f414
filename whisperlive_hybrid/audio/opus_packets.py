"""The raw Opus wire: each packet led by its length as a 16-bit big-endian number, messages cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from whisperlive_hybrid.audio.opus import (
    MAX_PACKET_BYTES,
    ErrorState,
    OpusHead,
    OpusTrack,
    OpusWireDecoder,
    TrackState,
)
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.audio.snapshot import State, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio


class OpusPacketState(State, tag="opus packets"):
    """What an OpusPacketDecoder goes on from."""

    error: ErrorState | None
    buffer: bytes
    track: TrackState | None


class OpusPacketDecoder(OpusWireDecoder):
    """Decodes length-prefixed Opus packets to samples.

    The first packet may be an OpusHead (what WebCodecs gives as the decoder's description): its pre-skip and gain are
    then applied. A packet of length 0 stands for a lost one and is concealed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._track: OpusTrack | None = None

    @property
    def concealed(self) -> int:
        """Packets that were not Opus and were replaced."""
        return self._track.concealed if self._track else 0

    def snapshot(self) -> bytes:
        """See StreamDecoder."""
        track = self._track.state() if self._track else None
        return seal(OpusPacketState(self._error_state(), bytes(self._buffer), track))

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, OpusPacketState)
        self._restore_error(state.error)
        self._buffer[:] = state.buffer
        self._track = OpusTrack.restored(state.track) if state.track else None

    def _read(self, data: bytes) -> Iterator[Samples]:
        self._buffer += data
        position = 0
        try:
            while len(self._buffer) - position >= 2:
                n_bytes = int.from_bytes(self._buffer[position : position + 2], "big")
                if n_bytes > MAX_PACKET_BYTES:
                    raise UndecodableAudio(
                        f"a packet of {n_bytes} bytes cannot be Opus: each packet must be led by its length as a "
                        f"16-bit big-endian number, at most {MAX_PACKET_BYTES}",
                        param="audio",
                        code="bad_opus_packet",
                    )
                end = position + 2 + n_bytes
                if end > len(self._buffer):
                    break
                packet = bytes(self._buffer[position + 2 : end])
                position = end
                yield from self._decode(packet)
        finally:
            del self._buffer[:position]

    def _decode(self, packet: bytes) -> Iterator[Samples]:
        if self._track is None:
            if packet.startswith(b"OpusHead"):
                self._track = OpusTrack(OpusHead.parse(packet))
                return
            self._track = OpusTrack()
        yield self._track.decode(packet) if packet else self._track.conceal()

    def _finish(self) -> None:
        if self._buffer:
            raise UndecodableAudio("the stream ended within an Opus packet", param="audio", code="truncated_packet")
