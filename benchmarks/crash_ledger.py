"""What callers of the crash benchmark were told, and the verdict on what is there in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Acknowledged:
    """What a caller was told."""

    way: str
    clip_id: str
    job_id: str
    sha256: str
    hooked: bool


@dataclass
class Ledger:
    """All that callers were told, and saw."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    seen_done: dict[str, str] = field(default_factory=dict)
    """Text by job, as it was read while servers were still being killed."""
    repeated: int = 0
    """Requests without an answer, which had to be sent again."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests that were answered with a status from 300 on and sent again, by that and the error's code."""


@dataclass(frozen=True)
class Verdict:
    """What is missing, or there too often."""

    lost_clips: tuple[str, ...] = ()
    changed_clips: tuple[str, ...] = ()
    lost_jobs: tuple[str, ...] = ()
    unfinished_jobs: tuple[str, ...] = ()
    changed_results: tuple[str, ...] = ()
    jobs_twice: int = 0
    missing_webhooks: tuple[str, ...] = ()
    webhooks_under_two_ids: tuple[str, ...] = ()
    unplanned_refusals: tuple[str, ...] = ()
    """Answers that were neither a result nor 503 with a code, which is what a request gets in an outage."""

    @property
    def good(self) -> bool:
        """Nothing of all that."""
        return self == Verdict()


def judge(
    ledger: Ledger, found: dict[str, dict[str, Any]], contents: dict[str, str | None], hooks: Sequence[tuple[str, str]]
) -> Verdict:
    """Compare what was acknowledged with what there is.

    `found`: jobs by id, with `text` where they are done. `contents`: SHA-256 of clips by id, None where there is no
    clip. `hooks`: job and webhook id of each that was received.
    """
    told = {each.job_id: each for each in ledger.acknowledged}
    ids: dict[str, set[str]] = {}
    for job_id, hook_id in hooks:
        ids.setdefault(job_id, set()).add(hook_id)
    of_clip = Counter(job["clip_id"] for job in found.values())
    return Verdict(
        lost_clips=tuple(a.clip_id for a in told.values() if contents.get(a.clip_id) is None),
        changed_clips=tuple(a.clip_id for a in told.values() if contents.get(a.clip_id) not in (None, a.sha256)),
        lost_jobs=tuple(id for id in told if id not in found),
        unfinished_jobs=tuple(
            f"{id}: {job['state']}, {job.get('error')}"
            for id in told
            if (job := found.get(id)) is not None and job["state"] != "done"
        ),
        changed_results=tuple(id for id, text in ledger.seen_done.items() if found.get(id, {}).get("text") != text),
        jobs_twice=sum(n - 1 for n in of_clip.values() if n > 1),
        missing_webhooks=tuple(a.job_id for a in told.values() if a.hooked and a.job_id not in ids),
        webhooks_under_two_ids=tuple(id for id, some in ids.items() if len(some) > 1),
        unplanned_refusals=tuple(what for what in ledger.refusals if not what.startswith("503 ")),
    )
