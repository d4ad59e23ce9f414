"""The page of jobs in a real browser, the real server behind it."""

from __future__ import annotations

import json
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.chromium import CHROMIUM, Browser, Page, chromium
from tests.support.clips import clips, words
from tests.support.running_server import RunningServer, free_ports, running_server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
OTHER = next(c for c in clips("en") if c.path.stem == "en-03")
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(MAX_FILE_JOBS="1") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(server: RunningServer, browser: Browser) -> Iterator[Page]:
    """A page on a list that is empty again afterwards."""
    opened = browser.page(f"{server.http_url}/jobs")
    opened.viewport(1280, 800)
    opened.wait_for("!document.querySelector('#empty').hidden")
    yield opened
    opened.goto("about:blank")
    opened.goto(f"{server.http_url}/jobs")
    opened.evaluate(
        "(async () => { for (;;) { const { clips } = await (await fetch('api/audio?limit=200')).json();"
        " if (!clips.length) break;"
        " for (const { clip_id } of clips) await fetch(`api/audio/${clip_id}`, { method: 'DELETE' }); }"
        " const { jobs } = await (await fetch('api/jobs?limit=200')).json();"
        " for (const { job_id } of jobs) await fetch(`api/jobs/${job_id}`, { method: 'DELETE' });"
        " localStorage.clear(); })()"
    )


def row(name: str) -> str:
    """Selector-free: the row of a job in the list, as an expression."""
    return f"[...document.querySelectorAll('.job')].find(e => e.innerText.includes({json.dumps(name)}))"


def state(name: str) -> str:
    return f"({row(name)})?.dataset.state"


def press(page: Page, label: str) -> None:
    """A real click on the button that is called so."""
    page.evaluate(
        "document.querySelectorAll('[data-test]').forEach(e => delete e.dataset.test);"
        f"[...document.querySelectorAll('button')].find(e => (e.ariaLabel ?? e.innerText) === {json.dumps(label)})"
        ".dataset.test = ''"
    )
    page.click("[data-test]")


def send(page: Page, *paths: Path) -> None:
    page.choose_files("#files", *paths)


def sent(page: Page, path: Path) -> None:
    """One file, done and open."""
    send(page, path)
    page.wait_for("document.querySelector('#job-state').innerText === 'Done'", 90)


def spoken(page: Page) -> list[str]:
    """Words of the first paragraph. Not innerText, which is empty until the paragraph was drawn once."""
    return words(str(page.evaluate("document.querySelector('#transcript p').textContent")))


def test_two_files_become_a_batch_with_results(page: Page, browser: Browser) -> None:
    send(page, CLIP.path, OTHER.path)
    page.wait_for("document.querySelector('.batch')?.innerText.includes('All 2 done')", 90)
    assert "2 files" in page.text(".batch")
    assert page.evaluate("[...document.querySelectorAll('.job .name')].map(e => e.innerText)") == [
        CLIP.path.name,
        OTHER.path.name,
    ]
    page.click(".batch .menu summary")
    page.click("[data-zip=txt]")
    with zipfile.ZipFile(browser.downloaded("txt.zip")) as archive:
        assert words(archive.read("0001-en-05.txt").decode()) == words(CLIP.text)
    page.click(".job .name")
    page.wait_for("document.querySelectorAll('.segment').length > 0")
    assert spoken(page) == words(CLIP.text)
    assert page.text("#job-name") == CLIP.path.name
    page.click("#job .menu summary")
    page.click("[data-save=srt]")
    assert browser.downloaded(f"{CLIP.path.stem}.srt").read_text().startswith("1\n00:00:0")
    assert page.errors == []


