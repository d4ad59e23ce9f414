"""Finished transcripts kept as JSON files, where the operator asked for that."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import time
from pathlib import Path

from whisperlive_hybrid.jobs.formats import to_json
from whisperlive_hybrid.jobs.transcript import Transcript

log = logging.getLogger(__name__)


async def keep_transcript(folder: Path | None, transcript: Transcript, filename: str) -> Path | None:
    """Write `transcript` into `folder` under its time and the file's name; None where none is to be kept.

    A folder that cannot be written to is the operator's trouble, not the caller's: it is logged.
    """
    if folder is None:
        return None
    stem = re.sub(r"[^\w.-]+", "_", Path(filename).stem).strip("._")
    # File systems count bytes, 255 of them.
    stem = stem.encode()[:160].decode(errors="ignore") or "audio"
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"{stamp}-{stem}-{secrets.token_hex(4)}.json"
    try:
        await asyncio.to_thread(_write, path, transcript)
    except OSError:
        log.exception("the transcript of %s cannot be kept in %s", stem, folder)
        return None
    return path


def _write(path: Path, transcript: Transcript) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Readers of the folder see whole files only.
    unfinished = path.with_suffix(".part")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(to_json(transcript))
    unfinished.rename(path)
