"""What the server's way of transcribing a long file costs over faster-whisper's batched pipeline alone.

Both run on the same model, file and settings (beam 5, word times, greedy otherwise), each in processes of its own, in
turn: A B A B. CPU seconds count the process and its children (files are decoded in one), after the model is loaded; the
server's are those of the server process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import httpx
import jiwer
import numpy as np

from benchmarks.material import normalized
from benchmarks.report import process_cpu_s, table
from tests.support.clips import clips
from tests.support.running_server import running_server
from tools.cost_model import make_cost_model
from whisperlive_hybrid.audio.samples import SAMPLE_RATE

LANGUAGE = "en"


def make_long_file(path: Path, minutes: float) -> str:
    """Conversations and single utterances, one after another with a second between them, as 16-bit WAV.

    Returns what is said in it. It ends with the first utterance after `minutes`.
    """
    pieces = [*clips(LANGUAGE), *clips(LANGUAGE, conversations=True)]
    pause = np.zeros(SAMPLE_RATE, np.float32)
    audio: list[np.ndarray] = []
    said: list[str] = []
    for piece in itertools.cycle(pieces):
        if sum(map(len, audio)) >= minutes * 60 * SAMPLE_RATE:
            break
        audio += [piece.samples(), pause]
        said.append(piece.text)
    pcm = (np.concatenate(audio) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for first in range(0, len(pcm), SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(pcm[None, first : first + SAMPLE_RATE], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return " ".join(said)


def _cpu_s() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _alone(model: Path, file: Path) -> dict[str, object]:
    """faster-whisper by itself."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    loaded = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
    pipeline = BatchedInferencePipeline(loaded)
    cpu, wall = _cpu_s(), time.perf_counter()
    segments, _ = pipeline.transcribe(
        str(file), language=LANGUAGE, beam_size=5, word_timestamps=True, without_timestamps=False, batch_size=8
    )
    text = "".join(s.text for s in segments)
    return {"cpu": _cpu_s() - cpu, "wall": time.perf_counter() - wall, "text": text}


def _served(model: Path, file: Path) -> dict[str, object]:
    """The file's whole way through the server: upload, child process, voice activity, windows, scheduler, answer."""
    # Thresholds that nothing breaks, because faster-whisper's batched pipeline tries one temperature only.
    options = {
        "language": LANGUAGE,
        "beam_size": "5",
        "word_timestamps": "true",
        "compression_ratio_threshold": "100",
        "log_prob_threshold": "-100",
    }
    with running_server(model=str(model), MAX_UPLOAD_MB="1000") as server:
        cpu, wall = process_cpu_s(server.process.pid), time.perf_counter()
        with file.open("rb") as body:
            answer = httpx.post(
                f"{server.http_url}/transcribe", files={"file": body}, data=options, timeout=httpx.Timeout(3600)
            )
        answer.raise_for_status()
        text = "".join(s["text"] for s in answer.json()["segments"])
        return {
            "cpu": process_cpu_s(server.process.pid) - cpu,
            "wall": time.perf_counter() - wall,
            "text": text,
        }


def _wer(said: str, heard: str) -> float:
    return 100 * float(jiwer.wer(normalized(said), normalized(heard)))


def _in_a_process(model: Path, file: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.overhead", "--alone", str(model), str(file)]
    result: dict[str, object] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="tiny", help="size of the cost model (default: tiny)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", nargs=2, type=Path, help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()  # `python -m benchmarks` hands the same arguments to all
    if args.alone:
        print(json.dumps(_alone(*args.alone)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = make_cost_model(args.size, Path(folder) / args.size)
        file = Path(folder) / "long.wav"
        said = make_long_file(file, args.minutes)
        runs: dict[str, list[dict[str, object]]] = {"alone": [], "ours": []}
        for _ in range(args.rounds):
            runs["alone"].append(_in_a_process(model, file))
            runs["ours"].append(_served(model, file))
    medians = {
        which: [float(np.median([float(str(r[unit])) for r in done])) for unit in ("cpu", "wall")]
        for which, done in runs.items()
    }
    rows = [
        [name, *medians[which], medians[which][0] / medians["alone"][0], _wer(said, str(runs[which][0]["text"]))]
        for name, which in (
            ("faster-whisper, batched pipeline", "alone"),
            ("WhisperLive Hybrid, `POST /transcribe`", "ours"),
        )
    ]
    table(
        f"Overhead: a file of {args.minutes:g} minutes, {args.size}-sized model",
        ["what", "CPU s", "wall s", "CPU ratio", "WER %"],
        rows,
        [f"Medians of {args.rounds} runs each, taken in turn."],
    )


if __name__ == "__main__":
    main()
