from __future__ import annotations

import pytest

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import OverLimit, Refused
from whisperlive_hybrid.ops.clients import client_of_address, client_of_key
from whisperlive_hybrid.ops.limits import ClientLimits, check
from whisperlive_hybrid.ops.rates import Places, RequestRate


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


def test_a_client_is_its_key_or_its_address() -> None:
    limits = ClientLimits.of(settings())

    assert limits.client_of("key", "192.0.2.1", {}) == client_of_key("key")
    assert limits.client_of(None, "192.0.2.1", {}) == client_of_address("192.0.2.1")
    assert limits.client_of(None, "127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}) == client_of_address("192.0.2.1")
    assert limits.client_of(None, None, {}) == client_of_address("")


def test_places_are_given_back_however_it_ends() -> None:
    limits = ClientLimits(places=Places(3, 2))
    with limits.place("a"), limits.place("a"):
        with pytest.raises(OverLimit) as refused, limits.place("a"):
            pass
        assert (refused.value.code, refused.value.used, refused.value.limit) == ("too_many_at_once", 2, 2)
        assert refused.value.retry_after_s > 0
        with limits.place("b"), pytest.raises(Refused) as full, limits.place("c"):
            pass
        assert full.value.code == "full"
        assert not isinstance(full.value, OverLimit)
    with pytest.raises(ZeroDivisionError), limits.place("a"):
        _ = 1 / 0
    assert limits.places.n_taken == 0


def test_requests_a_minute() -> None:
    now = 0.0
    limits = ClientLimits(places=Places(1), rate=RequestRate(2), clock=lambda: now)
    for _ in range(2):
        check(limits.count("a"))
    with pytest.raises(OverLimit, match=r"2 requests a minute, .* in 30 s") as refused:
        check(limits.count("a"))
    assert refused.value.code == "too_many_requests"

    now += refused.value.retry_after_s
    check(limits.count("a"))


def test_nothing_is_counted_by_default() -> None:
    limits = ClientLimits.of(settings())

    assert limits.count("a") is None
    assert limits.look("a") is None
    check(None)


def test_by_default_one_client_leaves_places_for_others() -> None:
    places = ClientLimits.of(settings()).places

    assert places.most == 84
    assert places.limit_of("a") == 56
