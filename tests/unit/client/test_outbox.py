from __future__ import annotations

import pytest

from whisperlive_hybrid.client.outbox import Message, Outbox


def drain(outbox: Outbox) -> list[Message]:
    sent = []
    while (message := outbox.next()) is not None:
        sent.append(message)
    return sent


def test_messages_go_out_once_in_order() -> None:
    outbox = Outbox()
    outbox.add(b"a")
    outbox.add("flush")
    outbox.add(b"bc")
    assert drain(outbox) == [b"a", "flush", b"bc"]
    assert drain(outbox) == []
    assert (outbox.n_frames, outbox.n_bytes) == (2, 3)


def test_committed_frames_and_what_lies_before_them_are_forgotten() -> None:
    outbox = Outbox()
    for message in (b"a", "flush", b"b", b"c"):
        outbox.add(message)
    drain(outbox)
    outbox.committed(2)
    assert outbox.n_bytes == 1
    outbox.resend_from(2)
    assert drain(outbox) == [b"c"]


def test_a_new_connection_repeats_from_the_frame_named() -> None:
    outbox = Outbox()
    for message in (b"a", b"b", "flush", b"c", "stop"):
        outbox.add(message)
    drain(outbox)
    outbox.committed(1)
    outbox.resend_from(2)
    assert drain(outbox) == ["flush", b"c", "stop"]
    outbox.resend_from(1)
    assert drain(outbox) == [b"b", "flush", b"c", "stop"]


def test_what_was_never_sent_goes_out_after_a_resume() -> None:
    outbox = Outbox()
    outbox.add(b"a")
    drain(outbox)
    outbox.add(b"b")
    outbox.resend_from(1)
    outbox.add(b"c")
    assert drain(outbox) == [b"b", b"c"]


def test_stop_holds_until_the_end() -> None:
    outbox = Outbox()
    outbox.add(b"a")
    outbox.add("stop")
    drain(outbox)
    outbox.committed(1)
    outbox.resend_from(1)
    assert drain(outbox) == ["stop"]


def test_unsent_frames_are_never_forgotten() -> None:
    outbox = Outbox()
    outbox.add(b"a")
    outbox.committed(1)
    assert drain(outbox) == [b"a"]


@pytest.mark.parametrize("frame", [0, 4])
def test_frames_that_are_not_kept_cannot_be_sent_again(frame: int) -> None:
    outbox = Outbox()
    for message in (b"a", b"b", b"c"):
        outbox.add(message)
    drain(outbox)
    outbox.committed(1)
    with pytest.raises(ValueError, match="1 to 3 are kept"):
        outbox.resend_from(frame)
