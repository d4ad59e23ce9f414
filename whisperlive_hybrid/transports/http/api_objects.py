"""Clips, jobs and transcriptions as the /api routes show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import BadInput, Conflict, HybridError, Unavailable
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.job import HIGH, LOW, NORMAL, SERVER_FAULTS
from whisperlive_hybrid.jobs.search import Found
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.jobs.view import JobView
from whisperlive_hybrid.storage.jobs import BatchTotals
from whisperlive_hybrid.storage.rows import BatchRow, ClipRow, JobRow

PRIORITIES = {"low": LOW, "normal": NORMAL, "high": HIGH}
"""Names of priorities; any whole number between the first and the last may be given too."""


def moment(unix_s: float | None) -> str | None:
    """A time as RFC 3339 has it, in UTC."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clip_object(row: ClipRow, job: JobRow | None) -> dict[str, Any]:
    """A clip and how far its newest transcription is."""
    return {
        "clip_id": row.id,
        "name": row.name,
        "type": row.media_type,
        "bytes": row.size_bytes,
        "duration": row.duration_s,
        "sha256": row.sha256,
        "source_url": row.source_url,
        "created": moment(row.created_at),
        "transcription": {"status": "none", "job_id": None} if job is None else {"status": job.state, "job_id": job.id},
        "links": clip_links(row.id),
    }


def clip_links(id: str) -> dict[str, str]:
    """Where the clip's things are."""
    return {
        "self": f"/api/audio/{id}",
        "content": f"/api/audio/{id}/content",
        "transcription": f"/api/transcription/{id}",
    }


def job_object(view: JobView) -> dict[str, Any]:
    """A job."""
    row = view.row
    failed = row.error_code is not None and row.state in ("queued", "running", "failed")
    return {
        "job_id": row.id,
        "batch_id": row.batch_id,
        "clip_id": row.clip_id,
        "name": view.name,
        "source_url": row.source_url,
        "route": row.route,
        "kept": row.kept,
        "model": row.model,
        "priority": row.priority,
        "callback_url": row.callback_url,
        "created": moment(row.created_at),
        "started": moment(row.started_at),
        "finished": moment(row.finished_at),
        **progress_object(view),
        "error": {"code": row.error_code, "message": row.error_message} if failed else None,
        "links": job_links(row),
    }


def progress_object(view: JobView) -> dict[str, Any]:
    """How far a job is."""
    return {
        "state": view.row.state,
        "stage": view.stage,
        "progress": round(view.progress, 4),
        "done_s": view.done_s,
        "total_s": view.total_s,
        "seconds_left": None if view.seconds_left is None else round(view.seconds_left, 1),
        "queue_place": view.place,
        "attempts": view.row.attempts,
        "segments": view.row.n_segments,
    }


def job_links(row: JobRow) -> dict[str, str]:
    """Where the job's things are."""
    links = {"self": f"/api/jobs/{row.id}", "events": f"/api/jobs/{row.id}/events"}
    if row.kept:
        links["result"] = f"/api/jobs/{row.id}/result"
    return links if row.clip_id is None else {**links, "clip": f"/api/audio/{row.clip_id}"}


def batch_object(batch: BatchRow, views: list[JobView]) -> dict[str, Any]:
    """Jobs that were asked for together, as one."""
    states = [view.row.state for view in views]
    total_s = sum(view.total_s or 0.0 for view in views)
    # Where no length is known yet, each job counts alike.
    parts = [(view.progress, (view.total_s or 0.0) / total_s if total_s else 1 / len(views)) for view in views]
    left = [view.seconds_left for view in views if view.seconds_left is not None]
    return {
        "job_id": batch.id,
        "name": batch.name,
        "created": moment(batch.created_at),
        "state": batch_state(states),
        "progress": round(min(sum(progress * share for progress, share in parts), 1.0), 4) if views else 1.0,
        "total_s": total_s,
        "seconds_left": max(left) if left else None,
        "counts": {state: states.count(state) for state in sorted(set(states))},
        "jobs": [job_object(view) for view in views],
        "links": batch_links(batch.id),
    }


