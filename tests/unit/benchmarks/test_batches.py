"""What a batch costs: on the bundled model, which is quick."""

from __future__ import annotations

from benchmarks.batches import measured, requests
from tools.cost_model import DIGITS
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.whisper import WhisperBackend


def test_a_batch_of_windows_of_one_length_is_timed_as_a_whole() -> None:
    backend = WhisperBackend(DIGITS, Device("cpu", 0, "CPU", "int8", 1, 8, None), models.load_tokenizer(DIGITS))
    batch = requests(backend, "final", 3.0, 3)
    assert [r.features.shape[1] for r in batch] == [300] * 3
    timing = measured(backend, batch, rounds=1)
    backend.close()
    assert timing.batch_size == 3
    assert min(timing.encode_s, timing.decode_s, timing.align_s) > 0
