"""Gates: kept in a file and read back, and what they mean for a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from whisperlive_hybrid.engine.features import frames_for, padded, to_full
from whisperlive_hybrid.engine.gate import FULL_FRAMES, UNMEASURED, Gate, read_gate, write_gate
from whisperlive_hybrid.engine.window import Lane

GATE = Gate(((300, 300), (800, 1000), (1000, 1000)), ((300, 3000), (500, 500)), 100, "silence", {"words": 12})


def frames(lane: Lane, seconds: float, gate: Gate = UNMEASURED) -> int:
    return frames_for(lane, round(seconds * 16000), gate)


def test_without_a_gate_only_partials_are_short() -> None:
    for lane in (Lane.FINAL, Lane.FILE):
        assert frames(lane, 1.0) == FULL_FRAMES
    found = [frames(Lane.PARTIAL, s) for s in (0.5, 4.0, 4.01, 9.0, 13.9, 14.1, 30.0)]
    assert found == [500, 500, 1000, 1000, 1500, 3000, 3000]


def test_the_size_of_a_window_is_that_of_its_step() -> None:
    assert [frames(Lane.PARTIAL, s, GATE) for s in (2.0, 2.01, 9.0, 9.01)] == [300, 1000, 1000, 3000]
    lanes = (Lane.FINAL, Lane.FILE)
    assert [frames(lane, s, GATE) for lane in lanes for s in (2.0, 2.01, 4.0, 4.01)] == [3000, 500, 500, 3000] * 2
    assert frames(Lane.FINAL, 5.0, Gate(finals=((500, 500),), tail_frames=0)) == 500


def test_a_gate_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_gate(GATE, tmp_path / "new" / "gate.json")
    assert read_gate(tmp_path / "new" / "gate.json") == GATE
    assert str(GATE) == "partials in 3, 10, 30 s; finals in 5, 30 s; padding silence"


@pytest.mark.parametrize(
    "kept",
    [
        [],
        {"partials": 500},
        {"finals": [500]},
        {"finals": [["500", 500]]},
        {"finals": [[500, 3001]]},
        {"finals": [[0, 300]]},
        {"finals": [[500, 300]]},
        {"finals": [[300, 301]]},
        {"tail_frames": -1},
        {"tail_frames": 1.5},
        {"padding": "noise"},
    ],
)
def test_what_is_no_gate_is_refused(tmp_path: Path, kept: object) -> None:
    (tmp_path / "gate.json").write_text(json.dumps(kept))
    with pytest.raises(ValueError):
        read_gate(tmp_path / "gate.json")


def test_padding_by_silence_is_what_silence_looks_like() -> None:
    content = np.linspace(-1.5, 0.5, 20, dtype=np.float32).reshape(2, 10)
    assert not padded(content, 300)[:, 10:].any()
    assert (padded(content, 300, "silence")[:, 10:] == -1.5).all()
    assert (padded(content, 300, "silence")[:, :10] == content).all()
    assert not padded(content, FULL_FRAMES, "silence")[:, 10:].any()
    np.testing.assert_array_equal(to_full(padded(content, 300, "silence"), 10), padded(content, FULL_FRAMES))
