"""Ten minutes of each of a dozen noises: no text may come, and next to no work may be done.

python -m benchmarks.silence                              12 noises of 10 minutes, a minute at real-time pace: 4 minutes
python -m benchmarks.silence --minutes 1 --real-s 20      shorter

Noises are sent faster than real time, one after another, and the server's CPU time is divided by their length. What
only real time costs (timers, acknowledgements, heartbeats) shows at real-time pace, beside a server without a session.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.live_load import Heard, speak, speak_all
from benchmarks.noises import NOISES, every_noise, noise
from benchmarks.report import table
from tests.support.server_process import ServerProcess
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

MOST_PERCENT = 2.0
"""Of one core, for a session that hears no speech."""


@dataclass(frozen=True)
class Outcome:
    """What a noise led to."""

    texts: tuple[str, ...]
    """Every text shown, in partials and finals."""
    starts: int
    """How often it was taken for speech."""
    audio_s: float
    cpu_s: float
    """Of the server, meanwhile."""

    @property
    def core_percent(self) -> float:
        """CPU time per second of audio, in percent."""
        return 100 * self.cpu_s / self.audio_s


def texts_of(heard: Heard) -> tuple[str, ...]:
    """Everything that a client would have shown."""
    shown = []
    for _, event in heard.events:
        keys = {"partial": ("append", "tentative"), "final": ("text",)}.get(str(event["type"]), ())
        shown += [text for key in keys if (text := str(event.get(key) or "").strip())]
    return tuple(shown)


def starts_of(heard: Heard) -> int:
    """How often speech was said to start."""
    return sum(e["type"] == "speech" and e["state"] == "started" for _, e in heard.events)


def fed_fast(server: ServerProcess, samples: Samples, pace: float) -> Outcome:
    """One noise as fast as the server takes it, `pace` times real time at most."""
    before = server.cpu_s()
    heard = asyncio.run(speak(server.live_url, samples, pace=pace))
    return Outcome(texts_of(heard), starts_of(heard), len(samples) / SAMPLE_RATE, server.cpu_s() - before)


def at_real_pace(server: ServerProcess, samples: Samples, sessions: int) -> Outcome:
    """The same noise in `sessions` sessions at once, as it would come from microphones."""
    before = server.cpu_s()
    everything = asyncio.run(speak_all(server.live_url, [samples] * sessions))
    cpu = server.cpu_s() - before
    texts = tuple(text for heard in everything for text in texts_of(heard))
    return Outcome(texts, sum(map(starts_of, everything)), sessions * len(samples) / SAMPLE_RATE, cpu)


def without_session(server: ServerProcess, seconds: float) -> Outcome:
    """The server by itself."""
    before = server.cpu_s()
    time.sleep(seconds)
    return Outcome((), 0, seconds, server.cpu_s() - before)


def main() -> int:
    """Print the tables; 1 when text came or the work was too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each noise (default 10)")
    parser.add_argument("--real-s", type=float, default=60.0, help="seconds at real-time pace (default 60; 0: none)")
    parser.add_argument("--sessions", type=int, default=10, help="sessions at once in the last row (default 10)")
    parser.add_argument("--pace", type=float, default=100.0, help="times real time for the long noises (default 100)")
    parser.add_argument("--model", default="digits")
    args, _ = parser.parse_known_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder), model=args.model, LIVE_MAX_SPEED="0") as server,
    ):
        fed_fast(server, noise("white noise", 5.0, seed=1), args.pace)  # what is made once is made
        outcomes = {name: fed_fast(server, noise(name, 60 * args.minutes), args.pace) for name in NOISES}
        paced: dict[str, Outcome] = {}
        if args.real_s > 0:
            mixed = every_noise(args.real_s)
            paced["no session"] = without_session(server, args.real_s / 3)
            paced["1 session"] = at_real_pace(server, mixed, 1)
            paced[f"{args.sessions} sessions, each"] = at_real_pace(server, mixed, args.sessions)
    table(
        f"No speech: {args.minutes:g} minutes of each noise, sent faster than real time",
        ["noise", "texts", "taken for speech", "CPU s per hour of audio", "% of one core"],
        [[name, len(o.texts), o.starts, 36 * o.core_percent, o.core_percent] for name, o in outcomes.items()],
    )
    if paced:
        table(
            f"No speech: {args.real_s:g} s of all noises in turn, at real-time pace",
            ["what", "texts", "taken for speech", "% of one core"],
            [[name, len(o.texts), o.starts, o.core_percent] for name, o in paced.items()],
        )
    bad = [name for name, o in {**outcomes, **paced}.items() if o.texts or o.core_percent > MOST_PERCENT]
    for name in bad:
        outcome = {**outcomes, **paced}[name]
        print(f"FAILED {name}: {outcome.core_percent:.2f} % of one core, texts {outcome.texts[:8]}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
