"""The device's thread: batching, hand-out, death and revival."""

from __future__ import annotations

import gc
import queue
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.support.engine import ScriptedBackend, make_hypothesis, make_key, make_window
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.engine import HOPELESS_DEATHS
from whisperlive_hybrid.engine.features import Features
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.scheduler import Scheduler, SchedulerLimits
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.engine.worker import Job, Result, Worker
from whisperlive_hybrid.errors import BadInput, HybridError, Superseded, WorkerLost

SOON = 20.0


@dataclass
class Bench:
    """A worker, its backend, and the answers as they come."""

    worker: Worker
    backend: ScriptedBackend
    answers: queue.Queue[tuple[str, Result]] = field(default_factory=queue.Queue)

    def submit(self, window: Window, features: Future[Features] | None = None) -> None:
        if features is None:
            features = Future()
            features.set_result(np.zeros((1, 3000), np.float32))

        def done(result: Result) -> None:
            self.answers.put((window.owner, result))

        self.worker.submit(Job(window, make_key(window), self.backend, (), features, done))

    def next(self) -> tuple[str, Result]:
        return self.answers.get(timeout=SOON)


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make_bench(*, hold: bool = False, max_batch: int = 8) -> Bench:
        bench = Bench(Worker(Scheduler(SchedulerLimits(max_batch=max_batch))), ScriptedBackend(hold=hold))
        bench.worker.start()
        benches.append(bench)
        return bench

    yield make_bench
    for bench in benches:
        bench.backend.go.set()
        bench.worker.stop()


def text(result: Result) -> str:
    assert isinstance(result, Hypothesis), result
    return result.text


