from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import Unavailable
from whisperlive_hybrid.live.checkpoint import Checkpoint, Checkpointer, pack, pack_finals, unpack, unpack_finals
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Final
from whisperlive_hybrid.live.frames import Mark
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.state import SessionState
from whisperlive_hybrid.speech.speech import SpeechOptions


def checkpoint(next_number: int, floor: int = 0) -> Checkpoint:
    return Checkpoint(LiveOptions(), SessionState(), Mark(next_number, 10 * next_number), next_number, floor)


def final(number: int) -> Numbered:
    return Numbered(number, Final(number, 0.0, 1.0, f"text {number}", "en", "m", 0.5))


class SlowStore:
    """Saves when it is let."""

    def __init__(self) -> None:
        self.saved: list[tuple[int, list[int]]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.failing: Exception | None = None
        self.ours = True

    async def save(self, id: str, body: bytes, entries: Sequence[tuple[int, bytes]] = (), forget_upto: int = 0) -> bool:
        await self.go.wait()
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        if self.ours:
            self.saved.append((unpack(body).next_number, [n.number for n in unpack_finals(entries)]))
        return self.ours


class Told:
    """A checkpointer, and what it told."""

    def __init__(self, store: SlowStore | None) -> None:
        self.written: list[tuple[int, int, bool]] = []
        self.lost = 0
        self.checkpointer = Checkpointer("s", store, self._on_written, self._on_lost)  # type: ignore[arg-type]

    def _on_written(self, checkpoint: Checkpoint, n_finals: int, safe: bool) -> None:
        self.written.append((checkpoint.next_number, n_finals, safe))

    def _on_lost(self) -> None:
        self.lost += 1


def test_a_checkpoint_comes_back_as_it_was() -> None:
    word = Word(" hi", np.float64(1.5), 2.0, 0.9)
    state = SessionState(4, "de", "was war", "de", 3, 9, told_end=99, speaking_from=80, cut_at=99, seam=(word,))
    options = LiveOptions("webm-opus", language="de", prompt="p", speech=SpeechOptions(max_utterance_s=6.0))
    before = Checkpoint(options, state, Mark(7, 70, b"\x00d", b"v"), 12, 3)
    assert unpack(pack(before)) == before
    finals = [Numbered(5, Final(1, 0.0, np.float64(1.0), "text", "de", "m", 0.5, (word,))), final(9)]
    assert unpack_finals(pack_finals(finals)) == finals


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x81\xa1a\x01", pack(checkpoint(1))[:-3]])
def test_one_of_another_kind_is_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(Unavailable) as caught:
        unpack(body)
    assert caught.value.code == "bad_checkpoint"


async def test_what_comes_while_one_is_written_is_written_together() -> None:
    store = SlowStore()
    told = Told(store)
    store.go.clear()
    for number in (2, 4, 6, 8):
        told.checkpointer.write(checkpoint(number), [final(number - 1)])
        await asyncio.sleep(0)
    assert not told.checkpointer.idle
    store.go.set()
    await told.checkpointer.close()
    assert store.saved == [(2, [1]), (8, [3, 5, 7])]
    assert told.written == [(2, 1, True), (8, 3, True)]
    assert told.checkpointer.idle


@pytest.mark.parametrize("error", [Unavailable("the disk is full"), TypeError("our own fault")])
async def test_finals_that_could_not_be_written_are_told_and_written_with_the_next(error: Exception) -> None:
    store = SlowStore()
    told = Told(store)
    store.failing = error
    for number in (2, 4):
        told.checkpointer.write(checkpoint(number), [final(number - 1)])
        await told.checkpointer.close()
    assert told.written == [(2, 1, False), (4, 1, False)]
    store.failing = None
    told.checkpointer.write(checkpoint(6, floor=1), [final(5)])
    await told.checkpointer.close()
    assert store.saved == [(6, [3, 5])]
    assert told.written[-1] == (6, 1, True)


async def test_a_session_of_another_process_is_told_once_and_not_as_written() -> None:
    store = SlowStore()
    told = Told(store)
    store.ours = False
    told.checkpointer.write(checkpoint(2), [final(1)])
    await told.checkpointer.close()
    assert (told.written, told.lost, store.saved) == ([], 1, [])


async def test_without_a_store_all_is_safe_at_once() -> None:
    told = Told(None)
    told.checkpointer.write(checkpoint(2), [final(1)])
    assert told.written == [(2, 1, True)]
