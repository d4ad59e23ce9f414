from __future__ import annotations

from typing import Any

from benchmarks.live.metrics import erased
from benchmarks.live.wire import Update, our_updates, whisperlive_updates


def partial(segment: int, append: str, tentative: str) -> dict[str, Any]:
    return {"type": "partial", "segment": segment, "append": append, "tentative": tentative}


def final(segment: int, text: str) -> dict[str, Any]:
    return {"type": "final", "segment": segment, "text": text}


def segment(text: str, start: str, end: str, *, completed: bool = False) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text, "completed": completed}


def test_our_partials_grow_and_a_final_takes_their_place() -> None:
    updates = our_updates(
        [
            (0.0, {"type": "ready"}),
            (1.0, partial(0, "", "One two")),
            (1.5, partial(0, "One", " two three")),
            (2.0, final(0, "One two four.")),
            (3.0, partial(1, "", "five")),
        ]
    )
    assert updates == [
        Update(1.0, (), ("one", "two"), 0),
        Update(1.5, (), ("one", "two", "three"), 1),
        Update(2.0, ("one", "two", "four")),
        Update(3.0, ("one", "two", "four"), ("five",), 0),
    ]


def test_a_segment_may_begin_before_the_one_before_it_is_final() -> None:
    updates = our_updates(
        [
            (1.0, partial(0, "one", " two")),
            (2.0, partial(1, "three", "")),
            (3.0, final(0, "one two")),
            (4.0, final(1, "three")),
        ]
    )
    assert updates[1] == Update(2.0, (), ("one", "two", "three"), 1)
    assert updates[2] == Update(3.0, ("one", "two"), ("three",), 1)
    assert updates[3].final == ("one", "two", "three")


def test_a_segment_of_whisperlive_is_taken_once_however_often_it_comes() -> None:
    done = segment(" five five.", "0.000", "1.000", completed=True)
    again = segment(" five five.", "1.000", "2.000", completed=True)
    updates = whisperlive_updates(
        [
            (0.0, {"uid": "a", "message": "SERVER_READY"}),
            (1.0, {"segments": [segment(" five.", "0.000", "0.500")]}),
            (2.0, {"segments": [done, segment(" six", "1.000", "1.500")]}),
            (2.5, {"segments": [done]}),
            (3.0, {"segments": [done, again]}),
        ]
    )
    assert updates == [
        Update(1.0, (), ("five",)),
        Update(2.0, ("five", "five"), ("six",)),
        Update(2.5, ("five", "five")),
        Update(3.0, ("five", "five", "five", "five")),
    ]
    assert erased(updates) == 1
