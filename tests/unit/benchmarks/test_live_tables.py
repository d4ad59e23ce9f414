from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.live.__main__ import arguments, load, plain
from benchmarks.live.metrics import Errors, session_figures, summarize
from benchmarks.live.tables import plots, print_tables, spread
from benchmarks.live.wire import Update
from benchmarks.material import SpokenWord
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


def test_the_tables_hold_every_result(capsys: pytest.CaptureFixture[str]) -> None:
    said = (SpokenWord("one", 1.0, 1.5, 0),)
    summary = asdict(summarize([session_figures(said, [Update(2.0, ("one",))])]))
    wire = {"messages_per_minute": 1.0, "received_kb_per_minute": 2.0, "sent_kb_per_minute": 3.0, "failures": []}
    talk = {"sessions": 1, "seconds": 2.0, "utterances": 1, "wer": 0.0, "cpu_s_per_audio_s": 0.25, "memory_mib": 100.0}
    talk |= summary | wire | {"latest_send_s": 0.0}
    offline = {"whole": asdict(Errors(4, 1)), "utterances": asdict(Errors(4))}
    one = {"model": "tiny", "system": "ours", "label": "this one"}
    capacities = [{"limit": 1.5, "holds": 7, "fails_at": None}, {"limit": 5.0, "holds": 8, "fails_at": 10}]
    print_tables(
        [
            {"part": "latency", "offline": offline} | one | talk,
            {"part": "latency"} | one | talk | {"sessions": 8},
            {"part": "tail", "said": 10, "final": 10, "shown": 9, "offline": 10, "stops": 3} | one,
            {"part": "silence", "seconds": 20.0, "cpu_share": 0.012, "cpu_share_without_session": 0.001, "words": 0}
            | one
            | wire,
            {"part": "capacity", "points": [talk], "capacities": capacities} | one,
        ],
        ["a note"],
    )
    out = capsys.readouterr().out
    for text in ("0.50 / 0.50 / 0.50", "25.0 / 0.0", "8 live sessions", "1.2", "7 (not reached)", "8 (10)", "a note"):
        assert text in out


def test_a_plot_for_each_model(tmp_path: Path) -> None:
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
    series = {"a": [(1.0, 2.0), (2.0, 3.0)], "empty": []}
    first, second = (lines(tmp_path / f"{i}.svg", "title", "x", "y", series) for i in range(2))
    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()
