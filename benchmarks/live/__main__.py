"""Live sessions side by side with WhisperLive 0.10.0: same model, audio, machine, threads and message size.

python -m benchmarks.live --recordings PATH/TO/fsdd/recordings                      all parts on the tiny-sized model
python -m benchmarks.live --recordings PATH --only latency --model digits --keep    one part, another model, added
python -m benchmarks.live --quick                                                   a smoke run of about two minutes

Every system's server is started by itself, one at a time, with the same CTranslate2 model on the CPU. WhisperLive
comes from PyPI into an environment of its own, made once. Results are written to OUT/results.json after each part;
with --keep, parts measured before stay in it and in the tables. Plots are SVG files beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.live.capacity import search
from benchmarks.live.clients import Refused
from benchmarks.live.offline import offline, posted, words_heard
from benchmarks.live.runs import silent, stop_at_once, talk
from benchmarks.live.systems import SMALL_MODEL, SYSTEMS, Started, System, start, systems
from benchmarks.live.tables import plots, print_tables, seconds
from benchmarks.material import Conversation, conversations
from benchmarks.report import machine
from tools.cost_model import SIZES, make_cost_model
from whisperlive_hybrid.engine.models import BUNDLED

PARTS = ("latency", "tail", "silence", "capacity")
WHERE = {
    "latency": ("ours", "ours-opus", "ours-two", "whisperlive", "whisperlive-tuned", "whisperlive-batch-tuned"),
    "tail": ("ours", "whisperlive", "whisperlive-batch-tuned"),
    "silence": ("ours", "whisperlive", "whisperlive-batch-tuned"),
    "capacity": ("ours", "ours-two", "whisperlive", "whisperlive-tuned", "whisperlive-batch-tuned"),
}
"""Systems that each part measures when none are named. Of capacity, whichever of the peer's ways may carry most."""
FIRST = 5000
"""Number of the first conversation: others than those that our thresholds were chosen by (`benchmarks.policy`)."""

_BEGUN = time.monotonic()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="recordings folder of the Free Spoken Digit Dataset")
    parser.add_argument("--only", help=f"parts, comma-separated: {', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--model", default="tiny", help=f"digits, or widened to {', '.join(SIZES)}, or a folder; comma-separated"
    )
    parser.add_argument("--systems", help=f"comma-separated: {', '.join(SYSTEMS)} (default: those that tell most)")
    parser.add_argument("--seconds", type=float, default=40.0, help="of conversation, for latency (default 40)")
    parser.add_argument("--sessions", type=int, default=1, help="at once, for latency (default 1)")
    parser.add_argument("--drain", type=float, default=8.0, help="seconds of room tone after speech (default 8)")
    parser.add_argument("--stops", type=int, default=6, help="immediate stops (default 6)")
    parser.add_argument("--silence", type=float, default=20.0, help="seconds of room tone (default 20)")
    parser.add_argument("--probe-seconds", type=float, default=24.0, help="of conversation, for capacity (default 24)")
    parser.add_argument("--limits", default="1.5,5", help="p95 limits for capacity, seconds (default 1.5,5)")
    parser.add_argument("--first", type=int, help="sessions that the search begins with (default 4 of ours, else 1)")
    parser.add_argument("--most", type=int, default=128, help="sessions that the search ends at (default 128)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of an inference (default: all cores)")
    parser.add_argument("--tuned", type=int, default=1, help="same_output_threshold of WhisperLive's tuned rows (1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for both sides (default cpu)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of our server")
    parser.add_argument("--out", type=Path, default=Path("build/live-benchmark"), help="folder for results")
    parser.add_argument("--keep", action="store_true", help="keep earlier results that this run does not replace")
    parser.add_argument("--tables", action="store_true", help="measure nothing: print what OUT/results.json holds")
    parser.add_argument("--quick", action="store_true", help="short, on the digits model: does it run at all?")
    args, _ = parser.parse_known_args(argv)
    if args.quick:
        args.model, args.seconds, args.stops, args.silence = "digits", 10.0, 2, 4.0
        args.probe_seconds, args.most, args.limits = 8.0, 2, "1.5"
        args.systems = args.systems or "ours,whisperlive"
    if unknown := set(_listed(args.only)) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if unknown := set(_listed(args.systems)) - set(SYSTEMS):
        parser.error(f"no such system: {', '.join(unknown)}")
    if unknown := [m for m in _listed(args.model) if m not in ("digits", *SIZES) and not Path(m, "model.bin").exists()]:
        parser.error(f"no such model: {', '.join(unknown)}")
    return args


