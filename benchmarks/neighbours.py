"""What one bad client costs the others: time from the end of speech to its final, with it and without it in turn.

python -m benchmarks.neighbours                                        11 kinds of offenders: 27 minutes
python -m benchmarks.neighbours --only "floods with speech" --rounds 2  shorter

Some well-behaved sessions speak at real-time pace all the while. Each round is two phases with the same audio, one
quiet and one beside the offender, in alternating order; p95 of all rounds of a kind is compared. The limit is 10 %.
How late the event loop was and what the server took of a core tell more than p95 on a machine that others use, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import lag_window
from benchmarks.live_load import MESSAGE_S
from benchmarks.material import Conversation, conversations, pcm
from benchmarks.offenders import OFFENDERS
from benchmarks.report import percentile, table
from tests.support.server_process import ServerProcess
from whisperlive_hybrid.audio.samples import SAMPLE_RATE

ROOT = Path(__file__).parent.parent
MOST_WORSE = 0.1
TAIL_S = 3.0
"""Silence at the end of a phase: its last finals come before the next phase begins."""
HEAD_S = 1.0
"""An offender is there this long before anybody speaks beside it."""


@dataclass
class Neighbour:
    """One well-behaved session: one connection through all phases."""

    socket: ClientConnection
    said: Conversation
    finals: list[tuple[float, float]] = field(default_factory=list)
    """(end of the utterance on the audio clock, monotonic time of arrival)."""
    sent_s: float = 0.0
    """Seconds of audio sent."""
    zero: float = 0.0
    """Monotonic time at which the session's audio clock would have been 0, in the present phase."""

    async def listen(self) -> None:
        """Note when finals come."""
        async for message in self.socket:
            event = json.loads(message)
            if event["type"] == "final":
                self.finals.append((event["end"], time.monotonic()))

    async def phase(self, delay_s: float) -> list[float]:
        """Say everything once at real-time pace; returns the delays (s) from each utterance's end to its final."""
        await asyncio.sleep(delay_s)
        self.zero = time.monotonic() - self.sent_s
        began, n_before = self.sent_s, len(self.finals)
        step = int(MESSAGE_S * SAMPLE_RATE)
        # Whole messages: words lie in them alike in each phase, and finals do not come earlier in every other one.
        tail = round(TAIL_S * SAMPLE_RATE) + -(len(self.said.samples) + round(TAIL_S * SAMPLE_RATE)) % step
        samples = np.concatenate([self.said.samples, np.zeros(tail, np.float32)])
        for i in range(0, len(samples), step):
            block = samples[i : i + step]
            self.sent_s += len(block) / SAMPLE_RATE
            await asyncio.sleep(max(0.0, self.zero + self.sent_s - time.monotonic()))
            await self.socket.send(pcm(block))
        finals = self.finals[n_before:]
        return delays(finals, [began + end for end in self.said.ends], self.zero)


def delays(finals: Sequence[tuple[float, float]], ends: Sequence[float], zero: float) -> list[float]:
    """Seconds from each true end of speech to the first final that reaches it; utterances nobody heard are left out.

    `finals` (end s, time of arrival); `ends` s on the same audio clock, whose 0 was at time `zero`.
    """
    found = []
    for end in ends:
        covering = [arrival for final_end, arrival in finals if end - 0.3 <= final_end <= end + 1.5]
        if covering:
            found.append(min(covering) - (zero + end))
    return found


@dataclass(frozen=True)
class Cost:
    """The server in one phase: lag of its event loop in ms, CPU seconds a second."""

    lag_p99: float
    lag_max: float
    cpu: float


@dataclass
class Arms:
    """Delays of a kind of offender, both ways."""

    quiet: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    quiet_cost: list[Cost] = field(default_factory=list)
    beside_cost: list[Cost] = field(default_factory=list)

    def worse(self, q: float) -> float:
        """How much longer the q-th percentile is beside the offender, as a part of the quiet one."""
        return percentile(self.beside, q) / percentile(self.quiet, q) - 1

    def spread(self, q: float, draws: int = 500) -> tuple[float, float]:
        """90 % interval of `worse` by bootstrap: what the number of finals allows to say."""
        rng = random.Random(0)
        values = sorted(
            percentile(rng.choices(self.beside, k=len(self.beside)), q)
            / percentile(rng.choices(self.quiet, k=len(self.quiet)), q)
            - 1
            for _ in range(draws)
        )
        return percentile(values, 5), percentile(values, 95)


