from __future__ import annotations

from whisperlive_hybrid.live.events import Ack
from whisperlive_hybrid.live.frames import Mark
from whisperlive_hybrid.live.progress import ACK_INTERVAL_S, Progress


def receive(progress: Progress, n: int) -> None:
    for _ in range(n):
        frames = progress.frames
        end = 8000 * (frames.take() + 1)
        frames.decoded(end)
        frames.mark(b"d", b"v")


def test_what_is_received_is_told_soon_and_what_is_committed_once_it_is_written() -> None:
    progress = Progress(0.0, silent_interval_s=5.0)
    receive(progress, 4)
    assert progress.ack(0.1) is None
    assert progress.next_deadline() == ACK_INTERVAL_S
    assert progress.ack(0.5) == Ack(4, 0)
    assert not progress.checkpoint_due(0.5)
    progress.frames.settle(16_000)
    assert progress.checkpoint_due(0.6)
    assert progress.ask(0.6) == Mark(2, 16_000, b"d", b"v")
    assert not progress.checkpoint_due(0.6)
    assert progress.ack(1.0, force=True) is None, "it is not written yet"
    progress.written(2)
    assert progress.ack(0.7) is None
    assert progress.ack(0.7, force=True) == Ack(4, 2)
    assert progress.ack(9.0, force=True) is None, "no news"
    assert progress.next_deadline() is None


def test_in_silence_a_checkpoint_comes_now_and_then() -> None:
    progress = Progress(0.0, silent_interval_s=5.0)
    written = []
    for i in range(1, 40):
        now = 0.5 * i
        receive(progress, 1)
        progress.frames.settle(8000 * i)
        if progress.checkpoint_due(now):
            written.append(now)
            progress.written(progress.ask(now).frames)
    assert written == [0.5, 5.5, 10.5, 15.5]
    assert progress.next_deadline() is not None


def test_one_that_could_not_be_written_is_tried_again() -> None:
    progress = Progress(0.0, silent_interval_s=5.0)
    receive(progress, 1)
    progress.frames.settle(8000)
    progress.ask(1.0)
    progress.not_written()
    assert progress.ack(1.0, force=True) == Ack(1, 0)
    assert progress.next_deadline() == 6.0
    assert not progress.checkpoint_due(5.9)
    assert progress.checkpoint_due(6.0)


def test_where_checkpoints_cost_nothing_each_message_has_one() -> None:
    progress = Progress(0.0, silent_interval_s=0.0)
    receive(progress, 3)
    for i in (1, 2, 3):
        progress.frames.settle(8000 * i)
        assert progress.checkpoint_due(0.0)
        progress.written(progress.ask(0.0).frames)
        assert progress.ack(0.0, force=True) == Ack(3, i)


def test_a_session_that_goes_on_has_acknowledged_what_its_checkpoint_names() -> None:
    progress = Progress(0.0, Mark(7, 56_000))
    assert progress.ack(9.0, force=True) is None
    assert progress.frames.received == 7
