"""WebM with Opus as MediaRecorder writes it (Matroska, RFC 9559): clusters of unknown size, bytes cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whisperlive_hybrid.audio.ebml import (
    BadEbml,
    Element,
    children,
    lace_sizes,
    read_header,
    read_number,
    signed,
    unsigned,
)
from whisperlive_hybrid.audio.opus import ErrorState, OpusHead, OpusTrack, OpusWireDecoder, TrackState, join
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio

EBML = 0x1A45DFA3
EBML_MAGIC = EBML.to_bytes(4, "big")
MAX_SKIPPED_BYTES = 256 * 1024
"""Bytes that make no sense after which the stream counts as broken."""

_SEGMENT, _CLUSTER, _TRACKS = 0x18538067, 0x1F43B675, 0x1654AE6B
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _DISCARD_PADDING = 0xA3, 0xA0, 0xA1, 0x75A2
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _CODEC_ID = 0xAE, 0xD7, 0x83, 0x86
_CODEC_PRIVATE, _CODEC_DELAY, _CONTENT_ENCODINGS = 0x63A2, 0x56AA, 0x6D80
_AUDIO = 2
_SKIPPED = {
    0x114D9B74: "SeekHead",
    0x1549A966: "Info",
    0x1C53BB6B: "Cues",
    0x1941A469: "Attachments",
    0x1043A770: "Chapters",
    0x1254C367: "Tags",
    0xEC: "Void",
    0xBF: "CRC-32",
    0xE7: "Timestamp",
    0x5854: "SilentTracks",
    0xA7: "Position",
    0xAB: "PrevSize",
}
_KEPT_LIMITS = {EBML: 4096, _TRACKS: 1 << 20, _SIMPLE_BLOCK: 1 << 20, _BLOCK_GROUP: 1 << 20}
_SKIP_LIMIT = 64 << 20
_UNKNOWN_SKIP_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    opus: OpusTrack


class WebmOpusState(State, tag="webm opus"):
    """What a WebmOpusDecoder goes on from."""

    error: ErrorState | None
    buffer: bytes
    skip: int
    lost: bool
    lost_bytes: int
    started: bool
    number: int
    track: TrackState | None


class WebmOpusDecoder(OpusWireDecoder):
    """Decodes the first Opus track of a WebM or Matroska stream.

    Segment and Cluster are entered and their ends ignored: their children are told apart by their ids alone, so
    known, unknown and wrong sizes of the two are read alike. Everything not needed is skipped without being stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._skip = 0
        self._lost = False
        self._lost_bytes = 0
        self._started = False
        self._track: _Track | None = None

    def snapshot(self) -> bytes:
        """See StreamDecoder."""
        return seal(
            WebmOpusState(
                self._error_state(),
                bytes(self._buffer),
                self._skip,
                self._lost,
                self._lost_bytes,
                self._started,
                self._track.number if self._track else 0,
                self._track.opus.state() if self._track else None,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, WebmOpusState)
        if state.skip < 0:
            raise bad_snapshot()
        self._restore_error(state.error)
        self._buffer[:] = state.buffer
        self._skip, self._lost, self._lost_bytes = state.skip, state.lost, state.lost_bytes
        self._started = state.started
        self._track = _Track(state.number, OpusTrack.restored(state.track)) if state.track else None

    def _read(self, data: bytes) -> Iterator[Samples]:
        self._buffer += data
        position = 0
        try:
            while True:
                if self._skip:
                    step = min(self._skip, len(self._buffer) - position)
                    position += step
                    self._skip -= step
                    if self._skip:
                        return
                if self._lost:
                    position = self._resync(position)
                    if self._lost:
                        return
                if not self._started and not EBML_MAGIC.startswith(bytes(self._buffer[position : position + 4])):
                    raise UndecodableAudio("the stream is not WebM", param="codec", code="not_webm")
                try:
                    element = read_header(self._buffer, position)
                    if element is None:
                        return
                    wanted = self._admit(element)
                except BadEbml:
                    self._lost = True
                    position = self._give_up(position, 1)
                    continue
                if not wanted:
                    position += element.header_size
                    continue
                end = position + element.header_size + (element.size or 0)
                if end > len(self._buffer):
                    return
                payload = bytes(self._buffer[position + element.header_size : end])
                position = end
                yield from self._take(element.id, payload)
        finally:
            del self._buffer[:position]

    def _admit(self, element: Element) -> bool:
        """Whether the element's content is to be kept; otherwise it is entered or marked to be skipped."""
        if element.id in (_SEGMENT, _CLUSTER):
            return False
        if element.size is None:
            raise BadEbml
        limit = _KEPT_LIMITS.get(element.id)
        if limit is not None and element.size <= limit:
            return True
        if element.id in (EBML, _TRACKS):
            raise UndecodableAudio("the WebM header is implausibly large", param="audio", code="bad_webm")
        # A block too large to be audio is video.
        known = limit is not None or element.id in _SKIPPED
        if element.size > (_SKIP_LIMIT if known else _UNKNOWN_SKIP_LIMIT):
            raise BadEbml
        self._skip = element.size
        return False

    def _take(self, id: int, payload: bytes) -> Iterator[Samples]:
        self._lost_bytes = 0
        try:
            if id == EBML:
                self._started = True
                self._track = None
            elif id == _TRACKS:
                self._track = _find_track(payload)
            elif id == _SIMPLE_BLOCK:
                yield self._decode(payload, 0)
            else:
                block, padding_ns = b"", 0
                for child_id, content in children(payload):
                    if child_id == _BLOCK:
                        block = content
                    elif child_id == _DISCARD_PADDING:
                        padding_ns = signed(content)
                yield self._decode(block, padding_ns)
        except BadEbml:
            if id in (EBML, _TRACKS):
                raise UndecodableAudio("the WebM header is damaged", param="audio", code="bad_webm") from None

    def _decode(self, block: bytes, padding_ns: int) -> Samples:
        number, n_bytes = read_number(block, 0)
        if self._track is None:
            raise UndecodableAudio("WebM audio came before its header", param="audio", code="bad_webm")
        opus = self._track.opus
        if number != self._track.number:
            return join([])
        samples = join([opus.decode(packet) for packet in _frames(block, n_bytes)])
        if padding_ns > 0:
            samples = opus.trim_end(samples, round(min(padding_ns, 10**9) * 48_000 / 1e9))
        return samples

    def _resync(self, position: int) -> int:
        """Position of the next cluster or header, where reading goes on; `_lost` stays true when there is none yet."""
        found = [at for id in (_CLUSTER, EBML) if (at := self._buffer.find(id.to_bytes(4, "big"), position)) >= 0]
        if found:
            self._lost = False
            return self._give_up(position, min(found) - position)
        return self._give_up(position, max(0, len(self._buffer) - 3 - position))

    def _give_up(self, position: int, n_bytes: int) -> int:
        self._lost_bytes += n_bytes
        if self._lost_bytes > MAX_SKIPPED_BYTES:
            raise UndecodableAudio("the WebM stream is damaged: no cluster found", param="audio", code="lost_sync")
        return position + n_bytes

    def _finish(self) -> None:
        if self._track is None and (self._started or self._buffer):
            raise UndecodableAudio("the stream ended within its WebM header", param="audio", code="truncated")


def _find_track(tracks: bytes) -> _Track:
    """The first Opus track. Raises UndecodableAudio when there is none."""
    others = []
    for id, entry in children(tracks):
        if id != _TRACK_ENTRY:
            continue
        fields = dict(children(entry))
        codec = fields.get(_CODEC_ID, b"").rstrip(b"\0").decode("ascii", "replace")
        if unsigned(fields.get(_TRACK_TYPE, b"")) != _AUDIO:
            continue
        if codec != "A_OPUS":
            others.append(codec)
            continue
        if _CONTENT_ENCODINGS in fields:
            others.append("Opus that is encrypted or compressed once more")
            continue
        private = fields.get(_CODEC_PRIVATE, b"")
        head = OpusHead.parse(private) if private else OpusHead()
        if not head.pre_skip48 and _CODEC_DELAY in fields:
            delay_ns = min(unsigned(fields[_CODEC_DELAY]), 10**9)
            head = OpusHead(head.channels, round(delay_ns * 48_000 / 1e9), head.gain)
        return _Track(unsigned(fields.get(_TRACK_NUMBER, b"")), OpusTrack(head))
    if others:
        raise UndecodableAudio(
            f"the WebM stream holds {', '.join(others)}, not Opus",
            param="codec",
            accepted=("opus",),
            code="unsupported_codec",
        )
    raise UndecodableAudio("the WebM stream has no audio track", param="audio", code="no_audio_stream")


def _frames(block: bytes, position: int) -> Iterator[bytes]:
    """Frames of a block behind its track number: time (2 bytes), flags, laces (RFC 9559 §10.3). Raises BadEbml."""
    if len(block) < position + 3:
        raise BadEbml
    lacing = (block[position + 2] >> 1) & 3
    position += 3
    if lacing == 0:
        yield block[position:]
        return
    sizes, position = lace_sizes(block, position, lacing)
    for size in sizes:
        yield block[position : position + size]
        position += size
