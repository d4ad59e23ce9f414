"""A job as its owner sees it: what is recorded, and what this process knows beyond that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from whisperlive_hybrid.jobs.transcript import Progress
from whisperlive_hybrid.storage.rows import JobRow


class Watch(Protocol):
    """What is known of the jobs that are worked on here."""

    def progress(self, job_id: str) -> Progress | None:
        """How far a job is; None for those of others."""

    def pace(self, job_id: str) -> float | None:
        """Its seconds of audio a second; None while that is unknown."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now."""

    row: JobRow
    stage: str
    """queued, decoding, transcribing, diarizing, or how it ended."""
    done_s: float
    total_s: float | None
    seconds_left: float | None
    """Until it is done, as far as can be told."""
    place: int | None
    """How many queued jobs go before it; None unless it is queued."""
    name: str | None
    """Of its clip; None while there is none."""

    @property
    def progress(self) -> float:
        """0 to 1, by seconds of audio."""
        if self.row.state == "done":
            return 1.0
        return min(self.done_s / self.total_s, 1.0) if self.total_s else 0.0


def view_of(row: JobRow, watch: Watch, place: int | None = None, name: str | None = None) -> JobView:
    """The view of a job; `place` where it is queued, `name` of its clip."""
    here = watch.progress(row.id) if row.state == "running" else None
    stage, done_s, total_s = row.state, row.done_s, row.total_s
    if row.state == "running":
        stage = "decoding"
    if here is not None:
        stage = "transcribing" if here.stage == "done" else here.stage
        total_s = here.total_s or total_s
        # What is decoded is not transcribed yet.
        done_s = done_s if here.stage == "decoding" else max(done_s, here.done_s)
    pace = watch.pace(row.id) if row.state == "running" else None
    left_s = max(total_s - done_s, 0.0) / pace if total_s and pace else None
    return JobView(row, stage, done_s, total_s, left_s, place, name)
