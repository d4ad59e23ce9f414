"""Heartbeats, idleness and pauses of a client, with time turned by hand."""

from __future__ import annotations

from whisperlive_hybrid.live.presence import Presence


def test_heartbeats_come_at_their_interval_from_the_last_connection() -> None:
    presence = Presence(100.0, heartbeat_s=10.0, idle_s=60.0, flush_after_s=None)
    presence.touch(105.0)
    assert not presence.beat(109.9)
    assert presence.beat(110.5)
    assert presence.heartbeat_at == 120.5
    presence.greet(115.0)
    assert presence.heartbeat_at == 125.0


def test_idleness_counts_from_the_last_message_and_not_while_busy() -> None:
    presence = Presence(100.0, heartbeat_s=10.0, idle_s=60.0, flush_after_s=None)
    presence.touch(130.0)
    assert presence.idle_at(180.0, busy=False) == 190.0
    assert presence.idle_at(180.0, busy=True) == 240.0


def test_a_pause_ends_what_was_said_only_where_that_is_asked_for() -> None:
    assert Presence(100.0, heartbeat_s=10.0, idle_s=60.0, flush_after_s=None).quiet_at() is None
    presence = Presence(100.0, heartbeat_s=10.0, idle_s=60.0, flush_after_s=1.5)
    presence.touch(104.0)
    assert presence.quiet_at() == 105.5
