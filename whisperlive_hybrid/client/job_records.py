"""What the server says of jobs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

OVER: Final = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Job:
    """A job, or a batch of them: `jobs` is what it consists of. Times are RFC 3339, lengths seconds of audio."""

    job_id: str
    state: str
    """queued, running, done, failed or cancelled."""
    stage: str | None = None
    """Of a running job: decoding, transcribing, diarizing, …"""
    progress: float = 0.0
    """0 to 1."""
    done_s: float = 0.0
    total_s: float | None = None
    seconds_left: float | None = None
    queue_place: int | None = None
    """How many go before it."""
    attempts: int = 0
    segments: int = 0
    """How many there are so far."""
    name: str | None = None
    """Of the file, or of the batch."""
    batch_id: str | None = None
    clip_id: str | None = None
    source_url: str | None = None
    route: str | None = None
    """Path of the request that it came by."""
    kept: bool = True
    """False of a request that waits for its answer: no audio and no text of it stay."""
    model: str | None = None
    priority: int = 0
    created: str | None = None
    started: str | None = None
    finished: str | None = None
    error: Mapping[str, str] | None = None
    """`code` and `message` of a job that failed, or that is tried again."""
    jobs: tuple[Job, ...] = ()

    @property
    def over(self) -> bool:
        """Nothing more becomes of it."""
        return self.state in OVER

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Job:
        """From the server's JSON; what it says besides is left out."""
        known = {name: answer[name] for name in _JOB_FIELDS if name in answer}
        jobs = tuple(cls.of(each) for each in answer.get("jobs", ()))
        if jobs:
            # A batch is as far as all of its jobs together.
            known.setdefault("done_s", sum(job.done_s for job in jobs))
            known.setdefault("segments", sum(job.segments for job in jobs))
            known.setdefault("attempts", max(job.attempts for job in jobs))
        return cls(**{**known, "jobs": jobs})


_JOB_FIELDS: Final = frozenset(field.name for field in fields(Job))


@dataclass(frozen=True, slots=True)
class Clip:
    """A file that is kept on the server."""

    clip_id: str
    name: str
    bytes: int
    duration: float
    """Seconds."""
    sha256: str
    created: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Clip:
        """From the server's JSON; what it says besides is left out."""
        return cls(**{field.name: answer[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Filed:
    """What was queued: one job, or a batch of several."""

    job_id: str
    """Of the job or the batch."""
    jobs: tuple[str, ...]
    """Of each job: those of clips, then those of URLs."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some of the jobs, newest first."""

    jobs: tuple[Job, ...]
    counts: Mapping[str, int]
    """Of all jobs there are, by state."""
    after: str | None
    """What to ask the next page with; None is the last page."""
