"""The verdict of the crash benchmark, on cases whose answer is known, and a short run of it."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.crash_callers import clip_of_its_own
from benchmarks.crash_ledger import Acknowledged, Ledger, Verdict, judge
from benchmarks.crashes import Outcome, report

ONE = Acknowledged("one step", "clip_1", "job_1", "aa", True)
TWO = Acknowledged("one step", "clip_2", "job_2", "bb", False)


def found(**states: str) -> dict[str, dict[str, Any]]:
    return {
        id: {"state": state, "text": f"of {id}", "clip_id": id.replace("job", "clip")} for id, state in states.items()
    }


def test_all_is_there() -> None:
    ledger = Ledger([ONE, TWO], {"job_1": "of job_1"})
    contents: dict[str, str | None] = {"clip_1": "aa", "clip_2": "bb", "clip_never_told": "cc"}
    hooks = [("job_1", "msg_1"), ("job_1", "msg_1"), ("job_9", "msg_9")]
    verdict = judge(ledger, found(job_1="done", job_2="done"), contents, hooks)
    assert verdict == Verdict()
    assert report(Outcome(ledger, verdict, [1.0], 3), 10.0, "folder.") == 0


def test_each_fault_is_found() -> None:
    ledger = Ledger([ONE, TWO], {"job_1": "another text"})
    ledger.refusals.update({"503 storage_failed": 3, "500 internal_error": 1})
    faults = judge(
        ledger,
        {**found(job_1="failed"), "job_3": {"state": "done", "clip_id": "clip_1"}},
        {"clip_1": "zz"},
        [("job_2", "msg_1"), ("job_2", "msg_2")],
    )
    assert faults == Verdict(
        lost_clips=("clip_2",),
        changed_clips=("clip_1",),
        lost_jobs=("job_2",),
        unfinished_jobs=("job_1: failed, None",),
        changed_results=("job_1",),
        jobs_twice=1,
        missing_webhooks=("job_1",),
        webhooks_under_two_ids=("job_2",),
        unplanned_refusals=("500 internal_error",),
    )
    assert report(Outcome(ledger, faults, [1.0], 2), 10.0, "folder.") == 1


def test_clips_are_all_different() -> None:
    rng = random.Random(0)
    made = [clip_of_its_own(rng) for _ in range(20)]
    assert len(set(made)) == 20