def _listed(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]


class Benchmark:
    """One run of the command: what is asked for, and the results so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.parts = _listed(args.only) or list(PARTS)
        self.systems = systems(args.tuned)
        self.results: list[dict[str, Any]] = load(args.out) if args.keep or args.tables else []
        self.failures: list[str] = []
        self.tail_offline = 0

    def run(self) -> None:
        """Measure everything on every model."""
        for name in _listed(self.args.model):
            model = self._model(name)
            name = Path(name).name
            said = self._conversations(self.args.sessions, self.args.seconds)
            without = None
            if "latency" in self.parts:
                progress(f"{name}: offline")
                without = {k: asdict(v) for k, v in offline(model, said, self.args.threads, self.args.device).items()}
            if "tail" in self.parts:
                self.tail_offline = words_heard(
                    model, self._talk_to_stop(), self.args.stops, self.args.threads, self.args.device
                )
            wanted = [s for s in self._systems() if s.server != "ours-two" or name not in ("digits", SMALL_MODEL)]
            for kind in dict.fromkeys(system.server for system in wanted):
                systems = [system for system in wanted if system.server == kind]
                try:
                    self._server(kind, name, model, systems, said, without)
                except (RuntimeError, OSError, Refused) as error:
                    self._failed(f"{name}, {kind}: {error}")

    def _conversations(self, n: int, seconds: float) -> list[Conversation]:
        return conversations(self.args.recordings, n, seconds, FIRST)

    def _talk_to_stop(self) -> Conversation:
        return self._conversations(1, max(60.0, 6.0 * self.args.stops))[0]

    def _systems(self) -> list[System]:
        if self.args.systems:
            return [self.systems[name] for name in _listed(self.args.systems)]
        return [s for s in self.systems.values() if any(s.name in WHERE[part] for part in self.parts)]

    def _measures(self, system: System, part: str) -> bool:
        return part in self.parts and bool(self.args.systems or system.name in WHERE[part])

    def _model(self, name: str) -> Path:
        if name == "digits":
            return BUNDLED
        if name not in SIZES:
            return Path(name).resolve()
        return make_cost_model(name, (self.args.out / "models" / name).resolve())

    def _server(  # noqa: PLR0917 - called once
        self, kind: str, model_name: str, model: Path, systems: list[System], said: list[Conversation], without: Any
    ) -> None:
        progress(f"{model_name}: starting {kind}")
        settings = dict(each.partition("=")[::2] for each in self.args.set)
        if kind == "ours-two":
            settings["LIVE_MODEL"] = str(self._model(SMALL_MODEL))
        started = start(
            kind, model, self.args.threads, (self.args.out / "servers").resolve(), settings, device=self.args.device
        )
        with started.server:
            started.wait_ready()
            talk(systems[0], started, self._conversations(1, 4.0), 1.0)  # loads the model, warms caches
            for system in systems:
                for part in PARTS:
                    if not self._measures(system, part):
                        continue
                    progress(f"{model_name}: {system.label}: {part}")
                    try:
                        figures = self._part(part, system, started, said, without)
                    except (Refused, OSError, StopIteration) as error:
                        started.server.check()
                        self._failed(f"{model_name}, {system.label}, {part}: {error}")
                        continue
                    self._add(
                        {"part": part, "model": model_name, "system": system.name, "label": system.label} | figures
                    )

    def _part(
        self, part: str, system: System, started: Started, said: list[Conversation], without: Any
    ) -> dict[str, Any]:
        if part == "latency":
            figures = talk(system, started, said, self.args.drain)
            ours = {"server": asdict(posted(started.http_url, said))} if started.http_url else {}
            return figures | {"offline": without | ours}
        if part == "tail":
            return stop_at_once(system, started, self._talk_to_stop(), self.args.stops) | {"offline": self.tail_offline}
        if part == "silence":
            return silent(system, started, self.args.silence)
        return self._capacity(system, started)

    def _capacity(self, system: System, started: Started) -> dict[str, Any]:
        points: dict[int, dict[str, Any]] = {}
        first = self.args.first or (4 if system.server.startswith("ours") else 1)

        def probe(n: int) -> float:
            said = self._conversations(n, self.args.probe_seconds)
            try:
                point = talk(system, started, said, self.args.drain)
            except Refused as error:
                started.server.check()
                self._failed(f"{system.label}, {n} sessions: {error}")
                return math.inf
            points[n] = point
            for failure in point["failures"]:
                progress(f"  {n} sessions: a session: {failure}")
            p95 = float(point["utterance_final"]["p95"])
            progress(f"  {n} sessions: speech end to final p95 {seconds(p95)} s")
            return p95

        known: dict[int, float] = {}
        capacities = [
            search(probe, float(limit), known, start=first, most=self.args.most)
            for limit in sorted(_listed(self.args.limits), key=float)
        ]
        return {"points": [points[n] for n in sorted(points)], "capacities": [asdict(c) for c in capacities]}

    def _add(self, result: dict[str, Any]) -> None:
        key = ("part", "model", "system")
        self.results = [r for r in self.results if any(r[k] != result[k] for k in key)]
        self.results.append(result | {"conditions": conditions(self.args)})
        self.results.sort(key=_order)
        self.args.out.mkdir(parents=True, exist_ok=True)
        (self.args.out / "results.json").write_text(json.dumps(plain(self.results), indent=1) + "\n")

    def _failed(self, what: str) -> None:
        self.failures.append(what)
        progress(f"FAILED {what}")


def _order(result: dict[str, Any]) -> tuple[int, str, int]:
    models = ["digits", *SIZES]
    size = models.index(result["model"]) if result["model"] in models else len(models)
    return size, result["model"], SYSTEMS.index(result["system"])


def conditions(args: argparse.Namespace) -> dict[str, Any]:
    """Where and when, so that a figure is never quoted without it."""
    return {
        "machine": machine(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": args.threads,
        "device": args.device,
        "tuned": args.tuned,
        "recordings": args.recordings is not None,
        "settings": args.set,
        "load_before": _LOAD,
    }


_LOAD = round(os.getloadavg()[0], 2)


def plain(value: Any) -> Any:
    """Standard JSON: an infinite figure is "never", one that is not a number null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "never" if value == math.inf else None
    return value


