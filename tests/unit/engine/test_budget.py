"""How many rows fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from whisperlive_hybrid.engine.budget import ANY_NUMBER, Budget, budget_of
from whisperlive_hybrid.engine.footprint import Dimensions, Footprint
from whisperlive_hybrid.engine.models import BUNDLED
from whisperlive_hybrid.engine.window import DecodeOptions, Lane

MIB, GIB = 1 << 20, 1 << 30
OPTIONS = DecodeOptions(language="en")
DRAWN = replace(OPTIONS, temperatures=(0.4,))
LARGE = Dimensions(width=1280, heads=20, encoder_layers=32, decoder_layers=32, vocabulary=51866)
TURBO = replace(LARGE, decoder_layers=4)
TINY = Dimensions(width=384, heads=6, encoder_layers=4, decoder_layers=4, vocabulary=51865)


def files(dimensions: Dimensions, number_bytes: int, batch_bytes: int, options: DecodeOptions = OPTIONS) -> int:
    """Whole windows of files in a batch."""
    return Budget(Footprint(dimensions, number_bytes), batch_bytes).windows(options, Lane.FILE, 3000, 0)


def test_windows_by_model_and_device() -> None:
    assert files(TINY, 4, 192 * MIB) == 4
    assert files(TURBO, 4, 192 * MIB) == 1
    assert files(LARGE, 4, 192 * MIB) == 1, "one always may be"
    assert files(LARGE, 2, int(0.4 * 24 * GIB)) == 23
    assert files(LARGE, 2, int(0.4 * 24 * GIB), DRAWN) == 7
    assert files(LARGE, 2, int(0.4 * 8 * GIB)) == 7
    assert files(TURBO, 2, int(0.4 * 8 * GIB)) > 16


def test_shorter_windows_smaller_beams_and_shorter_prompts_fit_more_often() -> None:
    budget = Budget(Footprint(TINY), 256 * MIB)
    whole = budget.windows(OPTIONS, Lane.FILE, 3000, 0)
    assert budget.windows(OPTIONS, Lane.FILE, 500, 0) > whole
    assert budget.windows(replace(OPTIONS, beam_size=1), Lane.FILE, 3000, 0) > whole
    assert budget.windows(OPTIONS, Lane.FILE, 3000, 220) < whole
    assert budget.windows(OPTIONS, Lane.PARTIAL, 500, 0) > budget.windows(OPTIONS, Lane.FINAL, 500, 0)
    assert budget.aligned(3000, 20) > budget.aligned(3000, 200) >= 1
    assert budget.encoded(500) > budget.encoded(3000)


def test_any_number_where_nothing_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "model.bin").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        unknown = budget_of(tmp_path, "int8", 256 * MIB)
    assert "number alone" in caplog.text
    for budget in (unknown, budget_of(BUNDLED, "int8", None)):
        assert {
            budget.windows(OPTIONS, Lane.FILE, 3000, 0),
            budget.encoded(3000),
            budget.aligned(3000, 100),
        } == {ANY_NUMBER}
