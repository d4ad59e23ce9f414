from __future__ import annotations

import pytest

from whisperlive_hybrid.ops.rates import Places, RequestRate, UploadPace


def test_a_minute_s_requests_at_once_and_then_one_by_one() -> None:
    rate = RequestRate(6)

    assert [rate.take("a", 100.0).taken for _ in range(7)] == [True] * 6 + [False]
    assert not rate.take("a", 109.9).taken
    assert rate.take("a", 110.0).taken
    assert not rate.take("a", 110.0).taken
    assert [rate.take("a", 170.0).taken for _ in range(7)] == [True] * 6 + [False]


def test_what_is_left() -> None:
    rate = RequestRate(6)

    first = rate.take("a", 0.0)
    assert (first.limit, first.remaining, first.reset_s, first.retry_after_s) == (6, 5, 10.0, 0.0)
    for _ in range(5):
        last = rate.take("a", 0.0)
    assert (last.remaining, last.reset_s, last.retry_after_s) == (0, 60.0, 10.0)
    refused = rate.take("a", 4.0)
    assert (refused.taken, refused.remaining, refused.reset_s, refused.retry_after_s) == (False, 0, 56.0, 6.0)
    assert rate.look("a", 30.0).remaining == 3
    assert rate.look("a", 60.0) == rate.look("never seen", 60.0)


def test_who_obeys_retry_after_is_taken() -> None:
    rate, now = RequestRate(7), 0.0
    for _ in range(50):
        verdict = rate.take("a", now)
        now += verdict.retry_after_s
        assert rate.take("a", now).taken or verdict.taken


def test_clients_do_not_touch_each_other() -> None:
    rate = RequestRate(1)

    assert rate.take("a", 0.0).taken
    assert rate.take("b", 0.0).taken
    assert not rate.take("a", 1.0).taken


def test_the_table_is_bounded_and_forgets_who_was_quiet_longest() -> None:
    rate = RequestRate(2, max_clients=100)
    rate.take("quiet", 0.0)
    rate.take("quiet", 0.0)
    for i in range(1000):
        rate.take(f"client {i}", 1.0)
        rate.take("busy", 1.0)

    assert rate.n_clients <= 101
    assert not rate.take("busy", 1.0).taken
    assert rate.take("quiet", 1.0).taken, "forgotten, to its advantage"


def test_who_has_paid_is_forgotten() -> None:
    rate = RequestRate(60)
    for i in range(50):
        rate.take(f"client {i}", 0.0)
    for second in range(50):
        rate.take("one", 10.0 + second)

    assert rate.n_clients == 1


def fill(places: Places, client: str) -> int:
    n = 0
    while places.has_room_for(client):
        places.take(client)
        n += 1
    return n


def test_a_fair_share_leaves_places_for_whoever_comes_next() -> None:
    places = Places(84)

    assert places.limit_of("a") == 56
    assert [fill(places, name) for name in "abcd"] == [56, 19, 6, 2]
    assert not places.is_full
    assert fill(places, "e") == 1
    assert places.is_full
    assert fill(places, "f") == 0


def test_the_share_grows_again_when_others_leave() -> None:
    places = Places(84)
    fill(places, "a")
    fill(places, "b")
    for _ in range(56):
        places.give_back("a")

    assert places.taken_by("a") == 0
    assert fill(places, "b") == 56 - 19


@pytest.mark.parametrize("most", range(1, 20))
def test_the_limit_told_is_the_limit_kept(most: int) -> None:
    places = Places(most)
    told = places.limit_of("a")

    assert fill(places, "a") == told == places.limit_of("a")
    assert told >= 1


@pytest.mark.parametrize(("per_client", "n"), [(3, 3), (0, 10), (20, 10)])
def test_a_fixed_limit_or_none(per_client: int, n: int) -> None:
    places = Places(10, per_client)

    assert fill(places, "a") == n


def test_short_of_places() -> None:
    places = Places(8, 0)
    for _ in range(6):
        places.take("a")
    assert not places.is_short
    places.take("a")
    assert places.is_short


def test_the_pace_of_an_upload() -> None:
    pace = UploadPace(1000, 60)

    assert not any(pace.is_slow(1.0, 3000 * second) for second in range(1, 200)), "3 KB/s"

    pace = UploadPace(1000, 60)
    assert not pace.is_slow(59.0, 1)
    assert pace.is_slow(1.5, 2)
    assert not pace.is_slow(59.0, 3), "said once a window"
    assert pace.is_slow(1.0, 4)


def test_a_gap_in_an_upload_is_made_up_for() -> None:
    """A phone in a tunnel: nothing for 40 s, and 3 KB/s before and after."""
    pace, received = UploadPace(1000, 60), 0
    for second in range(600):
        received += 0 if second % 60 < 40 else 3000
        assert not pace.is_slow(1.0, received)


def test_waiting_for_us_is_not_waiting_for_them() -> None:
    pace = UploadPace(1000, 60)

    assert not any(pace.is_slow(0.0, 10 * i) for i in range(1000))


def test_a_long_last_wait_counts_as_a_whole() -> None:
    pace = UploadPace(1000, 60)

    assert pace.is_slow(118.0, 100_000)
    assert not pace.is_slow(118.0, 100_000 + 118_000)
