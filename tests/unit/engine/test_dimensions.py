"""A model's dimensions from the head of its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlive_hybrid.engine.dimensions import read_dimensions
from whisperlive_hybrid.engine.footprint import Dimensions
from whisperlive_hybrid.engine.models import BUNDLED

MODEL = BUNDLED / "model.bin"


def test_of_the_bundled_model() -> None:
    assert read_dimensions(MODEL) == Dimensions(
        width=128, heads=2, encoder_layers=3, decoder_layers=2, vocabulary=51865, max_length=448
    )


@pytest.mark.parametrize("n_bytes", [0, 3, 30, 1000, 100_000])
def test_a_file_that_breaks_off(tmp_path: Path, n_bytes: int) -> None:
    (tmp_path / "model.bin").write_bytes(MODEL.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=r"breaks off|Whisper"):
        read_dimensions(tmp_path / "model.bin")


def test_another_format(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x03\0\0\0" + MODEL.read_bytes()[4:])
    with pytest.raises(ValueError, match="old format"):
        read_dimensions(tmp_path / "model.bin")
    (tmp_path / "model.bin").write_bytes(b"\xff" * 4096)
    with pytest.raises(ValueError, match="no model"):
        read_dimensions(tmp_path / "model.bin")
