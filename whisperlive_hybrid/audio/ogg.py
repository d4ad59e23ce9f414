"""Ogg Opus as it comes (RFC 3533, RFC 7845): pages cut anywhere, pre-skip, end trimming, chained streams, resync."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from whisperlive_hybrid.audio.opus import (
    MAX_PACKET_BYTES,
    ErrorState,
    OpusHead,
    OpusTrack,
    OpusWireDecoder,
    TrackState,
    join,
)
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.audio.snapshot import State, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio

MAGIC = b"OggS"
CAPTURE = MAGIC + b"\0"
"""What a page begins with: the capture pattern and the version."""
MAX_SKIPPED_BYTES = 256 * 1024
"""Bytes without a valid page after which the stream counts as broken."""
MAX_REJECTED_BYTES = 1024 * 1024
"""Bytes of pages with a wrong checksum, one after the other, after which it does as well: capture patterns may stand
every five bytes, and each can claim a page of 64 KB to be summed up."""

_HEADER = 27
_NO_GRANULE = -1
_CONTINUED, _BOS, _EOS = 1, 2, 4
_BIT_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def page_checksum(page: bytes) -> int:
    """CRC of a page whose checksum field is zero (RFC 3533 §6: polynomial 0x04c11db7, not reflected, start 0).

    zlib computes the reflected form of the same polynomial, so bits are reversed going in and coming out.
    """
    reflected = zlib.crc32(page.translate(_BIT_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `pieces` are packets or parts of them; the last one goes on in the next page unless `complete`."""

    continued: bool
    bos: bool
    eos: bool
    granule: int
    serial: int
    sequence: int
    pieces: tuple[bytes, ...]
    complete: bool


class PagesState(State, tag="ogg pages"):
    """What a PageReader goes on from."""

    buffer: bytes
    skipped: int
    rejected: int
    started: bool


