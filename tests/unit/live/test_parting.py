"""What a session says last: the first reason counts, and it waits for what it has to wait for."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.live.events import Done, Failed
from whisperlive_hybrid.live.parting import Closing, Parting

DONE = Done(1.0, 1, 2, {})
STOPPED = Closing(1000, "done")
FAULT = Failed("internal_error", "Our fault.", fatal=True)
BROKEN = Closing(1011, "our fault")


def test_nothing_is_said_before_all_is_final() -> None:
    parting = Parting()
    parting.all_final()
    assert not parting.ending
    assert not parting.settled
    parting.end(FAULT, BROKEN)
    assert parting.ending
    assert not parting.settled
    with pytest.raises(ValueError, match="no last words"):
        parting.depart()
    parting.all_final()
    assert parting.settled
    assert parting.closing is None
    assert parting.depart() == FAULT
    assert parting.closing == BROKEN


def test_what_was_settled_first_is_said() -> None:
    parting = Parting()
    parting.say(DONE, STOPPED)
    parting.end(FAULT, BROKEN)
    parting.all_final()
    parting.say(FAULT, BROKEN)
    assert parting.depart() == DONE
    assert parting.closing == STOPPED


def test_last_words_wait_for_speakers() -> None:
    parting = Parting()
    assert not parting.release()
    assert parting.hold(DONE, STOPPED)
    assert not parting.hold(DONE, STOPPED)
    assert not parting.settled
    assert parting.release()
    assert parting.depart() == DONE
    assert not parting.release()


def test_an_error_comes_before_words_that_wait() -> None:
    parting = Parting()
    parting.hold(DONE, STOPPED)
    parting.end(FAULT, BROKEN)
    parting.all_final()
    assert not parting.release()
    assert parting.depart() == FAULT


def test_leaving_says_nothing() -> None:
    parting = Parting()
    parting.leave_to_another(Closing(1012, "server is going away"))
    assert parting.leaving
    parting.all_final()
    assert parting.depart() is None
    assert parting.closing == Closing(1012, "server is going away")
