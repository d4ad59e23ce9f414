"""Jobs on the real server: a file of two hours, and many short clips in the queue.

python -m benchmarks.jobs                      both, on a model that costs what Whisper `tiny` costs
python -m benchmarks.jobs --part long --minutes 20 --times 3 --drawn
python -m benchmarks.jobs --part queue --clips 40

Long: seconds from the end of the upload to the first segment, whether progress ever goes back, the server's memory
above that of the loaded model, how soon a cancel stops the work, and what memory is left after some rest. The file is
sent `--times` times in a row. With `--drawn` the thresholds are those that come with the server: most windows of this
model fail them and are drawn at random again and again, which needs the most memory.

Queue: the clips are uploaded, then filed as one batch; the time from filing to the last result is compared with
faster-whisper's over the same clips, one after another, with the same beam, language and temperature.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.crash_callers import clip_of_its_own
from benchmarks.overhead import make_long_file
from benchmarks.report import percentile, process_cpu_s, table
from tests.support.server_process import ServerProcess
from tools.cost_model import make_cost_model
from whisperlive_hybrid.engine.engine import REST_S

OPTIONS = {"language": "en", "beam_size": "5", "compression_ratio_threshold": "100", "log_prob_threshold": "-100"}
"""Thresholds that nothing breaks: every window is decoded once, here and there."""
IDLE_AFTER_S = 2.0
REST_WAIT_S = 3 * REST_S
"""After twice as long the engine has noticed that nothing runs."""


@dataclass
class LongRun:
    """What one long file has shown."""

    first_segment_s: float = float("nan")
    took_s: float = float("nan")
    n_segments: int = 0
    backwards: int = 0
    """Times that progress went back."""
    longest_silence_s: float = 0.0
    """Between two lines."""
    memory_mib: list[float] = field(default_factory=list)


@contextmanager
def memory_watched(server: ServerProcess, into: list[float]) -> Iterator[None]:
    """Notes the server's memory five times a second inside the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            into.append(server.memory_mib())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def stream(client: httpx.Client, server: ServerProcess, path: str, **request: Any) -> LongRun:
    """Send a request and read its lines; time counts from when the last byte was sent."""
    run = LongRun()
    sent = [time.monotonic()]
    with memory_watched(server, run.memory_mib), client.stream("POST", path, **request) as answer:
        # The server answers when it has something to tell, and never before it has all of the file.
        answer.raise_for_status()
        last, share = time.monotonic(), 0.0
        for line in answer.iter_lines():
            now = time.monotonic()
            run.longest_silence_s = max(run.longest_silence_s, now - last)
            last = now
            event = json.loads(line)
            if event["type"] == "segment":
                run.n_segments += 1
                if run.n_segments == 1:
                    run.first_segment_s = now - sent[0]
            elif event["type"] == "progress":
                done = event.get("progress", event["done_s"] if event.get("stage") == "transcribing" else share)
                run.backwards += done < share
                share = max(share, done)
            assert event["type"] != "error", line
    run.took_s = time.monotonic() - sent[0]
    return run


def long_file(model: Path, minutes: float, times: int, options: dict[str, str], scratch: Path) -> int:
    """A long file, streamed; a cancel; rest."""
    file = scratch / "long.wav"
    make_long_file(file, minutes)
    with (
        ServerProcess(scratch / "server", model=str(model), MAX_UPLOAD_MB="2000") as server,
        httpx.Client(base_url=server.http_url, timeout=3600) as client,
    ):
        time.sleep(2.0)
        idle_mib = server.memory_mib()
        began = time.monotonic()
        uploading_mib: list[float] = []
        with memory_watched(server, uploading_mib), file.open("rb") as body:
            clip = client.post("/api/audio", files={"file": body}).json()["clip_id"]
        upload_s = time.monotonic() - began
        params, fresh = {"clip_id": clip, **options}, {"Cache-Control": "no-cache"}
        runs = [stream(client, server, "/api/transcribe/stream", params=params, headers=fresh) for _ in range(times)]
        cancel_s, after_cpu_s = cancel(client, server, clip)
        time.sleep(REST_WAIT_S)
        rested_mib = server.memory_mib() - idle_mib
    run = runs[0]
    peaks = [max(run.memory_mib) - idle_mib for run in runs]
    peak = max([*peaks, max(uploading_mib) - idle_mib])
    rows: list[list[object]] = [
        ["upload, until acknowledged", f"{upload_s:.1f} s", file.stat().st_size / 1e6, "MB"],
        ["first segment after the request", f"{run.first_segment_s:.2f} s", "", ""],
        ["whole file", f"{run.took_s:.0f} s", minutes * 60 / run.took_s, "times real time"],
        ["segments", run.n_segments, "", ""],
        ["progress went back", run.backwards, "times", ""],
        ["longest silence on the stream", f"{run.longest_silence_s:.1f} s", "", ""],
        ["memory above the loaded model, at most", f"{peak:.0f} MiB", *_each(peaks)],
        ["cancel, until answered", f"{cancel_s:.2f} s", "", ""],
        [f"CPU in the {IDLE_AFTER_S:g} s after that", f"{after_cpu_s:.2f} s", "", ""],
        ["memory above the loaded model, after three minutes of rest", f"{rested_mib:.0f} MiB", "", ""],
    ]
    table(f"A file of {minutes:g} minutes", ["what", "", "", ""], rows)
    good = run.first_segment_s < 5 and not run.backwards and peak < 300 and cancel_s < 2
    return 0 if good else 1


