from __future__ import annotations

import pytest

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live.registry import Registry


def test_a_session_waits_until_it_expires_or_is_resumed() -> None:
    registry: Registry[str] = Registry()
    registry.add("a", "secret", "session a")
    registry.add("b", "secret", "session b")
    assert (registry.n_held, registry.n_waiting, registry.next_expiry()) == (2, 0, None)
    registry.let_wait("a", until=60.0)
    registry.let_wait("b", until=70.0)
    assert (registry.n_held, registry.n_waiting, registry.next_expiry()) == (0, 2, 60.0)
    assert registry.oldest_waiting() == "session a"
    assert registry.find("b", "secret") == "session b"
    assert registry.n_held == 0, "finding it is not holding it"
    registry.hold("b")
    assert registry.take_expired(59.9) == []
    assert registry.take_expired(60.0) == ["session a"]
    assert registry.sessions == ["session b"]


@pytest.mark.parametrize(("id", "token"), [("b", "secret"), ("a", "wrong"), ("a", ""), ("a", "sécret\ud800")])
def test_an_unknown_id_and_a_wrong_token_get_the_same_answer(id: str, token: str) -> None:
    registry: Registry[str] = Registry()
    registry.add("a", "secret", "session a")
    with pytest.raises(NotFound) as caught:
        registry.find(id, token)
    assert (caught.value.kind, caught.value.code) == ("session", "no_such_session")


def test_a_forgotten_session_is_gone() -> None:
    registry: Registry[str] = Registry()
    registry.add("a", "secret", "session a")
    registry.remove("a")
    registry.remove("a")
    registry.let_wait("a", until=1.0)
    assert registry.sessions == []
