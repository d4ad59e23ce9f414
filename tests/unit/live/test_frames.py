from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.live.frames import FrameLedger, Mark


def test_messages_are_committed_when_everything_before_their_end_is_final() -> None:
    frames = FrameLedger()
    assert [frames.take() for _ in range(3)] == [0, 1, 2]
    for end in (8000, 8000):  # the second held no whole packet
        frames.decoded(end)
        frames.mark()
    assert frames.settle(7999) == 0
    assert frames.settle(8000) == 2
    assert (frames.received, frames.committed) == (3, 2)
    assert frames.settle(99_999) == 2, "the third is not decoded yet"
    frames.decoded(16_000)
    frames.mark()
    assert frames.settle(16_000) == 3


def test_only_as_much_is_committed_as_another_process_could_go_on_from() -> None:
    frames = FrameLedger()
    for end in (100, 200, 300, 400):
        frames.take()
        frames.decoded(end)
        if end in (200, 400):
            assert frames.unmarked == 200
            frames.mark(b"decoder", bytes([end // 100]))
            assert frames.unmarked == 0
    assert [frames.settle(end) for end in (100, 200, 399, 400)] == [0, 2, 2, 4]
    assert frames.settled == Mark(4, 400, b"decoder", b"\x04")
    again = FrameLedger(frames.settled)
    assert (again.received, again.committed, again.take()) == (4, 4, 4)
    with pytest.raises(ValueError, match="before the one it follows"):
        again.decoded(399)
    again.decoded(500)
    assert again.unmarked == 100


def test_what_cannot_be_is_refused() -> None:
    frames = FrameLedger()
    with pytest.raises(ValueError, match="more messages decoded"):
        frames.decoded(0)
    frames.take()
    frames.take()
    frames.decoded(10)
    with pytest.raises(ValueError, match="before the one it follows"):
        frames.decoded(9)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=50), st.integers(1, 7))
def test_no_more_is_committed_than_settled_and_it_never_goes_back(messages: list[tuple[int, bool]], lag: int) -> None:
    frames, end, marked, last = FrameLedger(), 0, [(0, -9)], 0
    for i, (length, mark) in enumerate(messages):
        frames.take()
        end += length
        frames.decoded(end)
        if mark:
            frames.mark()
            marked.append((i + 1, end))
        committed = frames.settle(end - lag)
        assert committed >= last
        assert committed == max(n for n, e in marked if e <= end - lag)
        last = committed
