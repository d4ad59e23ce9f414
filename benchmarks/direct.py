"""Requests that wait for their answer, on the real server.

python -m benchmarks.direct --part register     what it costs a short request to be a job
python -m benchmarks.direct --part waiting      a short request while four long jobs run

Register: two servers, one of which writes rows of requests (`DIRECT_JOB_HOURS`), are sent the same clip time and again,
in blocks that take turns, one request after another. The bundled model answers fast, so whatever is added shows.
Waiting: on a model that costs what Whisper `tiny` costs, a short clip is sent to an idle server, and again while four
jobs of an hour of audio each run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.overhead import make_long_file
from benchmarks.report import percentile, table
from tests.support.clips import clips
from tests.support.server_process import ServerProcess
from tools.cost_model import make_cost_model

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
BLOCK = 20
"""Requests to one server before it is the other's turn."""
N_LONG = 4
PAUSE_S = 1.0


def timed(client: httpx.Client, data: bytes) -> float:
    """Seconds from sending a clip to its whole answer."""
    began = time.perf_counter()
    client.post("/transcribe", files={"file": data}, data={"language": "en"}).raise_for_status()
    return time.perf_counter() - began


def register(n_blocks: int, scratch: Path) -> int:
    """With rows and without."""
    data = CLIP.path.read_bytes()
    found: dict[str, list[float]] = {"without rows": [], "with rows": []}
    with (
        ServerProcess(scratch / "without", DIRECT_JOB_HOURS="0") as without,
        ServerProcess(scratch / "with") as recorded,
        httpx.Client(base_url=without.http_url, timeout=60) as first,
        httpx.Client(base_url=recorded.http_url, timeout=60) as second,
    ):
        sides = {"without rows": (without, first), "with rows": (recorded, second)}
        cpu_s = dict.fromkeys(sides, 0.0)
        for _, client in sides.values():
            for _ in range(BLOCK):
                timed(client, data)  # warm
        for number in range(n_blocks):
            # Who goes first changes, so that a drift of the machine counts for neither.
            for name in sorted(sides, reverse=bool(number % 2)):
                server, client = sides[name]
                before = server.cpu_s()
                found[name] += [timed(client, data) for _ in range(BLOCK)]
                time.sleep(0.5)  # rows are written a moment later
                cpu_s[name] += server.cpu_s() - before
        time.sleep(1.0)
        counts = second.get("/api/jobs", params={"kept": "false"}).json()["counts"]
        assert counts == {"done": (n_blocks + 1) * BLOCK}, counts
    base = percentile(found["without rows"], 50)
    rows: list[list[object]] = [
        [
            name,
            percentile(times, 50) * 1000,
            percentile(times, 95) * 1000,
            percentile(times, 50) / base,
            cpu_s[name] / len(times) * 1000,
        ]
        for name, times in found.items()
    ]
    table(
        f"A clip of {CLIP.duration_s:.1f} s to /transcribe, {n_blocks * BLOCK} times each",
        ["rows of requests", "median ms", "p95 ms", "ratio of medians", "CPU ms a request"],
        rows,
        [
            f"Blocks of {BLOCK} requests in turn; every row was there in the end. CPU: of the server and "
            "of the processes that decode."
        ],
    )
    return 0 if percentile(found["with rows"], 50) / base <= 1.03 else 1


def waiting(model: str, minutes: float, n: int, scratch: Path) -> int:
    """On an idle server, and beside long jobs."""
    data = CLIP.path.read_bytes()
    file = scratch / "long.wav"
    make_long_file(file, minutes)
    with (
        ServerProcess(scratch / "server", model=model, MAX_UPLOAD_MB="2000") as server,
        httpx.Client(base_url=server.http_url, timeout=3600) as client,
    ):
        idle = [_paused(client, data) for _ in range(n + 1)][1:]  # the first is warmer than it was
        with file.open("rb") as body:
            clip = client.post("/api/audio", files={"file": body}).json()["clip_id"]
        fresh = {"Cache-Control": "no-cache"}
        asked = {"clip_id": clip, "language": "en"}
        jobs = [client.post("/api/jobs", json=asked, headers=fresh).json()["job_id"] for _ in range(N_LONG)]
        while not all(client.get(f"/api/jobs/{id}").json()["stage"] == "transcribing" for id in jobs):
            time.sleep(0.2)
        before = [client.get(f"/api/jobs/{id}").json()["done_s"] for id in jobs]
        began = time.monotonic()
        busy = [_paused(client, data) for _ in range(n)]
        took_s = time.monotonic() - began
        shown = [client.get(f"/api/jobs/{id}").json() for id in jobs]
        assert all(job["state"] == "running" for job in shown), shown
        done_s = sum(job["done_s"] for job in shown) - sum(before)
        left_s = max(job["seconds_left"] or 0.0 for job in shown)
        for id in jobs:
            client.post(f"/api/jobs/{id}/cancel").raise_for_status()
    base = percentile(idle, 50)
    rows: list[list[object]] = [
        [name, percentile(times, 50), percentile(times, 95), max(times), percentile(times, 50) / base]
        for name, times in (("idle", idle), (f"{N_LONG} jobs of {minutes:g} minutes run", busy))
    ]
    rows.append(["the first beside them", busy[0], "", "", busy[0] / base])
    table(
        f"A clip of {CLIP.duration_s:.1f} s to /transcribe, {n} times, {PAUSE_S:g} s apart",
        ["server", "median s", "p95 s", "longest s", "ratio"],
        rows,
        [
            f"Meanwhile the jobs got on by {done_s / took_s:.0f} s of audio a second; they needed "
            f"another {left_s / 60:.0f} minutes."
        ],
    )
    return 0 if max(busy) < left_s else 1


def _paused(client: httpx.Client, data: bytes) -> float:
    took_s = timed(client, data)
    time.sleep(PAUSE_S)
    return took_s


def main() -> int:
    """Print the tables; 1 when one of the limits is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("register", "waiting", "both"), default="both")
    parser.add_argument(
        "--size", default="tiny", help="size of the cost model (default: tiny), or digits: the bundled model"
    )
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=20)
    args = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if args.part != "waiting":
            status |= register(args.blocks, folder)
        if args.part != "register":
            model = args.size if args.size == "digits" else str(make_cost_model(args.size, folder / args.size))
            status |= waiting(model, args.minutes, args.requests, folder)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
