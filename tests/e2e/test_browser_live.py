"""/live in a real browser: chromium with a fake microphone, the real server behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from tests.support.chromium import CHROMIUM, Page, chromium
from tests.support.clips import clips, words
from tests.support.running_server import RunningServer, running_server
from tests.support.spoken_wav import write_spoken_wav
from tests.support.tcp_proxy import tcp_proxy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
SAID = "document.querySelector('#log').innerText"
DONE = "document.querySelector('#status-word').textContent.startsWith('Done')"
# Every text the captions ever showed, and what of it was committed: to see words appear, and never vanish.
WATCH = """
window.shown = [];
new MutationObserver(() => window.shown.push({
  at: performance.now(),
  all: [...document.querySelectorAll('.turn p')].map((p) => p.textContent).join(' '),
  committed: [...document.querySelectorAll('.said')].map((p) => p.textContent).join(' '),
})).observe(document.querySelector('#log'), {subtree: true, childList: true, characterData: true});
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(MAX_LIVE_SESSIONS="2") as running:
        yield running


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("spoken") / "microphone.wav"
    english = {clip.path.name: clip for clip in clips("en")}
    return path, write_spoken_wav(path, [english[f"en-{n}.flac"] for n in ("02", "12")], pause_s=0.9)


def said(page: Page) -> list[str]:
    """The captions as words."""
    return words(str(page.evaluate("[...document.querySelectorAll('.turn p')].map(p => p.textContent).join(' ')")))


def wait_for_words(page: Page, expected: str) -> None:
    """Until as many words are committed as were spoken."""
    page.wait_for(
        "[...document.querySelectorAll('.said')].map(p => p.textContent).join(' ')"
        f".split(/\\s+/).filter(Boolean).length >= {len(words(expected))}",
        timeout_s=60,
    )


def stop(page: Page) -> None:
    page.click("#start")
    page.wait_for(DONE)


@pytest.mark.parametrize("codec", ["opus", "pcm_s16le", "webm-opus"])
def test_words_appear_while_they_are_spoken(server: RunningServer, spoken: tuple[Path, str], codec: str) -> None:
    microphone, text = spoken
    with chromium(microphone=microphone) as browser:
        page = browser.page(f"{server.http_url}/live" + ("" if codec == "opus" else f"?codec={codec}"))
        page.evaluate(WATCH)
        loudest = (
            "window.level = -100; const meter = document.querySelector('#meter');"
            "new MutationObserver(() => window.level = Math.max(window.level, +meter.ariaValueNow))"
            ".observe(meter, {attributes: true})"
        )
        page.evaluate(loudest)
        assert page.text("#status-word") == "Ready"
        page.click("#start")
        page.wait_for("document.querySelector('#status-word').textContent === 'Listening'")
        wait_for_words(page, text)
        stop(page)
        assert said(page) == words(text)
        assert page.text("#status-word") == f"Done. {len(words(text))} words"
        assert float(page.evaluate("window.level")) > -50, "the level meter moved"
        assert page.errors == []

        shown = page.evaluate("window.shown")
        first = next(i for i, state in enumerate(shown) if words(state["all"]))
        last = next(i for i, state in enumerate(shown) if words(state["all"])[-1:] == words(text)[-1:])
        assert shown[last]["at"] - shown[first]["at"] > 2000, "the first word was there seconds before the last"
        assert any(len(words(s["all"])) > len(words(s["committed"])) for s in shown), "tentative words were shown"
        for earlier, later in pairwise(shown):
            kept = words(later["committed"])[: len(words(earlier["committed"]))]
            assert kept == words(earlier["committed"]), "a committed word changed"


def test_what_was_said_can_be_copied_and_saved(server: RunningServer, spoken: tuple[Path, str]) -> None:
    microphone, text = spoken
    with chromium(microphone=microphone) as browser:
        page = browser.page(f"{server.http_url}/live")
        browser.grant("clipboardReadWrite", "clipboardSanitizedWrite")
        page.press("s")
        wait_for_words(page, text)
        stop(page)
        for suffix in ("txt", "srt", "vtt", "json"):
            page.click("#save-menu summary")
            page.click(f"[data-save={suffix}]")
        assert words(browser.downloaded(".txt").read_text()) == words(text)
        assert browser.downloaded(".srt").read_text().startswith("1\n00:00:0")
        assert browser.downloaded(".vtt").read_text().startswith("WEBVTT\n\n00:00:0")
        saved = json.loads(browser.downloaded(".json").read_text())
        assert words(" ".join(s["text"] for s in saved["segments"])) == words(text)
        starts = [s["start"] for s in saved["segments"]]
        assert starts == sorted(starts)
        page.click("#copy")
        page.wait_for("document.querySelector('#copy').textContent === 'Copied'")
        assert words(page.evaluate("navigator.clipboard.readText()")) == words(text)

        page.click("#save-menu summary")
        page.click("#clear")
        assert said(page) == []
        page.click("#notice .actions button")
        assert said(page) == words(text), "clearing can be undone"


