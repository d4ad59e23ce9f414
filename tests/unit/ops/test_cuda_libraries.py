from __future__ import annotations

import ctypes.util
import shutil
from pathlib import Path

import pytest

from whisperlive_hybrid.ops import cuda_libraries
from whisperlive_hybrid.ops.cuda_libraries import load_cuda_libraries


def test_a_wheels_library_is_opened_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any shared library serves as a stand-in: what counts is that the loader alone would not find its name."""
    import _ctypes

    folder = tmp_path / "nvidia/cublas/lib"
    folder.mkdir(parents=True)
    shutil.copy(_ctypes.__file__, folder / "libstandin.so.12")
    (folder / "libbroken.so.12").write_text("no library")
    monkeypatch.setattr(cuda_libraries, "LIBRARIES", ("libstandin.so.12", "libbroken.so.12", "libnowhere.so.12"))
    assert load_cuda_libraries([str(tmp_path)]) == {
        "libstandin.so.12": str(folder / "libstandin.so.12"),
        "libbroken.so.12": None,
        "libnowhere.so.12": None,
    }


def test_the_systems_own_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = ctypes.util.find_library("c")
    assert libc is not None
    monkeypatch.setattr(cuda_libraries, "LIBRARIES", (libc,))
    assert load_cuda_libraries([]) == {libc: "found by the loader"}
