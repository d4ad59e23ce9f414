"""The GPUs of this machine, as NVIDIA's driver reports them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pynvml

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment. What the driver does not tell is None."""

    index: int
    name: str
    uuid: str
    memory_total_bytes: int
    memory_free_bytes: int
    utilization: float | None
    """0 to 1, over the driver's last sample period."""
    temperature_c: float | None
    driver: str


def gpus() -> list[Gpu]:
    """Every GPU; an empty list where there is no driver."""
    with _driver() as version:
        if version is None:
            return []
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                found.append(_read(index, version))
            except pynvml.NVMLError as error:
                log.warning("GPU %d cannot be read: %s", index, error)
        return found


def as_cuda_numbers_them(found: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES (`visible`) leaves, in its order and with the indices it gives them.

    NVML always tells of all. `found` is in the order of the bus, so CUDA_DEVICE_ORDER must be PCI_BUS_ID.
    """
    if visible is None:
        return list(found)
    chosen: list[Gpu] = []
    for name in (part.strip() for part in visible.split(",")):
        gpu = next((g for g in found if name == str(g.index) or (name[:4] == "GPU-" and g.uuid.startswith(name))), None)
        if gpu is None:  # CUDA, too, ends its list at the first one it does not know
            break
        chosen.append(replace(gpu, index=len(chosen)))
    return chosen


@contextmanager
def _driver() -> Iterator[str | None]:
    """The driver's version while its library is open; None without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield _text(pynvml.nvmlSystemGetDriverVersion())
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _read(index: int, driver: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    utilization = temperature = None
    with suppress(pynvml.NVMLError):  # not told inside some virtual machines
        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    with suppress(pynvml.NVMLError):
        temperature = float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    return Gpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        memory_total_bytes=int(memory.total),
        memory_free_bytes=int(memory.free),
        utilization=utilization,
        temperature_c=temperature,
        driver=driver,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
