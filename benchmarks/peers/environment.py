"""A Python of its own for WhisperLive, made once in the cache folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

WHISPERLIVE = "0.10.0"

# What its server imports with the faster-whisper backend. The package is installed without its dependencies, which
# would bring OpenVINO, librosa, audio devices and CUDA libraries. Where it names a version, that one.
REQUIREMENTS = (
    "faster-whisper==1.2.0",
    "tokenizers==0.20.3",
    "websockets",
    "fastapi",
    "uvicorn",
    "python-multipart",
)
SAME_AS_OURS = ("ctranslate2", "onnxruntime", "numpy", "av", "torch")
"""Installed in the version that this project runs with: the two shall differ in what they do, not in what runs it."""

TORCH_CPU = "https://download.pytorch.org/whl/cpu"


def whisperlive_python() -> Path:
    """The interpreter of an environment with WhisperLive's server; made if it is not there yet.

    Raises RuntimeError when it cannot be made.
    """
    folder = _cache() / f"whisper-live-{WHISPERLIVE}-py{sys.version_info.major}.{sys.version_info.minor}"
    python, complete = folder / "bin" / "python", folder / "complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two benchmarks started at once make it once
        if complete.exists():
            return python
        print(f"installing WhisperLive {WHISPERLIVE} into {folder} (once; about 1.5 GB)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        ours = [f"{name}=={version(name)}" for name in SAME_AS_OURS]
        try:
            _pip(python, [*REQUIREMENTS, *ours])
        except RuntimeError:
            # A version like 2.8.0+cpu is not on PyPI.
            _pip(python, ["--extra-index-url", TORCH_CPU, *REQUIREMENTS, *ours])
        _pip(python, ["--no-deps", f"whisper-live=={WHISPERLIVE}"])
        _run([str(python), "-c", "import whisper_live.server, whisper_live.backend.faster_whisper_backend"])
        complete.touch()
    return python


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whisperlive-hybrid" / "benchmarks"


def _pip(python: Path, arguments: Sequence[str]) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