def test_a_window_runs_at_once_and_tells_how_long_it_waited(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.submit(make_window("a"))
    owner, result = bench.next()
    assert (owner, text(result)) == ("a", "a")
    assert isinstance(result, Hypothesis)
    assert 0 <= result.timing.queued_s < SOON


def test_while_one_batch_runs_the_next_collects(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)
    for i in range(5):
        bench.submit(make_window(f"{i}"))
    bench.backend.go.set()
    answers = [bench.next() for _ in range(6)]
    assert all(owner == text(result) for owner, result in answers)
    assert bench.backend.batches == [["first"], ["0", "1", "2", "3", "4"]]


def test_a_worker_that_dies_comes_back_and_tries_again(make: Callable[..., Bench]) -> None:
    bench = make()
    failures = iter([RuntimeError("cuda error")])
    bench.backend.failure = lambda _: next(failures, None)
    bench.submit(make_window("a"))
    assert text(bench.next()[1]) == "a"
    assert bench.backend.reloads == 1
    assert bench.worker.deaths == 1
    assert bench.worker.deaths_in_a_row == 0


def test_deaths_are_counted_until_a_batch_goes_well(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.backend.failure = lambda _: RuntimeError("the device is gone")
    for owner in "abc":
        bench.submit(make_window(owner))
        assert isinstance(bench.next()[1], WorkerLost)
    assert bench.worker.deaths_in_a_row == HOPELESS_DEATHS
    bench.backend.failure = lambda _: None
    bench.submit(make_window("d"))
    assert text(bench.next()[1]) == "d"
    assert bench.worker.deaths_in_a_row == 0


def test_options_that_the_model_refuses_cost_nobody_else_a_thing(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.backend.failure = lambda requests: BadInput("no") if requests[0].window.owner == "odd" else None
    bench.submit(make_window("odd"))
    owner, error = bench.next()
    assert (owner, type(error)) == ("odd", BadInput)
    bench.submit(make_window("other"))
    assert bench.next()[0] == "other"
    assert (bench.worker.deaths, bench.backend.reloads) == (0, 0)
    assert bench.backend.batches == [["odd"], ["other"]], "what is refused is not tried again"


def test_one_poisonous_window_does_not_take_others_with_it(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)
    bench.backend.failure = lambda requests: (
        RuntimeError("boom") if any(r.window.owner == "poison" for r in requests) else None
    )
    for owner in ("a", "poison", "b"):
        bench.submit(make_window(owner))
    bench.backend.go.set()
    answers = dict(bench.next() for _ in range(4))
    assert isinstance(answers.pop("poison"), WorkerLost)
    assert {owner: text(result) for owner, result in answers.items()} == {"first": "first", "a": "a", "b": "b"}
    assert bench.backend.batches[1:] == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]


def test_what_is_done_early_is_handed_out_once_whatever_becomes_of_the_rest(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)

    def fail_late(requests: Sequence[Request]) -> Exception | None:
        if len(requests) == 1:
            return None
        requests[0].early(make_hypothesis(requests[0].window, "early"))
        return RuntimeError("boom")

    bench.backend.failure = fail_late
    for owner in ("a", "b", "c"):
        bench.submit(make_window(owner))
    bench.backend.go.set()
    answers = [bench.next() for _ in range(4)]
    assert [(owner, text(result)) for owner, result in answers] == [
        ("first", "first"),
        ("a", "early"),
        ("b", "b"),
        ("c", "c"),
    ]
    assert bench.backend.batches == [["first"], ["a", "b", "c"], ["b"], ["c"]]
    assert bench.answers.empty()


def test_nothing_is_left_of_a_window_for_the_collector(make: Callable[..., Bench]) -> None:
    bench = make()
    kept: list[weakref.ref[Any]] = []

    def submit_one() -> None:
        computed, features = np.zeros((1, 3000), np.float32), Future[Features]()
        kept.append(weakref.ref(computed))
        bench.submit(make_window("a"), features)
        features.set_result(computed)

    gc.disable()
    try:
        submit_one()
        text(bench.next()[1])
        bench.submit(make_window("b"))  # the worker has let go of the first batch when it runs the next
        text(bench.next()[1])
        assert kept[0]() is None
    finally:
        gc.enable()


def test_out_of_memory_halves_the_batches(make: Callable[..., Bench]) -> None:
    bench = make(hold=True, max_batch=4)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)
    bench.backend.failure = lambda requests: RuntimeError("CUDA out of memory") if len(requests) > 2 else None
    for i in range(4):
        bench.submit(make_window(f"{i}"))
    bench.backend.go.set()
    for _ in range(5):
        text(bench.next()[1])
    bench.backend.go.clear()
    bench.backend.busy.clear()
    bench.submit(make_window("again"))
    assert bench.backend.busy.wait(SOON)
    for i in range(4):
        bench.submit(make_window(f"late {i}"))
    bench.backend.go.set()
    for _ in range(5):
        text(bench.next()[1])
    assert [len(b) for b in bench.backend.batches[-2:]] == [2, 2]


def test_a_model_that_does_not_load_again_costs_the_window_not_the_worker(make: Callable[..., Bench]) -> None:
    bench = make()

    def reload() -> None:
        raise RuntimeError("gone")

    bench.backend.reload = reload  # type: ignore[method-assign]
    bench.backend.failure = lambda requests: RuntimeError("boom") if requests[0].window.owner == "bad" else None
    bench.submit(make_window("bad"))
    assert isinstance(bench.next()[1], WorkerLost)
    bench.submit(make_window("good"))
    assert text(bench.next()[1]) == "good"


def test_the_replaced_partial_is_told(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)
    old, new = make_window("a", Lane.PARTIAL), make_window("a", Lane.PARTIAL)
    bench.submit(old)
    bench.submit(new)
    assert isinstance(bench.next()[1], Superseded)
    bench.backend.go.set()
    assert {bench.next()[0], bench.next()[0]} == {"first", "a"}
    assert bench.answers.empty()


def test_cancelled_windows_are_silent_and_cancelled_owners_are_told(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    running, silent, told, kept = (make_window(o) for o in ("running", "silent", "told", "kept"))
    bench.submit(running)
    assert bench.backend.busy.wait(SOON)
    for window in (silent, told, kept):
        bench.submit(window)
    bench.worker.cancel(running.id)
    bench.worker.cancel(silent.id)
    bench.worker.cancel_owner("told")
    owner, result = bench.next()
    assert owner == "told"
    assert isinstance(result, Superseded)
    bench.backend.go.set()
    assert bench.next()[0] == "kept"
    assert bench.backend.batches == [["running"], ["kept"]]
    assert bench.answers.empty()


def test_features_that_fail_cost_their_window_only(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("first"))
    assert bench.backend.busy.wait(SOON)
    broken: Future[Features] = Future()
    broken.set_exception(ValueError("no sound"))
    bench.submit(make_window("broken"), broken)
    bench.submit(make_window("fine"))
    bench.backend.go.set()
    answers = dict(bench.next() for _ in range(3))
    assert isinstance(answers["broken"], HybridError)
    assert text(answers["fine"]) == "fine"
    assert bench.worker.deaths == 0


def test_nobody_waits_for_the_features_of_another(make: Callable[..., Bench]) -> None:
    bench = make()
    late: Future[Features] = Future()
    bench.submit(make_window("late"), late)
    bench.submit(make_window("soon", Lane.FILE))
    assert text(bench.next()[1]) == "soon"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(late.set_result, np.zeros((1, 3000), np.float32))
    assert text(bench.next()[1]) == "late"
    assert bench.backend.batches == [["soon"], ["late"]]


def test_features_that_come_too_late_or_fail_harm_nobody(make: Callable[..., Bench]) -> None:
    bench = make()
    old, new, broken, stuck = (Future[Features]() for _ in range(4))
    for future in (old, new):
        future.set_running_or_notify_cancel()  # under way: cancelling it does nothing
    bench.submit(make_window("a", Lane.PARTIAL), old)
    bench.submit(make_window("a", Lane.PARTIAL), new)
    assert isinstance(bench.next()[1], Superseded)
    old.set_result(np.zeros((1, 3000), np.float32))
    bench.submit(make_window("broken"), broken)
    broken.set_exception(ValueError("no sound"))
    owner, result = bench.next()
    assert (owner, type(result)) == ("broken", HybridError)
    bench.submit(make_window("stuck"), stuck)
    bench.worker.cancel_owner("stuck")
    assert isinstance(bench.next()[1], Superseded)
    assert stuck.cancelled()
    new.set_result(np.zeros((1, 3000), np.float32))
    assert text(bench.next()[1]) == "a"
    assert bench.backend.batches == [["a"]]


def test_the_backend_sees_what_was_dropped_while_it_runs(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    seen: list[list[bool]] = []

    def look(requests: Sequence[Request]) -> None:
        seen.append([r.dropped() for r in requests])

    bench.backend.failure = look
    windows = [make_window(owner) for owner in ("first", "kept", "silent", "told")]
    bench.submit(windows[0])
    assert bench.backend.busy.wait(SOON)
    bench.worker.cancel(windows[0].id)
    bench.backend.go.set()
    for window in windows[1:]:
        bench.submit(window)
    while bench.next()[0] != "told":
        pass
    assert seen[0] == [True]
    assert not any(any(row) for row in seen[1:])


def test_stopping_ends_what_waits_and_takes_no_more(make: Callable[..., Bench]) -> None:
    bench = make(hold=True)
    bench.submit(make_window("running"))
    assert bench.backend.busy.wait(SOON)
    bench.submit(make_window("waiting"))
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(bench.worker.stop)
        owner, result = bench.next()
        assert owner == "waiting"
        assert isinstance(result, WorkerLost)
        bench.backend.go.set()
        stopped.result(SOON)
    assert bench.next()[0] == "running"
    with pytest.raises(WorkerLost):
        bench.submit(make_window("late"))
