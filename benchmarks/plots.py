"""Plots of benchmark results, as SVG files that can be committed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Points = Sequence[tuple[float, float]]


def lines(
    path: Path,
    title: str,
    x: str,
    y: str,
    series: Mapping[str, Points],
    *,
    limits: Mapping[str, float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    note: str = "",
) -> Path | None:
    """One diagram: a line with dots for each of `series`, a dashed horizontal line for each of `limits`.

    Points that are not finite are left out. Returns the path, or None when matplotlib is not installed (the `bench`
    extra has it): a benchmark's figures are worth having without the picture.
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    # The same figures give the same file, and text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, points in series.items():
        finite = [(a, b) for a, b in sorted(points) if math.isfinite(a) and math.isfinite(b)]
        axes.plot([a for a, _ in finite], [b for _, b in finite], marker="o", markersize=4, linewidth=1.5, label=name)
    for name, value in (limits or {}).items():
        axes.axhline(value, linestyle="--", linewidth=1, color="#777777")
        axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="#555555")
    if log_x:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    elif series:
        axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if series:
        axes.legend(frameon=False)
    if note:
        figure.supxlabel(note, fontsize=8, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return path


def bars(path: Path, title: str, x: str, spans: Mapping[str, Sequence[tuple[float, float]]]) -> Path | None:
    """A timeline: for each name a row of bars from start to end. Returns the path, or None without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    axes = figure.subplots()
    for row, (name, each) in enumerate(spans.items()):
        colours = [f"C{row}", f"C{row}"]
        for i, (start, end) in enumerate(each):
            axes.barh(row, end - start, left=start, height=0.7, color=colours[0], alpha=0.9 if i % 2 else 0.55)
        axes.text(-0.01, row, name, ha="right", va="center", transform=axes.get_yaxis_transform())
    axes.set(title=title, xlabel=x, yticks=[], ylim=(len(spans) - 0.5, -0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return path
