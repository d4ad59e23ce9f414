"""Where libopus comes from: the system's copy, or the one PyAV's wheel brings along.

opuslib asks `ctypes.util.find_library` once, at import, and gives up when the system has no libopus. This module
imports it with an answer ready. Everything else that needs Opus imports `decoder_api` from here, never opuslib itself.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import threading
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType

import av

from whisperlive_hybrid.errors import Unavailable

_import_lock = threading.Lock()


def wheel_libopus() -> str | None:
    """Path of the libopus inside PyAV's wheel (Linux and Windows: av.libs, macOS: av/.dylibs), if it has one."""
    package = Path(av.__file__).parent
    for folder, pattern in (
        (package.parent / "av.libs", "libopus-*.so*"),
        (package / ".dylibs", "libopus*.dylib"),
        (package.parent / "av.libs", "*opus-*.dll"),
    ):
        for path in sorted(folder.glob(pattern)):
            return str(path)
    return None


def system_libopus() -> str | None:
    """The system's libopus if it can be loaded: the linker's list may name one that is gone, or of another machine."""
    name = ctypes.util.find_library("opus")
    if name is None:
        return None
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    return name


@cache
def opuslib() -> ModuleType:
    """The opuslib package, bound to a libopus that exists. Raises Unavailable when there is none."""
    find_library = ctypes.util.find_library
    path = system_libopus() or wheel_libopus()

    def find_opus(name: str) -> str | None:
        return path if name == "opus" else find_library(name)

    with _import_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # opuslib compares integers with `is`, which newer Pythons remark on
        ctypes.util.find_library = find_opus
        try:
            return importlib.import_module("opuslib")
        except Exception as e:  # opuslib raises a bare Exception
            raise Unavailable(f"Opus cannot be decoded here: {e}", code="opus_unavailable") from e
        finally:
            ctypes.util.find_library = find_library


def decoder_api() -> ModuleType:
    """`opuslib.api.decoder`: libopus' decoder functions with their C signatures."""
    opuslib()
    return importlib.import_module("opuslib.api.decoder")
