"""Rows with defaults, and databases for tests that hold for SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.rows import ClipRow, DeliveryRow, JobRow, TranscriptRow


def make_clip(**changes: Any) -> ClipRow:
    """A clip of nobody."""
    values: dict[str, Any] = {
        "id": new_id("clip"),
        "name": "a.wav",
        "media_type": "audio/wav",
        "size_bytes": 10,
        "sha256": "0" * 64,
        "duration_s": 1.0,
        "source_url": None,
        "created_at": 1000.0,
    }
    return ClipRow(**{**values, **changes})


def make_job(clip_id: str | None, **changes: Any) -> JobRow:
    """A queued job."""
    values: dict[str, Any] = {
        "id": new_id("job"),
        "batch_id": None,
        "clip_id": clip_id,
        "source_url": None,
        "route": None,
        "kept": True,
        "options": b"{}",
        "model": "digits",
        "content_key": None,
        "fresh": False,
        "callback_url": None,
        "state": "queued",
        "priority": 0,
        "attempts": 0,
        "losses": 0,
        "failures": 0,
        "not_before": 0.0,
        "lease": None,
        "lease_until": None,
        "cancel_asked": False,
        "done_s": 0.0,
        "total_s": None,
        "n_segments": 0,
        "error_code": None,
        "error_message": None,
        "created_at": 1000.0,
        "started_at": None,
        "finished_at": None,
    }
    return JobRow(**{**values, **changes})


def make_transcript(job: JobRow, text: str = "one two", **changes: Any) -> TranscriptRow:
    """What became of a job."""
    assert job.clip_id is not None
    values: dict[str, Any] = {
        "job_id": job.id,
        "clip_id": job.clip_id,
        "text": text,
        "body": b"{}",
        "created_at": 1000.0,
    }
    return TranscriptRow(**{**values, **changes})


def make_delivery(job_id: str, **changes: Any) -> DeliveryRow:
    """A webhook that is due."""
    values: dict[str, Any] = {
        "id": new_id("msg"),
        "job_id": job_id,
        "event": "job.done",
        "url": "https://example.org/hook",
        "body": b"{}",
        "state": "waiting",
        "attempts": 0,
        "next_at": 0.0,
        "lease": None,
        "lease_until": None,
        "last_status": None,
        "last_error": None,
        "created_at": 1000.0,
        "delivered_at": None,
    }
    return DeliveryRow(**{**values, **changes})
