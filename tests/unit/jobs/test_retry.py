"""What is tried again, and when."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.errors import (
    DiskFull,
    ModelUnavailable,
    NotFound,
    Refused,
    TooLarge,
    Unavailable,
    UndecodableAudio,
    WorkerLost,
)
from whisperlive_hybrid.jobs.retry import (
    FIRST_DELAY_S,
    MAX_ATTEMPTS,
    MAX_DELAY_S,
    MAX_LOSSES,
    OUTAGE_ATTEMPTS,
    after_failure,
    after_loss,
    wait_after_loss,
)
from whisperlive_hybrid.storage.faults import BlobMissing, StoreFailed


@pytest.mark.parametrize(
    "error",
    [
        UndecodableAudio("x", code="not_audio"),
        TooLarge("x", limit=1),
        NotFound("x", kind="clip", id="1"),
        ModelUnavailable("x", model="m"),
    ],
)
def test_what_will_not_get_better_is_not_tried_again(error: Exception) -> None:
    decision = after_failure(error, 1)
    assert decision.delay_s is None
    assert (decision.code, decision.message) == (error.code, "x")  # type: ignore[attr-defined]


def test_our_faults_are_tried_again_ever_later() -> None:
    delays = [after_failure(WorkerLost("x"), n).delay_s for n in range(1, MAX_ATTEMPTS + 1)]
    assert delays == [5.0, 30.0, 180.0, None]
    assert after_failure(Refused("x", retry_after_s=77), 1).delay_s == 77
    assert after_failure(Unavailable("x"), MAX_ATTEMPTS).delay_s is None


def test_an_outage_of_the_storage_is_waited_for() -> None:
    assert after_failure(DiskFull("x"), 1).delay_s == MAX_DELAY_S
    assert after_failure(StoreFailed("x"), 1).delay_s == FIRST_DELAY_S
    for error in (StoreFailed("x"), DiskFull("x")):
        delays = [after_failure(error, n).delay_s for n in range(1, OUTAGE_ATTEMPTS)]
        assert None not in delays
        assert 86_400 <= sum(filter(None, delays)) < 100_000
        assert after_failure(error, OUTAGE_ATTEMPTS).delay_s is None
    assert after_failure(BlobMissing("x"), MAX_ATTEMPTS).delay_s is None


def test_what_nobody_expected_is_not_told() -> None:
    decision = after_failure(RuntimeError("a secret"), 1)
    assert decision.code == "internal_error"
    assert "secret" not in decision.message


def test_a_file_over_which_processes_die_waits_ever_longer() -> None:
    waits = [wait_after_loss(n) for n in range(1, MAX_LOSSES + 1)]
    assert waits == [0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 0.0]


def test_a_file_over_which_processes_die_is_given_up() -> None:
    assert after_loss(MAX_LOSSES - 1) is None
    given_up = after_loss(MAX_LOSSES)
    assert given_up is not None
    assert (given_up.delay_s, given_up.code) == (None, "worker_lost")