def test_what_is_spoken_is_shown_and_clicked(page: Page) -> None:
    sent(page, TALK.path)
    page.wait_for("document.querySelector('#player').readyState > 0")
    starts = page.evaluate("[...document.querySelectorAll('.time')].map(e => +e.dataset.start)")
    assert len(starts) > 3
    assert starts == sorted(starts)
    page.evaluate("document.querySelectorAll('.turn')[3].querySelector('.segment').id = 'fourth'")
    page.click("#fourth .word")
    page.wait_for("document.querySelector('#fourth').classList.contains('now')")
    page.wait_for("!document.querySelector('#player').paused")
    page.evaluate("document.querySelector('#speed').value = '3';")
    page.evaluate("document.querySelector('#speed').dispatchEvent(new Event('change'))")
    assert page.evaluate("document.querySelector('#player').playbackRate") == 3
    page.wait_for(
        "document.querySelector('.segment.now') !== null && !document.querySelector('#fourth').matches('.now')"
    )
    page.wait_for("document.querySelector('.word.now') !== null")
    # The keys: stop, one segment back and on, five seconds back.
    page.evaluate("document.activeElement.blur()")
    page.press(" ")
    page.wait_for("document.querySelector('#player').paused")
    page.evaluate("document.querySelector('#player').currentTime = 0.1")
    page.press("ArrowRight")
    at = page.evaluate("document.querySelector('#player').currentTime")
    assert at == pytest.approx(5.1, abs=0.2)
    page.press("ArrowDown")
    assert page.evaluate("document.querySelector('#player').currentTime") > at
    # A reader who scrolls away is left alone, and may come back.
    page.viewport(900, 320)
    page.evaluate("document.querySelector('#opened').scrollTop = 0")
    last = "[...document.querySelectorAll('.segment')].at(-1)"
    page.evaluate(f"{last}.click()")
    page.wait_for("document.querySelector('#opened').scrollTop > 0")
    page.wait_for(f"{last}.classList.contains('now')")
    page.evaluate("document.querySelector('#opened').dispatchEvent(new WheelEvent('wheel'))")
    page.evaluate("document.querySelector('#player').pause(); document.querySelector('#opened').scrollTop = 0")
    page.wait_for("!document.querySelector('#spoken').hidden")
    page.click("#spoken")
    page.wait_for("document.querySelector('#opened').scrollTop > 0")
    assert page.errors == []


def test_a_link_leads_to_a_place(server: RunningServer, page: Page, browser: Browser) -> None:
    sent(page, CLIP.path)
    hash = page.evaluate("location.hash")
    other = browser.page(f"{server.http_url}/jobs{hash}&t=1.2")
    other.wait_for("Math.abs(document.querySelector('#player').currentTime - 1.2) < 0.05")
    other.wait_for("document.querySelector('.segment.now') !== null")
    assert other.evaluate("document.querySelector('#player').paused")
    gone = browser.page(f"{server.http_url}/jobs#job=job_0123456789ABCDEFGHJKMNPQRS")
    gone.wait_for("!document.querySelector('#job-trouble').hidden")
    assert "not there" in gone.text("#job-trouble")


def test_a_search_finds_the_place_while_one_types(page: Page) -> None:
    send(page, CLIP.path, OTHER.path)
    page.wait_for("document.querySelector('.batch')?.innerText.includes('All 2 done')", 90)
    first = words(CLIP.text)
    typed = f"{first[0]} {first[1][:2]}"
    page.click("#search")
    for letter in typed:
        page.press(letter)
    page.wait_for("document.querySelectorAll('#found mark').length > 0")
    assert CLIP.path.name in page.text("#found")
    marks = page.evaluate("[...document.querySelectorAll('#found mark')].map(e => e.innerText.toLowerCase())")
    assert set(marks) <= {
        word for word in {*first, *words(OTHER.text)} if word == first[0] or word.startswith(first[1][:2])
    }
    page.evaluate(
        f"[...document.querySelectorAll('.found')].find(e => e.innerText.includes({json.dumps(CLIP.path.name)}))"
        ".querySelector(':scope ul a').click()"
    )
    page.wait_for("document.querySelectorAll('#transcript mark').length > 0")
    page.wait_for("document.querySelector('.segment.now') !== null")
    page.wait_for(
        "Math.abs(document.querySelector('#player').currentTime - new URLSearchParams(location.hash).get('t')) < 0.06"
    )
    page.evaluate(
        "document.querySelector('#search').value = 'xylophone';"
        "document.querySelector('#search').dispatchEvent(new Event('input'))"
    )
    page.wait_for("document.querySelector('#found-said').innerText.includes('xylophone')")
    assert page.evaluate("document.querySelectorAll('#found li').length") == 0
    assert page.errors == []


