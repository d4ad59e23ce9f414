"""`whisperlive-hybrid models gate`: measures a model's gate on recordings and keeps it where the server finds it."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import BadInput, HybridError

if TYPE_CHECKING:
    from whisperlive_hybrid.cli.gate_trial import Recording
    from whisperlive_hybrid.engine.models import Located


def measure_gate(
    found: Located, settings: Settings, audio: Sequence[Path], *, limit: float, out: Path | None = None
) -> int:
    """Measure the gate of a model on files and folders of files, print it and keep it. Returns the exit status.

    A text file of the same name beside a recording (`.txt`) holds what is said in it. Raises ModelUnavailable and
    BadInput.
    """
    from whisperlive_hybrid.cli import exit_codes
    from whisperlive_hybrid.cli.gate_decision import decide, total
    from whisperlive_hybrid.cli.gate_trial import MIN_WORDS, try_sizes
    from whisperlive_hybrid.engine import loading
    from whisperlive_hybrid.engine.device import find_device
    from whisperlive_hybrid.engine.gate import keep_gate, write_gate
    from whisperlive_hybrid.engine.languages import parse_language

    files = _files(audio)
    recordings = asyncio.run(_recordings(files, settings))
    if not any(recording.utterances for recording in recordings):
        raise BadInput("no speech was found in the recordings", param="audio")
    device = find_device(
        settings.device,
        settings.device_index,
        settings.compute_type,
        settings.omp_num_threads,
        settings.max_batch,
        batch_mib=settings.batch_memory_mb,
    )
    model = loading.open_model(found, device, settings.model_cache)
    tried = try_sizes(
        model.backend,
        recordings,
        limit=limit,
        language=parse_language(settings.language),
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    model.backend.close()
    if not tried:
        raise BadInput(
            f"too little is said in the recordings: no length has {MIN_WORDS} words. The gate stays as it is",
            param="audio",
        )
    n_texts = sum(recording.text is not None for recording in recordings)
    about = {
        "recordings": len(recordings),
        "with_text": n_texts,
        "compute_type": model.backend.compute_type,
        "device": device.kind,
    }
    gate = decide(tried, limit)
    for lane, steps in (("finals", gate.finals), ("partials", gate.partials)):
        words, errors, errors_30s = total([t for t in tried if t.lane == lane and t.padding == gate.padding], steps)
        print(f"{lane}: {words} words, {errors} errors, in 30 s {errors_30s}")
    gate = dataclasses.replace(gate, measured=about | gate.measured)
    print(gate)
    try:
        if out is not None:
            write_gate(gate, out)
        print(f"kept in {out or keep_gate(gate, found.path, found.name, settings.model_cache)}")
    except OSError as error:
        print(f"it cannot be kept ({error}); name a file with --out", file=sys.stderr)
        return exit_codes.FAILURE
    return exit_codes.OK


def _files(audio: Sequence[Path]) -> list[Path]:
    """The recordings. What a folder holds beside audio, such as texts, is left out."""
    beside = {".txt", ".json", ".rttm", ".md", ".csv"}
    files = [
        path
        for given in audio
        for path in (sorted(given.rglob("*")) if given.is_dir() else [given])
        if path.is_file() and not (given.is_dir() and (path.suffix in beside or path.name.startswith(".")))
    ]
    if not files:
        raise BadInput("there is no recording: name files or folders with --audio", param="audio")
    return files


async def _recordings(files: Sequence[Path], settings: Settings) -> list[Recording]:
    """The utterances of each file, cut as those of a live session; files that are no audio are told and left out."""
    from whisperlive_hybrid.audio.files import decode_file
    from whisperlive_hybrid.cli.gate_trial import Recording
    from whisperlive_hybrid.speech.offline import utterances
    from whisperlive_hybrid.speech.vad_batcher import VadBatcher

    recordings: list[Recording] = []
    async with VadBatcher() as vad:
        for file in files:
            try:
                async with (
                    aclosing(decode_file(file)) as blocks,
                    aclosing(utterances(blocks, vad, settings.speech_options())) as spoken,
                ):
                    samples = tuple([utterance.samples async for utterance in spoken])
            except HybridError as error:
                print(f"{file}: {error.message}", file=sys.stderr)
                continue
            text = file.with_suffix(".txt")
            recordings.append(Recording(samples, text.read_text(encoding="utf-8") if text.exists() else None))
    return recordings