async def run(
    server: ServerProcess, said: Sequence[Conversation], kinds: Sequence[str], rounds: int, *, http: bool
) -> dict[str, Arms]:
    """All phases of all kinds, over the same connections. `http`: the offender comes to the HTTP port."""
    arms = {kind: Arms() for kind in kinds}
    url = server.live_url
    offended = server.http_url.replace("http", "ws", 1) if http else url
    address = f"{url}/ws/stream?codec=pcm_s16le&language=en"
    neighbours = [Neighbour(await connect(address, max_size=2**20), each) for each in said]
    listeners = [asyncio.create_task(n.listen()) for n in neighbours]
    phase_s = spoken_s(said)

    async def all_speak(costs: list[Cost]) -> list[float]:
        began, cpu_s = time.monotonic(), server.cpu_s()
        spread = [MESSAGE_S * i / len(neighbours) for i in range(len(neighbours))]
        phases = await asyncio.gather(*(n.phase(s) for n, s in zip(neighbours, spread, strict=True)))
        cpu = (server.cpu_s() - cpu_s) / (time.monotonic() - began)
        lag = (await asyncio.to_thread(server.health))["loop_lag_ms"]
        costs.append(Cost(lag["p99"], lag["max"], cpu))
        return [delay for phase in phases for delay in phase]

    await all_speak([])  # what is made once is made
    for n in range(rounds):
        for kind in kinds:
            for beside in (n % 2 == 1, n % 2 == 0):
                if beside:
                    offender = await _offender(kind, offended, HEAD_S + phase_s)
                    await asyncio.sleep(HEAD_S)
                    arms[kind].beside += await all_speak(arms[kind].beside_cost)
                    arms[kind].offences.append((await offender.communicate())[0].decode().strip())
                else:
                    arms[kind].quiet += await all_speak(arms[kind].quiet_cost)
    for neighbour in neighbours:
        await neighbour.socket.send('{"type":"stop"}')
    await asyncio.gather(*listeners)
    return arms


def spoken_s(said: Sequence[Conversation]) -> float:
    """Length of a phase in seconds."""
    return max(c.duration_s for c in said) + TAIL_S + MESSAGE_S


def both(quiet: Sequence[Cost], beside: Sequence[Cost], figure: Callable[[Cost], float], digits: int) -> str:
    """Medians of a figure over all phases, without and beside the offender."""
    return " / ".join(f"{percentile([figure(c) for c in costs], 50):.{digits}f}" for costs in (quiet, beside))


async def _offender(kind: str, url: str, seconds: float) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "benchmarks.offenders", kind, url, str(seconds))
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)


def main() -> int:
    """Print the table; 1 when others wait more than 10 % longer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, help="recordings folder of the Free Spoken Digit Dataset")
    parser.add_argument("--sessions", type=int, default=8, help="well-behaved sessions (default 8)")
    parser.add_argument("--seconds", type=float, default=30.0, help="speech in a phase (default 30)")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind (default 2)")
    parser.add_argument("--only", nargs="+", choices=OFFENDERS, help="kinds of offenders")
    parser.add_argument("--http", action="store_true", help="the bad client comes to the HTTP port")
    parser.add_argument("--model", default="digits")
    args, _ = parser.parse_known_args()
    kinds = args.only or list(OFFENDERS)
    said = conversations(args.recordings, args.sessions, args.seconds)
    began = time.monotonic()
    command = lag_window.command(spoken_s(said))
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder), model=args.model, command=command, PYTHONPATH=str(ROOT)) as server,
    ):
        arms = asyncio.run(run(server, said, kinds, args.rounds, http=args.http))
    rows, bad = [], []
    for kind, a in arms.items():
        low, high = a.spread(95)
        rows.append(
            [
                kind,
                f"{percentile(a.quiet, 50):.2f} / {percentile(a.beside, 50):.2f}",
                f"{percentile(a.quiet, 95):.2f} / {percentile(a.beside, 95):.2f}",
                f"{100 * a.worse(95):+.0f} %",
                f"{100 * low:+.0f} to {100 * high:+.0f} %",
                f"{len(a.quiet)} / {len(a.beside)}",
                both(a.quiet_cost, a.beside_cost, lambda c: c.lag_p99, 0),
                both(a.quiet_cost, a.beside_cost, lambda c: c.lag_max, 0),
                both(a.quiet_cost, a.beside_cost, lambda c: c.cpu, 2),
                ", ".join(a.offences),
            ]
        )
        if a.worse(95) > MOST_WORSE or len(a.beside) < 0.95 * len(a.quiet):
            bad.append(f"{kind}: p95 {100 * a.worse(95):+.0f} %, finals {len(a.quiet)} / {len(a.beside)}")
    table(
        f"End of speech to final, {args.sessions} sessions without / beside one bad client",
        [
            "the bad client",
            "p50 s",
            "p95 s",
            "p95 worse by",
            "90 % interval",
            "finals",
            "loop lag p99 ms",
            "worst ms",
            "CPU s per s",
            "messages or connections",
        ],
        rows,
        [f"{time.monotonic() - began:.0f} s in all."],
    )
    for each in bad:
        print(f"FAILED {each}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
