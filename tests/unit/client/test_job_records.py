"""Jobs as the server's JSON tells them."""

from __future__ import annotations

from whisperlive_hybrid.client.job_records import Job


def test_a_batch_is_as_far_as_its_jobs_together() -> None:
    parts = [
        {"job_id": "job_1", "state": "done", "done_s": 3.0, "segments": 2, "attempts": 1},
        {"job_id": "job_2", "state": "running", "done_s": 1.5, "segments": 1, "attempts": 2},
    ]
    batch = Job.of({"job_id": "batch_1", "state": "running", "progress": 0.5, "total_s": 9.0, "jobs": parts})

    assert (batch.done_s, batch.segments, batch.attempts) == (4.5, 3, 2)
