"""EBML (RFC 8794): ids, sizes, numbers and laces out of bytes that may end anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

XIPH, FIXED, EBML_LACING = 1, 2, 3


class BadEbml(Exception):
    """These bytes are not EBML; the reader decides what that means for the stream."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element's header. `size` of its content in bytes, None is unknown."""

    id: int
    size: int | None
    header_size: int


def read_header(data: bytes | bytearray, position: int) -> Element | None:
    """The element header at `position`, or None while it is not complete. Raises BadEbml."""
    if position >= len(data):
        return None
    id_size = _width(data[position], 4)
    if position + id_size >= len(data):
        return None
    id = int.from_bytes(data[position : position + id_size], "big")
    size_at = position + id_size
    size_size = _width(data[size_at], 8)
    if size_at + size_size > len(data):
        return None
    size: int | None = int.from_bytes(data[size_at : size_at + size_size], "big") & ((1 << 7 * size_size) - 1)
    if size == (1 << 7 * size_size) - 1:
        size = None
    return Element(id, size, id_size + size_size)


def children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(id, content) of the elements that fill `data`. Raises BadEbml when they do not."""
    position = 0
    while position < len(data):
        element = read_header(data, position)
        if element is None or element.size is None:
            raise BadEbml
        start = position + element.header_size
        position = start + element.size
        if position > len(data):
            raise BadEbml
        yield element.id, data[start:position]


def read_number(data: bytes, position: int) -> tuple[int, int]:
    """A number of variable width and the position behind it. Raises BadEbml."""
    if position >= len(data):
        raise BadEbml
    width = _width(data[position], 8)
    end = position + width
    if end > len(data):
        raise BadEbml
    return int.from_bytes(data[position:end], "big") & ((1 << 7 * width) - 1), end


def unsigned(content: bytes) -> int:
    """An unsigned integer element. Raises BadEbml over 8 bytes."""
    if len(content) > 8:
        raise BadEbml
    return int.from_bytes(content, "big")


def signed(content: bytes) -> int:
    """A signed integer element. Raises BadEbml over 8 bytes."""
    if len(content) > 8:
        raise BadEbml
    return int.from_bytes(content, "big", signed=True)


def lace_sizes(block: bytes, position: int, lacing: int) -> tuple[list[int], int]:
    """Sizes of the frames laced in `block`, and where the first begins (RFC 9559 §10.3). Raises BadEbml."""
    if position >= len(block):
        raise BadEbml
    n_frames = block[position] + 1
    position += 1
    sizes: list[int] = []
    if lacing == FIXED:
        size, rest = divmod(len(block) - position, n_frames)
        if rest:
            raise BadEbml
        return [size] * n_frames, position
    for number in range(n_frames - 1):
        if lacing == XIPH:
            size = 0
            while True:
                if position >= len(block):
                    raise BadEbml
                size += block[position]
                position += 1
                if block[position - 1] < 255:
                    break
        else:
            start = position
            size, position = read_number(block, position)
            if number > 0:  # later sizes are signed differences to the one before
                size += sizes[-1] - ((1 << 7 * (position - start) - 1) - 1)
        sizes.append(size)
    last = len(block) - position - sum(sizes)
    if last < 0 or min(sizes, default=0) < 0:
        raise BadEbml
    return [*sizes, last], position


def _width(first: int, limit: int) -> int:
    width = 9 - first.bit_length()
    if width > limit:
        raise BadEbml
    return width
