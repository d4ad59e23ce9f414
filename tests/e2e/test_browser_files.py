"""The file page in a real browser, the real server behind it."""

from __future__ import annotations

import json
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.chromium import CHROMIUM, Browser, Page, chromium
from tests.support.clips import clips, words
from tests.support.running_server import RunningServer, running_server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
READY = "document.title.includes('ready')"
FAILED = "document.querySelector('.trouble') !== null"
FORM = Path(__file__).parents[2] / "test_form.html"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(MAX_UPLOAD_MB="2") as running:
        yield running


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def upload(page: Page, *paths: Path) -> None:
    page.choose_files("#files", *paths)


def result(page: Page) -> list[str]:
    return words(page.text("#panel"))


def answer(server: RunningServer, path: Path) -> dict[str, Any]:
    """What the server says about a file without a page between."""
    boundary = "------------------------boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    request = urllib.request.Request(
        f"{server.http_url}/transcribe?word_timestamps=true",
        data=head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        body: dict[str, Any] = json.load(response)
    return body


def spoken(server: RunningServer, path: Path) -> list[str]:
    """The words of a file, as the server reads them."""
    found = words(" ".join(segment["text"] for segment in answer(server, path)["segments"]))
    assert found
    return found


def test_a_file_becomes_text_whose_words_seek(server: RunningServer, browser: Browser) -> None:
    clip = next(c for c in clips("en") if c.path.name == "en-12.flac")
    page = browser.page(server.http_url)
    upload(page, clip.path)
    page.wait_for(READY)
    assert result(page) == words(clip.text)
    page.wait_for("document.querySelector('#audio').readyState > 0")

    starts = page.evaluate("[...document.querySelectorAll('[data-start]')].map(e => +e.dataset.start)")
    assert len(starts) == len(words(clip.text))
    assert starts == sorted(starts)
    page.evaluate("document.querySelectorAll('[data-start]')[3].id = 'fourth'")
    page.click("#fourth")
    page.wait_for("document.querySelector('#audio').currentTime > 0")
    assert page.evaluate("document.querySelector('#audio').currentTime") == pytest.approx(starts[3], abs=1.0)
    page.wait_for("document.querySelector('.now') !== null")
    page.click("#tab-segments")
    assert page.text(".segments li button").startswith("0:0")
    assert page.errors == []


def test_downloads_hold_the_text_with_right_times(server: RunningServer, browser: Browser) -> None:
    clip = clips("en", conversations=True)[0]
    page = browser.page(server.http_url)
    upload(page, clip.path)
    page.wait_for(READY, timeout_s=60)
    # What the server said: asked again, it may read a hard passage differently.
    expected = page.evaluate("shown.result")
    assert expected["job_id"].startswith("job_")
    for suffix in ("txt", "srt", "vtt", "json"):
        page.click(f"[data-save={suffix}]")
    name = clip.path.stem
    text = browser.downloaded(f"{name}.txt").read_text()
    assert words(text) == words(" ".join(s["text"] for s in expected["segments"]))
    assert json.loads(browser.downloaded(f"{name}.json").read_text()) == expected
    srt = browser.downloaded(f"{name}.srt").read_text()
    vtt = browser.downloaded(f"{name}.vtt").read_text()
    assert vtt.startswith("WEBVTT\n\n")
    times = [line.split(" --> ") for line in srt.splitlines() if " --> " in line]
    assert [t.replace(",", ".") for pair in times for t in pair] == [
        t for line in vtt.splitlines() if " --> " in line for t in line.split(" --> ")
    ]
    assert words(" ".join(x for x in vtt.splitlines()[2:] if " --> " not in x)) == words(text)
    seconds = [[seconds_of(t) for t in pair] for pair in times]
    assert all(start <= end for start, end in seconds)
    assert seconds[0][0] == pytest.approx(expected["segments"][0]["start"], abs=0.3)
    assert seconds[-1][1] == pytest.approx(expected["segments"][-1]["end"], abs=0.3)


def seconds_of(stamp: str) -> float:
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def test_the_sample_the_options_and_the_code(server: RunningServer, browser: Browser) -> None:
    page = browser.page(server.http_url)
    page.evaluate(
        "for (const [id, value] of Object.entries({language: 'en', format: 'srt'}))"
        " document.getElementById(id).value = value"
    )
    page.click("#sample")
    page.wait_for(READY)
    assert page.text("#tab-raw") == "SRT"
    assert page.text("#panel").startswith("1\n00:00:0"), "the chosen format is what is shown"
    page.click("#tab-text")
    digits = words("zero one two three four five six seven eight nine")
    assert len(result(page)) >= 5
    assert set(result(page)) <= set(digits)
    page.evaluate('shown.record.fields.prompt = `it\'s "x"`')
    page.click("#tab-code")
    code = page.text("#panel")
    assert f"curl {server.http_url}/transcribe" in code
    assert "--form-string 'prompt=it'\\''s \"x\"'" in code
    assert 'language="en"' in code
    assert 'response_format="srt"' in code


def test_several_files_one_bad_each_says_its_own(server: RunningServer, browser: Browser, tmp_path: Path) -> None:
    clip = clips("en")[0]
    notes, silence = tmp_path / "notes.txt", tmp_path / "silence.wav"
    notes.write_text("this is no audio\n" * 50)
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.zeros(32000, "<i2").tobytes())
    page = browser.page(server.http_url)
    upload(page, notes, silence, clip.path)
    page.wait_for("document.querySelectorAll('.job')[2]?.innerText.includes('Done')")
    states = page.evaluate("[...document.querySelectorAll('.job .state')].map(e => e.innerText)")
    assert states == ["Failed", "Done", "Done"]
    trouble = page.text(".trouble")
    assert "not_audio" in trouble or "undecodable" in trouble, trouble
    assert "Try again" in trouble
    assert result(page) == spoken(server, clip.path)
    page.evaluate("document.querySelectorAll('.job .name')[1].click()")
    assert "No speech was found" in page.text("#panel")


