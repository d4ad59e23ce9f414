"""Whether a job that failed is tried again, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from whisperlive_hybrid.errors import (
    BadInput,
    Conflict,
    DiskFull,
    HybridError,
    ModelUnavailable,
    NotFound,
    OverLimit,
    Refused,
)
from whisperlive_hybrid.storage.faults import BlobDamaged, BlobMissing, StoreFailed

MAX_ATTEMPTS: Final = 4
"""Faults of ours, in a row."""
OUTAGE_ATTEMPTS: Final = 300
"""While the storage fails or is full, which is no job's fault: about a day."""
MAX_LOSSES: Final = 10
"""Processes that may die over a job before it is taken for the cause."""
FIRST_DELAY_S: Final = 5.0
MAX_DELAY_S: Final = 300.0
_HOPELESS: Final = (BadInput, NotFound, ModelUnavailable, Conflict, OverLimit, BlobDamaged)


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Try again after `delay_s` seconds; None: it has failed for good."""

    delay_s: float | None
    code: str
    message: str


def after_failure(error: Exception, attempts: int) -> RetryDecision:
    """What to do about `error` at attempt number `attempts` of those that failed in a row, the first being 1."""
    code = error.code if isinstance(error, HybridError) else "internal_error"
    message = error.message if isinstance(error, HybridError) else "Something went wrong on the server; see its log."
    outage = isinstance(error, DiskFull | StoreFailed) and not isinstance(error, BlobMissing)
    if isinstance(error, _HOPELESS) or attempts >= (OUTAGE_ATTEMPTS if outage else MAX_ATTEMPTS):
        return RetryDecision(None, code, message)
    delay_s = min(FIRST_DELAY_S * 6 ** min(attempts - 1, 9), MAX_DELAY_S)
    if isinstance(error, Refused):
        delay_s = max(delay_s, error.retry_after_s)
    if isinstance(error, DiskFull):
        delay_s = MAX_DELAY_S  # somebody has to make room
    return RetryDecision(delay_s, code, message)


def wait_after_loss(losses: int) -> float:
    """Seconds that a job waits whose process has died for the `losses`th time in a row; none after the first.

    A file that kills processes lets others go on in between, and one that is only unlucky meets a better time.
    `after_loss` gives the last one up.
    """
    return 0.0 if losses < 2 or losses >= MAX_LOSSES else min(FIRST_DELAY_S * 2.0 ** min(losses - 2, 9), MAX_DELAY_S)


def after_loss(losses: int) -> RetryDecision | None:
    """A job that was left by processes which died; None: it goes on."""
    if losses < MAX_LOSSES:
        return None
    return RetryDecision(
        None, "worker_lost", f"The server ended {losses} times while it worked on this file, which is given up."
    )
