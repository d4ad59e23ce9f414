"""/live with speakers: a name and a colour for each, corrected and renamed, in what is saved too."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.chromium import CHROMIUM, chromium
from tests.support.clips import all_clips
from tests.support.running_server import running_server
from tests.support.spoken_wav import write_spoken_wav
from tests.support.voices import VOICES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
LABELS = "[...document.querySelectorAll('.turn .speaker')].map((e) => e.textContent)"
NAMED = "document.querySelectorAll('.turn[data-speaker]').length"


def test_speakers_have_names_that_can_be_changed(tmp_path: Path) -> None:
    clips = {clip.path.stem: clip for clip in all_clips()}
    spoken = [clips[VOICES[name][i % 4]] for i, name in enumerate(("anna", "anna", "ben", "ben", "anna", "ben", "ben"))]
    microphone = tmp_path / "microphone.wav"
    write_spoken_wav(microphone, spoken, pause_s=1.2)

    with running_server() as server, chromium(microphone=microphone) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.click("#more-menu summary")
        page.click("#speakers")
        page.click("#more-menu summary")
        page.click("#start")
        page.wait_for(f"new Set({LABELS}).size >= 2", timeout_s=100)
        page.click("#start")
        page.wait_for("document.querySelector('#status-word').textContent.startsWith('Done')", timeout_s=40)

        labels = page.evaluate(LABELS)
        assert set(labels) == {"Speaker 1", "Speaker 2"}
        assert len(labels) <= page.evaluate(NAMED), "a label stands only where the speaker changes"
        assert all(a != b for a, b in pairwise(labels))
        colour = "getComputedStyle(document.querySelector('.speaker[data-voice=\"%d\"]')).color"
        assert page.evaluate(colour % 0) != page.evaluate(colour % 1)

        page.click(".turn .speaker")
        page.evaluate("document.querySelector('input.speaker').value = '<b>Anna</b>'")
        page.evaluate("document.querySelector('input.speaker').blur()")
        renamed = page.evaluate(LABELS)
        assert renamed.count("<b>Anna</b>") == labels.count(labels[0]), "in all turns, as text"

        for suffix in ("txt", "srt", "json"):
            page.click("#save-menu summary")
            page.click(f"[data-save={suffix}]")
        assert "[<b>Anna</b>] " in browser.downloaded(".txt").read_text()
        assert "[<b>Anna</b>] " in browser.downloaded(".srt").read_text()
        saved = json.loads(browser.downloaded(".json").read_text())
        assert {s["speaker"] for s in saved["segments"]} >= {"<b>Anna</b>"}
        assert page.errors == []