def load(out: Path) -> list[dict[str, Any]]:
    """The results of earlier runs; none where there is no file."""

    def figure(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: figure(v) for k, v in value.items()}
        if isinstance(value, list):
            return [figure(v) for v in value]
        return math.inf if value == "never" else value

    path = out / "results.json"
    return list(figure(json.loads(path.read_text()))) if path.exists() else []


def progress(text: str) -> None:
    """A line on stderr, with the seconds since the beginning."""
    print(f"[{time.monotonic() - _BEGUN:5.0f} s] {text}", file=sys.stderr, flush=True)


def _terminated(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Measure, print the tables, write results and plots; 1 when something failed."""
    args = arguments()
    signal.signal(signal.SIGTERM, _terminated)  # so that servers are ended on the way out
    benchmark = Benchmark(args)
    if not args.tables:
        if _LOAD > 0.5:
            progress(f"the machine is busy (load {_LOAD}): latencies and capacities will be too high")
        benchmark.run()
    where = "CPU, int8" if args.device == "cpu" else "GPU"
    notes = [
        f"{args.threads} threads per inference, {where}, models widened from `digits`. Latencies count from the true "
        "end of a word in the audio and include the client's message size. WhisperLive runs with voice activity "
        "detection on, as its client does; its threshold is `same_output_threshold`, 10 by default; batch mode is "
        "`batch_enabled` with its defaults (greedy), but without its admission control. Offline: "
        "faster-whisper on the whole file with its VAD filter / on each utterance by itself / our server's file API; "
        "beam 5 each."
    ]
    print_tables(benchmark.results, notes)
    for path in plots(benchmark.results, args.out, machine()):
        print(f"plot: {path}")
    for failure in benchmark.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if benchmark.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
