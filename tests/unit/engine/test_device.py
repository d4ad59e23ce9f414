"""Which device, for which settings, on which machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from whisperlive_hybrid.engine.device import GIB, Device, choose_device, find_device, usable_cores
from whisperlive_hybrid.errors import Unavailable
from whisperlive_hybrid.ops.devices import Gpu


def gpu(memory_gib: float, index: int = 0) -> Gpu:
    total = int(memory_gib * GIB)
    return Gpu(index, f"GPU {index}", f"GPU-{index}", total, total, 0.0, 40.0, "600.1")


def choose(**given: Any) -> Device:
    machine: dict[str, Any] = {
        "kind": "auto",
        "index": 0,
        "compute_type": "auto",
        "threads": 0,
        "max_batch": 0,
        "batch_mib": 0,
        "found": [],
        "usable_gpus": 0,
        "cores": 4,
    }
    return choose_device(**{**machine, **given})


def test_cpu_where_there_is_no_gpu() -> None:
    device = choose()
    assert (device.kind, device.compute_type, device.threads, device.max_batch) == ("cpu", "int8", 4, 8)
    assert device.memory_bytes is None


def test_settings_win() -> None:
    device = choose(threads=3, compute_type="float32", max_batch=5)
    assert (device.threads, device.compute_type, device.max_batch) == (3, "float32", 5)


def test_memory_of_a_batch_is_given_or_a_share_of_the_gpus() -> None:
    assert choose().batch_bytes == 192 << 20
    assert choose(batch_mib=100).batch_bytes == 100 << 20
    assert choose(found=[gpu(24)], usable_gpus=1).batch_bytes == int(0.4 * 24 * GIB)
    assert choose(found=[gpu(24)], usable_gpus=1, batch_mib=512).batch_bytes == 512 << 20
    assert choose(usable_gpus=1).batch_bytes is None
    assert "batches up to 8 in 192 MiB" in str(choose())


@pytest.mark.parametrize(("memory", "precision"), [(80, "float16"), (8, "float16"), (6, "int8_float16")])
def test_precision_on_a_gpu_follows_its_memory(memory: int, precision: str) -> None:
    device = choose(found=[gpu(memory)], usable_gpus=1)
    assert (device.kind, device.compute_type, device.name, device.max_batch) == ("cuda", precision, "GPU 0", 16)


def test_the_gpu_asked_for() -> None:
    device = choose(index=1, found=[gpu(80), gpu(6, 1)], usable_gpus=2)
    assert (device.index, device.name, device.compute_type) == (1, "GPU 1", "int8_float16")


def test_a_gpu_that_the_driver_does_not_name_still_runs() -> None:
    assert choose(usable_gpus=1).kind == "cuda"


def test_a_gpu_that_ctranslate2_cannot_use_is_left() -> None:
    assert choose(found=[gpu(80)], usable_gpus=0).kind == "cpu"
    assert choose(kind="cpu", found=[gpu(80)], usable_gpus=1).kind == "cpu"


@pytest.mark.parametrize(("index", "usable"), [(0, 0), (2, 2)])
def test_a_gpu_demanded_but_missing(index: int, usable: int) -> None:
    with pytest.raises(Unavailable, match="DEVICE=cuda"):
        choose(kind="cuda", index=index, usable_gpus=usable)


def test_this_machine() -> None:
    assert find_device("cpu", 0, "auto", 0, 0).compute_type == "int8"
    with pytest.raises(Unavailable, match="COMPUTE_TYPE=float16"):
        find_device("cpu", 0, "float16", 0, 0)


def test_cores_within_a_containers_quota(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    everything = usable_cores(tmp_path / "missing")
    assert everything >= 1
    quota.write_text("max 100000\n")
    assert usable_cores(quota) == everything
    quota.write_text("100000 100000\n")
    assert usable_cores(quota) == 1
    quota.write_text("50000 100000\n")
    assert usable_cores(quota) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp comes with CTranslate2 on Linux only")
@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_waiting_threads_sleep_unless_told_otherwise(given: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": given} if given else {})
    command = [sys.executable, "-c", "import whisperlive_hybrid.server"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert f"OMP_WAIT_POLICY = '{expected}'" in said
