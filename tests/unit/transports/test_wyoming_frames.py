"""The framing of the Wyoming protocol: cut anywhere, bounded, and nothing but BrokenStream for what is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.transports.wyoming_frames import (
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    BrokenStream,
    Frame,
    Framer,
    encode,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FRAMES = st.lists(
    st.builds(Frame, TEXT, st.dictionaries(TEXT, TEXT | st.integers(0, 9), max_size=3), st.binary(max_size=20)),
    max_size=4,
)


def written(frame: Frame, *, behind: bool) -> bytes:
    """A frame with its data behind its line, or in it."""
    line: dict[str, object] = {"type": frame.type, "payload_length": len(frame.payload)}
    more = json.dumps(frame.data).encode() if behind else b""
    line |= {"data_length": len(more)} if behind else {"data": frame.data}
    return json.dumps(line).encode() + b"\n" + more + frame.payload


@given(FRAMES, st.booleans(), st.lists(st.integers(0, 400), max_size=6))
def test_frames_come_out_as_they_went_in_wherever_they_are_cut(
    frames: list[Frame], behind: bool, cuts: list[int]
) -> None:
    data = b"".join(written(f, behind=behind) for f in frames)
    framer, out, at = Framer(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        out += framer.feed(data[at : max(cut, at)])
        at = max(cut, at)

    assert out == frames


@given(st.binary(max_size=300))
def test_nothing_but_broken_stream_is_raised(data: bytes) -> None:
    framer = Framer()
    try:
        for i in range(0, len(data), 7):
            framer.feed(data[i : i + 7])
    except BrokenStream as error:
        assert error.message


def test_data_in_the_line_and_behind_it_are_put_together() -> None:
    line = b'{"type": "t", "data": {"a": 1, "b": 1}, "data_length": 7}\n{"b":2}'

    assert Framer().feed(line) == [Frame("t", {"a": 1, "b": 2})]


def test_what_is_held_is_bounded() -> None:
    with pytest.raises(BrokenStream):
        Framer().feed(b"x" * MAX_LINE_BYTES)
    with pytest.raises(BrokenStream):
        Framer().feed(b'{"type": "t", "payload_length": %d}\n' % (MAX_PAYLOAD_BYTES + 1))


def test_encode() -> None:
    assert Framer().feed(encode("a", {"text": "ü"}) + encode("b")) == [Frame("a", {"text": "ü"}), Frame("b")]


def test_it_knows_that_a_payload_is_still_to_come() -> None:
    framer = Framer()
    seen = []
    for piece in (b"\n", b'{"type": "t", "payload_', b'length": 9}\nabc', b"def", b"ghi", b'{"type": "t"', b"}\n"):
        framer.feed(piece)
        seen.append(framer.amid_payload)

    assert seen == [False, False, True, True, False, False, False]
