"""The list of front doors for live audio. Both listeners answer at their paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whisperlive_hybrid.transports.live_door import LiveDoor
from whisperlive_hybrid.transports.websocket import deepgram, native, openai_realtime, whisperlive

DOORS: Final[Sequence[LiveDoor]] = (native.DOOR, openai_realtime.DOOR, deepgram.DOOR, whisperlive.DOOR)


def door_at(path: str) -> LiveDoor:
    """The door of a path; one answers wherever no other does."""
    path = path.rstrip("/")
    named = (door for door in DOORS if path in door.paths)
    return next(named, None) or next(door for door in DOORS if not door.paths)
