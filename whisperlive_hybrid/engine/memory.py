"""The C library's allocator: keeping a worker's memory at hand, and giving a model's back."""

from __future__ import annotations

import ctypes
import gc

# glibc's numbers for mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_KEPT_BYTES = 2**31 - 1
_PAD_BYTES = 64 << 20


def keep_freed_memory() -> None:
    """Let inference on the CPU use the same memory again, rather than take it fresh from the system for every layer.

    An encoder layer asks for tens or hundreds of megabytes for a moment. glibc maps such blocks anew each time, and
    clearing their pages was a third to a half of the encoder's CPU time. So: no separate mappings, one arena for all
    threads (others are limited to 64 MB), and free memory at its end is kept. Call it before threads start; without
    glibc nothing happens.
    """
    set_option = _c_function("mallopt")
    if set_option is None:
        return
    for option, value in (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, _KEPT_BYTES),
        (_M_TOP_PAD, _PAD_BYTES),
    ):
        set_option(option, value)


def return_freed_memory(*, collect: bool = True) -> None:
    """Give what is free back to the system; a model's worth of it is worth a call. Without glibc nothing happens.

    `collect` garbage before, which holds up all threads for some tens of milliseconds.
    """
    if collect:
        gc.collect()
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)


def _c_function(name: str) -> ctypes._NamedFuncPointer | None:
    try:
        function: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return None
    return function
