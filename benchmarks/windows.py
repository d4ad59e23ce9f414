"""What a shorter window saves: CPU time of one window by the length it is padded to, and of its mel frames.

One clip runs through models of the size of Whisper `tiny` and `small` (tools/cost_model.py), one window at a time on
one thread, padded to each length in turn. Then an utterance that grows by half a second a window, with and without the
frames that its windows share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import table
from tests.support.clips import clips
from tools.cost_model import SIZES, make_cost_model
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.features import LogMel, content_frames
from whisperlive_hybrid.engine.gate import BUCKETS, FULL_FRAMES
from whisperlive_hybrid.engine.mel import MelCache
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

CONTENT_S = 2.0


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken of this many (default 5)")
    args, _ = parser.parse_known_args()  # `python -m benchmarks` hands the same arguments to all
    rows: list[list[object]] = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += _windows(size, make_cost_model(size, Path(folder)), args.rounds)
    table(
        f"CPU time of one window with {CONTENT_S:g} s of speech, by the length it is padded to",
        ["model", "length, s", "partial, CPU ms", "final, CPU ms", "of 30 s: partial", "final"],
        rows,
    )
    table(
        "CPU time of a window's log-mel features in an utterance that grows by 0.5 s a window",
        ["mel bands", "utterance, s", "computed anew, ms", "shared frames kept, ms"],
        [_features(n_mels, seconds, args.rounds) for n_mels in (80, 128) for seconds in (4.0, 12.0)],
    )


def _windows(size: str, folder: Path, rounds: int) -> list[list[object]]:
    device = Device("cpu", 0, "CPU", "int8", 1, 8, None)
    backend = WhisperBackend(folder, device, models.load_tokenizer(folder))
    samples = clips("en")[0].samples()[: int(CONTENT_S * SAMPLE_RATE)]
    kinds = {
        Lane.PARTIAL: DecodeOptions(language="en", beam_size=1, temperatures=(0.0,)),
        Lane.FINAL: DecodeOptions(language="en", temperatures=(0.0,)),
    }
    lengths = (*BUCKETS, FULL_FRAMES)
    spent: dict[tuple[Lane, int], list[float]] = {(lane, length): [] for lane in kinds for length in lengths}
    for round_ in range(rounds + 1):
        for (lane, length), times in spent.items():
            window = Window("benchmark", lane, 0.0, 0, samples, "", kinds[lane])
            request = Request(window, backend.features(samples, length), content_frames(len(samples)), ())
            started = time.process_time()
            backend.run([request])
            if round_:  # the first one warms up
                times.append(1000 * (time.process_time() - started))
    backend.close()
    median = {key: float(np.median(times)) for key, times in spent.items()}

    def row(length: int) -> list[object]:
        found = [median[lane, length] for lane in kinds]
        full = [median[lane, FULL_FRAMES] for lane in kinds]
        return [f"`{size}`-sized", f"{length / 100:g}", *found, *(a / b for a, b in zip(found, full, strict=True))]

    return [row(length) for length in lengths]


def _features(n_mels: int, seconds: float, rounds: int) -> list[object]:
    mel = LogMel(n_mels)
    samples: Samples = np.random.default_rng(0).normal(0, 0.1, int(seconds * SAMPLE_RATE)).astype(np.float32)
    ends = range(SAMPLE_RATE // 2, len(samples) + 1, SAMPLE_RATE // 2)

    def cost(keep: bool) -> float:
        cache = MelCache()
        started = time.process_time()
        for end in ends:
            mel(samples[:end], 1500, owners=cache.of("benchmark", 0) if keep else None)
        return 1000 * (time.process_time() - started) / len(ends)

    costs = [(cost(False), cost(True)) for _ in range(rounds + 1)][1:]
    return [n_mels, seconds, *(float(np.median(column)) for column in zip(*costs, strict=True))]


if __name__ == "__main__":
    main()
