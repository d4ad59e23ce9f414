"""Which door answers where, and handshakes that are refused."""

from __future__ import annotations

import json

import pytest

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.transports.live_door import Handshake, LiveTerms
from whisperlive_hybrid.transports.websocket.doors import DOORS, door_at


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_each_path_belongs_to_one_door(door: object) -> None:
    paths = [path for d in DOORS for path in d.paths]
    assert len(paths) == len(set(paths))
    assert all(path.startswith("/") and not path.endswith("/") for path in paths)
    assert sum(not d.paths for d in DOORS) == 1, "one door answers wherever no other does"


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_trailing_slash_makes_no_difference(door: object) -> None:
    for path in door.paths:  # type: ignore[attr-defined]
        assert door_at(path) is door_at(f"{path}/") is door


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_each_wire_can_say_no(door: object) -> None:
    dialect = door.dialect(Handshake("/", {}), LiveTerms())  # type: ignore[attr-defined]
    refusal = dialect.refuse(HybridError("Our fault."))
    assert 1000 <= refusal.close_code < 5000
    for message in refusal.messages:
        json.loads(message)


def test_a_query_keeps_its_order_and_a_name_its_last_value() -> None:
    handshake = Handshake.of("/v1/x?a=1&b=&a=2%26", {})
    assert (handshake.path, handshake.pairs) == ("/v1/x", (("a", "1"), ("b", ""), ("a", "2&")))
    assert handshake.query == {"a": "2&", "b": ""}


@pytest.mark.parametrize("target", ["//[", "//[/v1/listen", "http://[x?a=1", "//\u2100.example/", "", "*", "?", "//"])
def test_a_target_that_is_no_address_leads_to_some_door(target: str) -> None:
    assert door_at(Handshake.of(target, {}).path) in DOORS
