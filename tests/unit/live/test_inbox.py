from __future__ import annotations

import pytest

from whisperlive_hybrid.live.commands import Audio, Codec, Flush, LiveOptions
from whisperlive_hybrid.live.inbox import INBOX_BYTES, INBOX_S, Inbox


def fill(inbox: Inbox, n_bytes: int) -> int:
    """Messages until it is full."""
    n = 0
    while not inbox.full:
        inbox.put(Audio(bytes(n_bytes)))
        n += 1
    return n


@pytest.mark.parametrize(
    ("codec", "rate", "channels"), [("pcm_s16le", 16_000, 1), ("pcm_f32le", 16_000, 1), ("pcm_s16le", 8_000, 2)]
)
def test_pcm_is_bounded_in_seconds(codec: Codec, rate: int, channels: int) -> None:
    inbox = Inbox(LiveOptions(codec=codec, sample_rate=rate, channels=channels))
    half_second = rate * channels * (4 if codec == "pcm_f32le" else 2) // 2
    assert fill(inbox, half_second) == 2 * INBOX_S
    inbox.put(Flush())
    inbox.get()
    assert not inbox.full
    assert inbox.audio_s == INBOX_S - 0.5


def test_dense_pcm_is_bounded_in_bytes_as_well() -> None:
    inbox = Inbox(LiveOptions(codec="pcm_f32le", sample_rate=192_000, channels=8))
    fill(inbox, 100_000)
    assert inbox.audio_s < INBOX_S
    assert sum(1 for _ in range(len(inbox))) * 100_000 < INBOX_BYTES + 100_000


def test_coded_audio_is_bounded_by_what_it_turned_out_to_hold() -> None:
    inbox = Inbox(LiveOptions(codec="opus"))
    assert fill(inbox, 1000) == 20, "assumed sparse until some of it was decoded"
    while len(inbox):
        inbox.get()
    inbox.decoded(8000, 1.0)  # 64 kbit/s
    assert fill(inbox, 1000) == 80
    while len(inbox):
        inbox.get()
    inbox.decoded(8000, 63.0)  # and a long silence, of which hardly anything is sent
    assert fill(inbox, 1000) == 3


def test_commands_come_out_in_order() -> None:
    inbox = Inbox(LiveOptions(codec="opus"))
    commands = [Audio(b"a"), Flush(), Audio(b"b")]
    for command in commands:
        inbox.put(command)
    assert [inbox.get() for _ in commands] == commands
    with pytest.raises(IndexError):
        inbox.get()
