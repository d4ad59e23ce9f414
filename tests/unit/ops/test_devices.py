"""The GPU inventory, against a driver that is played by the test, and the real one where there is one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from whisperlive_hybrid.ops import devices


def no(*_: Any) -> Any:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver with two GPUs, of which the second says little. The list tells when it was closed."""
    closed: list[str] = []
    played = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: closed.append("closed"),
        "nvmlSystemGetDriverVersion": lambda: b"600.1",
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=80, free=30),
        "nvmlDeviceGetName": lambda handle: b"H100" if handle else "A10",
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        "nvmlDeviceGetUtilizationRates": lambda handle: no() if handle else SimpleNamespace(gpu=25),
        "nvmlDeviceGetTemperature": lambda handle, sensor: no() if handle else 41,
    }
    for name, function in played.items():
        monkeypatch.setattr(pynvml, name, function)
    return closed


def test_what_the_driver_tells(driver: list[str]) -> None:
    first, second = devices.gpus()
    assert (first.name, first.memory_total_bytes, first.memory_free_bytes, first.driver) == ("A10", 80, 30, "600.1")
    assert (first.utilization, first.temperature_c) == (0.25, 41.0)
    assert (second.name, second.uuid, second.utilization, second.temperature_c) == ("H100", "GPU-1", None, None)
    assert driver == ["closed"]


def test_a_gpu_that_fails_hides_no_other(driver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: "GPU-0" if handle == 0 else no())
    assert [g.index for g in devices.gpus()] == [0]


def test_no_driver_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", no)
    assert devices.gpus() == []


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["A10", "H100"]),
        ("1", ["H100"]),
        ("1, 0", ["H100", "A10"]),
        ("GPU-1", ["H100"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["A10"]),
    ],
)
def test_cuda_counts_only_what_it_is_let_see(driver: list[str], visible: str | None, names: list[str]) -> None:
    seen = devices.as_cuda_numbers_them(devices.gpus(), visible)
    assert [(g.index, g.name) for g in seen] == list(enumerate(names))


def test_this_machine_can_be_asked() -> None:
    assert all(gpu.memory_total_bytes >= gpu.memory_free_bytes >= 0 for gpu in devices.gpus())
