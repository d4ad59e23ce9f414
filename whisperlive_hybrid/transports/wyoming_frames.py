"""The framing of the Wyoming protocol: a line of JSON, then as many bytes of data and of payload as it names. Pure.

https://github.com/OHF-Voice/wyoming — the data of an event may stand in the line itself or in JSON behind it, which is
then added to it. No length is believed before it is compared with a limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from whisperlive_hybrid import __version__
from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.transports.json_text import json_object

MAX_LINE_BYTES: Final = 2**16
MAX_DATA_BYTES: Final = 2**18
MAX_PAYLOAD_BYTES: Final = 2**20
"""Of one event; half a minute of 16 kHz 16-bit samples."""


class BrokenStream(HybridError):
    """What follows cannot be read any more: where the next event begins is not known."""

    code = "bad_frame"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


class Framer:
    """Bytes in, cut anywhere; events out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        """Of the event whose data and payload are still to come."""

    @property
    def amid_payload(self) -> bool:
        """An event has begun whose payload is still to come."""
        return self._head is not None and self._head.payload_length > 0

    def feed(self, data: bytes) -> list[Frame]:
        """The events that are complete with these bytes. Raises BrokenStream."""
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while True:
            if self._head is None:
                end = self._buffer.find(b"\n", position, position + MAX_LINE_BYTES)
                if end < 0:
                    break
                line, position = bytes(self._buffer[position:end]), end + 1
                if line.strip():
                    self._head = _Head.of(line)
                continue
            head = self._head
            payload_at = position + head.data_length
            end = payload_at + head.payload_length
            if len(self._buffer) < end:
                break
            more = bytes(self._buffer[position:payload_at])
            frames.append(Frame(head.type, head.with_data(more), bytes(self._buffer[payload_at:end])))
            position, self._head = end, None
        del self._buffer[:position]
        if self._head is None and len(self._buffer) >= MAX_LINE_BYTES:
            raise BrokenStream(f"an event's line has more than {MAX_LINE_BYTES} bytes")
        return frames


@dataclass(frozen=True, slots=True)
class _Head:
    type: str
    data: dict[str, Any]
    data_length: int
    payload_length: int

    @classmethod
    def of(cls, line: bytes) -> _Head:
        values = _object(line, "an event's line")
        type_, data = values.get("type"), values.get("data")
        if not isinstance(type_, str):
            raise BrokenStream("an event's line has no type")
        if data is not None and not isinstance(data, dict):
            raise BrokenStream("the data of an event is not an object")
        return cls(
            type_,
            data or {},
            _length(values, "data_length", MAX_DATA_BYTES),
            _length(values, "payload_length", MAX_PAYLOAD_BYTES),
        )

    def with_data(self, more: bytes) -> dict[str, Any]:
        return {**self.data, **_object(more, "the data of an event")} if more else self.data


def _length(values: dict[str, Any], name: str, most: int) -> int:
    value = values.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BrokenStream(f"{name} is a whole number from 0 to {most}")
    return value


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        return json_object(text, what)
    except BadInput as error:
        raise BrokenStream(error.message) from None


def encode(type: str, data: dict[str, Any] | None = None) -> bytes:
    """An event as it goes over the wire: its data behind the line, as the protocol's own library writes it."""
    line: dict[str, Any] = {"type": type, "version": __version__}
    more = msgspec.json.encode(data) if data else b""
    if more:
        line["data_length"] = len(more)
    return msgspec.json.encode(line) + b"\n" + more
