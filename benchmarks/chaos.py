"""Connections cut at random, servers killed and restarted in mid-speech: in the end every word is there, once.

python -m benchmarks.chaos --recordings PATH               50 incidents in some ten minutes, 12 of them restarts
python -m benchmarks.chaos --incidents 10 --audio-s 60     shorter
python -m benchmarks.chaos --no-restarts                   the network alone

Three of the project's own Python clients (PCM, raw Opus, WebM) speak through a proxy to one server. An incident is:
cut    every connection is reset
again  reset, and reset once more as soon as one client is back
torn   reset in the middle of a message
silent connections stay open and carry nothing
kill   SIGKILL to the server, which is started again after up to two seconds
term   SIGTERM, and a start when it has ended
Afterwards the finals are compared with those of the same audio without any incident.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.chaos_clients import (
    CODECS,
    MESSAGE_S,
    Speaker,
    Told,
    difference,
    steady_material,
    time_shift,
    undisturbed,
)
from benchmarks.material import conversations
from benchmarks.report import percentile, table
from tests.support.server_process import ServerProcess
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

NETWORK = ("cut", "again", "torn", "silent")
RESTARTS = ("kill", "term")
SHARES = {"kill": 6, "term": 6, "silent": 3, "torn": 10, "again": 8, "cut": 17}
"""Of 50 incidents."""
MOST_SHIFT_S = 0.1
BACK_WITHIN_S = 90.0


def planned(n: int, seed: int, *, restarts: bool) -> list[str]:
    """`n` incidents in random order; every kind at least once if there are enough."""
    shares = {kind: share for kind, share in SHARES.items() if restarts or kind in NETWORK}
    total = sum(shares.values())
    kinds = [kind for kind, share in shares.items() for _ in range(max(1, round(n * share / total)))]
    kinds = kinds[:n] + ["cut"] * (n - len(kinds))
    random.Random(seed).shuffle(kinds)
    return kinds


class Mischief:
    """Carries out incidents, one at a time."""

    def __init__(self, proxy: TcpProxy, server: ServerProcess, speakers: Sequence[Speaker], seed: int) -> None:
        self.outages: dict[str, list[float]] = {}
        """Seconds from each incident to all clients being back, by kind."""
        self._proxy = proxy
        self._server = server
        self._speakers = speakers
        self._random = random.Random(seed)

    async def do(self, kind: str) -> None:
        """One incident; returns when every client is back (or its session lost)."""
        await asyncio.sleep(self._random.uniform(0, MESSAGE_S))
        at = time.monotonic()
        watched = [s for s in self._speakers if not s.over]
        n_before = [len(s.told.outages) for s in watched]
        match kind:
            case "cut":
                self._proxy.cut()
            case "again":
                self._proxy.cut()
                await self._until(lambda: any(len(s.told.outages) > n for s, n in zip(watched, n_before, strict=True)))
                await asyncio.sleep(self._random.uniform(0, 0.1))
                self._proxy.cut()
            case "torn":
                self._proxy.tear()
            case "silent":
                self._proxy.silence()
            case "kill":
                await asyncio.to_thread(self._server.kill)
                await asyncio.sleep(self._random.uniform(0, 2))
                await asyncio.to_thread(self._server.start)
            case "term":
                await asyncio.to_thread(self._server.terminate)
                await asyncio.to_thread(self._server.start)
        await self._until(
            lambda: all(
                s.over or (len(s.told.outages) > n and s.connected.is_set())
                for s, n in zip(watched, n_before, strict=True)
            )
        )
        self.outages.setdefault(kind, []).append(time.monotonic() - at)

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BACK_WITHIN_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def disturbed(
    server: ServerProcess, wires: dict[str, list[bytes]], kinds: Sequence[str], pace: float, seed: int
) -> tuple[dict[str, Told], dict[str, list[float]]]:
    """All clients at once through the incidents, which are spread at random over the audio.

    No audio is sent past an incident's place before the one before it is over; otherwise the clients speak on.
    """
    n = max(map(len, wires.values()))
    rng = random.Random(seed)
    places = sorted(rng.randrange(1, n - 1) for _ in kinds)
    with tcp_proxy(server.live_port) as proxy:
        async with AsyncExitStack() as stack:
            url = f"ws://127.0.0.1:{proxy.port}/ws/stream"
            speakers = [
                await stack.enter_async_context(Speaker(url, codec, messages)) for codec, messages in wires.items()
            ]
            mischief = Mischief(proxy, server, speakers, seed)
            incidents = list(zip(places, kinds, strict=True))
            under_way: asyncio.Task[None] | None = None
            due = time.monotonic()
            for i in range(n):
                while incidents and incidents[0][0] <= i:
                    if under_way is not None:
                        await under_way
                        due = max(due, time.monotonic())
                    under_way = asyncio.create_task(mischief.do(incidents.pop(0)[1]))
                due += MESSAGE_S / pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                for speaker in speakers:
                    await speaker.say(i)
            if under_way is not None:
                await under_way
            async with asyncio.timeout(BACK_WITHIN_S):
                told = {s.codec: await s.finish() for s in speakers}
    return told, mischief.outages


def main() -> int:
    """Print the tables; 1 when a word is lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="recordings folder of the Free Spoken Digit Dataset")
    parser.add_argument("--incidents", type=int, default=50)
    parser.add_argument("--audio-s", type=float, default=360.0, help="seconds of speech (default 360)")
    parser.add_argument("--pace", type=float, default=1.0, help="times real time (default 1)")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS)
    parser.add_argument("--no-restarts", action="store_true", help="leave the server alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--log", type=Path, help="where the server's log is kept")
    args, _ = parser.parse_known_args()
    kinds = planned(args.incidents, args.seed, restarts=not args.no_restarts)
    samples = conversations(args.recordings, 1, args.audio_s)[0].samples
    with tempfile.TemporaryDirectory() as folder:
        with ServerProcess(Path(folder), model=args.model) as server:
            wires = steady_material(server.live_url, samples, args.codecs, pace=8.0)
            expected = {codec: asyncio.run(undisturbed(server.live_url, codec, wires[codec], 8.0)) for codec in wires}
            began = time.monotonic()
            told, outages = asyncio.run(disturbed(server, wires, kinds, args.pace, args.seed))
            took = time.monotonic() - began
        if args.log is not None:
            args.log.write_bytes(server.log.read_bytes())
    return report(expected, told, outages, took, server.starts)


