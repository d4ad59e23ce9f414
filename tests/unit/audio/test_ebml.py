from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("A3 81", Element(0xA3, 1, 2)),
        ("1A45DFA3 9F", Element(0x1A45DFA3, 0x1F, 5)),
        ("1F43B675 01FFFFFFFFFFFFFF", Element(0x1F43B675, None, 12)),
        ("1F43B675 FF", Element(0x1F43B675, None, 5)),
        ("EC 4081", Element(0xEC, 0x81, 3)),
        ("EC 01000000000000FF", Element(0xEC, 255, 9)),
    ],
)
def test_headers(data: str, expected: Element) -> None:
    raw = bytes.fromhex(data)
    assert read_header(b"??" + raw, 2) == expected
    for n in range(len(raw)):
        assert read_header(raw[:n], 0) is None


@pytest.mark.parametrize("data", ["00", "08 81", "A3 00"])
def test_widths_that_do_not_exist(data: str) -> None:
    with pytest.raises(BadEbml):
        read_header(bytes.fromhex(data) + bytes(10), 0)


def test_children_must_fill_their_parent() -> None:
    assert list(children(bytes.fromhex("D7 81 05 83 81 02"))) == [(0xD7, b"\x05"), (0x83, b"\x02")]
    for broken in ("D7 82 05", "D7", "D7 FF 05"):
        with pytest.raises(BadEbml):
            list(children(bytes.fromhex(broken)))


def test_numbers() -> None:
    assert read_number(b"\x81", 0) == (1, 1)
    assert read_number(b"?\x40\x05", 1) == (5, 3)
    assert (unsigned(b"\x01\x00"), unsigned(b""), signed(b"\xff"), signed(b"\x7f")) == (256, 0, -1, 127)
    for broken in (b"", b"\x40"):
        with pytest.raises(BadEbml):
            read_number(broken, 0)
    for read in (unsigned, signed):
        with pytest.raises(BadEbml):
            read(bytes(9))


@given(st.binary(max_size=60), st.sampled_from([1, 2, 3]))
def test_laces_fill_the_block_or_are_refused(block: bytes, lacing: int) -> None:
    try:
        sizes, start = lace_sizes(block, 0, lacing)
    except BadEbml:
        return
    assert start + sum(sizes) == len(block)
    assert min(sizes) >= 0
    assert len(sizes) == block[0] + 1
