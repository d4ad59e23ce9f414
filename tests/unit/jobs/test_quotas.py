from __future__ import annotations

from typing import Any

import pytest

from whisperlive_hybrid.errors import OverLimit
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.storage.usage import DAY_S, Used

NOON = 20_000 * DAY_S + DAY_S / 2


def used(**values: Any) -> Used:
    return Used(**{"stored_bytes": 0, "queued_jobs": 0, "audio_s": 0.0, "oldest_at": None, **values})


def refused(quotas: Quotas, has: Used, **more: Any) -> OverLimit:
    with pytest.raises(OverLimit) as caught:
        quotas.judge(has, NOON, **more)
    return caught.value


def test_nothing_is_limited_by_default() -> None:
    assert not Quotas().are_any
    assert Quotas().owner("a") is None
    assert Quotas(queued_jobs=1).owner("a") == "a"
    Quotas().judge(
        used(stored_bytes=10**12, queued_jobs=10**6, audio_s=1e9), NOON, new_bytes=10**9, new_jobs=9, new_audio_s=1e9
    )


def test_stored_bytes() -> None:
    quotas = Quotas(stored_bytes=3_000_000)

    quotas.judge(used(stored_bytes=1_000_000), NOON, new_bytes=2_000_000)
    quotas.judge(used(stored_bytes=9_000_000), NOON, new_jobs=1, new_audio_s=1.0)
    error = refused(quotas, used(stored_bytes=1_000_000, oldest_at=NOON - 5), new_bytes=2_000_001)
    assert (error.code, error.limit, error.used, error.is_quota) == ("too_much_stored", 3_000_000, 1_000_000, True)
    assert error.message == (
        "This client has 1.0 MB stored, of 3.0 MB that it may have, and this is 2.0 MB more; delete clips to make room."
    )


def test_stored_bytes_that_retention_frees() -> None:
    quotas = Quotas(stored_bytes=1, keep_s=10 * DAY_S)

    error = refused(quotas, used(stored_bytes=1, oldest_at=NOON - 7 * DAY_S), new_bytes=1)
    assert error.retry_after_s == 3 * DAY_S
    assert error.message.endswith("delete clips to make room, or wait until the oldest is deleted in 3 days.")
    assert refused(quotas, used(stored_bytes=1, oldest_at=0.0), new_bytes=1).retry_after_s == 60.0


def test_waiting_jobs() -> None:
    quotas = Quotas(queued_jobs=3)

    quotas.judge(used(queued_jobs=2), NOON, new_jobs=1)
    quotas.judge(used(queued_jobs=9), NOON, new_bytes=1, new_audio_s=1.0)
    error = refused(quotas, used(queued_jobs=2), new_jobs=2)
    assert (error.code, error.limit, error.used, error.is_quota) == ("too_many_jobs", 3, 2, False)
    assert "2 jobs waiting, of 3 that it may have, and these are 2 more" in error.message


def test_audio_of_a_day() -> None:
    quotas = Quotas(audio_s_per_day=100.0)

    quotas.judge(used(audio_s=90.0), NOON, new_audio_s=10.0)
    quotas.judge(used(audio_s=99.0), NOON, new_audio_s=0.0)  # its length shows later
    error = refused(quotas, used(audio_s=90.0), new_audio_s=12.0)
    assert (error.code, error.limit, error.used, error.is_quota) == ("too_much_audio", 100.0, 90.0, True)
    assert error.retry_after_s == DAY_S / 2
    assert error.message == (
        "This client has had 90 s of audio today, of 100 s that it may have in a day, and this is 12 s more; "
        "the next day begins in 12 hours, at 00:00 UTC."
    )
    assert refused(quotas, used(audio_s=100.0), new_audio_s=0.0).used == 100.0
