"""One thread owns the device: collect → run → hand out.

Whoever submits and this thread share the scheduler under one lock, held for microseconds only. The thread sleeps on the
lock's condition, never on a clock. Results are handed out by each job's `done`, in this thread.

A window's features are computed elsewhere; until they are there it waits in its place and the thread takes others.

When a batch raises, the worker counts as dead: its model is read anew and its windows are run again, alone; a window
that kills the worker twice gets WorkerLost. Other windows only wait a little longer. Options that the model refuses are
no such thing: they come back to who asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from whisperlive_hybrid.engine.backend import Backend, LanguageProbabilities, Request
from whisperlive_hybrid.engine.features import Features, content_frames
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.scheduler import Batch, BatchKey, Capacity, Scheduler
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import BadInput, HybridError, Superseded, WorkerLost

log = logging.getLogger(__name__)

Result = Hypothesis | LanguageProbabilities | HybridError


@dataclass(slots=True, eq=False)
class Job:
    """A window with all the worker needs to run it."""

    window: Window
    key: BatchKey
    backend: Backend
    previous: tuple[int, ...]
    features: Future[Features]
    """Computed elsewhere while the window waits."""
    done: Callable[[Result], None]
    """Called once, in whatever thread finishes the job; must not block."""
    submitted: float = 0.0
    dropped: bool = False
    """Nobody wants the result any more."""


class Worker:
    """The thread of one device."""

    def __init__(self, scheduler: Scheduler, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self.running_model: str | None = None
        """Whose batch runs just now."""
        self.batches = 0
        """Those that have ended."""
        self.deaths = 0
        """Batches that raised."""
        self.deaths_in_a_row = 0
        """Since the last batch that went well."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """End after the batch that runs; what waits gets WorkerLost. Blocks until the thread has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.drop_waiting(WorkerLost("the engine has stopped", code="stopped"))
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def drop_waiting(self, error: HybridError) -> None:
        """Give `error` to every window that does not run yet."""
        with self._changed:
            left = [self._jobs.pop(w.id) for w in self._scheduler.drop_all()]
        for job in left:
            job.features.cancel()
            job.done(error)

    def submit(self, job: Job) -> None:
        """Queue a job. Raises Refused or Superseded; then `done` is not called."""
        with self._changed:
            if self._stopping:
                raise WorkerLost("the engine has stopped", code="stopped")
            job.submitted = self._clock()
            replaced = self._scheduler.add(job.window, job.key, job.submitted, ready=False)
            self._jobs[job.window.id] = job
            gone = [self._jobs.pop(w.id) for w in replaced]
        _supersede(gone)
        # By number: a future keeps its callbacks, and one that held the job would hold itself and megabytes with it
        # until the collector comes by.
        job.features.add_done_callback(partial(self._receive_features, job.window.id))

    def cancel(self, window_id: int) -> None:
        """Drop a window; its `done` is not called any more, unless it is being called just now."""
        with self._changed:
            self._scheduler.cancel(window_id)
            job = self._jobs.pop(window_id, None)
        if job is not None:
            job.dropped = True
            job.features.cancel()

    def cancel_owner(self, owner: str) -> None:
        """Drop all windows of an owner; they end as Superseded."""
        with self._changed:
            gone = [self._jobs.pop(w.id, None) for w in self._scheduler.cancel_owner(owner)]
        _supersede([job for job in gone if job is not None])

    def capacity(self) -> Capacity:
        """A snapshot of the queues."""
        with self._changed:
            return self._scheduler.capacity()

    def _receive_features(self, window_id: int, features: Future[Features]) -> None:
        """They are there, or never will be. Called in the thread that computed them, or the one that cancelled them."""
        if features.cancelled():
            return
        error = features.exception()
        with self._changed:
            if error is None:
                self._scheduler.make_ready(window_id)
                self._changed.notify()
                return
            self._scheduler.cancel(window_id)
            wanted = self._jobs.pop(window_id, None)
        log.error("features of a window failed", exc_info=error)
        if wanted is not None:
            wanted.done(HybridError("the window could not be prepared for the model"))

    def _work(self) -> None:
        while self._run_one():
            pass

    def _run_one(self) -> bool:
        """Run the next batch, and hold nothing of it afterwards. False when it is time to end."""
        collected = self._collect()
        if collected is None:
            return False
        batch, jobs = collected
        try:
            self._run(batch, jobs)
        except BadInput as error:
            self._refuse(batch, error)
        except Exception as error:
            self._revive(batch, jobs, error)
        self.running_model = None
        self.batches += 1
        return True

    def _collect(self) -> tuple[Batch, list[Job]] | None:
        """Wait for the next batch; None when it is time to end."""
        with self._changed:
            while not self._stopping:
                batch = self._scheduler.next_batch(self._clock())
                if batch is not None:
                    self.running_model = batch.key.model
                    return batch, [self._jobs[w.id] for w in batch.windows]
                self._changed.wait()
            return None

    def _run(self, batch: Batch, jobs: list[Job]) -> None:
        backend = jobs[0].backend
        run: Callable[[list[Request]], Sequence[Hypothesis | LanguageProbabilities]] = (
            backend.detect_languages if batch.key.kind == "detect" else backend.run
        )
        results: dict[int, Result] = {}
        for job, result in zip(jobs, run([self._request(batch, job) for job in jobs]), strict=True):
            results[job.window.id] = _timed(result, batch, job) if isinstance(result, Hypothesis) else result
        self.deaths_in_a_row = 0
        with self._changed:
            wanted = self._scheduler.complete(batch, self._clock())
            finished = [self._jobs.pop(w.id, None) for w in wanted]
        for finished_job in finished:
            if finished_job is not None:
                finished_job.done(results[finished_job.window.id])

    def _request(self, batch: Batch, job: Job) -> Request:
        features = job.features.result()  # there: only windows that are ready run
        content = min(content_frames(len(job.window.samples)), features.shape[1])
        return Request(
            window=job.window,
            features=features,
            content_frames=content,
            previous=job.previous,
            dropped=lambda: job.dropped,
            early=lambda result: self._finish_early(batch, job, result),
        )

    def _finish_early(self, batch: Batch, job: Job, result: Hypothesis) -> None:
        """Hand out what is done while others of its batch are decoded again."""
        with self._changed:
            finished = self._jobs.pop(job.window.id, None) if self._scheduler.finish(job.window.id) else None
        if finished is not None:
            finished.done(_timed(result, batch, job))

    def _refuse(self, batch: Batch, error: BadInput) -> None:
        """The model takes no such options, which all windows of a batch have in common. It is as well as before."""
        with self._changed:
            wanted = self._scheduler.complete(batch, self._clock())
            refused = [self._jobs.pop(w.id, None) for w in wanted]
        for job in refused:
            if job is not None:
                job.done(error)

    def _revive(self, batch: Batch, jobs: list[Job], error: Exception) -> None:
        """The batch killed the worker: read the model anew, run the windows once more."""
        self.deaths += 1
        self.deaths_in_a_row += 1
        log.error("a batch of %d windows failed; reloading %s", len(jobs), batch.key.model, exc_info=error)
        try:
            jobs[0].backend.reload()
        except Exception:
            log.exception("model %s cannot be loaded again", batch.key.model)
        with self._changed:
            if "out of memory" in str(error).lower():
                self._scheduler.shrink(len(jobs))
            failed = self._scheduler.fail(batch, self._clock())
            lost = [self._jobs.pop(w.id, None) for w in failed.lost]
            if self._stopping:
                lost += [self._jobs.pop(w.id, None) for w in self._scheduler.drop_all()]
        for job in lost:
            if job is not None:
                job.done(WorkerLost("the worker died twice while it ran this window"))


def _timed(result: Hypothesis, batch: Batch, job: Job) -> Hypothesis:
    return replace(result, timing=replace(result.timing, queued_s=batch.started - job.submitted))


def _supersede(jobs: list[Job]) -> None:
    for job in jobs:
        job.dropped = True
        job.features.cancel()
        job.done(Superseded("a newer window of the same owner replaced this one, or its owner cancelled it"))
