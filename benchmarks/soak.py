"""One session of four hours, fed faster than real time: memory stays flat, and a second of audio costs what it did.

python -m benchmarks.soak --recordings PATH --plot soak.svg     4 h at 20 times real time: 15 minutes
python -m benchmarks.soak --hours 0.5                           shorter

The server's partial interval is divided by the speed, so that there are as many partials per second of audio as at
real-time pace; it is held there, so that a busy machine shows as such and not as fewer partials. The audio is the same
ten minutes again and again: rows can be compared with each other, and so can their texts. Two minutes before that go
into finding utterances that are decoded at a temperature above 0, where words are drawn at random; they are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chaos_clients import CODECS, MESSAGE_S, steady_material
from benchmarks.material import conversations, normalized
from benchmarks.plots import lines
from benchmarks.report import percentile, table
from tests.support.server_process import ServerProcess
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.client import LiveSession

BLOCK_S = 600.0
WHOLE = 64_000
"""Samples: blocks are a multiple of this, which is one of messages (8000), of voice activity's frames (512) and of mel
frames (160). Otherwise each block is cut differently, and its texts differ."""
PARTIAL_INTERVAL_S = 0.5
AHEAD_S = 30.0
"""Audio that the client keeps uncommitted before it waits for the server."""
MOST_GROWTH_MIB = 8.0
MOST_DRIFT = 0.1


@dataclass(frozen=True)
class Sample:
    """The server at some moment of the session."""

    audio_s: float
    wall_s: float
    cpu_s: float
    memory_mib: float
    threads: int
    files: int


@dataclass
class Heard:
    """What the session said, by block of the audio it is about."""

    texts: dict[int, list[str]] = field(default_factory=dict)
    partials: dict[int, int] = field(default_factory=dict)
    lags: dict[int, list[float]] = field(default_factory=dict)
    """Seconds from sending the last of an utterance to its final."""
    done: bool = False


@dataclass(frozen=True)
class Row:
    """One block."""

    hours: float
    speed: float
    memory_mib: float
    cpu_per_audio_s: float
    partials_per_min: float
    lag_p95_s: float
    same_text: bool
    threads: int
    files: int


def whole(samples: Samples) -> Samples:
    """With silence at the end, so that it can be repeated."""
    return np.pad(samples, (0, -len(samples) % WHOLE))


async def soak(server: ServerProcess, block: Sequence[bytes], n_blocks: int, speed: float, codec: str) -> list[Row]:
    """Speak the block `n_blocks` times; returns a row for each."""
    heard, samples = Heard(), []
    sent_at: list[float] = []
    n_bytes = sum(map(len, block))
    ahead = round(n_bytes / (len(block) * MESSAGE_S) * AHEAD_S)
    async with LiveSession(server.live_url, codec=codec, language="en", max_buffered_bytes=ahead) as session:
        listener = asyncio.create_task(_listen(session, heard, sent_at, len(block)))
        start = due = time.monotonic()
        samples.append(_sample(server, 0.0, 0.0))
        for n in range(n_blocks):
            for message in block:
                due = max(due + MESSAGE_S / speed, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await session.send(message)
                sent_at.append(time.monotonic())
            samples.append(_sample(server, (n + 1) * len(block) * MESSAGE_S, time.monotonic() - start))
        await session.stop()
        await listener
    if not heard.done:
        raise RuntimeError("the session ended without `done`")
    return _rows(samples, heard)


async def _listen(session: LiveSession, heard: Heard, sent_at: Sequence[float], per_block: int) -> None:
    async for event in session:
        if event["type"] in ("partial", "final"):
            block = int(event["start"] / (per_block * MESSAGE_S))
            if event["type"] == "partial":
                heard.partials[block] = heard.partials.get(block, 0) + 1
                continue
            heard.texts.setdefault(block, []).append(normalized(event["text"]))
            last = min(int(event["end"] / MESSAGE_S), len(sent_at) - 1)
            heard.lags.setdefault(block, []).append(time.monotonic() - sent_at[last])
        heard.done |= event["type"] == "done"


def _sample(server: ServerProcess, audio_s: float, wall_s: float) -> Sample:
    threads, files = server.threads_and_files()
    return Sample(audio_s, wall_s, server.cpu_s(), server.memory_mib(), threads, files)


def _rows(samples: Sequence[Sample], heard: Heard) -> list[Row]:
    rows = []
    for n, (a, b) in enumerate(itertools.pairwise(samples)):
        audio_s = b.audio_s - a.audio_s
        rows.append(
            Row(
                b.audio_s / 3600,
                audio_s / (b.wall_s - a.wall_s),
                b.memory_mib,
                (b.cpu_s - a.cpu_s) / audio_s,
                60 * heard.partials.get(n, 0) / audio_s,
                percentile(heard.lags.get(n, []), 95),
                heard.texts.get(n) == heard.texts.get(0),
                b.threads,
                b.files,
            )
        )
    return rows


@dataclass(frozen=True)
class Verdict:
    """The last quarter of a session against its second quarter; the first one fills buffers that are bounded."""

    growth_mib: float
    drift: float
    """Of CPU per second of audio, as a part of it."""

    @property
    def good(self) -> bool:
        """Memory is flat and cost constant."""
        return self.growth_mib <= MOST_GROWTH_MIB and self.drift <= MOST_DRIFT


def verdict(rows: Sequence[Row]) -> Verdict:
    """Raises ValueError for fewer than four rows."""
    if len(rows) < 4:
        raise ValueError("a verdict needs four rows at least")
    quarter = len(rows) // 4
    early, late = rows[quarter : 2 * quarter], rows[-quarter:]
    growth = float(np.median([r.memory_mib for r in late]) - np.median([r.memory_mib for r in early]))
    before, after = (float(np.median([r.cpu_per_audio_s for r in part])) for part in (early, late))
    return Verdict(growth, after / before - 1)


def _cells(r: Row) -> list[object]:
    same = "yes" if r.same_text else "no"
    memory, cost = round(r.memory_mib), 1000 * r.cpu_per_audio_s
    return [r.hours, r.speed, memory, cost, r.partials_per_min, r.lag_p95_s, same, r.files]


def plot(rows: Sequence[Row], path: Path, title: str) -> None:
    """Memory and cost over the hours, as one picture."""
    series = {
        "memory of the server, MiB": [(r.hours, r.memory_mib) for r in rows],
        "CPU ms per second of audio": [(r.hours, 1000 * r.cpu_per_audio_s) for r in rows],
    }
    lines(path, title, "hours of audio in one session", "MiB, ms", series)


def serve(changes: Sequence[str]) -> int:
    """The real server with settings outside of what users may set, as NAME=VALUE (whole numbers); until SIGTERM."""
    from whisperlive_hybrid.config import load_settings
    from whisperlive_hybrid.ops.logs import set_up_logging
    from whisperlive_hybrid.server import Server

    update = {name: int(value) for name, _, value in (change.partition("=") for change in changes)}
    settings = load_settings().model_copy(update=update)
    set_up_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with Server(settings) as server:
            waiting: list[asyncio.Task[Any]] = [
                asyncio.create_task(server.wait_closed()),
                asyncio.create_task(stop.wait()),
            ]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    asyncio.run(run())
    return 0


def served(folder: Path, model: str, speed: float) -> ServerProcess:
    """A server whose partials come `speed` times as often."""
    interval = max(1, round(1000 * PARTIAL_INTERVAL_S / speed))
    changes = [f"{name}={interval}" for name in ("partial_interval_ms", "partial_interval_max_ms")]
    changes += [f"live_ahead_s={10**9}", "live_max_speed=0"]
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "benchmarks.soak", "--serve", *changes]
    return ServerProcess(folder, model=model, command=command, PYTHONPATH=str(root))


def main() -> int:
    """Print the table, write the plot; 1 when memory or cost grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="recordings folder of the Free Spoken Digit Dataset")
    parser.add_argument("--hours", type=float, default=4.0, help="length of the session (default 4)")
    parser.add_argument("--block-s", type=float, default=BLOCK_S, help="seconds of audio repeated (default 600)")
    parser.add_argument("--speed", type=float, default=20.0, help="times real time (default 20)")
    parser.add_argument("--codec", choices=CODECS[:2], default="opus")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--plot", type=Path, help="picture to write (.svg; needs the bench extra)")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.serve:
        return serve(args.serve)
    samples = whole(conversations(args.recordings, 1, args.block_s)[0].samples)
    n_blocks = max(4, round(args.hours * 3600 * SAMPLE_RATE / len(samples)))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), args.model, args.speed) as server:
        block = steady_material(server.live_url, samples, [args.codec], args.speed)[args.codec]
        rows = asyncio.run(soak(server, block, n_blocks, args.speed, args.codec))
    outcome = verdict(rows)
    every = max(1, len(rows) // 12)
    title = f"One session of {rows[-1].hours:.1f} hours at {args.speed:g} times real time, {args.codec}"
    table(
        title,
        ["hours", "speed", "memory MiB", "CPU ms per audio s", "partials/min", "final p95 s", "same text", "files"],
        [_cells(r) for r in rows[every - 1 :: every]],
        [
            f"Last quarter against the second: memory {outcome.growth_mib:+.1f} MiB, "
            f"CPU per audio second {100 * outcome.drift:+.1f} %. "
            f"{sum(r.same_text for r in rows)} of {len(rows)} blocks have the first one's text."
        ],
    )
    if args.plot is not None:
        plot(rows, args.plot, title)
    if not outcome.good:
        print(f"FAILED {outcome}")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
