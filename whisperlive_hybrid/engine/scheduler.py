"""Which windows run next. A pure machine: it reads no clock, starts no thread and knows no model.

Theory of operation
-------------------
Windows wait in three lanes. FINAL goes before PARTIAL before FILE; within a lane the earliest deadline goes first. The
first window of the chosen lane fixes the batch key; others of its lane with the same key fill the batch, live ones
only if they are wanted about as early: who sends audio faster than it is spoken is served after the others, not with
them. No batch has more windows than `max_batch`, nor than its key says that there is memory for. There is no timer:
while one batch runs the next collects, so batches grow with load and an idle device never waits. Only windows that
are ready count: a final whose features are still computed keeps its place and holds up nobody.

Among files those that somebody waits for go before background work (`Window.background`), and share no batch with it.
Batches of background work take some seconds at most (`background_batch_s`), since somebody may come at any time; once
somebody has, they are kept as small as they are for live audio. After `FILE_TURN` batches of awaited files while
background work waits, one batch of that goes first.

Files cannot starve: after `FILE_TURN` batches of live audio while a file waits, one file batch goes first. Files cannot
hold up live audio: once live audio has been seen, a file batch is kept so small that, by the times measured so far, it
takes about `file_batch_s`; a final thus waits for one such batch at most.

A newer PARTIAL of an owner replaces the one that waits. Each lane has a bound, past which `add` raises Refused with
the time after which trying again makes sense. Speculative finals may fill `SPECULATIVE_SHARE` of theirs only, so that
they never take the place of one that is certain.

A window that is cancelled while it runs is dropped from what `complete` returns. A batch that fails is retried once,
each window alone, so that one that breaks the device does not take others with it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.errors import Refused, Superseded

Kind: TypeAlias = Literal["transcribe", "detect"]

FILE_TURN = 8
"""Batches of live audio after which a waiting file has its turn; of awaited files, after which background work has."""
SPECULATIVE_SHARE = 0.25
"""Part of the finals' lane behind which no speculative one queues."""
MAX_ATTEMPTS = 2
LIVE_MEMORY_S = 30.0
"""So long after the last live window, file batches are still kept small; those of background work after the last
window of an awaited file, too."""
SOON_S = 2.0
"""Live windows whose deadlines lie further apart than this share no batch, and one that is wanted so much later than
now holds up others for no longer than a file does."""
_FIRST_FILE_BATCH = 2
"""Windows in such a batch before anything was measured."""
_SMOOTHING = 0.3
"""Weight of the newest measurement in the mean."""


@dataclass(frozen=True, slots=True)
class BatchKey:
    """What windows of one batch must agree on. CTranslate2 takes one prompt length and one way of searching a call."""

    model: str
    kind: Kind
    lane: Lane
    n_frames: int
    n_prompt_tokens: int
    search: DecodeOptions
    """Options of the search; those that may differ row by row are set to their defaults."""
    fits: int
    """Windows that the memory of a batch is enough for."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows to run together."""

    key: BatchKey
    windows: tuple[Window, ...]
    started: float


@dataclass(frozen=True, slots=True)
class Failed:
    """What becomes of a batch that failed."""

    retried: tuple[Window, ...]
    lost: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How busy the engine is."""

    queued: Mapping[Lane, int]
    running: int
    wait_s: float
    """Seconds until what waits now is done, by the times measured so far."""
    max_queued: Mapping[Lane, int]


@dataclass(slots=True, eq=False)
class _Entry:
    window: Window
    key: BatchKey
    ready: bool
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of the scheduler."""

    max_batch: int = 8
    max_queued: Mapping[Lane, int] = field(default_factory=lambda: {Lane.FINAL: 256, Lane.PARTIAL: 256, Lane.FILE: 512})
    file_batch_s: float = 1.0
    """Seconds that a batch of files may take while there is live audio; one of background work while files are awaited,
    too."""
    background_batch_s: float = 5.0
    """Seconds that a batch of background work may take when nothing else is there: so long the next one may wait."""


