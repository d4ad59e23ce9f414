"""Which models may leave memory."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from whisperlive_hybrid.engine.registry import Loaded, Registry
from whisperlive_hybrid.engine.whisper import WhisperBackend


def registry(*names: str, max_loaded: int = 3) -> Registry:
    """Models last used at 0, 1, 2, …; the first is the default."""
    r = Registry(max_loaded, ttl_s=10.0)
    r.default = names[0] if names else None
    for i, name in enumerate(names):
        r.add(Loaded(name, Path(name), cast(WhisperBackend, None), 1, float(i)))
    return r


def loaded(r: Registry, name: str) -> Loaded:
    model = r.get(name)
    assert model is not None
    return model


def test_idle_models_expire_but_never_the_default() -> None:
    r = registry("default", "a", "b")
    assert r.expired(10.9) == []
    assert r.expired(11.0) == ["a"]
    assert r.expired(100.0) == ["a", "b"]


def test_busy_and_running_models_stay() -> None:
    r = registry("default", "a", "b")
    loaded(r, "a").in_use = 1
    assert r.expired(100.0, running="b") == []
    loaded(r, "a").in_use = 0
    assert r.expired(100.0, running="b") == ["a"]


def test_room_is_made_by_the_least_recently_used() -> None:
    r = registry("default", "a", "b")
    assert r.to_make_room(0) == ["a"]
    assert r.to_make_room(1) == ["a", "b"]
    assert r.to_make_room(2) is None
    assert registry("default").to_make_room(0) == []


def test_no_room_when_all_are_busy() -> None:
    r = registry("default", "a", max_loaded=2)
    loaded(r, "a").in_use = 1
    assert r.to_make_room(0) is None
    assert registry("default", max_loaded=1).to_make_room(0) is None


def test_held_and_permanent_models_stay() -> None:
    r = registry("default", "a", "b", "c", max_loaded=4)
    loaded(r, "a").held = 1
    r.permanent.add("b")
    assert r.expired(100.0) == ["c"]
    assert r.to_make_room(0) == ["c"]
    assert r.to_make_room(1) is None
    loaded(r, "a").held = 0
    assert r.to_make_room(1) == ["a", "c"]
