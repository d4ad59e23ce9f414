"""What a batch costs on a device: encoding, generating and aligning, by model, window length and number of windows.

python -m benchmarks.batches                                                          `tiny`-sized, on the CPU
python -m benchmarks.batches --device cuda --sizes small large-v3-turbo --batches 1 8 32 64

Live partials (greedy) and finals (beam 5), both with word times, of clips of two seconds padded to each length. Wall
time, since a GPU has no other. Windows a second at the best batch bound the sessions that a device carries: one that
speaks all the time asks for two partials a second.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import table
from tests.support.clips import clips
from tools.cost_model import SIZES, make_cost_model
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import Device, find_device
from whisperlive_hybrid.engine.features import content_frames
from whisperlive_hybrid.engine.hypothesis import Timing
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

CONTENT_S = 2.0
KINDS = {
    "partial": (Lane.PARTIAL, DecodeOptions(language="en", beam_size=1, temperatures=(0.0,), word_times=True)),
    "final": (Lane.FINAL, DecodeOptions(language="en", temperatures=(0.0,), word_times=True)),
}


def requests(backend: WhisperBackend, kind: str, length_s: float, n: int) -> list[Request]:
    """`n` windows, each of another clip as far as there are clips."""
    lane, options = KINDS[kind]
    made = []
    for i, clip in zip(range(n), itertools.cycle(clips("en")), strict=False):
        samples = clip.samples()[: int(CONTENT_S * SAMPLE_RATE)]
        window = Window(f"{i}", lane, 0.0, 0, samples, "", options)
        features = backend.features(samples, round(length_s * 100))
        made.append(Request(window, features, content_frames(len(samples)), ()))
    return made


def measured(backend: WhisperBackend, batch: Sequence[Request], rounds: int) -> Timing:
    """Medians of the whole batch's seconds, after one round to warm up."""
    timings = []
    for _ in range(rounds + 1):
        # Rows are handed out as they are decided; the last one has seen all of it.
        timings.append(max((h.timing for h in backend.run(batch)), key=lambda t: t.encode_s + t.decode_s + t.align_s))
    parts = [[getattr(t, part) for t in timings[1:]] for part in ("encode_s", "decode_s", "align_s")]
    encode, decode, align = (float(np.median(part)) for part in parts)
    return Timing(encode_s=encode, decode_s=decode, align_s=align, batch_size=len(batch))


def rows(size: str, device: Device, args: argparse.Namespace) -> Iterator[list[object]]:
    """The table of one model."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_cost_model(size, Path(folder))
        backend = WhisperBackend(path, device, models.load_tokenizer(path))
        for kind, length, n in itertools.product(KINDS, args.lengths, args.batches):
            t = measured(backend, requests(backend, kind, length, n), args.rounds)
            total = t.encode_s + t.decode_s + t.align_s
            times = (f"{1000 * s:.1f}" for s in (t.encode_s, t.decode_s, t.align_s, total / n))
            yield [f"`{size}`-sized", kind, f"{length:g}", n, *times, f"{n / total:.1f}"]
        backend.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny"])
    parser.add_argument("--lengths", nargs="+", type=float, default=[3, 5, 10, 30], help="of the windows, s")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16], help="windows at once")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken of this many (default 3)")
    args, _ = parser.parse_known_args()
    device = find_device(args.device, 0, "auto", 0, 0)
    table(
        f"One batch on {device}",
        ["model", "window", "length, s", "at once", "encode ms", "generate ms", "align ms", "ms a window", "windows/s"],
        [row for size in args.sizes for row in rows(size, device, args)],
        [f"Each window holds {CONTENT_S:g} s of speech."],
    )


if __name__ == "__main__":
    main()
