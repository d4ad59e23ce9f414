"""Tables and plots of the live benchmark, from its results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.live.metrics import Errors
from benchmarks.plots import lines
from benchmarks.report import table

Result = dict[str, Any]


def print_tables(results: Sequence[Result], notes: Sequence[str] = ()) -> None:
    """A table for each part that there are results of."""
    for part, show in (("latency", _latency), ("tail", _tail), ("silence", _silence), ("capacity", _capacity)):
        if of_part := [r for r in results if r["part"] == part]:
            show(of_part)
    for note in notes:
        print(f"\n{note}")
    print(flush=True)


def _latency(results: Sequence[Result]) -> None:
    """Results at other numbers of sessions or lengths get tables of their own."""
    kinds = sorted({(r["sessions"], r["seconds"]) for r in results})
    for n, length in kinds:
        title = f"{n} live session{'s' if n > 1 else ''}, {length:g} s of conversation each"
        _latency_tables(title, [r for r in results if (r["sessions"], r["seconds"]) == (n, length)])


def _latency_tables(title: str, results: Sequence[Result]) -> None:
    table(
        f"{title}: latency in seconds (p50 / p95 / p99)",
        ["model", "system", "speech end to final", "word to first shown", "word to committed", "word to final"],
        [
            [
                r["model"],
                r["label"],
                *(spread(r[k]) for k in ("utterance_final", "first_shown", "committed", "word_final")),
            ]
            for r in results
        ],
    )
    table(
        f"{title}: what was said and what it cost",
        [
            "model",
            "system",
            "WER %",
            "of words",
            "offline WER %",
            "erased words per final word",
            "committed words changed by their final / otherwise",
            "CPU s per audio s",
            "peak memory MiB",
        ],
        [
            [
                r["model"],
                r["label"],
                percent(r["wer"]),
                r["errors"]["words"],
                _offline(r),
                r["erased_per_word"],
                f"{percent(r['committed_changed_per_word'])} % / {r['committed_broken']}",
                r["cpu_s_per_audio_s"],
                round(r["memory_mib"]),
            ]
            for r in results
        ],
    )
    table(
        f"{title}: the wire",
        ["model", "system", "messages to the client per minute", "kB per minute", "kB of audio per minute"],
        [
            [r["model"], r["label"]]
            + [round(r[k]) for k in ("messages_per_minute", "received_kb_per_minute", "sent_kb_per_minute")]
            for r in results
        ],
    )


def _offline(result: Result) -> str:
    offline = result.get("offline") or {}
    rates = [Errors(**offline[k]).rate for k in ("whole", "utterances", "server") if k in offline]
    return " / ".join(map(percent, rates))


def _tail(results: Sequence[Result]) -> None:
    table(
        "Stopping with the last sample of speech: words of the utterance that arrive",
        ["model", "system", "as final %", "on the screen at all %", "the model offline %", "words said", "stops"],
        [
            [
                r["model"],
                r["label"],
                *(round(100 * r[k] / r["said"]) for k in ("final", "shown", "offline")),
                r["said"],
                r["stops"],
            ]
            for r in results
        ],
    )


def _silence(results: Sequence[Result]) -> None:
    table(
        f"A session that hears {results[0]['seconds']:g} s of room tone",
        ["model", "system", "% of one core", "% without a session", "messages per minute", "words shown"],
        [
            [
                r["model"],
                r["label"],
                percent(r["cpu_share"]),
                percent(r["cpu_share_without_session"]),
                round(r["messages_per_minute"]),
                r["words"],
            ]
            for r in results
        ],
    )


def _capacity(results: Sequence[Result]) -> None:
    limits = sorted({c["limit"] for r in results for c in r["capacities"]})
    table(
        "Most sessions at real-time pace whose p95 from speech end to final holds a limit",
        ["model", "system", *(f"within {limit:g} s" for limit in limits)],
        [[r["model"], r["label"], *(_held(r, limit) for limit in limits)] for r in results],
        ["In brackets: the fewest sessions that were seen to break the limit."],
    )
    table(
        "Latency against sessions, in seconds",
        [
            "model",
            "system",
            "sessions",
            "speech end to final p50 / p95 / p99",
            "word to first shown",
            "WER %",
            "CPU s per audio s",
            "utterances",
            "never final",
            "latest send by the client s",
        ],
        [
            [
                r["model"],
                r["label"],
                p["sessions"],
                spread(p["utterance_final"]),
                spread(p["first_shown"]),
                percent(p["wer"]),
                p["cpu_s_per_audio_s"],
                p["utterances"],
                p["never_final"],
                p["latest_send_s"],
            ]
            for r in results
            for p in r["points"]
        ],
    )


def _held(result: Result, limit: float) -> str:
    for each in result["capacities"]:
        if each["limit"] == limit:
            return f"{each['holds']} ({'not reached' if each['fails_at'] is None else each['fails_at']})"
    return ""


def plots(results: Sequence[Result], folder: Path, note: str = "") -> list[Path]:
    """Latency against the number of sessions, a file for each model: to final, and to first shown."""
    written: list[Path | None] = []
    capacity = [r for r in results if r["part"] == "capacity"]
    for model in sorted({r["model"] for r in capacity}):
        of_model = [r for r in capacity if r["model"] == model]
        limits = {f"{c['limit']:g} s": c["limit"] for r in of_model for c in r["capacities"]}
        written.append(
            lines(
                folder / f"live-final-{model}.svg",
                f"Speech end to final, {model}-sized model",
                "sessions at real-time pace",
                "p95, seconds",
                {r["label"]: _series(r["points"], lambda p: p["utterance_final"]["p95"]) for r in of_model},
                limits=limits,
                log_x=True,
                log_y=True,
                note=note,
            )
        )
        written.append(
            lines(
                folder / f"live-shown-{model}.svg",
                f"Word end to first shown, {model}-sized model",
                "sessions at real-time pace",
                "p50, seconds",
                {r["label"]: _series(r["points"], lambda p: p["first_shown"]["p50"]) for r in of_model},
                log_x=True,
                note=note,
            )
        )
    return [path for path in written if path is not None]


def _series(points: Iterable[Result], figure: Callable[[Result], float]) -> list[tuple[float, float]]:
    return [(p["sessions"], figure(p)) for p in points]


def spread(figures: Result) -> str:
    """p50 / p95 / p99; "never" where so many did not come at all."""
    return " / ".join(seconds(figures[q]) for q in ("p50", "p95", "p99"))


def seconds(value: float) -> str:
    """Two digits after the point."""
    return "never" if value == math.inf else "–" if math.isnan(value) else f"{value:.2f}"


def percent(share: float) -> str:
    """One digit after the point."""
    return "–" if math.isnan(share) else f"{100 * share:.1f}"
