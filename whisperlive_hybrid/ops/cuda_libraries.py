"""The CUDA libraries that CTranslate2 opens by name when it first runs on a GPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LIBRARIES = ("libcublasLt.so.12", "libcublas.so.12")
"""In the order in which they need each other."""
PACKAGE = "nvidia-cublas-cu12"
"""NVIDIA's wheel that holds them."""


def load_cuda_libraries(folders: Sequence[str] | None = None) -> dict[str, str | None]:
    """Open the libraries, so that later openings by name find them; name → where it was found, None if nowhere.

    The system's loader goes first. NVIDIA's wheels put theirs where it does not look, in `folders` (default: the
    module search path).
    """
    return {name: _load(name, sys.path if folders is None else folders) for name in LIBRARIES}


def _load(name: str, folders: Sequence[str]) -> str | None:
    with suppress(OSError):
        ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
        return "found by the loader"
    for folder in folders:
        for file in Path(folder).glob(f"nvidia/*/lib/{name}"):
            with suppress(OSError):
                ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
                return str(file)
    return None
