"""The states of a job."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from whisperlive_hybrid.errors import Conflict
from whisperlive_hybrid.jobs.job import OVER, STATES, TRANSITIONS, Step, after, before


def test_every_step_leads_somewhere_or_is_refused() -> None:
    for state, step in itertools.product(STATES, get_args(Step)):
        if (state, step) in TRANSITIONS:
            assert after(state, step) in STATES
        else:
            with pytest.raises(Conflict, match=f"is {state}") as refused:
                after(state, step)
            assert refused.value.code == f"job_{state}"


def test_what_is_over_is_only_tried_again() -> None:
    for state, step in TRANSITIONS:
        assert (state in OVER) == (step == "retry")


def test_every_state_can_be_reached() -> None:
    assert {"queued", *TRANSITIONS.values()} == set(STATES)


def test_where_steps_are_taken() -> None:
    assert before("retry") == ("failed", "cancelled")
    assert before("cancel") == ("queued", "running")
