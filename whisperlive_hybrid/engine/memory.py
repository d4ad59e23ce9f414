"""Giving freed memory back to the system."""

from __future__ import annotations

import ctypes
import gc


def return_freed_memory() -> None:
    """glibc keeps freed blocks for itself; a model's worth of them is worth a call. Elsewhere nothing happens."""
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    trim(0)
