"""One long file under SIGKILL again and again: what is heard twice, and whether the text differs.

python -m benchmarks.crash_resume                    20 kills, some minutes
python -m benchmarks.crash_resume --kills 100 --minutes 60

The file is transcribed twice by a server that nobody kills, at one temperature. Then, while it is killed at random
moments, `done_s` is read every few hundredths of a second: what it was when a process was killed, less what it is when
the next one goes on, are seconds that were transcribed and are transcribed again. (Windows in the making are, too.)
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.report import table
from tests.support.clips import clips
from tests.support.server_process import ServerProcess

POLL_S = 0.03
LONGEST_LIFE_S = 5.0
"""From the moment that a process works on the file."""
OPTIONS = {"language": "en", "temperature": "0"}
SETTINGS = {"FILE_WINDOW_S": "10", "OMP_NUM_THREADS": "1", "MAX_BATCH": "1"}
"""Slow enough for many kills."""


@dataclass
class Lives:
    """Seconds of the file, as told."""

    at_end: list[float] = field(default_factory=list)
    """Done when a process was killed."""
    at_begin: list[float] = field(default_factory=list)
    """Done when the next one went on."""

    @property
    def again_s(self) -> float:
        """Heard again in all."""
        return sum(max(before - after, 0.0) for before, after in zip(self.at_end, self.at_begin, strict=True))


def long_file(minutes: float) -> bytes:
    """Conversations one after another, as a WAV file."""
    rng = random.Random(0)
    some: list[Any] = []
    while sum(map(len, some)) < minutes * 60 * 16_000:
        some.append(rng.choice(clips("en", conversations=True)).samples())
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.concatenate(some) * 32767).astype("<i2").tobytes())
    return made.getvalue()


def filed(client: httpx.Client, data: bytes) -> str:
    """File it; the job's path."""
    made = client.post("/upload+transcribe", files={"file": data}, data=OPTIONS, headers={"Cache-Control": "no-cache"})
    return f"/api/jobs/{made.raise_for_status().json()['job_id']}"


def undisturbed(server: ServerProcess, data: bytes) -> dict[str, Any]:
    """The file's transcription."""
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        path = filed(client, data)
        while client.get(path).json()["state"] in ("queued", "running"):
            time.sleep(0.5)
        result: dict[str, Any] = client.get(f"{path}/result").raise_for_status().json()
        return result


def disturbed(server: ServerProcess, data: bytes, kills: int, rng: random.Random) -> tuple[dict[str, Any], Lives]:
    """The same, with so many kills, if it takes that long."""
    lives = Lives()
    with httpx.Client(base_url=server.http_url, timeout=60) as client:
        path = filed(client, data)
        while True:
            job = running(client, path)
            if lives.at_end:
                lives.at_begin.append(job["done_s"])
            until = time.monotonic() + rng.uniform(0.0, LONGEST_LIFE_S)
            if len(lives.at_end) == kills:
                until += 3600.0
            while job["state"] == "running" and time.monotonic() < until:
                time.sleep(POLL_S)
                job = client.get(path).json()
            if job["state"] != "running":
                assert job["state"] == "done", job["error"]
                result: dict[str, Any] = client.get(f"{path}/result").raise_for_status().json()
                return result, lives
            server.kill()
            lives.at_end.append(job["done_s"])
            if len(lives.at_end) % 10 == 0:
                print(f"{len(lives.at_end)} kills", file=sys.stderr, flush=True)
            server.start()
            server.wait_ready()


def running(client: httpx.Client, path: str) -> dict[str, Any]:
    """The job, once it is being worked on."""
    while True:
        job: dict[str, Any] = client.get(path).json()
        if job["state"] != "queued":
            return job
        time.sleep(POLL_S)


def differences(one: dict[str, Any], two: dict[str, Any]) -> int:
    """Segments whose times or text differ."""
    parts = [[(s["start"], s["end"], s["text"]) for s in result["segments"]] for result in (one, two)]
    return len(set(parts[0]) ^ set(parts[1]))


def main() -> int:
    """Print the table; 1 when processes began from zero."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    args, _ = parser.parse_known_args()
    data = long_file(args.minutes)
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder), **SETTINGS) as server:
        whole, once_more = undisturbed(server, data), undisturbed(server, data)
        again, lives = disturbed(server, data, args.kills, random.Random(args.seed))
    from_zero = sum(lives.at_end)
    table(
        "A long file under SIGKILL",
        ("what", ""),
        [
            ["length of the file", f"{whole['duration']:.0f} s"],
            ["kills while it was transcribed", len(lives.at_end)],
            ["transcribed when it was killed, in all", f"{from_zero:.0f} s"],
            ["of these heard again", f"{lives.again_s:.1f} s"],
            ["segments", len(whole["segments"])],
            ["of two runs without a kill, segments that one has and the other has not", differences(whole, once_more)],
            ["of a run without a kill and this one", differences(whole, again)],
        ],
        [],
    )
    return 0 if lives.at_end and lives.again_s < 0.1 * from_zero else 1


if __name__ == "__main__":
    raise SystemExit(main())
