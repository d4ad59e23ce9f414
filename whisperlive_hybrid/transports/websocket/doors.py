"""The list of front doors for live audio. Both listeners answer at their paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.transports.live_door import MAX_PATH_SHOWN, LiveDoor
from whisperlive_hybrid.transports.websocket import native

DOORS: Final[Sequence[LiveDoor]] = (native.DOOR,)


def door_at(path: str) -> LiveDoor:
    """The door of a path. Raises NotFound naming the paths there are."""
    path = path.rstrip("/")
    everywhere = None
    for door in DOORS:
        if path in door.paths:
            return door
        if not door.paths:
            everywhere = door
    if everywhere is not None:
        return everywhere
    paths = ", ".join(path for door in DOORS for path in door.paths)
    message = f"There is nothing at {path[:MAX_PATH_SHOWN]}; live audio is taken at {paths}."
    raise NotFound(message, kind="path", id=path)
