"""Batching pays, and files do not delay live finals.

Windows run through the engine of the server, on a model that costs what Whisper `tiny` costs (tools/cost_model.py):
first one after another, then all at once, several times in turn. Then an hour of audio is kept waiting in the file lane
while finals arrive every few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import percentile, table
from tests.support.clips import clips
from tools.cost_model import make_cost_model
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

HOUR_WINDOWS = 120
"""Windows of 30 s in an hour."""


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _window(owner: str, lane: Lane, samples: Samples) -> Window:
    partial = lane is Lane.PARTIAL
    options = DecodeOptions(
        language="en", beam_size=1 if partial else 5, word_times=True, temperatures=(0.0,) if partial else (0.0, 0.2)
    )
    return Window(owner, lane, time.monotonic(), 0, samples, "", options)


async def _measure(engine: Engine, lane: Lane, audio: list[Samples], *, together: bool) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and mean batch size for all windows."""
    windows = [_window(f"{i}", lane, samples) for i, samples in enumerate(audio)]
    cpu, wall = _cpu_s(), time.perf_counter()
    if together:
        results: list[Hypothesis] = await asyncio.gather(*(engine.transcribe(w) for w in windows))
    else:
        results = [await engine.transcribe(w) for w in windows]
    sizes = [r.timing.batch_size for r in results]
    return _cpu_s() - cpu, time.perf_counter() - wall, sum(sizes) / len(sizes)


async def _compare(engine: Engine, lane: Lane, audio: list[Samples], rounds: int) -> list[list[object]]:
    await _measure(engine, lane, audio, together=True)
    figures: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for together in (False, True):
            figures[together].append(await _measure(engine, lane, audio, together=together))
    (cpu_row, wall_row, _), (cpu_all, wall_all, size) = (
        tuple(float(np.median(column)) for column in zip(*figures[together], strict=True)) for together in (False, True)
    )
    kind = {Lane.FILE: "files, beam 5, word times", Lane.PARTIAL: "live partials, greedy"}[lane]
    return [
        [kind, "in a row", len(audio), 1.0, cpu_row, wall_row, "", ""],
        [kind, "at once", len(audio), size, cpu_all, wall_all, cpu_all / cpu_row, wall_all / wall_row],
    ]


async def _delay_of_finals(engine: Engine, audio: list[Samples], finals: int) -> list[list[object]]:
    """How long finals take alone, and while an hour of audio waits; and how long a file batch takes."""
    rows: list[list[object]] = []

    async def final(i: int) -> float:
        started = time.perf_counter()
        await engine.transcribe(_window(f"live-{i}", Lane.FINAL, audio[i % len(audio)]))
        return time.perf_counter() - started

    alone = [await final(i) for i in range(finals)]
    files = [
        asyncio.create_task(engine.transcribe(_window("hour", Lane.FILE, audio[i % len(audio)])))
        for i in range(HOUR_WINDOWS)
    ]
    await asyncio.sleep(0.1)
    loaded = []
    for i in range(finals):
        loaded.append(await final(i))
        await asyncio.sleep(0.7)
    done = [t.result().timing for t in files if t.done()]
    for task in files:
        task.cancel()
    await asyncio.gather(*files, return_exceptions=True)
    for name, values in (("alone", alone), ("during an hour of file", loaded)):
        rows.append([name, len(values), percentile(values, 50), percentile(values, 95), max(values)])
    batches = [t.encode_s + t.decode_s + t.align_s for t in done]
    rows.append(["one file batch", len(batches), percentile(batches, 50), percentile(batches, 95), max(batches)])
    return rows


async def _run(model: Path, n: int, rounds: int, finals: int) -> None:
    spoken = [clip.samples() for clip in clips("en")]
    short = [s[: 3 * SAMPLE_RATE] for s in spoken]
    async with Engine(EngineOptions(model=str(model), device="cpu")) as engine:
        await engine.ready()
        rows: list[list[object]] = []
        for lane, source in ((Lane.FILE, spoken), (Lane.PARTIAL, short)):
            rows += await _compare(engine, lane, [source[i % len(source)] for i in range(n)], rounds)
        table(
            f"Batching: {n} windows in a row and at once, {model.name}-sized model",
            ["what", "how", "windows", "batch", "CPU s", "wall s", "CPU ratio", "wall ratio"],
            rows,
            ["Medians; a ratio below 1 means that windows at once cost less than the same ones in a row."],
        )
        table(
            f"Delay of a live final, {model.name}-sized model",
            ["final", "n", "median s", "p95 s", "worst s"],
            await _delay_of_finals(engine, spoken, finals),
            ["A final waits for at most one file batch, then takes the time it takes alone."],
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="tiny", help="size of the cost model (default: tiny)")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--finals", type=int, default=20)
    args, _ = parser.parse_known_args()  # `python -m benchmarks` hands the same arguments to all
    with tempfile.TemporaryDirectory() as folder:
        model = make_cost_model(args.size, Path(folder) / args.size)
        asyncio.run(_run(model, args.windows, args.rounds, args.finals))


if __name__ == "__main__":
    main()
