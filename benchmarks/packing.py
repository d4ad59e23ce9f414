"""How much of the pauses in a file should be kept when its speech is packed into windows.

    python -m benchmarks.packing --recordings PATH/TO/fsdd/recordings

Whisper reads natural pauses better than cut ones, but every second kept fills windows. `speech/speech.py` (FILE_SPEECH)
is chosen by this table.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import jiwer

from benchmarks.material import Conversation, add_arguments, conversations, normalized, wav
from benchmarks.report import table
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.speech.offline import pack, utterances
from whisperlive_hybrid.speech.speech import FILE_SPEECH, SpeechOptions
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

KEPT_AFTER_MS = (400, 600, 800, 1000, 1600)
"""Beside the pre-roll before speech."""
BLOCK = 5 * SAMPLE_RATE


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args, _ = parser.parse_known_args()  # `python -m benchmarks` hands the same arguments to all
    said = conversations(args.recordings, args.conversations, args.seconds)
    table(
        f"Pauses kept in files, {len(said)} digit conversations, one temperature",
        ["kept s", "WER %", "deletions", "windows", "seconds in windows"],
        asyncio.run(_rows(said)),
        [f"In force: {(FILE_SPEECH.pre_roll_ms + FILE_SPEECH.overlap_ms) / 1000:g} s."],
    )


async def _rows(said: Sequence[Conversation]) -> list[list[object]]:
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.wav" for i in range(len(said))]
        for file, conversation in zip(files, said, strict=True):
            file.write_bytes(wav(conversation.samples))
        async with VadBatcher() as vad, Engine(EngineOptions(model="digits")) as engine:
            await engine.ready()
            pipeline = Pipeline(engine, vad)
            for after_ms in KEPT_AFTER_MS:
                speech = replace(FILE_SPEECH, overlap_ms=after_ms)
                options = FileOptions(decode=DecodeOptions(language="en", temperatures=(0.0,)), speech=speech)
                heard = [(await pipeline.transcribe(file, options)).text for file in files]
                measured = jiwer.process_words([normalized(c.text) for c in said], [normalized(h) for h in heard])
                windows = [w for c in said for w in await _windows(c.samples, vad, speech)]
                kept_s = (speech.pre_roll_ms + after_ms) / 1000
                rows.append(
                    [kept_s, f"{100 * measured.wer:.1f}", measured.deletions, len(windows), f"{sum(windows):.0f}"]
                )
    return rows


async def _windows(samples: Samples, vad: VadBatcher, speech: SpeechOptions) -> list[float]:
    """Length of each window in seconds."""

    async def blocks() -> AsyncGenerator[Samples]:
        for i in range(0, len(samples), BLOCK):
            yield samples[i : i + BLOCK]

    return [len(w.samples) / SAMPLE_RATE async for w in pack(utterances(blocks(), vad, speech), 30.0)]


if __name__ == "__main__":
    main()
