from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.live import arguments, load, plain
from benchmarks.live_tables import plots, spread
from benchmarks.plots import lines


def test_figures_survive_standard_json(tmp_path: Path) -> None:
    results = [{"part": "capacity", "p95": math.inf, "wer": math.nan, "points": [{"p50": 0.5}]}]
    text = json.dumps(plain(results), allow_nan=False)
    (tmp_path / "results.json").write_text(text)
    (loaded,) = load(tmp_path)
    assert loaded["p95"] == math.inf
    assert loaded["points"] == [{"p50": 0.5}]
    assert load(tmp_path / "nowhere") == []


def test_a_spread_says_never_where_words_did_not_come() -> None:
    assert spread({"p50": 0.512, "p95": math.inf, "p99": math.nan}) == "0.51 / never / –"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SystemExit):
        arguments(["--only", "latency,speed"])
    with pytest.raises(SystemExit):
        arguments(["--systems", "theirs"])


def test_a_plot_for_each_model(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    points = [
        {"sessions": n, "utterance_final": {"p95": p95}, "first_shown": {"p50": p95 / 2}}
        for n, p95 in [(1, 0.5), (2, 0.7), (4, math.inf)]
    ]
    capacities = [{"limit": 1.5, "holds": 2, "fails_at": 4}]
    result = {"part": "capacity", "model": "tiny", "label": "ours", "points": points, "capacities": capacities}
    written = plots([result], tmp_path)
    assert [p.name for p in written] == ["live-final-tiny.svg", "live-shown-tiny.svg"]
    assert "ours" in written[0].read_text()


def test_a_plot_is_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    series = {"a": [(1.0, 2.0), (2.0, 3.0)], "empty": []}
    first, second = (lines(tmp_path / f"{i}.svg", "title", "x", "y", series) for i in range(2))
    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()
