"""/live in a real browser while the server behind it is killed, or told to end, and started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chromium import CHROMIUM, Page, chromium
from tests.support.clips import clips, words
from tests.support.server_process import ServerProcess
from tests.support.spoken_wav import write_spoken_wav

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
STATUS = "document.querySelector('#status-word').textContent"
# Every line the status ever said, and every message that came.
WATCH = """
window.statuses = []; window.received = [];
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    this.addEventListener('message', ({ data }) => window.received.push(JSON.parse(data)));
  }
};
const text = (selector) => [...document.querySelectorAll(selector)].map((p) => p.textContent).join(' ');
new MutationObserver(() => window.statuses.push(text('#status-word')))
  .observe(document.querySelector('#status-word'), {subtree: true, childList: true, characterData: true});
"""


def said(page: Page) -> list[str]:
    """The captions as words."""
    return words(str(page.evaluate("[...document.querySelectorAll('.turn p')].map(p => p.textContent).join(' ')")))


def n_words(n: int) -> str:
    """So many words are shown, tentative ones among them."""
    shown = "[...document.querySelectorAll('.turn p')].map(p => p.textContent).join(' ')"
    return f"{shown}.split(/\\s+/).filter(Boolean).length >= {n}"


@pytest.mark.parametrize(("end", "codec"), [("kill", "opus"), ("terminate", "opus"), ("kill", "webm-opus")])
def test_a_restart_of_the_server_loses_and_doubles_nothing(tmp_path: Path, end: str, codec: str) -> None:
    english = {clip.path.name: clip for clip in clips("en")}
    microphone = tmp_path / "microphone.wav"
    text = write_spoken_wav(microphone, [english[f"en-{n}.flac"] for n in ("02", "03", "01")], pause_s=0.9)
    with ServerProcess(tmp_path / "server") as server, chromium(microphone=microphone) as browser:
        page = browser.page(f"{server.http_url}/live" + ("" if codec == "opus" else f"?codec={codec}"))
        page.evaluate(WATCH)
        page.click("#start")
        first = len(words(english["en-02.flac"].text))
        # In the middle of the second utterance: the first is final, of this one some words are shown.
        page.wait_for(n_words(first + 2), timeout_s=60)
        shown = said(page)
        if end == "kill":
            server.kill()
            page.wait_for(f"{STATUS}.startsWith('Connection lost')")
        else:
            assert server.terminate() == 0
        assert said(page)[:first] == shown[:first], "what was said stays"
        server.start()
        server.wait_ready()
        page.wait_for(n_words(len(words(text))), timeout_s=60)
        page.wait_for(f"{STATUS}.startsWith('Listening') || {STATUS}.startsWith('No sound')", timeout_s=30)
        page.click("#start")
        page.wait_for(f"{STATUS}.startsWith('Done')")
        assert said(page) == words(text)
        assert page.text("#status-word") == f"Done. {len(words(text))} words"
        if end == "terminate":
            assert any(s.startswith("The server is being restarted") for s in page.evaluate("window.statuses"))
        assert [e for e in page.errors if "WebSocket" not in e and "ERR_CONNECTION" not in e] == []
        received = page.evaluate("window.received")
        assert [m.get("restored") for m in received if m["type"] == "resumed"] == [True]
        assert [m["type"] for m in received].count("ready") == 1, "the same session"
        finals = [m["segment"] for m in received if m["type"] == "final"]
        assert finals == sorted(set(finals))