class PageReader:
    """Bytes, cut anywhere, to pages with a valid checksum. What is not a page is skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipped = 0
        self._rejected = 0
        self._started = False

    @property
    def touched(self) -> bool:
        """Whether any byte has come."""
        return self._started or self._skipped > 0 or len(self._buffer) > 0

    def state(self) -> PagesState:
        """What another reader goes on from."""
        return PagesState(bytes(self._buffer), self._skipped, self._rejected, self._started)

    def restore(self, state: PagesState) -> None:
        """Go on from `state`, as the first call."""
        self._buffer[:] = state.buffer
        self._skipped, self._rejected, self._started = state.skipped, state.rejected, state.started

    def read(self, data: bytes) -> Iterator[Page]:
        """Raises UndecodableAudio: not_ogg when the stream does not begin with a page, lost_sync later."""
        self._buffer += data
        position = 0
        try:
            while True:
                position = self._seek(position)
                page_end = self._page_end(position)
                if page_end is None:
                    return
                raw = bytes(self._buffer[position:page_end])
                checksum = int.from_bytes(raw[22:26], "little")
                if page_checksum(raw[:22] + bytes(4) + raw[26:]) != checksum:
                    self._rejected += len(raw)
                    self._skip(1)
                    position += 1
                    continue
                position = page_end
                self._started = True
                self._skipped = self._rejected = 0
                yield _parse(raw)
        finally:
            del self._buffer[:position]

    def _seek(self, position: int) -> int:
        """Position of the next capture pattern with the one version there is, or of what may become one."""
        if CAPTURE.startswith(bytes(self._buffer[position : position + 5])):
            return position
        if not self._started and self._skipped == 0:
            raise UndecodableAudio("the stream is not Ogg", param="codec", accepted=("ogg-opus",), code="not_ogg")
        found = self._buffer.find(CAPTURE, position)
        if found < 0:
            found = max(position, len(self._buffer) - 4)
            while not CAPTURE.startswith(bytes(self._buffer[found:])):
                found += 1
        self._skip(found - position)
        return found

    def _skip(self, n_bytes: int) -> None:
        self._skipped += n_bytes
        if self._skipped > MAX_SKIPPED_BYTES or self._rejected > MAX_REJECTED_BYTES:
            raise UndecodableAudio("the Ogg stream is damaged: no page found", param="audio", code="lost_sync")

    def _page_end(self, position: int) -> int | None:
        available = len(self._buffer) - position
        if available < _HEADER:
            return None
        n_segments = self._buffer[position + 26]
        if available < _HEADER + n_segments:
            return None
        table = self._buffer[position + _HEADER : position + _HEADER + n_segments]
        size = _HEADER + n_segments + sum(table)
        return position + size if available >= size else None


def _parse(raw: bytes) -> Page:
    n_segments = raw[26]
    table = raw[_HEADER : _HEADER + n_segments]
    pieces = []
    start = end = _HEADER + n_segments
    for lacing in table:
        end += lacing
        if lacing < 255:
            pieces.append(raw[start:end])
            start = end
    if end > start or (table and table[-1] == 255):
        pieces.append(raw[start:end])
    return Page(
        continued=bool(raw[5] & _CONTINUED),
        bos=bool(raw[5] & _BOS),
        eos=bool(raw[5] & _EOS),
        granule=int.from_bytes(raw[6:14], "little", signed=True),
        serial=int.from_bytes(raw[14:18], "little"),
        sequence=int.from_bytes(raw[18:22], "little"),
        pieces=tuple(pieces),
        complete=not table or table[-1] < 255,
    )


class OggOpusState(State, tag="ogg opus"):
    """What an OggOpusDecoder goes on from."""

    error: ErrorState | None
    pages: PagesState
    track: TrackState | None
    serial: int
    next_sequence: int
    ended: bool
    tags_pending: bool
    partial: bytes | None
    granule: int | None
    other_codec: str


class OggOpusDecoder(OpusWireDecoder):
    """Decodes the first Opus stream of an Ogg; streams chained behind it follow on without a gap."""

    def __init__(self) -> None:
        super().__init__()
        self._pages = PageReader()
        self._track: OpusTrack | None = None
        self._serial = -1
        self._next_sequence = 0
        self._ended = True
        self._tags_pending = False
        self._partial: bytearray | None = None
        self._granule: int | None = None
        self._other_codec = ""

    def snapshot(self) -> bytes:
        """See StreamDecoder."""
        return seal(
            OggOpusState(
                self._error_state(),
                self._pages.state(),
                self._track.state() if self._track else None,
                self._serial,
                self._next_sequence,
                self._ended,
                self._tags_pending,
                None if self._partial is None else bytes(self._partial),
                self._granule,
                self._other_codec,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, OggOpusState)
        self._restore_error(state.error)
        self._pages.restore(state.pages)
        self._track = OpusTrack.restored(state.track) if state.track else None
        self._serial, self._next_sequence = state.serial, state.next_sequence
        self._ended, self._tags_pending = state.ended, state.tags_pending
        self._partial = None if state.partial is None else bytearray(state.partial)
        self._granule, self._other_codec = state.granule, state.other_codec

    def _read(self, data: bytes) -> Iterator[Samples]:
        for page in self._pages.read(data):
            if page.bos:
                self._begin(page)
            elif page.serial == self._serial and self._track is not None:
                yield from self._decode(page, self._track)
            elif self._track is None:
                raise UndecodableAudio(
                    f"the Ogg stream holds {self._other_codec or 'no Opus'}, not Opus",
                    param="codec",
                    accepted=("opus",),
                    code="unsupported_codec",
                )

    def _begin(self, page: Page) -> None:
        first = page.pieces[0] if page.pieces else b""
        if not first.startswith(b"OpusHead"):
            self._other_codec = _codec_name(first)
            return
        if not self._ended and self._granule is None:
            return  # a second Opus stream beside the first, not behind it
        self._track = OpusTrack(OpusHead.parse(first))
        self._serial = page.serial
        self._next_sequence = page.sequence + 1
        self._ended = False
        self._tags_pending = True
        self._partial = None
        self._granule = None

    def _decode(self, page: Page, track: OpusTrack) -> Iterator[Samples]:
        if page.sequence != self._next_sequence:
            self._partial = None
        self._next_sequence = page.sequence + 1
        before48 = track.position48
        blocks: list[Samples] = []
        try:
            for packet in self._packets(page):
                blocks.append(track.decode(packet))
        except UndecodableAudio:
            yield join(blocks)
            raise
        samples = join(blocks)
        if page.granule != _NO_GRANULE:
            if page.eos:
                # The last page's granule position may say that fewer samples count than were decoded (RFC 7845 §4.4).
                start = self._granule or 0
                decoded48 = track.position48 - before48
                samples = track.trim_end(samples, min(decoded48, max(0, start + decoded48 - page.granule)))
            if not self._tags_pending:
                self._granule = page.granule
        self._ended = self._ended or page.eos
        yield samples

    def _packets(self, page: Page) -> Iterator[bytes]:
        """Packets that end on this page. The comment header is passed over without being stored (it may be large)."""
        for number, piece in enumerate(page.pieces):
            ends = page.complete or number < len(page.pieces) - 1
            if self._tags_pending:
                self._tags_pending = not ends
                continue
            if number == 0 and page.continued:
                if self._partial is None:
                    continue  # its beginning was lost
                piece = bytes(self._partial) + piece
            self._partial = None
            if ends:
                yield piece
            elif len(piece) <= MAX_PACKET_BYTES:
                self._partial = bytearray(piece)
            else:
                raise UndecodableAudio("an Ogg packet is too long for Opus", param="audio", code="bad_opus_packet")

    def _finish(self) -> None:
        if self._track is None and self._pages.touched:
            raise UndecodableAudio("the stream ended within its Ogg header", param="audio", code="truncated")


def _codec_name(first_packet: bytes) -> str:
    for magic, name in (
        (b"\x01vorbis", "Vorbis"),
        (b"\x7fFLAC", "FLAC"),
        (b"Speex", "Speex"),
        (b"\x80theora", "Theora"),
        (b"fishead", "a skeleton"),
    ):
        if first_packet.startswith(magic):
            return name
    return "an unknown codec"
