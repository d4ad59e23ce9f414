"""Lines of `whisperlive-hybrid jobs`."""

from __future__ import annotations

from whisperlive_hybrid.cli.jobs import line_of_job
from whisperlive_hybrid.client.job_records import Job


def test_a_request_of_which_nothing_is_kept_is_listed_by_its_route() -> None:
    job = Job.of({"job_id": "job_1", "state": "done", "route": "/transcribe", "kept": False})

    assert line_of_job(job).endswith("(request to /transcribe)")
