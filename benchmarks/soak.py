"""One session of four hours, fed faster than real time: memory stays flat, and a second of audio costs what it did.

python -m benchmarks.soak --recordings PATH --plot soak.svg     4 h at 20 times real time: 15 minutes
python -m benchmarks.soak --hours 0.5                           shorter

The server's partial interval is divided by the speed, so that there are as many partials per second of audio as at
real-time pace; it is held there, so that a busy machine shows as such and not as fewer partials. The audio is the same
ten minutes again and again: rows can be compared with each other, and so can their texts. Two minutes before that go
into finding utterances that are decoded at a temperature above 0, where words are drawn at random; they are left out.

On a machine that others use, the same does not cost the same from hour to hour. So whether a session that has run for
long costs more is seen in the end, beside sessions that begin just then: both hear the same in turn.

What the server holds is measured at rest, after it gave back what is free: otherwise that stays for the next inference
(engine/memory.py), and the resident memory of the table creeps up to the most that inference ever took at once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
    n_flushed: int = 0


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


class Speaker:
    """One session that says a block of messages again and again."""

    def __init__(self, session: LiveSession, block: Sequence[bytes], speed: float) -> None:
        self.heard = Heard()
        self._session = session
        self._block = block
        self._speed = speed
        self._sent_at: list[float] = []
        self._due = time.monotonic()
        self._listener = asyncio.create_task(_listen(session, self.heard, self._sent_at, len(block)))

    async def say(self) -> None:
        """The block, once more."""
        for message in self._block:
            self._due = max(self._due + MESSAGE_S / self._speed, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            await self._session.send(message)
            self._sent_at.append(time.monotonic())

    async def settle(self) -> None:
        """Until all that was said is final."""
        awaited = self.heard.n_flushed + 1
        await self._session.flush(id=awaited)
        async with asyncio.timeout(60):
            while self.heard.n_flushed < awaited:  # noqa: ASYNC110 - the listener is no event
                await asyncio.sleep(0.05)

    async def finish(self) -> None:
        """Stop, and hear the rest."""
        await self._session.stop()
        await self._listener
        if not self.heard.done:
            raise RuntimeError("the session ended without `done`")


@asynccontextmanager
async def speaking(server: ServerProcess, block: Sequence[bytes], speed: float, codec: str) -> AsyncIterator[Speaker]:
    """A new session."""
    ahead = round(sum(map(len, block)) / (len(block) * MESSAGE_S) * AHEAD_S)
    async with LiveSession(server.live_url, codec=codec, language="en", max_buffered_bytes=ahead) as session:
        speaker = Speaker(session, block, speed)
        yield speaker
        await speaker.finish()


async def soak(  # noqa: PLR0917
    server: ServerProcess, block: Sequence[bytes], n_blocks: int, speed: float, codec: str, n_pairs: int = 0
) -> tuple[list[Row], list[Pair], list[float]]:
    """Speak the block `n_blocks` times, a row for each; then `n_pairs` times more beside a session that begins then.

    Also the MiB held after a quarter, which fills buffers that are bounded, and at the end of the rows.
    """
    samples = [_sample(server, 0.0, 0.0)]
    pairs, held = [], []
    start = time.monotonic()
    async with speaking(server, block, speed, codec) as long:
        for n in range(n_blocks):
            await long.say()
            samples.append(_sample(server, (n + 1) * len(block) * MESSAGE_S, time.monotonic() - start))
            if n + 1 in (n_blocks // 4, n_blocks):
                await long.settle()
                held.append(await _held_mib(server))
        for n in range(n_pairs):
            async with speaking(server, block, speed, codec) as new:
                order = (long, new) if n % 2 else (new, long)
                costs = {speaker: await _cost(server, speaker, len(block)) for speaker in order}
            pairs.append(Pair(costs[long], costs[new]))
    return _rows(samples, long.heard), pairs, held


async def _held_mib(server: ServerProcess) -> float:
    """Memory of the server without what is free in it."""
    os.kill(server.pid, signal.SIGUSR1)
    await asyncio.sleep(1.0)
    return server.memory_mib()


async def _cost(server: ServerProcess, speaker: Speaker, n_messages: int) -> float:
    """CPU seconds per second of audio of one block, to its last final."""
    before = server.cpu_s()
    await speaker.say()
    await speaker.settle()
    return (server.cpu_s() - before) / (n_messages * MESSAGE_S)


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
        elif event["type"] == "flushed":
            heard.n_flushed += 1
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
class Pair:
    """The same block in the session that has run for long and in one that began just before: CPU s per s of audio."""

    long: float
    new: float


@dataclass(frozen=True)
class Verdict:
    """Of memory: what was held at the end more than after a quarter. Of cost: the last quarter against the second."""

    growth_mib: float
    drift: float
    """Of CPU per second of audio, as a part of it."""
    more_than_new: float | None = None
    """How much more it costs in the end than sessions that begin then, as a part of it; median of the pairs."""

    @property
    def good(self) -> bool:
        """Memory is flat and cost constant."""
        drift = self.drift if self.more_than_new is None else self.more_than_new
        return self.growth_mib <= MOST_GROWTH_MIB and drift <= MOST_DRIFT


def verdict(rows: Sequence[Row], held_mib: Sequence[float], pairs: Sequence[Pair] = ()) -> Verdict:
    """Raises ValueError for fewer than four rows."""
    if len(rows) < 4:
        raise ValueError("a verdict needs four rows at least")
    quarter = len(rows) // 4
    early, late = rows[quarter : 2 * quarter], rows[-quarter:]
    before, after = (float(np.median([r.cpu_per_audio_s for r in part])) for part in (early, late))
    more = float(np.median([p.long / p.new - 1 for p in pairs])) if pairs else None
    return Verdict(held_mib[-1] - held_mib[0], after / before - 1, more)


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
    from whisperlive_hybrid.engine.memory import return_freed_memory
    from whisperlive_hybrid.ops.logs import set_up_logging
    from whisperlive_hybrid.server import Server

    update = {name: int(value) for name, _, value in (change.partition("=") for change in changes)}
    settings = load_settings().model_copy(update=update)
    set_up_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, return_freed_memory)
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
    parser.add_argument("--pairs", type=int, default=6, help="new sessions to compare with in the end (default 6)")
    parser.add_argument("--plot", type=Path, help="picture to write (.svg; needs the bench extra)")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.serve:
        return serve(args.serve)
    samples = whole(conversations(args.recordings, 1, args.block_s)[0].samples)
    n_blocks = max(4, round(args.hours * 3600 * SAMPLE_RATE / len(samples)))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), args.model, args.speed) as server:
        block = steady_material(server.live_url, samples, [args.codec], args.speed)[args.codec]
        rows, pairs, held = asyncio.run(soak(server, block, n_blocks, args.speed, args.codec, args.pairs))
    outcome = verdict(rows, held, pairs)
    ratios = sorted(100 * (p.long / p.new - 1) for p in pairs)
    every = max(1, len(rows) // 12)
    title = f"One session of {rows[-1].hours:.1f} hours at {args.speed:g} times real time, {args.codec}"
    table(
        title,
        ["hours", "speed", "resident MiB", "CPU ms per audio s", "partials/min", "final p95 s", "same text", "files"],
        [_cells(r) for r in rows[every - 1 :: every]],
        [
            f"Held at rest after a quarter and at the end: {held[0]:.1f} and {held[-1]:.1f} MiB. "
            f"CPU per audio second in the last quarter against the second: {100 * outcome.drift:+.1f} %. "
            f"{sum(r.same_text for r in rows)} of {len(rows)} blocks have the first one's text.",
            "In the end, beside sessions that begin then, one block each in turn, CPU per audio second: "
            + (", ".join(f"{r:+.1f} %" for r in ratios) or "not measured"),
        ],
    )
    if args.plot is not None:
        plot(rows, args.plot, title)
    if not outcome.good:
        print(f"FAILED {outcome}")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
