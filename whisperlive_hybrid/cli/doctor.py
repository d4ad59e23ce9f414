"""`whisperlive-hybrid doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.serve import port_fault
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, settings_from
from whisperlive_hybrid.config import Settings

EXAMPLES = """\
examples:
  whisperlive-hybrid doctor
  whisperlive-hybrid doctor --model small --device cuda
  whisperlive-hybrid doctor --offline                do not ask the hub
"""

_PACKAGES = (
    "websockets",
    "aiohttp",
    "faster-whisper",
    "ctranslate2",
    "onnxruntime",
    "silero-vad",
    "opuslib",
    "av",
    "numpy",
    "nvidia-ml-py",
    "pydantic-settings",
    "msgspec",
    "huggingface-hub",
)
_LATER = ("torch", "pyannote.audio")
"""Found but never imported: speaker diarization needs them, and importing them takes seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `bad` means that the server cannot work as it is set; `missing` costs a feature only."""

    state: Literal["ok", "missing", "bad"]
    what: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings that are looked at, and --offline."""
    parser.usage = "%(prog)s [--offline] [--SETTING VALUE …]"
    parser.add_argument("--offline", action="store_true", help="do not ask whether the model hub answers")
    add_settings_flags(
        parser,
        {
            "app_host",
            "http_port",
            "port_whisperlive",
            "fasterwhisper_model",
            "live_model",
            "final_model",
            "model_cache",
            "data_dir",
            "device",
            "compute_type",
        },
    )


def run(args: argparse.Namespace) -> int:
    """Print one line per finding; exit code 1 when something is bad."""
    settings = settings_from(args)
    bad = 0
    for finding in findings(settings, offline=args.offline):
        mark = {"ok": "ok     ", "missing": "missing", "bad": "BAD    "}[finding.state]
        print(f"{mark}  {finding.what:<17} {finding.detail}", flush=True)
        bad += finding.state == "bad"
    return exit_codes.FAILURE if bad else exit_codes.OK


def findings(settings: Settings, *, offline: bool = False) -> Iterator[Finding]:
    """Everything, one after another: a look that fails is a finding too."""
    looks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        _libraries,
        _devices,
        _gpus,
        _cuda_libraries,
        lambda: _models(settings),
        lambda: _hub(offline),
        lambda: _disk(settings),
        lambda: _ports(settings),
        _extras,
    ]
    for look in looks:
        try:
            yield from look()
        except Exception as error:  # the doctor must survive what it finds
            yield Finding("bad", look.__name__.strip("_"), f"{type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    state: Literal["ok", "bad"] = "ok" if sys.version_info >= (3, 11) else "bad"
    yield Finding(state, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding(
        "ok", "cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    )


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        version = _version(name)
        yield Finding("bad", name, "not installed") if version is None else Finding("ok", name, version)
    for name in _LATER:
        version = _version(name)
        if version is None:
            yield Finding("missing", name, "needed for speaker diarization only")
        else:
            yield Finding("ok", name, f"{version} (loaded only for speaker diarization)")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libraries() -> Iterator[Finding]:
    from whisperlive_hybrid.audio.libopus import system_libopus

    found = system_libopus()
    if found:
        yield Finding("ok", "libopus", found)
    else:
        yield Finding("missing", "libopus", "not on this system; Opus is decoded by PyAV's own copy")
    import av

    versions = ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in sorted(av.library_versions.items()))
    yield Finding("ok", "FFmpeg in PyAV", versions)


def _devices() -> Iterator[Finding]:
    import ctranslate2

    types = ", ".join(sorted(ctranslate2.get_supported_compute_types("cpu")))
    yield Finding("ok", "inference cpu", f"compute types {types}")
    n = ctranslate2.get_cuda_device_count()
    if n == 0:
        yield Finding("missing", "inference cuda", "CTranslate2 sees no CUDA device")
    for i in range(n):
        types = ", ".join(sorted(ctranslate2.get_supported_compute_types("cuda", i)))
        yield Finding("ok", f"inference cuda:{i}", f"compute types {types}")


def _gpus() -> Iterator[Finding]:
    from whisperlive_hybrid.ops.devices import gpus

    found = gpus()
    if not found:
        yield Finding("missing", "NVIDIA GPU", "none that a driver knows; the CPU does the work")
    for gpu in found:
        free, total = gpu.memory_free_bytes / 2**30, gpu.memory_total_bytes / 2**30
        detail = f"{gpu.name}, {free:.1f} of {total:.1f} GiB free, driver {gpu.driver}"
        yield Finding("ok", f"GPU {gpu.index}", detail)


def _cuda_libraries() -> Iterator[Finding]:
    from whisperlive_hybrid.ops.cuda_libraries import PACKAGE, load_cuda_libraries
    from whisperlive_hybrid.ops.devices import gpus

    if not gpus():
        return
    for name, where in load_cuda_libraries().items():
        if where is None:
            yield Finding("bad", name, f"not found; the GPU cannot be used. Try: pip install {PACKAGE}")
        else:
            yield Finding("ok", name, where)


def _models(settings: Settings) -> Iterator[Finding]:
    from whisperlive_hybrid.cli.models import describe

    wanted = {
        "default model": settings.fasterwhisper_model,
        "LIVE_MODEL": settings.live_model,
        "FINAL_MODEL": settings.final_model,
    }
    for what, name in wanted.items():
        if name:
            state, detail = describe(name, settings)
            yield Finding(state, what, detail)


def _hub(offline: bool) -> Iterator[Finding]:
    if offline:
        return
    url = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=4):
            pass
    except urllib.error.HTTPError:
        pass  # it answers, which is all we ask
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        yield Finding("missing", "model hub", f"{url} does not answer ({reason}); models on disk still work")
        return
    yield Finding("ok", "model hub", url)


def _disk(settings: Settings) -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_CACHE

    places = {
        "model cache": settings.model_cache or Path(HF_HUB_CACHE),
        "uploads": settings.upload_dir(),
    }
    for what, place in places.items():
        yield _folder(what, place.expanduser())
    if settings.resume_across_restarts and settings.resume_s > 0:
        found = _folder("live sessions", settings.data_folder())
        if found.state == "bad" and settings.data_dir is None:
            found = Finding("missing", found.what, f"{found.detail}, so they end with the process; set DATA_DIR")
        yield found


def _folder(what: str, place: Path) -> Finding:
    existing = place
    while not existing.exists():
        existing = existing.parent
    free = f"{shutil.disk_usage(existing).free / 2**30:.1f} GiB free"
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("bad", what, f"{place}: not writable")
    return Finding("ok", what, f"{place}, {free}" + ("" if place.exists() else " (made when needed)"))


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, port in (("HTTP_PORT", settings.http_port), ("PORT_WHISPERLIVE", settings.port_whisperlive)):
        fault = port_fault(settings.app_host, port)
        if fault is None:
            yield Finding("ok", name, f"{port} is free on {settings.app_host}")
        else:
            yield Finding("bad", name, f"{port} on {settings.app_host}: {fault}")


def _extras() -> Iterator[Finding]:
    if importlib.util.find_spec("sounddevice") is None:
        yield Finding("missing", "microphone", "for `whisperlive-hybrid live`: pip install sounddevice")
        return
    try:
        import sounddevice
    except OSError as error:
        yield Finding("missing", "microphone", f"sounddevice cannot find PortAudio ({error})")
        return
    inputs = [d["name"] for d in sounddevice.query_devices() if d["max_input_channels"] > 0]
    if inputs:
        yield Finding("ok", "microphone", ", ".join(inputs))
    else:
        yield Finding("missing", "microphone", "sounddevice is installed, but there is no input device")
