"""Progress of several files at once in one line: of the first one, in their order, that is not over."""

from __future__ import annotations

import time
from collections.abc import Sequence

from whisperlive_hybrid.cli.progress import ProgressLine
from whisperlive_hybrid.client.job_records import Job
from whisperlive_hybrid.jobs.transcript import Progress


class FileBoard:
    """One file is shown as it is, several as `talk.mp3 (2 of 5)`; programs are told of each (--progress json)."""

    def __init__(self, line: ProgressLine, names: Sequence[str]) -> None:
        """`names`: as they are to be shown."""
        self._line = line
        self._under_way: list[str] = []
        self._n_files, self._n_over = len(names), 0
        self._order = {name: i for i, name in enumerate(names)}
        self._shown: str | None = None

    def update(self, name: str, progress: Progress) -> None:
        """How far this file is."""
        if name not in self._under_way:
            self._under_way = sorted([*self._under_way, name], key=lambda n: self._order[n])
        now = time.monotonic()
        if self._line.for_programs:
            self._line.name = name
        elif name != self._under_way[0]:
            return
        elif name != self._shown:
            self._shown = name
            self._line.start(name if self._n_files == 1 else f"{name} ({self._n_over + 1} of {self._n_files})", now)
        self._line.update(progress, now)

    def over(self, name: str) -> None:
        """Nothing more comes of this file."""
        self._n_over += 1
        if name in self._under_way:
            self._under_way.remove(name)


def progress_of(job: Job) -> Progress:
    """A server's word on a job."""
    behind = f" behind {job.queue_place}" if job.queue_place else ""
    stage = f"queued{behind}" if job.state == "queued" else job.stage or job.state
    # A batch only says what share of it is done.
    return Progress(stage, job.done_s or job.progress * (job.total_s or 0.0), job.total_s)