def batch_totals_object(batch: BatchTotals) -> dict[str, Any]:
    """A batch in a list: as a whole, without its jobs."""
    total_s = sum(each.total_s for each in batch.states)
    n = sum(each.n for each in batch.states)
    if total_s:
        share = sum(each.total_s if each.state == "done" else each.done_s for each in batch.states) / total_s
    else:
        share = sum(each.n for each in batch.states if each.state == "done") / n if n else 1.0
    return {
        "job_id": batch.row.id,
        "name": batch.row.name,
        "created": moment(batch.row.created_at),
        "state": batch_state([each.state for each in batch.states]),
        "progress": round(min(share, 1.0), 4),
        "total_s": total_s,
        "counts": {each.state: each.n for each in sorted(batch.states, key=lambda each: each.state)},
        "links": batch_links(batch.row.id),
    }


def batch_links(id: str) -> dict[str, str]:
    """Where the batch's things are."""
    return {"self": f"/api/jobs/{id}", "events": f"/api/jobs/{id}/events", "result": f"/api/jobs/{id}/result"}


def found_object(found: Found, *, searched: bool, text: bool) -> dict[str, Any]:
    """A transcription in a list, with the places where the words are that it was found by."""
    row = found.row
    shown: dict[str, Any] = {
        "clip_id": row.clip_id,
        "job_id": row.job_id,
        "name": found.name,
        "created": moment(row.created_at),
        "text": row.text if text else None,
        "links": {**clip_links(row.clip_id), "result": f"/api/jobs/{row.job_id}/result"},
    }
    if searched:
        shown["match_count"] = found.n_places
        shown["matches"] = [
            {
                "segment_id": place.segment,
                "start": place.start,
                "end": place.end,
                "speaker_label": place.speaker,
                "snippet": [{"text": piece.text, "match": piece.match} for piece in place.snippet],
            }
            for place in found.places
        ]
    return shown


def batch_state(states: list[str]) -> str:
    """What a batch is: running or queued while one of its jobs is, then done if one is, else failed or cancelled."""
    return next((s for s in ("running", "queued", "done", "failed", "cancelled") if s in states), "done")


def transcription_object(transcript: Transcript, clip_id: str, job_id: str) -> dict[str, Any]:
    """A finished transcription."""
    diarized = transcript.options.diarization is not None
    return {
        "clip_id": clip_id,
        "job_id": job_id,
        "model": transcript.model,
        "language": transcript.language,
        "language_probability": round(transcript.language_probability, 4),
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": [segment_object(i, s, clip_id) for i, s in enumerate(transcript.segments)],
        **(formats.speakers_object(transcript) if diarized else {}),
    }


def segment_object(number: int, segment: Segment, clip_id: str) -> dict[str, Any]:
    """One segment. `speaker_label` is null where speakers are not told apart; `words` are there if asked for."""
    shown: dict[str, Any] = {
        "id": number,
        "audio_clip_id": clip_id,
        "start": segment.start,
        "end": segment.end,
        "speaker_label": segment.speaker,
        "text": segment.text.strip(),
    }
    if segment.words:
        shown["words"] = [
            {
                "word": w.text.strip(),
                "start": w.start,
                "end": w.end,
                "probability": round(w.probability, 4),
                "speaker_label": w.speaker,
            }
            for w in segment.words
        ]
    return shown


def failure(row: JobRow) -> HybridError:
    """Why a job has no result, as the error that a request which waits for it gets."""
    if row.state == "cancelled":
        return Conflict(f"{row.id} was cancelled.", code="job_cancelled")
    code, message = row.error_code or "internal_error", row.error_message or "The job failed."
    return Unavailable(message, code=code) if code in SERVER_FAULTS else BadInput(message, code=code)