def test_cancel_retry_delete(page: Page, tmp_path: Path) -> None:
    page.evaluate("document.querySelector('#words').click()")
    send(page, TALK.path, CLIP.path)
    # One at a time: the second waits, and is cancelled while it does, or while it runs where the first was quick.
    page.wait_for(state(CLIP.path.name))
    press(page, f"Cancel {CLIP.path.name}")
    page.wait_for(f"{state(CLIP.path.name)} === 'cancelled'")
    page.evaluate(f"({row(CLIP.path.name)}).querySelector('.name').click()")
    page.wait_for("document.querySelector('#job-state').innerText === 'Cancelled'")
    press(page, f"Retry {CLIP.path.name}")
    page.wait_for("document.querySelector('#job-state').innerText === 'Done'", 90)
    page.wait_for("document.querySelectorAll('.segment').length > 0")
    press(page, f"Delete {CLIP.path.name}")
    page.wait_for("document.querySelector('dialog').open")
    press(page, "Keep")
    page.wait_for("document.querySelector('dialog') === null")
    press(page, f"Delete {CLIP.path.name}")
    page.wait_for("document.querySelector('dialog').open")
    page.evaluate("document.querySelector('dialog .danger').click()")
    page.wait_for(f"!({row(CLIP.path.name)})")
    page.wait_for("document.querySelector('#job').hidden")
    left = page.evaluate("fetch('api/audio').then(a => a.json()).then(b => b.clips.map(c => c.name))")
    assert left == [TALK.path.name]


def test_reload_in_the_middle(page: Page) -> None:
    send(page, TALK.path)
    page.wait_for("document.querySelector('#job-name').innerText !== ''")
    page.send("Page.reload")
    page.wait_for("document.querySelector('#job-state')?.innerText === 'Done'", 90)
    page.wait_for("document.querySelectorAll('.segment').length > 5")
    assert page.errors == []


def test_requests_of_others_are_listed_apart(page: Page) -> None:
    page.evaluate(
        "(async () => { const sample = await (await fetch('static/sample.flac')).blob();"
        " const body = new FormData(); body.append('file', sample, 'sample.flac');"
        " await fetch('transcribe', { method: 'POST', body }); })()"
    )
    press(page, "Requests")
    page.wait_for("document.querySelector('.job')?.innerText.includes('Request to /transcribe')")
    page.click(".job .name")
    page.wait_for("document.querySelector('#job-state').innerText === 'Done'")
    page.wait_for("document.querySelector('#job-empty').innerText.includes('keeps neither')")
    page.evaluate("location.hash = ''")
    page.wait_for("document.querySelector('.job') === null && !document.querySelector('#empty').hidden")
    assert page.errors == []


def test_what_is_refused_is_said_by_name_and_the_rest_goes_on(page: Page, tmp_path: Path) -> None:
    notes = tmp_path / "notes.mp3"
    notes.write_text("no audio at all")
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.zeros(16000, "<i2").tobytes())
    send(page, notes, silence)
    page.wait_for("document.querySelector('.sending.refused') !== null")
    assert "notes.mp3" in page.text(".sending.refused")
    page.wait_for("document.querySelector('#job-empty').innerText.includes('No speech')", 60)
    press(page, "Forget notes.mp3")
    assert page.evaluate("document.querySelector('.sending')") is None
    page.click("#from-links")
    page.evaluate("document.querySelector('#links').value = 'http://127.0.0.1/a.mp3'")
    page.click("#links-form button")
    page.wait_for("document.querySelector('#notice').innerText.includes('127.0.0.1')")
    page.evaluate("document.querySelector('#links').value = 'http://127.0.0.1/a.mp3\\nno-link'")
    page.click("#links-form button")
    page.wait_for("document.querySelectorAll('#notice p').length === 2")


