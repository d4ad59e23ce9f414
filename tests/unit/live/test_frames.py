from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.live.frames import FrameLedger


def test_messages_are_committed_when_everything_before_their_end_is_final() -> None:
    frames = FrameLedger()
    assert [frames.take() for _ in range(3)] == [0, 1, 2]
    frames.decoded(8000)
    frames.decoded(8000)  # a message that held no whole packet
    assert frames.settle(7999) == 0
    assert frames.settle(8000) == 2
    assert (frames.received, frames.committed) == (3, 2)
    assert frames.settle(99_999) == 2, "the third is not decoded yet"
    frames.decoded(16_000)
    assert frames.settle(16_000) == 3


def test_what_cannot_be_is_refused() -> None:
    frames = FrameLedger()
    with pytest.raises(ValueError, match="more messages decoded"):
        frames.decoded(0)
    frames.take()
    frames.take()
    frames.decoded(10)
    with pytest.raises(ValueError, match="before the one it follows"):
        frames.decoded(9)


@given(st.lists(st.integers(0, 5), max_size=50), st.integers(1, 7))
def test_no_more_is_committed_than_settled_and_it_never_goes_back(lengths: list[int], lag: int) -> None:
    frames, end, ends, last = FrameLedger(), 0, [], 0
    for length in lengths:
        frames.take()
        end += length
        ends.append(end)
        frames.decoded(end)
        committed = frames.settle(end - lag)
        assert committed >= last
        assert committed == sum(e <= end - lag for e in ends)
        last = committed
