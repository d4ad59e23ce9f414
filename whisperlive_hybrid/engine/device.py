"""Where inference runs: which device, with which precision, how many threads, how large a batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ctranslate2

from whisperlive_hybrid.errors import Unavailable
from whisperlive_hybrid.ops.cuda_libraries import PACKAGE as CUDA_PACKAGE
from whisperlive_hybrid.ops.cuda_libraries import load_cuda_libraries
from whisperlive_hybrid.ops.devices import Gpu, as_cuda_numbers_them, gpus

log = logging.getLogger(__name__)

GIB = 1 << 30
_FLOAT16_MEMORY = 8 * GIB
"""From here on float16 weights of a large model and a batch fit beside each other."""
_BATCH_CPU = 8
_BATCH_GPU = 16
_BATCH_BYTES_CPU = 192 << 20
"""Four windows of 30 s for a model of `tiny`'s size. More save little: a CPU encodes them one by one in any case."""
_BATCH_SHARE_GPU = 0.4
"""Of a GPU's memory; the weights of two models and what the driver takes fit beside it."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device of the one worker."""

    kind: Literal["cpu", "cuda"]
    index: int
    name: str
    compute_type: str
    threads: int
    """CPU threads of one inference."""
    max_batch: int
    memory_bytes: int | None
    """Of the GPU; None on a CPU."""
    batch_bytes: int | None = None
    """Memory that one batch may take beside the weights; None is no limit but `max_batch`."""

    def __str__(self) -> str:
        place = self.name if self.kind == "cpu" else f"{self.name} (cuda:{self.index})"
        memory = "" if self.batch_bytes is None else f" in {self.batch_bytes >> 20} MiB"
        return f"{place}, {self.compute_type}, {self.threads} threads, batches up to {self.max_batch}{memory}"


def choose_device(
    *,
    kind: Literal["auto", "cpu", "cuda"],
    index: int,
    compute_type: str,
    threads: int,
    max_batch: int,
    batch_mib: int,
    found: Sequence[Gpu],
    usable_gpus: int,
    cores: int,
) -> Device:
    """The device for these settings on this machine. `usable_gpus` is how many CTranslate2 can use.

    Raises Unavailable where a GPU is demanded that is not there.
    """
    threads = threads or cores
    given = batch_mib << 20
    if kind == "cuda" and index >= usable_gpus:
        there = f"{usable_gpus} can be used" if usable_gpus else "no GPU can be used here"
        raise Unavailable(f"DEVICE=cuda with DEVICE_INDEX={index}, but {there}", code="no_gpu")
    if kind == "cpu" or index >= usable_gpus:
        precision = "int8" if compute_type == "auto" else compute_type
        most = given or _BATCH_BYTES_CPU
        return Device("cpu", 0, f"CPU with {cores} cores", precision, threads, max_batch or _BATCH_CPU, None, most)
    gpu = next((g for g in found if g.index == index), None)
    memory = gpu.memory_total_bytes if gpu else None
    precision = compute_type
    if compute_type == "auto":
        precision = "float16" if memory is None or memory >= _FLOAT16_MEMORY else "int8_float16"
    name = gpu.name if gpu else "CUDA GPU"
    share = None if memory is None else int(memory * _BATCH_SHARE_GPU)
    return Device("cuda", index, name, precision, threads, max_batch or _BATCH_GPU, memory, given or share)


def find_device(
    kind: Literal["auto", "cpu", "cuda"],
    index: int,
    compute_type: str,
    threads: int,
    max_batch: int,
    *,
    batch_mib: int = 0,
) -> Device:
    """Look at this machine, choose, and log the choice. Takes tens of milliseconds where there is a GPU.

    Raises Unavailable where what the settings demand is not there.
    """
    # CUDA counts the fastest GPU first unless told otherwise, the driver by the bus. It reads this when first used.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    device = choose_device(
        kind=kind,
        index=index,
        compute_type=compute_type,
        threads=threads,
        max_batch=max_batch,
        batch_mib=batch_mib,
        found=[] if kind == "cpu" else as_cuda_numbers_them(gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")),
        usable_gpus=0 if kind == "cpu" else _usable_gpus(demanded=kind == "cuda"),
        cores=usable_cores(),
    )
    allowed = ctranslate2.get_supported_compute_types(device.kind, device.index)
    if device.compute_type not in allowed:
        raise Unavailable(
            f"COMPUTE_TYPE={device.compute_type} does not run on {device.name}: choose auto or one of "
            f"{', '.join(sorted(allowed))}",
            code="bad_compute_type",
        )
    log.info("inference on %s", device)
    return device


def _usable_gpus(*, demanded: bool) -> int:
    """GPUs that CTranslate2 can really run on. A missing library would only show with the first window."""
    try:
        n = int(ctranslate2.get_cuda_device_count())
    except RuntimeError as error:  # a driver that does not fit CTranslate2's CUDA
        log.warning("CUDA cannot be used: %s", error)
        return 0
    if n == 0:
        return 0
    missing = [name for name, found in load_cuda_libraries().items() if found is None]
    if missing:
        fault = f"there is a GPU, but {' and '.join(missing)} cannot be found: pip install {CUDA_PACKAGE}"
        if demanded:
            raise Unavailable(fault, code="no_cuda_libraries")
        log.warning("%s. Using the CPU", fault)
        return 0
    return n


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: its CPU set, and a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
    except (OSError, ValueError):
        return cores
    if quota == "max":
        return cores
    return max(1, min(cores, round(int(quota) / int(period))))