def test_a_dropped_connection_loses_and_doubles_nothing(server: RunningServer, spoken: tuple[Path, str]) -> None:
    microphone, text = spoken
    with tcp_proxy(urlsplit(server.http_url).port or 0) as proxy, chromium(microphone=microphone) as browser:
        page = browser.page(f"http://127.0.0.1:{proxy.port}/live")
        page.click("#start")
        page.wait_for(f"{SAID}.includes('nine')")
        proxy.refusing = True
        assert proxy.cut() >= 1
        page.wait_for("document.querySelector('#status-word').textContent.startsWith('Connection lost')")
        assert words(text)[0] in said(page), "what was said stays"
        time.sleep(1.5)
        proxy.refusing = False
        page.wait_for("document.querySelector('#status-word').textContent === 'Listening'")
        time.sleep(1)
        proxy.cut()  # and once more, in the middle of speech
        wait_for_words(page, text)
        stop(page)
        assert said(page) == words(text)


def test_a_denied_microphone_says_what_to_do(server: RunningServer) -> None:
    with chromium(deny=True) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.click("#start")
        page.wait_for("!document.querySelector('#notice').hidden")
        assert "Microphone is blocked for this site" in page.text("#notice")
        assert "Try again" in page.text("#notice")
        assert page.evaluate("document.querySelector('#notice').getAttribute('role')") == "alert"
        assert page.text("#start") == "Start"


def test_no_microphone_says_so(server: RunningServer) -> None:
    with chromium("--use-fake-ui-for-media-stream") as browser:
        page = browser.page(f"{server.http_url}/live")
        page.click("#start")
        page.wait_for("!document.querySelector('#notice').hidden")
        assert "No microphone found" in page.text("#notice")


def test_a_full_server_is_waited_for(server: RunningServer, spoken: tuple[Path, str]) -> None:
    microphone, _ = spoken
    url = f"{server.live_url}/ws/stream?codec=pcm_s16le"
    with chromium(microphone=microphone) as browser, connect(url) as one, connect(url) as two:
        assert {json.loads(each.recv(timeout=20))["type"] for each in (one, two)} == {"ready"}
        page = browser.page(f"{server.http_url}/live")
        page.click("#start")
        page.wait_for("document.querySelector('#status-word').textContent.startsWith('All places are in use')")
        for each in (one, two):
            each.send('{"type": "stop"}')
            assert [json.loads(m)["type"] for m in each][-1] == "done"
        page.wait_for("document.querySelector('#status-word').textContent === 'Listening'", timeout_s=40)
        # What was spoken while the server was full is not lost.
        page.wait_for(f"{SAID}.includes('nine two')")
        stop(page)


def test_markup_in_captions_stays_text(server: RunningServer, spoken: tuple[Path, str]) -> None:
    attack = "<img src=x onerror=window.hacked=1><b>one</b>"
    fake_socket = f"""
    window.WebSocket = class {{
      static OPEN = 1; readyState = 1;
      constructor() {{ setTimeout(() => this.onopen({{}}), 10); }}
      tell(m) {{ this.onmessage({{data: JSON.stringify(m)}}); }}
      send(data) {{
        if (typeof data !== 'string' || !data.includes('start')) return;
        this.tell({{type: 'ready', event: 1, session: 's', token: 't', settings: {{}}}});
        this.tell({{type: 'partial', event: 2, segment: 0, start: 0, end: 1, append: {json.dumps(attack)},
                    tentative: {json.dumps(attack)}}});
        this.tell({{type: 'error', event: 3, code: 'x', message: {json.dumps(attack)}, fatal: false}});
      }}
      close() {{}}
    }};
    """
    with chromium(microphone=spoken[0]) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.evaluate(fake_socket + "0")
        page.click("#start")
        page.wait_for(f"{SAID}.includes('<img')")
        assert page.text("#log p") == attack * 2
        assert attack in page.text("#notice")
        assert page.evaluate("document.querySelectorAll('#log img, #log b, #notice img').length") == 0
        assert page.evaluate("window.hacked === undefined")


def test_it_can_be_read_and_used_at_320_pixels_and_in_both_themes(
    server: RunningServer, spoken: tuple[Path, str], tmp_path: Path
) -> None:
    with chromium(microphone=spoken[0]) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.click("#start")
        page.wait_for(f"{SAID}.includes('nine')")
        grounds = set()
        for scheme in ("light", "dark"):
            page.colours(scheme)
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for tone in ("#log", ".tentative", ".turn time", "#status"):
                ratio = contrast(page, tone)
                assert ratio >= 4.5, f"{tone} in {scheme}: {ratio:.1f}"
            for width, height in ((320, 640), (1280, 800)):
                page.viewport(width, height, mobile=width == 320)
                page.screenshot(tmp_path / f"live-{scheme}-{width}.png")
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate("document.querySelector('#captions').clientHeight") > 150
                if width == 320:  # Text begins where lines begin, without a column of times beside it.
                    assert page.evaluate("document.querySelector('.turn p').getBoundingClientRect().left") < 40
                for button in ("#start", "#copy", "#larger"):
                    box = page.evaluate(
                        f"(r => [r.left, r.right, r.top, r.bottom])"
                        f"(document.querySelector('{button}').getBoundingClientRect())"
                    )
                    assert 0 <= box[0] < box[1] <= width, button
                    assert 0 <= box[2] < box[3] <= height, button
        assert len(grounds) == 2
        stop(page)


CONTRAST = """((selector) => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3)
      .map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(selector);
  let ground = element;
  while (ground && getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
  const a = light(getComputedStyle(element).color);
  const b = light(getComputedStyle(ground ?? document.body).backgroundColor);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
})"""


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast of an element's text with the page behind it."""
    return float(page.evaluate(f"{CONTRAST}({json.dumps(selector)})"))