def report(
    expected: dict[str, Told], told: dict[str, Told], outages: dict[str, list[float]], took_s: float, starts: int
) -> int:
    """Print the tables; 1 when anything differs."""
    n = sum(map(len, outages.values()))
    rows, bad = [], []
    for codec, reference in expected.items():
        got = told[codec]
        diff = difference(reference.words, got.words)
        shift = time_shift(reference.finals, got.finals)
        rows.append(
            [
                codec,
                len(got.outages),
                len(reference.words),
                diff.lost,
                diff.added,
                diff.changed,
                got.twice + len(got.disorder),
                shift,
                percentile(got.outages, 50),
                max(got.outages, default=float("nan")),
            ]
        )
        if got.failure is not None:
            bad.append(f"{codec}: session lost, {got.failure}")
        bad += [f"{codec}: {each}" for each in (*diff.where, *got.disorder)[:16]]
        if shift > MOST_SHIFT_S:
            bad.append(f"{codec}: times off by {shift:.2f} s")
    table(
        f"Chaos: {n} incidents with {starts - 1} restarts in {took_s:.0f} s, against the same audio undisturbed",
        [
            "codec",
            "resumed",
            "words",
            "lost",
            "added",
            "changed",
            "against the rules",
            "times off by s",
            "outage p50 s",
            "worst s",
        ],
        rows,
    )
    table(
        "Until all clients are back, by kind of incident",
        ["incident", "how many", "p50 s", "worst s"],
        [[kind, len(times), percentile(times, 50), max(times)] for kind, times in sorted(outages.items())],
    )
    for each in bad:
        print(f"FAILED {each}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
