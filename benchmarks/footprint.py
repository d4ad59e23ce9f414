"""What calls of the model take in memory, and what engine/footprint.py says that they take at most.

python -m benchmarks.footprint --sizes tiny base

Encoding, generating (hypotheses of full length: the end mark is forbidden), and aligning full texts, on the CPU. What
is measured is what the C library's allocator has given out, at most, over what it had before the call.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report import table
from tests.support.clips import clips
from tools.cost_model import SIZES, make_cost_model
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import find_device
from whisperlive_hybrid.engine.dimensions import read_dimensions
from whisperlive_hybrid.engine.features import content_frames
from whisperlive_hybrid.engine.footprint import Footprint
from whisperlive_hybrid.engine.gate import FULL_FRAMES
from whisperlive_hybrid.engine.memory import keep_freed_memory
from whisperlive_hybrid.engine.rows import Row
from whisperlive_hybrid.engine.segments import Draft
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

MIB = 1 << 20
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def given_out() -> int:
    """Bytes that glibc's allocator has given out."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that a call takes at most, by a look every millisecond."""
    before, most, over = given_out(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.001):
            most = max(most, given_out() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        call()
    finally:
        over.set()
        thread.join()
    return most


def calls(backend: WhisperBackend, footprint: Footprint, n: int) -> Iterator[tuple[str, int, int]]:
    """(call, bytes of `n` rows at most, the same measured)."""
    end = backend._vocabulary.end_of_text
    options = DecodeOptions(language="en", timestamps=False, suppress_tokens=(-1, end))
    requests = []
    for _, clip in zip(range(n), clips("en"), strict=False):
        samples = np.resize(clip.samples(), 28 * SAMPLE_RATE)
        window = Window("", Lane.FILE, 0.0, 0, samples, "", options)
        requests.append(Request(window, backend.features(samples, FULL_FRAMES), content_frames(len(samples)), ()))
    rows = [Row(i, request, language="en") for i, request in enumerate(requests)]
    once = footprint.encoding()
    yield "encode, one at a time", once, peak_of(lambda: backend._encode(requests)) - (n - 1) * _output(footprint)
    encoded = backend._encode(requests)
    for name, temperature, most in (
        ("generate, beam of 5", 0.0, footprint.generating(hypotheses=5)),
        ("generate, 5 drawn", 1.0, footprint.generating(hypotheses=5, drawn=True)),
    ):
        yield (
            name,
            n * most,
            peak_of(lambda temperature=temperature: backend._generate(encoded, rows, options, temperature)),
        )
    for length in (50, 200):
        for row in rows:
            row.drafts = [Draft(0.0, 28.0, [1000 + i for i in range(length)])]
        yield (
            f"align {length} tokens",
            n * footprint.aligning(length=length),
            peak_of(lambda: list(backend._aligned(encoded, rows))),
        )


def _output(footprint: Footprint) -> int:
    return FULL_FRAMES // 2 * footprint.model.width * footprint.number_bytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 4])
    args, _ = parser.parse_known_args()
    keep_freed_memory()
    # All rows in one call, whatever the budget is.
    device = replace(find_device("cpu", 0, "auto", 0, 0), batch_bytes=None)
    lines: list[list[object]] = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = make_cost_model(size, Path(folder))
            backend = WhisperBackend(path, device, models.load_tokenizer(path))
            footprint = Footprint(read_dimensions(path / "model.bin"))
            for n in args.rows:
                for name, most, measured in calls(backend, footprint, n):
                    lines.append([f"`{size}`-sized", name, n, most / MIB, measured / MIB, measured / most])
            backend.close()
    table("Memory of a call", ["model", "call", "rows", "formula MiB", "measured MiB", "ratio"], lines)


if __name__ == "__main__":
    main()