def _each(peaks: list[float]) -> tuple[str, str]:
    return (", ".join(f"{peak:.0f}" for peak in peaks), "one after another") if len(peaks) > 1 else ("", "")


def cancel(client: httpx.Client, server: ServerProcess, clip: str) -> tuple[float, float]:
    """Seconds until a cancel in the middle of the work is answered, and CPU seconds used after that."""
    filed = client.post("/api/jobs", json={"clip_id": clip, **OPTIONS}, headers={"Cache-Control": "no-cache"}).json()
    path = f"/api/jobs/{filed['job_id']}"
    while client.get(path).json()["segments"] < 20:
        time.sleep(0.1)
    began = time.monotonic()
    answer = client.post(f"{path}/cancel")
    took_s = time.monotonic() - began
    assert answer.json()["state"] == "cancelled", answer.text
    cpu_s = process_cpu_s(server.pid)
    time.sleep(IDLE_AFTER_S)
    return took_s, process_cpu_s(server.pid) - cpu_s


def queue(model: Path, n_clips: int, rounds: int, scratch: Path) -> int:
    """Many short clips in the queue, and one after another through faster-whisper."""
    folder = scratch / "clips"
    folder.mkdir()
    rng = random.Random(0)
    files = []
    for number in range(n_clips):
        path = folder / f"{number:03}.wav"
        path.write_bytes(clip_of_its_own(rng))
        files.append(path)
    audio_s = sum((path.stat().st_size - 44) / 32000 for path in files)
    ours, alone = [], []
    for number in range(rounds):
        alone.append(_alone_in_a_process(model, folder))
        ours.append(queued(model, files, scratch / f"server-{number}"))
    first, second = percentile(alone, 50), percentile(ours, 50)
    rows: list[list[object]] = [
        ["faster-whisper, one after another", first, n_clips / first, audio_s / first, 1.0],
        ["WhisperLive Hybrid, a batch of jobs", second, n_clips / second, audio_s / second, first / second],
    ]
    table(
        f"{n_clips} clips, {audio_s / n_clips:.1f} s each",
        ["what", "s", "clips a second", "times real time", "ratio"],
        rows,
        [f"Medians of {rounds} runs each, taken in turn. Ours counts from filing to the last result, all recorded."],
    )
    return 0 if first / second >= 1.5 else 1


def queued(model: Path, files: list[Path], folder: Path) -> float:
    """Seconds from filing clips to the last of their results."""
    with (
        ServerProcess(folder, model=str(model)) as server,
        httpx.Client(base_url=server.http_url, timeout=600) as client,
    ):
        ids = [client.post("/api/audio", files={"file": path.read_bytes()}).json()["clip_id"] for path in files]
        client.post("/api/transcribe", params={"clip_id": ids[0], "beam_size": 4}).raise_for_status()  # warm
        began = time.monotonic()
        batch = client.post("/api/jobs", json={"clip_id": ids, **OPTIONS}).json()["job_id"]
        while (state := client.get(f"/api/jobs/{batch}").json())["state"] in ("queued", "running"):
            time.sleep(0.1)
        took_s = time.monotonic() - began
        assert state["counts"] == {"done": len(files)}, state["counts"]
    return took_s


def _alone_in_a_process(model: Path, folder: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.jobs", "--alone", str(model), str(folder)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _alone(model: Path, folder: Path) -> float:
    """faster-whisper by itself, as its documentation has it, one clip after another."""
    from faster_whisper import WhisperModel

    loaded = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
    files = sorted(folder.iterdir())
    options: dict[str, Any] = {"language": "en", "beam_size": 5, "temperature": 0.0}
    options |= {"compression_ratio_threshold": None, "log_prob_threshold": None}
    list(loaded.transcribe(str(files[0]), **options)[0])  # warm
    began = time.perf_counter()
    for file in files:
        list(loaded.transcribe(str(file), **options)[0])
    return time.perf_counter() - began


def main() -> int:
    """Print the tables; 1 when one of the limits is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("long", "queue", "both"), default="both")
    parser.add_argument("--size", default="tiny", help="size of the cost model (default: tiny)")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--times", type=int, default=1, help="how often the long file is transcribed")
    parser.add_argument("--drawn", action="store_true", help="thresholds that most windows of this model break")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", nargs=2, type=Path, help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.alone:
        print(_alone(*args.alone))
        return 0
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = make_cost_model(args.size, folder / args.size)
        if args.part != "queue":
            options = {"language": "en"} if args.drawn else OPTIONS
            status |= long_file(model, args.minutes, args.times, options, folder)
        if args.part != "long":
            status |= queue(model, args.clips, args.rounds, folder)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
