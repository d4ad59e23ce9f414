"""The widened model costs more and says the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import clips
from tools.cost_model import DIGITS, SIZES, make_cost_model, read_model, write_model
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.features import FULL_FRAMES, content_frames
from whisperlive_hybrid.engine.gate import read_gate
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window


def hear(folder: Path) -> list[Hypothesis]:
    device = Device("cpu", 0, "CPU", "int8", 2, 8, None)
    backend = WhisperBackend(folder, device, models.load_tokenizer(folder))
    options = DecodeOptions(word_times=True, temperatures=(0.0,))
    requests = []
    for clip in [clips("en")[0], clips("es")[0]]:
        samples = clip.samples()
        window = Window("test", Lane.FILE, 0.0, 0, samples, "", options)
        requests.append(Request(window, backend.features(samples, FULL_FRAMES), content_frames(len(samples)), ()))
    try:
        return backend.run(requests)
    finally:
        backend.close()


def test_reading_and_writing_are_inverse(tmp_path: Path) -> None:
    write_model(read_model(DIGITS / "model.bin"), tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == (DIGITS / "model.bin").read_bytes()


def test_a_wide_model_says_what_digits_says(tmp_path: Path) -> None:
    folder = make_cost_model("tiny", tmp_path / "tiny")
    assert read_gate(folder / "gate.json") == read_gate(DIGITS / "gate.json")
    for wide, small in zip(hear(folder), hear(DIGITS), strict=True):
        assert wide.text == small.text != ""
        assert wide.language == small.language
        for mine, other in zip(wide.segments, small.segments, strict=True):
            assert mine.avg_log_probability == pytest.approx(other.avg_log_probability, abs=0.02)
            for word, expected in zip(mine.words, other.words, strict=True):
                assert word.start == pytest.approx(expected.start, abs=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_it_has_the_shape_of_its_size(size: str, tmp_path: Path) -> None:
    variables = read_model(make_cost_model(size, tmp_path) / "model.bin").variables
    width, encoder_layers, decoder_layers = SIZES[size].width, SIZES[size].encoder_layers, SIZES[size].decoder_layers
    assert variables["encoder/layer_norm/gamma"].shape == (width,)
    assert int(variables["encoder/num_heads"]) == width // 64
    for stack, n in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        numbers = {int(m[1]) for name in variables if (m := re.match(rf"{stack}/layer_(\d+)/", name))}
        assert numbers == set(range(n))
    last = variables[f"encoder/layer_{encoder_layers - 1}/ffn/linear_0/weight"]
    assert last.shape == (4 * width, width)
    assert np.count_nonzero(last)
