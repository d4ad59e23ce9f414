"""Webhooks that are owed for what became of a job, written in the transaction that records it. Pure, but for ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from whisperlive_hybrid.jobs.formats import plain
from whisperlive_hybrid.jobs.job import State
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.rows import DeliveryRow, JobRow

EVENTS: Final[dict[State, str]] = {
    "done": "transcription.completed",
    "failed": "transcription.failed",
    "cancelled": "transcription.cancelled",
}
"""What is told of how a job ended."""


def owed(
    job: JobRow, state: State, now: float, *, transcript: Transcript | None = None, error: Any = None
) -> list[DeliveryRow]:
    """The webhooks to owe for a job that has ended so: one where a callback was asked for.

    The body is Standard Webhooks' (https://www.standardwebhooks.com): type, timestamp, data.
    """
    if job.callback_url is None:
        return []
    event = EVENTS[state]
    body = {
        "type": event,
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "job_id": job.id,
            "batch_id": job.batch_id,
            "clip_id": job.clip_id,
            "state": state,
            "error": error,
            "transcription": None if transcript is None else plain(transcript),
        },
    }
    return [
        DeliveryRow(
            id=new_id("msg", now),
            job_id=job.id,
            event=event,
            url=job.callback_url,
            body=msgspec.json.encode(body),
            state="waiting",
            attempts=0,
            next_at=now,
            lease=None,
            lease_until=None,
            last_status=None,
            last_error=None,
            created_at=now,
            delivered_at=None,
        )
    ]