def test_markup_in_names_and_text_stays_text(page: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=window.hacked=1>.flac"
    path = tmp_path / name
    path.write_bytes(CLIP.path.read_bytes())
    # A transcript that is markup comes by the same way as the server's.
    page.evaluate(
        "(() => { const real = window.fetch; window.fetch = async (url, ...more) => {"
        " const answer = await real(url, ...more); if (!/events|api.transcription/.test(url)) return answer;"
        f" const evil = (await answer.text()).replaceAll({json.dumps(words(CLIP.text)[0])},"
        " '<img src=x onerror=window.hacked=2>');"
        " return new Response(evil, { status: answer.status }); }; })()"
    )
    sent(page, path)
    page.wait_for("document.querySelector('#transcript').textContent.includes('<img src=x')")
    page.evaluate(
        f"document.querySelector('#search').value = {json.dumps(words(CLIP.text)[1])};"
        "document.querySelector('#search').dispatchEvent(new Event('input'))"
    )
    page.wait_for("document.querySelector('#found').innerText.includes('<img')")
    assert name in page.text("#job-name")
    press(page, "Delete")
    page.wait_for("document.querySelector('dialog').open")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("window.hacked === undefined")
    assert page.errors == []


def test_it_goes_on_after_the_server_was_restarted(browser: Browser, tmp_path: Path) -> None:
    ports = tuple(free_ports(2))
    data = str(tmp_path / "data")
    with running_server(ports=(ports[0], ports[1]), DATA_DIR=data) as first:
        page = browser.page(f"{first.http_url}/jobs")
        page.wait_for("!document.querySelector('#empty').hidden")
        sent(page, CLIP.path)
    page.wait_for("document.querySelector('#connection').innerText.includes('cannot be reached')")
    assert spoken(page) == words(CLIP.text), "what was read stays"
    with running_server(ports=(ports[0], ports[1]), DATA_DIR=data):
        page.wait_for("document.querySelector('#connection').innerText === ''", 60)
        assert page.evaluate(state(CLIP.path.name)) == "done"
        page.goto("about:blank")


def test_a_server_that_keeps_nothing_says_so(browser: Browser, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with running_server(DATA_DIR="", XDG_DATA_HOME=str(blocked)) as server:
        page = browser.page(f"{server.http_url}/jobs")
        page.wait_for("document.querySelector('#no-storage').checkVisibility()")
        assert "keeps no clips" in page.text("#no-storage")
        assert not page.evaluate("document.querySelector('#choose').checkVisibility()")
        page.goto("about:blank")


def test_with_a_key(browser: Browser) -> None:
    with running_server(API_KEY="secret-of-this-test") as server:
        page = browser.page(f"{server.http_url}/jobs")
        page.wait_for("document.querySelector('#notice').innerText.includes('API key')")
        page.wait_for("document.activeElement.id === 'key'")
        page.evaluate("document.querySelector('#key').value = 'secret-of-this-test'")
        page.evaluate("document.querySelector('#key').dispatchEvent(new Event('change'))")
        page.wait_for("!document.querySelector('#empty').hidden && document.querySelector('#notice').hidden")
        sent(page, CLIP.path)
        page.wait_for("document.querySelector('#player').readyState > 0")
        page.evaluate("document.querySelector('.segment').click()")
        page.wait_for("document.querySelector('#player').currentTime > 0")
        assert page.evaluate("document.documentElement.outerHTML.includes('secret-of-this-test')") is False
        assert "secret-of-this-test" not in server.log.read_text()
        page.goto("about:blank")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_320_pixels(page: Page, scheme: str) -> None:
    page.colours(scheme)
    sent(page, CLIP.path)
    for width in (320, 390, 1280):
        page.viewport(width, 640, mobile=width < 640)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(
            "document.querySelector('#opened').scrollWidth <= document.querySelector('#opened').clientWidth"
        )
        page.click("#job .menu summary")
        panel = "document.querySelector('#saves').getBoundingClientRect()"
        assert page.evaluate(f"{panel}.left >= 0 && {panel}.right <= innerWidth")
        page.click("#job .menu summary")
        page.evaluate("location.hash = ''; document.querySelector('#options').open = true")
        page.wait_for("document.querySelector('#job').hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(
            "document.querySelector('#overview').scrollWidth <= document.querySelector('#overview').clientWidth"
        )
        page.evaluate("history.back()")
        page.wait_for("!document.querySelector('#job').hidden")
