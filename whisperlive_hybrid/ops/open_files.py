"""Open files: as many as the system allows, and one line instead of thousands when they run out."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

ENOUGH = 65_536
QUIET_S = 60.0
"""Running out is told once in so long."""


def raise_limit() -> int:
    """Raise this process's limit of open files as far as is allowed and useful. Returns the limit in force.

    Many systems start a program with 1024, which that many idle connections use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


def quiet_handler() -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An exception handler for the event loop, which otherwise logs a traceback for every connection it cannot accept,
    hundreds a second. It goes on accepting by itself as soon as there is room."""
    told_at = -QUIET_S

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told_at
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif loop.time() >= told_at + QUIET_S:
            told_at = loop.time()
            log.error("no more connections can be taken: %s", error.strerror)

    return handle