class Scheduler:
    """See the module's theory of operation."""

    def __init__(self, limits: SchedulerLimits) -> None:
        self.limits = limits
        self._max_batch = limits.max_batch
        self._queues: dict[Lane, list[_Entry]] = {lane: [] for lane in Lane}
        self._running: dict[int, _Entry] = {}
        self._cancelled: set[int] = set()
        self._live_batches_in_a_row = 0
        self._awaited_batches_in_a_row = 0
        self._last_live = float("-inf")
        self._last_awaited = float("-inf")
        self._window_s: dict[tuple[str, Lane], float] = {}

    def add(self, window: Window, key: BatchKey, now: float, *, ready: bool = True) -> list[Window]:
        """Queue a window; it runs once it is `ready`. Returns the older ones whose place it takes.

        Raises Refused when the lane is full, Superseded when a newer partial of its owner already waits.
        """
        lane = window.lane
        queue = self._queues[lane]
        replaced: list[_Entry] = []
        if lane is not Lane.FILE:
            self._last_live = now
        elif not window.background:
            self._last_awaited = now
        if lane is Lane.PARTIAL:
            same = [e for e in queue if e.window.owner == window.owner]
            if any(e.window.id > window.id for e in same):
                raise Superseded("a newer window of the same owner is waiting")
            replaced = same
        bound = self.limits.max_queued[lane]
        if window.speculative:
            bound = int(bound * SPECULATIVE_SHARE)
        if len(queue) - len(replaced) >= bound:
            raise Refused(
                f"{bound} {lane.name.lower()} windows are waiting already",
                retry_after_s=max(1.0, min(60.0, self._wait_s(lane))),
            )
        for entry in replaced:
            queue.remove(entry)
        queue.append(_Entry(window, key, ready))
        return [e.window for e in replaced]

    def make_ready(self, window_id: int) -> bool:
        """The window may run now. False when it is not here any more."""
        for queue in self._queues.values():
            for entry in queue:
                if entry.window.id == window_id:
                    entry.ready = True
                    return True
        return False

    def next_batch(self, now: float) -> Batch | None:
        """What to run now; None when nothing is ready. The batch counts as running until complete or fail."""
        lane = self._next_lane()
        if lane is None:
            return None
        queue = self._queues[lane]
        ready = sorted((e for e in queue if e.ready), key=_urgency)
        first = ready[0]
        if self._awaited_batches_in_a_row >= FILE_TURN:
            first = next((e for e in ready if e.window.background), first)
        if first.attempts:
            chosen = [first]
        else:
            alike = [e for e in ready if e.key == first.key and not e.attempts]
            if lane is Lane.FILE:
                alike = [e for e in alike if e.window.background == first.window.background]
            else:
                alike = [e for e in alike if e.window.deadline <= first.window.deadline + SOON_S]
            chosen = alike[: self._batch_size(first, now)]
        for entry in chosen:
            queue.remove(entry)
            self._running[entry.window.id] = entry
        if lane is Lane.FILE:
            self._live_batches_in_a_row = 0
            waits = not first.window.background and any(e.window.background for e in ready)
            self._awaited_batches_in_a_row = self._awaited_batches_in_a_row + 1 if waits else 0
        elif self._has_ready(Lane.FILE):
            self._live_batches_in_a_row += 1
        return Batch(first.key, tuple(e.window for e in chosen), now)

    def complete(self, batch: Batch, now: float) -> list[Window]:
        """The batch is done. Returns the windows whose results are still wanted."""
        self._measure(batch, now)
        return [w for w in batch.windows if self._finish(w) is not None]

    def finish(self, window_id: int) -> bool:
        """One window of a running batch is done before the others. False when its result is not wanted any more."""
        entry = self._running.pop(window_id, None)
        wanted = entry is not None and window_id not in self._cancelled
        self._cancelled.discard(window_id)
        return wanted

    def fail(self, batch: Batch, now: float) -> Failed:
        """The batch died. Each window gets one more try, alone; those that had it are lost."""
        retried, lost = [], []
        for window in batch.windows:
            entry = self._finish(window)
            if entry is None:
                continue
            entry.attempts += 1
            if entry.attempts < MAX_ATTEMPTS:
                self._queues[window.lane].append(entry)
                retried.append(window)
            else:
                lost.append(window)
        return Failed(tuple(retried), tuple(lost))

    def shrink(self, n_windows: int) -> None:
        """The device ran out of memory over so many windows: from now on no batch has more than half as many."""
        self._max_batch = max(1, min(self._max_batch, n_windows) // 2)

    def cancel(self, window_id: int) -> Window | None:
        """Drop one window. Returns it when it waited; None when it runs, or is not here."""
        for queue in self._queues.values():
            for entry in queue:
                if entry.window.id == window_id:
                    queue.remove(entry)
                    return entry.window
        if window_id in self._running:
            self._cancelled.add(window_id)
        return None

    def cancel_owner(self, owner: str) -> list[Window]:
        """Drop all windows of an owner. Returns those that waited and those whose results will be dropped."""
        dropped = []
        for queue in self._queues.values():
            mine = [e for e in queue if e.window.owner == owner]
            for entry in mine:
                queue.remove(entry)
                dropped.append(entry.window)
        for entry in self._running.values():
            if entry.window.owner == owner and entry.window.id not in self._cancelled:
                self._cancelled.add(entry.window.id)
                dropped.append(entry.window)
        return dropped

    def drop_all(self) -> list[Window]:
        """Empty the queues. Returns what waited."""
        dropped = [e.window for queue in self._queues.values() for e in queue]
        for queue in self._queues.values():
            queue.clear()
        return dropped

    def capacity(self) -> Capacity:
        """A snapshot."""
        return Capacity(
            queued={lane: len(queue) for lane, queue in self._queues.items()},
            running=len(self._running),
            wait_s=self._wait_s(Lane.FILE),
            max_queued=dict(self.limits.max_queued),
        )

    def _next_lane(self) -> Lane | None:
        if self._live_batches_in_a_row >= FILE_TURN and self._has_ready(Lane.FILE):
            return Lane.FILE
        return next((lane for lane in Lane if self._has_ready(lane)), None)

    def _has_ready(self, lane: Lane) -> bool:
        return any(entry.ready for entry in self._queues[lane])

    def _batch_size(self, first: _Entry, now: float) -> int:
        key = first.key
        background = first.window.background
        last = max(self._last_live, self._last_awaited) if background else self._last_live
        nobody_waits = now - last > LIVE_MEMORY_S
        most = min(self._max_batch, key.fits)
        urgent = key.lane is not Lane.FILE and first.window.deadline <= now + SOON_S
        if urgent or (nobody_waits and not background):
            return most
        batch_s = self.limits.background_batch_s if nobody_waits else self.limits.file_batch_s
        each = self._window_s.get((key.model, key.lane))
        size = _FIRST_FILE_BATCH if each is None else int(batch_s / each)
        return max(1, min(most, size))

    def _finish(self, window: Window) -> _Entry | None:
        """Take a window out of the running ones; None when it was cancelled meanwhile, or finished early."""
        entry = self._running.get(window.id)
        return entry if self.finish(window.id) else None

    def _measure(self, batch: Batch, now: float) -> None:
        each = max(1e-6, (now - batch.started) / len(batch.windows))
        name = (batch.key.model, batch.key.lane)
        before = self._window_s.get(name, each)
        self._window_s[name] = before + _SMOOTHING * (each - before)

    def _wait_s(self, lane: Lane) -> float:
        """Seconds of work waiting in `lane` and those that go before it."""
        return sum(
            self._window_s.get((entry.key.model, entry.key.lane), 0.5)
            for before in Lane
            if before <= lane
            for entry in self._queues[before]
        )


def _urgency(entry: _Entry) -> tuple[bool, float, int]:
    return (entry.window.background, entry.window.deadline, entry.window.id)
