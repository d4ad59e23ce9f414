"""Whether this is the only process that uses a folder: the system lets go of the lock of one that was killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sole_process(path: Path) -> Iterator[bool]:
    """Hold the lock `path` for the length of the block; False where another process does. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            only = True
        except OSError:  # held, or the file system knows no locks
            only = False
        yield only
    finally:
        os.close(fd)