def test_too_large_is_said_with_the_limit(server: RunningServer, browser: Browser, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with wave.open(str(large), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.zeros(1_600_000, "<i2").tobytes())
    page = browser.page(server.http_url)
    upload(page, large)
    page.wait_for(FAILED)
    trouble = page.text(".trouble")
    assert "too_large" in trouble
    assert "2 MB" in trouble, "the server's own words"
    assert "compressed" in trouble


def test_cancel_stops_the_work(server: RunningServer, browser: Browser) -> None:
    clip = max(clips("en", conversations=True), key=lambda c: c.duration_s)
    page = browser.page(server.http_url)
    page.evaluate("document.querySelector('#beam_size').value = '20'")
    upload(page, clip.path)
    page.wait_for("document.querySelector('.job header button:not(.name)') !== null")
    page.click(".job header button:not(.name)")
    page.wait_for("document.querySelector('.job .state').innerText === 'Cancelled'")
    page.click(".job header button:not(.name)")  # Try again
    page.evaluate("document.querySelector('#beam_size').value = ''")
    page.wait_for(READY, timeout_s=90)


def test_markup_in_names_and_text_stays_text(server: RunningServer, browser: Browser, tmp_path: Path) -> None:
    clip = clips("en")[0]
    name = "<img src=x onerror=window.hacked=1>.flac"
    path = tmp_path / name
    path.write_bytes(clip.path.read_bytes())
    page = browser.page(server.http_url)
    upload(page, path)
    page.wait_for(READY)
    assert name in page.text("#jobs")
    assert name in page.text("#facts")
    # A transcript that is markup, through the same function that takes the server's lines.
    page.evaluate(
        f"receive(shown, {{type: 'segment', segment: {{start: 9, end: 10, text: {json.dumps(' ' + name)}}}}})"
    )
    for tab in ("text", "segments", "raw", "code"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.querySelectorAll('#result img, #jobs img').length") == 0
    page.click("#tab-text")
    assert name in page.text("#panel")
    assert page.evaluate("window.hacked === undefined")


def test_the_page_works_opened_from_disk(server: RunningServer, browser: Browser) -> None:
    clip = clips("en")[0]
    page = browser.page(FORM.as_uri())
    page.wait_for("document.querySelector('#server').getBoundingClientRect().width > 0")
    page.evaluate(
        f"document.querySelector('#server').value = {json.dumps(server.http_url)};"
        "document.querySelector('#server').dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.wait_for("document.querySelector('#model').options.length > 1")
    upload(page, clip.path)
    page.wait_for(READY)
    assert result(page) == spoken(server, clip.path)
    page.evaluate("document.title = ''")
    page.click("#sample")
    page.wait_for(READY)
    assert [error for error in page.errors if "localhost:8080" not in error] == []


def test_the_open_text_is_in_sight_however_many_files_there_are(server: RunningServer, browser: Browser) -> None:
    page = browser.page(server.http_url)
    page.viewport(1280, 860)
    page.click("#diarize")
    upload(page, *(clip.path for clip in clips("en")[:4]))
    page.wait_for("[...document.querySelectorAll('.job .state')].filter(e => e.innerText === 'Done').length === 4")
    panel = "document.querySelector('#panel').getBoundingClientRect()"
    last = "[...document.querySelectorAll('.job .name')].at(-1)"
    page.evaluate(f"{last}.click()")
    assert page.evaluate(f"{panel}.top >= 0 && {panel}.bottom < innerHeight"), "beside the files"
    assert page.evaluate("/^[^:]+: /.test(document.querySelector('#panel').innerText)"), "a speaker is named"
    page.viewport(390, 844, mobile=True)
    page.wait_for("document.querySelector('.job[aria-current=true] + .under > #result') !== null")
    first = "document.querySelector('.job .name')"
    page.evaluate(f"{first}.click()")
    assert page.evaluate("document.querySelector('.job + .under > #result') !== null"), "under its own row"
    assert page.evaluate(f"{panel}.top >= 0 && {panel}.top < innerHeight")
    page.evaluate("[...document.querySelectorAll('.job[aria-current=true] button')].at(-2).click()")  # Forget here
    page.wait_for("document.querySelector('main > #result').hidden && !document.querySelector('.under')")


def test_the_description_knows_its_address_and_fits_a_phone(server: RunningServer, browser: Browser) -> None:
    page = browser.page(f"{server.http_url}/docs")
    assert f"{server.http_url}/api/jobs" in page.text("main")
    assert "localhost:8080" not in page.text("main")
    page.viewport(390, 844, mobile=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)")
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_320_pixels(server: RunningServer, browser: Browser, scheme: str) -> None:
    page = browser.page(server.http_url)
    page.colours(scheme)
    upload(page, clips("en")[0].path)
    page.wait_for(READY)
    page.evaluate("document.querySelector('.more').open = true")
    for tab in ("text", "segments", "raw", "code"):
        page.click(f"#tab-{tab}")
        for width in (320, 1280):
            page.viewport(width, 640, mobile=width == 320)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
    # On a phone the form is higher than the screen: the file that was chosen comes into sight.
    page.viewport(390, 640, mobile=True)
    page.evaluate("scrollTo(0, 0)")
    upload(page, clips("en")[1].path)
    page.wait_for("document.querySelectorAll('.job').length === 2")
    row = "document.querySelector('#jobs').firstElementChild.getBoundingClientRect()"
    assert page.evaluate(f"{row}.top >= 0 && {row}.top < innerHeight")
