"""What the tables hold, as values. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, newest first. `after` is where the next page begins; None ends the list."""

    items: tuple[T, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class ClipRow:
    """A file that was uploaded, whole."""

    id: str
    name: str
    """As its sender called it, without folders."""
    media_type: str
    size_bytes: int
    sha256: str
    duration_s: float | None
    """None until the file has been decoded, where it does not say."""
    source_url: str | None
    """Where it was fetched from."""
    created_at: float
    owner: str | None = None
    """The client that it counts for, as a digest; None is nobody."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Jobs that were asked for together."""

    id: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One transcription that was asked for. Defaults are those of one that has just been."""

    id: str
    batch_id: str | None
    clip_id: str | None
    """None while the file is still to be fetched from `source_url`, and where it is not kept."""
    source_url: str | None
    route: str | None
    """Of the request that it was asked for with; None where that is not known."""
    kept: bool
    """There is a clip, and will be a transcript. Else nothing is kept but this row: a request waits for the answer, and
    only the process that has the request can work on it."""
    options: bytes
    model: str
    content_key: str | None
    """Equal for jobs whose results are: the same audio with the same options."""
    fresh: bool
    """Computed even where an equal job has a result."""
    callback_url: str | None
    state: str = "queued"
    priority: int
    """Higher goes first."""
    attempts: int = 0
    """Times that it was begun."""
    losses: int = 0
    """Times that it was left behind by a process that died, since it last got on."""
    failures: int = 0
    """Times that it failed by a fault of ours, since it last got on."""
    not_before: float = 0.0
    lease: str | None = None
    """Of the one who works on it; all that is written about it carries this."""
    lease_until: float | None = None
    cancel_asked: bool = False
    done_s: float = 0.0
    total_s: float | None = None
    n_segments: int = 0
    """That are told; more may follow while it runs."""
    error_code: str | None = None
    error_message: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    owner: str | None = None
    """The client that it counts for, as a digest; None is nobody."""


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """What became of a job."""

    job_id: str
    clip_id: str
    text: str
    body: bytes
    created_at: float


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A webhook that is owed, or was sent."""

    id: str
    """Told to the receiver; the same at every try."""
    job_id: str
    event: str
    url: str
    body: bytes
    state: str
    attempts: int
    next_at: float
    lease: str | None
    lease_until: float | None
    last_status: int | None
    last_error: str | None
    created_at: float
    delivered_at: float | None
