from __future__ import annotations

import json
from pathlib import Path

import pytest

from whisperlive_hybrid.jobs.archive import keep_transcript
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript

SILENCE = Transcript((), "en", 0.0, 1.0, 0.0, "digits", FileOptions(), 0.1)


@pytest.mark.parametrize("filename", ["a.wav", "", "..", "../../etc/passwd", "a\n<b>.wav", "語" * 255, "x" * 255])
async def test_a_transcript_is_kept_whatever_its_file_is_called(tmp_path: Path, filename: str) -> None:
    path = await keep_transcript(tmp_path / "kept", SILENCE, filename)

    assert path is not None
    assert path.parent == tmp_path / "kept"
    assert json.loads(path.read_text())["language"] == "en"
    assert list(path.parent.iterdir()) == [path]
