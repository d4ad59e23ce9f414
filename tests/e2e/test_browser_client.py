"""The browser module as a program of somebody else would use it; and servers that ask for a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.chromium import CHROMIUM, chromium
from tests.support.clips import clips, words
from tests.support.running_server import RunningServer, running_server
from tests.support.spoken_wav import write_spoken_wav

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
KEY = "open sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(API_KEY=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("spoken") / "microphone.wav"
    return path, write_spoken_wav(path, [c for c in clips("en") if c.path.name == "en-12.flac"])


def test_the_module_alone(server: RunningServer, microphone: tuple[Path, str]) -> None:
    path, text = microphone
    script = f"""
    window.run = (async () => {{
      const {{ LiveSession }} = await import('/static/client/whisperlive-hybrid.js');
      window.session = new LiveSession('{server.live_url}', {{ language: 'en', words: true }}, {{ apiKey: '{KEY}' }});
      const seen = [];
      const reading = (async () => {{ for await (const message of session) seen.push(message); }})();
      await session.listen();
      while (!seen.some((m) => m.type === 'final')) await new Promise((go) => setTimeout(go, 100));
      const done = await session.stop();
      await reading;
      return {{ done, seen, text: session.transcript.text(), format: seen.find((m) => m.type === 'ready').settings }};
    }})(); 0"""
    with chromium(microphone=path) as browser:
        page = browser.page(server.http_url)
        page.evaluate(script)
        got = page.evaluate("window.run")
        assert words(got["text"]) == words(text)
        assert got["format"]["codec"] == "opus"
        numbers = [m["event"] for m in got["seen"] if "event" in m]
        assert numbers == sorted(set(numbers)), "every message once, in order"
        (final,) = [m for m in got["seen"] if m["type"] == "final"]
        assert [w["word"].strip(" .") for w in final["words"]] == words(text)
        assert got["done"]["words"] == len(words(text))
        assert got["seen"][-1] == {"type": "state", "state": "done", "reason": None}


def test_a_key_is_asked_for_and_used(server: RunningServer, microphone: tuple[Path, str]) -> None:
    path, text = microphone
    with chromium(microphone=path) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.click("#start")
        page.wait_for("document.querySelector('#notice').innerText.includes('API key')")
        page.evaluate(f"document.querySelector('#apiKey').value = '{KEY}'")
        page.click("#notice .actions button")
        page.wait_for(f"document.querySelector('.said')?.textContent.split(' ').length >= {len(words(text))}")
        page.click("#start")
        page.wait_for("document.querySelector('#status-word').textContent.startsWith('Done')")

        page.goto(server.http_url)
        page.choose_files("#files", clips("en")[1].path)
        page.wait_for("document.querySelector('.trouble') !== null")
        assert "Enter the API key under More options" in page.text(".trouble")
        page.evaluate(f"$('key').value = '{KEY}'; $('key').dispatchEvent(new Event('change'))")
        page.wait_for("document.title.includes('ready')")


def test_a_plain_http_page_says_why_there_is_no_microphone(server: RunningServer) -> None:
    with chromium("--host-resolver-rules=MAP captions.test 127.0.0.1") as browser:
        page = browser.page(f"http://captions.test:{urlsplit(server.http_url).port}/live")
        page.wait_for("!document.querySelector('#notice').hidden")
        assert "hides the microphone" in page.text("#notice")
        assert page.evaluate("document.querySelector('#notice a').protocol") == "https:"


def test_the_audio_of_a_tab(server: RunningServer, microphone: tuple[Path, str]) -> None:
    with chromium(microphone=microphone[0]) as browser:
        page = browser.page(f"{server.http_url}/live")
        page.evaluate(
            f"document.querySelector('#apiKey').value = '{KEY}'; const source = document.querySelector('#source');"
            "source.value = 'display'; source.dispatchEvent(new Event('change'))"
        )
        page.click("#start")
        # Chromium's stand-in for a tab beeps: no words, but sound.
        page.wait_for("document.querySelector('#status-word').textContent === 'Listening'")
        page.wait_for("+document.querySelector('#meter').ariaValueNow > -50")
        page.click("#start")
        page.wait_for("document.querySelector('#status-word').textContent.startsWith('Done')")
