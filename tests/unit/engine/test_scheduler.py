"""Who runs next, with whom, and what happens when that fails. Time is turned by hand."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine import make_key, make_window
from whisperlive_hybrid.engine import scheduler as module
from whisperlive_hybrid.engine.scheduler import FILE_TURN, LIVE_MEMORY_S, Batch, Scheduler, SchedulerLimits
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import Refused, Superseded


def a_scheduler(max_batch: int = 4, bound: int = 100) -> Scheduler:
    return Scheduler(SchedulerLimits(max_batch=max_batch, max_queued=dict.fromkeys(Lane, bound)))


def add(scheduler: Scheduler, window: Window, now: float = 0.0, *, prompt: int = 0) -> list[Window]:
    return scheduler.add(window, make_key(window, prompt=prompt), now)


def run(scheduler: Scheduler, now: float = 0.0, takes: float = 0.0) -> list[str]:
    """Run the next batch; the owners in it."""
    batch = scheduler.next_batch(now)
    assert batch is not None
    scheduler.complete(batch, now + takes)
    return [w.owner for w in batch.windows]


def test_nothing_waits() -> None:
    assert a_scheduler().next_batch(0.0) is None


def test_finals_before_partials_before_files() -> None:
    s = a_scheduler()
    for owner, lane in (("file", Lane.FILE), ("partial", Lane.PARTIAL), ("final", Lane.FINAL)):
        add(s, make_window(owner, lane, deadline=0.0))
    assert [run(s), run(s), run(s)] == [["final"], ["partial"], ["file"]]


def test_earliest_deadline_first_within_a_lane() -> None:
    s = a_scheduler(max_batch=1)
    for owner, deadline in (("late", 3.0), ("early", 1.0), ("middle", 2.0), ("early too", 1.0)):
        add(s, make_window(owner, deadline=deadline))
    assert [run(s)[0] for _ in range(4)] == ["early", "early too", "middle", "late"]


def test_what_is_not_ready_keeps_its_place_and_holds_up_nobody() -> None:
    s = a_scheduler(max_batch=2)
    late, soon, partial = make_window("late", deadline=0.0), make_window("soon"), make_window("p", Lane.PARTIAL)
    s.add(late, make_key(late), 0.0, ready=False)
    add(s, partial)
    assert run(s) == ["p"]
    assert s.next_batch(0.0) is None
    assert s.capacity().queued[Lane.FINAL] == 1
    add(s, soon)
    assert s.make_ready(late.id)
    assert run(s) == ["late", "soon"]
    assert not s.make_ready(late.id)


def test_a_file_that_is_not_ready_has_no_turn() -> None:
    s = a_scheduler(max_batch=1)
    file = make_window("file", Lane.FILE)
    s.add(file, make_key(file), 0.0, ready=False)
    for i in range(FILE_TURN):
        add(s, make_window(f"{i}"))
        run(s)
    add(s, make_window("final"))
    s.make_ready(file.id)
    assert run(s) == ["final"]
    assert run(s) == ["file"]


def test_speculative_finals_are_refused_first() -> None:
    s = a_scheduler(bound=4)
    add(s, replace(make_window("guess"), speculative=True))
    with pytest.raises(Refused):
        add(s, replace(make_window("another guess"), speculative=True))
    for i in range(3):
        add(s, make_window(f"{i}"))
    with pytest.raises(Refused):
        add(s, make_window("one too many"))


def test_a_batch_shares_its_key_and_keeps_its_size() -> None:
    s = a_scheduler(max_batch=3)
    for i in range(5):
        add(s, make_window(f"plain {i}", deadline=i / 4))
    add(s, make_window("prompted", deadline=0.6), prompt=16)
    assert run(s) == ["plain 0", "plain 1", "plain 2"]
    assert run(s) == ["prompted"]
    assert run(s) == ["plain 3", "plain 4"]


@pytest.mark.parametrize("lane", [Lane.FINAL, Lane.FILE])
def test_a_batch_has_no_more_windows_than_fit(lane: Lane) -> None:
    s = a_scheduler(max_batch=4)
    for i in range(5):
        for frames, fits in ((3000, 2), (500, 100)):
            window = make_window(f"{frames} {i}", lane, deadline=frames / 3000)
            s.add(window, make_key(window, frames=frames, fits=fits), 0.0)
    sizes = [len(run(s, now=LIVE_MEMORY_S + 1.0)) for _ in range(5)]
    assert sizes == [4, 1, 2, 2, 1]


def test_live_windows_wanted_much_later_wait_for_a_batch_of_their_own_and_a_short_one() -> None:
    s = a_scheduler(max_batch=8)
    add(s, make_window("measured"))
    run(s, takes=0.4)
    for i in range(4):
        add(s, make_window(f"ahead {i}", deadline=30.0 + i))
    for i in range(3):
        add(s, make_window(f"now {i}", deadline=1.0 + i / 2))
    assert run(s, takes=1.2) == ["now 0", "now 1", "now 2"]
    assert run(s) == ["ahead 0", "ahead 1"], "two take 0.8 s"
    assert run(s, now=31.0) == ["ahead 2", "ahead 3"]
    for deadline in (0.0, 1.5, 2.5):
        add(s, make_window(f"late {deadline}", deadline=deadline))
    assert run(s, now=40.0) == ["late 0.0", "late 1.5"]


def test_a_newer_partial_takes_the_place_of_the_older() -> None:
    s = a_scheduler()
    old, new, other = (make_window(o, Lane.PARTIAL) for o in ("a", "a", "b"))
    assert add(s, old) == []
    assert add(s, other) == []
    assert add(s, new) == [old]
    with pytest.raises(Superseded):
        add(s, old)
    batch = s.next_batch(0.0)
    assert batch is not None
    assert set(batch.windows) == {new, other}


def test_a_running_partial_is_not_replaced() -> None:
    s = a_scheduler()
    add(s, make_window("a", Lane.PARTIAL))
    batch = s.next_batch(0.0)
    assert batch is not None
    assert add(s, make_window("a", Lane.PARTIAL)) == []
    assert len(s.complete(batch, 1.0)) == 1


def test_finals_of_one_owner_all_run() -> None:
    s = a_scheduler()
    for _ in range(3):
        assert add(s, make_window("a", Lane.FINAL)) == []
    assert run(s) == ["a", "a", "a"]


def test_a_full_lane_refuses_and_says_when_to_come_back() -> None:
    s = a_scheduler(max_batch=1, bound=6)
    add(s, make_window("first"))
    run(s, takes=2.0)
    for i in range(6):
        add(s, make_window(f"{i}"))
    with pytest.raises(Refused) as refusal:
        add(s, make_window("one too many"))
    assert refusal.value.retry_after_s == pytest.approx(12.0)
    add(s, make_window("another lane", Lane.FILE))


def test_a_replacement_needs_no_room() -> None:
    s = a_scheduler(bound=1)
    old = make_window("a", Lane.PARTIAL)
    add(s, old)
    assert add(s, make_window("a", Lane.PARTIAL)) == [old]
    with pytest.raises(Refused):
        add(s, make_window("b", Lane.PARTIAL))


def test_files_have_their_turn_under_endless_live_load() -> None:
    s = a_scheduler(max_batch=1)
    add(s, make_window("file", Lane.FILE))
    order = []
    for i in range(3 * FILE_TURN):
        add(s, make_window(f"live {i}", Lane.FINAL))
        order += run(s)
    assert order.index("file") == FILE_TURN


def test_a_turn_is_not_saved_up_while_no_file_waits() -> None:
    s = a_scheduler(max_batch=1)
    for i in range(2 * FILE_TURN):
        add(s, make_window(f"{i}"))
        run(s)
    add(s, make_window("file", Lane.FILE))
    add(s, make_window("final"))
    assert run(s) == ["final"]


def background(owner: str, deadline: float = 1.0) -> Window:
    return replace(make_window(owner, Lane.FILE, deadline=deadline), background=True)


def test_awaited_files_go_before_background_work_and_share_no_batch_with_it() -> None:
    s = a_scheduler(max_batch=4)
    for window in (background("job", 0.0), background("job", 0.0), make_window("awaited", Lane.FILE, deadline=9.0)):
        add(s, window)
    assert run(s) == ["awaited"]
    assert run(s) == ["job", "job"]


def test_background_work_has_a_turn_after_some_batches_of_awaited_files() -> None:
    s = a_scheduler(max_batch=1)
    add(s, background("job"))
    order: list[str] = []
    for i in range(3 * FILE_TURN):
        add(s, make_window(f"awaited {i}", Lane.FILE))
        order += run(s)
    assert order.index("job") == FILE_TURN


def test_a_turn_of_background_work_is_not_saved_up_while_none_waits() -> None:
    s = a_scheduler(max_batch=1)
    for i in range(2 * FILE_TURN):
        add(s, make_window(f"{i}", Lane.FILE))
        run(s)
    add(s, background("job"))
    add(s, make_window("awaited", Lane.FILE))
    assert run(s) == ["awaited"]


def test_background_batches_are_short_while_files_are_awaited() -> None:
    s = a_scheduler(max_batch=8)

    def fill() -> None:
        for i in range(8):
            add(s, background(f"job {i}"))

    fill()
    assert len(run(s, takes=1.0)) == 2  # nothing was measured
    assert len(run(s, takes=3.0)) == 6  # half a second each
    add(s, make_window("awaited", Lane.FILE), 10.0)
    run(s, 10.0, takes=0.5)
    fill()
    assert len(run(s, 11.0, takes=1.0)) == 2
    assert len(run(s, 11.0 + LIVE_MEMORY_S, takes=3.0)) == 6


def test_a_batch_of_background_work_takes_some_seconds_at_most() -> None:
    s = a_scheduler(max_batch=8)
    for i in range(8):
        add(s, background(f"job {i}"))
    assert len(run(s, takes=4.0)) == 2  # two seconds each
    assert len(run(s, takes=4.0)) == 2  # of eight that would fit


def test_file_batches_are_short_while_there_is_live_audio() -> None:
    s = a_scheduler(max_batch=8)

    def fill() -> None:
        for i in range(8):
            add(s, make_window(f"{i}", Lane.FILE), now=100.0)

    fill()
    assert len(run(s, now=100.0, takes=8.0)) == 8, "nobody is live"
    add(s, make_window("live", Lane.PARTIAL), now=101.0)
    run(s, now=101.0)
    fill()
    assert len(run(s, now=102.0, takes=2.0)) == 1, "one second each, one second allowed"
    while s.capacity().queued[Lane.FILE]:
        run(s, now=103.0)
    fill()
    assert len(run(s, now=102.0 + LIVE_MEMORY_S, takes=8.0)) == 8, "nobody has been live for long"


def test_slow_windows_still_run_one_by_one() -> None:
    s = a_scheduler()
    add(s, make_window("file", Lane.FILE))
    run(s, takes=60.0)
    add(s, make_window("live", Lane.PARTIAL))
    run(s)
    add(s, make_window("a", Lane.FILE))
    add(s, make_window("b", Lane.FILE))
    assert len(run(s)) == 1


def test_cancelling_what_waits_and_what_runs() -> None:
    s = a_scheduler(max_batch=2)
    running, gone, waiting = (make_window(o) for o in ("running", "gone", "waiting"))
    for window in (running, gone, waiting):
        add(s, window)
    batch = s.next_batch(0.0)
    assert batch is not None
    assert s.cancel(waiting.id) is waiting
    assert s.cancel(gone.id) is None, "it runs; its result will be dropped"
    assert s.cancel(999_999_999) is None
    assert s.complete(batch, 1.0) == [running]
    assert s.next_batch(1.0) is None
    assert s.capacity().running == 0


def test_cancelling_an_owner_takes_all_lanes() -> None:
    s = a_scheduler(max_batch=1)
    mine = [make_window("me", lane) for lane in Lane]
    for window in [*mine, make_window("other", Lane.FILE)]:
        add(s, window)
    batch = s.next_batch(0.0)
    assert batch is not None
    assert set(s.cancel_owner("me")) == set(mine)
    assert s.cancel_owner("me") == []
    assert s.complete(batch, 1.0) == []
    assert run(s) == ["other"]


def test_a_window_that_is_done_early_is_done() -> None:
    s = a_scheduler()
    early, gone, late = (make_window(o) for o in ("early", "gone", "late"))
    for window in (early, gone, late):
        add(s, window)
    batch = s.next_batch(0.0)
    assert batch is not None
    assert s.finish(early.id)
    assert not s.finish(early.id)
    s.cancel(gone.id)
    assert not s.finish(gone.id)
    assert s.capacity().running == 1
    assert s.cancel_owner("early") == []
    assert s.fail(batch, 1.0).retried == (late,)


def test_a_failed_batch_is_tried_again_one_by_one_and_then_lost() -> None:
    s = a_scheduler(max_batch=3)
    windows = [make_window(o) for o in ("a", "poison", "c")]
    for window in windows:
        add(s, window)
    batch = s.next_batch(0.0)
    assert batch is not None
    failed = s.fail(batch, 1.0)
    assert (set(failed.retried), failed.lost) == (set(windows), ())
    add(s, make_window("new", deadline=5.0))
    fates = {}
    while (batch := s.next_batch(2.0)) is not None:
        assert len(batch.windows) == 1
        owner = batch.windows[0].owner
        fates[owner] = s.fail(batch, 3.0).lost if owner == "poison" else tuple(s.complete(batch, 3.0))
    assert list(fates) == ["a", "poison", "c", "new"]
    assert all(len(fate) == 1 for fate in fates.values())


def test_a_cancelled_window_is_not_retried() -> None:
    s = a_scheduler()
    window = make_window("a")
    add(s, window)
    batch = s.next_batch(0.0)
    assert batch is not None
    s.cancel(window.id)
    assert s.fail(batch, 1.0).retried == ()
    assert s.next_batch(1.0) is None


def test_shrinking_stops_at_one() -> None:
    s = a_scheduler(max_batch=4)
    for _ in range(5):
        s.shrink(4)
    for i in range(2):
        add(s, make_window(f"{i}"))
    assert len(run(s)) == 1


def test_shrinking_halves_the_batch_that_failed() -> None:
    s = a_scheduler(max_batch=16)
    s.shrink(6)
    for i in range(5):
        add(s, make_window(f"{i}"))
    assert len(run(s)) == 3


def test_capacity_tells_queues_and_wait() -> None:
    s = a_scheduler(max_batch=1)
    add(s, make_window("measured"))
    run(s, takes=3.0)
    for lane in (Lane.FINAL, Lane.FINAL):
        add(s, make_window("x", lane))
    running = s.next_batch(0.0)
    capacity = s.capacity()
    assert running is not None
    assert capacity.queued == {Lane.FINAL: 1, Lane.PARTIAL: 0, Lane.FILE: 0}
    assert capacity.running == 1
    assert capacity.wait_s == pytest.approx(3.0)
    assert capacity.max_queued[Lane.FILE] == 100


def test_dropping_all() -> None:
    s = a_scheduler()
    windows = [make_window("x", lane) for lane in Lane]
    for window in windows:
        add(s, window)
    assert s.drop_all() == windows
    assert s.next_batch(0.0) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("abc"), st.sampled_from(Lane), st.integers(0, 5), st.booleans()),
            st.tuples(st.sampled_from(["run", "complete", "fail", "early"])),
            st.tuples(st.just("cancel"), st.sampled_from("abc")),
        ),
        max_size=60,
    )
)
def test_no_window_is_lost_or_answered_twice(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever happens: every window ends once, as done, replaced, cancelled or lost."""
    s = a_scheduler(max_batch=3)
    added: set[int] = set()
    ended: list[int] = []
    batch: Batch | None = None
    for step in [*steps, ("ready",), *[("complete",), ("run",)] * 100]:
        if step[0] == "ready":
            for number in added:
                s.make_ready(number)
        elif step[0] == "add":
            window = make_window(step[1], step[2], step[3])
            added.add(window.id)
            ended += [w.id for w in s.add(window, make_key(window), 0.0, ready=step[4])]
        elif step[0] == "cancel":
            ended += [w.id for w in s.cancel_owner(step[1])]
        elif step[0] == "run" and batch is None:
            batch = s.next_batch(0.0)
        elif batch is not None and step[0] == "early":
            ended += [w.id for w in batch.windows[:1] if s.finish(w.id)]
        elif batch is not None and step[0] == "complete":
            ended += [w.id for w in s.complete(batch, 0.0)]
            batch = None
        elif batch is not None and step[0] == "fail":
            ended += [w.id for w in s.fail(batch, 0.0).lost]
            batch = None
    assert sorted(ended) == sorted(added)
    assert s.capacity().running == 0


def test_it_is_pure() -> None:
    """No clock, thread, loop or socket: those belong to the worker."""
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not imported & {"asyncio", "threading", "time", "socket", "concurrent.futures"}
