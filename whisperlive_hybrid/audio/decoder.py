"""What every live decoder looks like: bytes in, samples out, nothing lost at message borders."""

from __future__ import annotations

from typing import Protocol

from whisperlive_hybrid.audio.samples import Samples


class StreamDecoder(Protocol):
    """Turns the bytes of one live stream into samples.

    Pure state, no I/O: `feed` may be called with the stream cut anywhere and returns what can be decoded so far.
    """

    def feed(self, data: bytes) -> Samples:
        """Samples decoded from `data` (and what was left of earlier data): float32 [n], n may be 0.

        Raises UndecodableAudio when the stream cannot be decoded any further.
        """
        ...

    def flush(self) -> Samples:
        """The tail still held back by filters, once, at the end of the stream: float32 [n]."""
        ...

    def snapshot(self) -> bytes:
        """The state between two calls of `feed`, from which another decoder of the same kind goes on.

        PCM and all framing go on exactly. libopus cannot be saved: it is fed the last packets once more and then
        sounds the same, the bits of its first samples may differ.
        """
        ...

    def restore(self, snapshot: bytes) -> None:
        """Go on from there, as the first call on a fresh decoder. Raises BadInput (bad_snapshot)."""
        ...
