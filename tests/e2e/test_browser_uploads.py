"""The file page and its jobs in a real browser: reloads, restarts, broken connections, refusals, what it remembers."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.contracts.test_http_jobs import standing_still
from tests.support.chromium import CHROMIUM, Browser, Page, chromium
from tests.support.clips import clips, words
from tests.support.http_server import HttpServer, http_server, wait_until
from tests.support.server_process import ServerProcess
from tests.support.tcp_proxy import TcpProxy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]
FORM = Path(__file__).parents[2] / "test_form.html"
CLIP, OTHER, THIRD = clips("en")[:3]
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)
STATES = "[...document.querySelectorAll('.job .state')].map(e => e.innerText)"
N_SEGMENTS = "shown ? shown.segments.length : 0"
SHOWN = "[...document.querySelectorAll('.text [data-start]')].map(e => e.textContent)"
NOTED = "Object.keys(localStorage).filter(name => name.startsWith('whisperlive-hybrid.file.'))"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    folder = tmp_path_factory.mktemp("uploads")
    with http_server(folder / "uploads", data_dir=folder / "data", max_file_jobs=1, max_queued_jobs=1) as running:
        yield running


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of speech."""
    path = tmp_path_factory.mktemp("talk") / "long talk.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.tile(TALK.samples(), 4) * 32767).astype("<i2").tobytes())
    return path


def reload(page: Page) -> None:
    page.evaluate("window.before = true")
    page.send("Page.reload")
    page.wait_for("window.before === undefined && document.readyState === 'complete'")


def all_are(page: Page, *states: str) -> None:
    page.wait_for(f"JSON.stringify({STATES}) === {json.dumps(json.dumps(states, separators=(',', ':')))}", 60)


def press(page: Page, text: str) -> None:
    """Click the first button with this text."""
    page.evaluate(
        "document.querySelectorAll('#pressed').forEach(e => e.removeAttribute('id'));"
        f"[...document.querySelectorAll('button')].find(b => b.textContent === {json.dumps(text)}).id = 'pressed'"
    )
    page.click("#pressed")


def jobs_of(url: str, **headers: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = httpx.get(f"{url}/api/jobs", headers=headers).json()["jobs"]
    return jobs


def unlike_others(page: Page, beam_size: int) -> None:
    """What was computed before, by another test, is not taken for this one."""
    page.evaluate(f"$('beam_size').value = '{beam_size}'")


def slow_upload(page: Page, bytes_per_s: int) -> None:
    page.send("Network.enable")
    page.send(
        "Network.emulateNetworkConditions",
        offline=False,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=bytes_per_s,
    )


def test_a_reload_and_a_killed_server_in_the_middle_lose_and_double_nothing(
    tmp_path: Path, browser: Browser, long_talk: Path
) -> None:
    settings = {"FILE_WINDOW_S": "10", "OMP_NUM_THREADS": "1", "MAX_BATCH": "1"}
    with ServerProcess(tmp_path / "server", **settings) as server:
        page = browser.page(server.http_url)
        page.choose_files("#files", long_talk)
        page.wait_for(f"({N_SEGMENTS}) >= 4", timeout_s=90)
        before = page.evaluate(SHOWN)
        (job,) = jobs_of(server.http_url)
        assert page.evaluate("location.hash") == f"#jobs={job['job_id']}"

        reload(page)
        page.wait_for(f"({N_SEGMENTS}) >= 6", timeout_s=90)
        assert page.evaluate("shown.phase") == "running", "it is still in the middle"
        assert page.evaluate(SHOWN)[: len(before)] == before
        assert page.evaluate("[...document.querySelectorAll('.bar progress')].map(bar => bar.value > 0)") == [True]

        server.kill()
        page.wait_for(f"{STATES}[0].startsWith('Connection lost')")
        kept = page.evaluate(SHOWN)
        assert kept[: len(before)] == before, "what was shown stays"
        server.start()
        server.wait_ready()
        all_are(page, "Done")
        (job,) = jobs_of(server.http_url)
        assert job["attempts"] == 2
        result = httpx.get(f"{server.http_url}/api/jobs/{job['job_id']}/result").json()
        assert page.evaluate(f"{SHOWN}") == [w["word"] for s in result["segments"] for w in s["words"]]
        assert page.evaluate(SHOWN)[: len(kept)] == kept

        # The server is away when a file is chosen: it waits for it.
        server.kill()
        page.choose_files("#files", CLIP.path)
        page.wait_for(f"{STATES}[0].startsWith('No connection')")
        server.start()
        server.wait_ready()
        all_are(page, "Done", "Done")
        assert len(jobs_of(server.http_url)) == 2
        # While nobody answers, and while the next server loads its model, the browser's own log says so.
        assert [e for e in page.errors if "ERR_" not in e and "503 (Service Unavailable)" not in e] == []


def test_an_upload_that_a_reload_broke_off_is_said_and_done_once(
    server: HttpServer, browser: Browser, long_talk: Path
) -> None:
    n_before = len(jobs_of(server.url))
    page = browser.page(server.url)
    slow_upload(page, 1_500_000)
    page.choose_files("#files", long_talk, CLIP.path)
    page.wait_for("document.querySelector('.bar progress')?.value > 0.1")
    assert page.text(".bar").startswith("Upload")
    assert "/ 7." in page.text(".bar"), "bytes are told"
    slow_upload(page, -1)
    reload(page)
    assert page.dialogs == ["beforeunload"], "leaving is asked about"
    all_are(page, "Not uploaded", "Not uploaded")
    first, second = page.evaluate("[...document.querySelectorAll('.trouble')].map(e => e.innerText)")
    assert "broken off at" in first
    assert "Choose the file again" in first
    assert "before the file was uploaded" in second
    # Dropped or chosen again, each goes on as what it was, under its own key.
    keys = page.evaluate("items.map(i => [i.record.name, i.record.key]).sort()")
    page.choose_files("#files", CLIP.path, long_talk)
    all_are(page, "Done", "Done")
    assert page.evaluate("items.map(i => [i.record.name, i.record.key]).sort()") == keys
    assert len(jobs_of(server.url)) == n_before + 2
    assert page.errors == []


def test_an_answer_that_got_lost_makes_no_second_job(
    server: HttpServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_before = len(jobs_of(server.url))
    proxy = TcpProxy(int(server.url.rsplit(":", 1)[1]))
    try:
        page = browser.page(f"http://127.0.0.1:{proxy.port}")
        page.wait_for("keeps === true")
        page.evaluate(
            "window.keys = []; const own = XMLHttpRequest.prototype.setRequestHeader;"
            "XMLHttpRequest.prototype.setRequestHeader = function (name, value) {"
            " if (name === 'Idempotency-Key') window.keys.push(value); return own.call(this, name, value); }"
        )
        jobs = server.services.jobs
        assert jobs is not None
        keep = jobs.clips.keep

        async def keep_and_cut(*args: Any) -> Any:
            kept = await keep(*args)
            proxy.cut()
            return kept

        monkeypatch.setattr(jobs.clips, "keep", keep_and_cut)
        proxy.cut()  # on a connection that it had before, the browser itself would send the request once more
        page.choose_files("#files", CLIP.path)
        page.wait_for(f"{STATES}[0]?.startsWith('The connection broke')")
        assert len(jobs_of(server.url)) == n_before + 1, "it had arrived"
        all_are(page, "Done")
        keys = page.evaluate("window.keys")
        assert (len(keys), len(set(keys))) == (2, 1)
        assert len(jobs_of(server.url)) == n_before + 1
    finally:
        proxy.close()


def test_a_full_server_says_so_and_is_asked_again(server: HttpServer, browser: Browser) -> None:
    page = browser.page(server.url)
    unlike_others(page, 6)
    with standing_still(server) as go:
        page.choose_files("#files", CLIP.path)
        page.wait_for("items[0]?.phase === 'running'")
        page.choose_files("#files", OTHER.path, THIRD.path)
        page.wait_for(f"{STATES}.some(text => text.includes('Trying again in'))")
        states = page.evaluate(STATES)
        assert states[0] == "Next in the queue"
        assert states[1].startswith("1 job") or "wait" in states[1], states
        reload(page)
        all_are(page, "Next in the queue", "Not uploaded", "Reading")
        go.set()
        all_are(page, "Done", "Not uploaded", "Done")
    page.choose_files("#files", THIRD.path)
    all_are(page, "Done", "Done", "Done")


def test_cancel_try_again_forget_and_delete(server: HttpServer, browser: Browser) -> None:
    page = browser.page(server.url)
    unlike_others(page, 7)
    with standing_still(server) as go:
        page.choose_files("#files", CLIP.path, OTHER.path)
        all_are(page, "Reading", "Next in the queue")
        press(page, "Cancel")
        all_are(page, "Cancelled", "Reading")
        press(page, "Try again")
        all_are(page, "Next in the queue", "Reading")
        go.set()
        all_are(page, "Done", "Done")
    ours = page.evaluate("items.map(i => i.record)")
    # Forgotten here, it is still on the server.
    press(page, "Forget here")
    all_are(page, "Done")
    assert httpx.get(f"{server.url}/api/jobs/{ours[0]['job']}").status_code == 200
    reload(page)
    all_are(page, "Done")
    assert page.text(".job .name") == OTHER.path.name
    # Deleted on the server, after a moment to think better of it.
    press(page, "Delete from server")
    page.wait_for(f"{STATES}[0].startsWith('Deleting')")
    press(page, "Undo")
    all_are(page, "Done")
    press(page, "Delete from server")
    page.evaluate("items[0].deleteAt = 1")
    page.wait_for(f"{STATES}.length === 0")
    assert httpx.get(f"{server.url}/api/jobs/{ours[1]['job']}").status_code == 404
    assert httpx.get(f"{server.url}/api/audio/{ours[1]['clip']}").status_code == 404
    assert page.evaluate(NOTED) == []
    assert page.evaluate("location.hash") == ""
    assert page.errors == []


def test_a_job_deleted_meanwhile_is_said_and_can_be_made_anew(server: HttpServer, browser: Browser) -> None:
    page = browser.page(server.url)
    unlike_others(page, 8)
    with standing_still(server):
        page.choose_files("#files", CLIP.path)
        page.wait_for("items[0]?.phase === 'running' && streams.size === 1")
        clip = page.evaluate("items[0].record.clip")
        httpx.delete(f"{server.url}/api/audio/{clip}").raise_for_status()
        all_are(page, "Not on the server any more")
    assert "deleted there" in page.text(".trouble")
    reload(page)
    all_are(page, "Not on the server any more")
    page.evaluate("chooseFor(items[0])")
    page.choose_files("#files", CLIP.path)
    all_are(page, "Done")
    press(page, "Forget all that are over")
    page.wait_for(f"{STATES}.length === 0")
    assert page.evaluate(NOTED) == []


def test_a_link_leads_to_the_jobs_with_names_that_stay_text(
    server: HttpServer, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "<img src=x onerror=window.hacked=1>.flac"
    path.write_bytes(CLIP.path.read_bytes())
    page = browser.page(server.url)
    page.choose_files("#files", path)
    all_are(page, "Done")
    link = page.evaluate("location.href")
    with chromium() as other:
        guest = other.page(link)
        all_are(guest, "Done")
        guest.wait_for(f"document.querySelector('.job .name').textContent === {json.dumps(path.name)}")
        guest.wait_for("document.querySelectorAll('.text [data-start]').length > 0")
        assert words(guest.text("#panel")) == words(page.text("#panel"))
        guest.wait_for("document.querySelector('#audio').readyState > 0")
        assert guest.evaluate("$('facts').querySelector('a').href").startswith(f"{server.url}/jobs#job=job_")
        for tab in ("text", "segments", "raw", "code"):
            guest.click(f"#tab-{tab}")
            assert guest.evaluate("document.querySelectorAll('main img').length") == 0
        assert guest.evaluate("window.hacked === undefined")
        assert guest.errors == []


def test_two_tabs_know_of_each_other(server: HttpServer, browser: Browser) -> None:
    one, two = browser.page(server.url), browser.page(server.url)
    one.choose_files("#files", CLIP.path)
    all_are(one, "Done")
    all_are(two, "Done")
    press(two, "Forget here")
    two.wait_for(f"{STATES}.length === 0")
    one.wait_for(f"{STATES}.length === 0")


def test_a_key_is_asked_for_and_the_work_goes_on(tmp_path: Path, browser: Browser) -> None:
    with http_server(tmp_path / "uploads", data_dir=tmp_path / "data", api_key="right") as server:
        page = browser.page(server.url)

        def give(key: str) -> None:
            page.evaluate(f"$('key').value = {json.dumps(key)}; $('key').dispatchEvent(new Event('change'))")

        page.wait_for("$('note').textContent.includes('needs an API key')")
        page.choose_files("#files", CLIP.path)
        all_are(page, "API key needed")
        assert "Enter the API key" in page.text(".trouble")
        give("wrong")
        page.wait_for("$('note').textContent.includes('does not know the API key')")
        page.wait_for("document.querySelector('.trouble')?.innerText.includes('key_unknown')")
        give("right")
        all_are(page, "Done")
        page.wait_for("!$('note').textContent.includes('API key')")
        reload(page)
        all_are(page, "API key needed")
        assert "right" not in page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
        give("right")
        all_are(page, "Done")
        page.wait_for("document.querySelectorAll('.text [data-start]').length > 0")
        page.wait_for("document.querySelector('#audio').readyState > 0")
        assert len(jobs_of(server.url, Authorization="Bearer right")) == 1


def test_a_server_that_keeps_nothing_answers_at_once(tmp_path: Path, browser: Browser) -> None:
    with http_server(tmp_path / "uploads", data_dir=None) as server:
        page = browser.page(server.url)
        page.choose_files("#files", CLIP.path, OTHER.path)
        all_are(page, "Done", "Done")
        assert "keeps no files" in page.text("#where")
        assert page.evaluate(NOTED) == []
        assert "Delete from server" not in page.text("#jobs")
        assert words(page.evaluate("textOf(items[1])")) == words(OTHER.text)
        assert page.errors == [e for e in page.errors if "503" in e], "only the question whether it keeps jobs"


def test_opened_from_disk_it_survives_a_reload(server: HttpServer, browser: Browser) -> None:
    page = browser.page(FORM.as_uri())
    page.evaluate(f"$('server').value = '{server.url}'; $('server').dispatchEvent(new Event('change'))")
    page.evaluate("remember()")
    unlike_others(page, 9)
    page.wait_for("keeps === true")
    with standing_still(server) as go:
        page.choose_files("#files", CLIP.path)
        all_are(page, "Reading")
        assert page.evaluate("location.hash").startswith("#jobs=job_")
        reload(page)
        all_are(page, "Reading")
        go.set()
        all_are(page, "Done")
    page.wait_for("document.querySelectorAll('.text [data-start]').length > 0")
    assert words(page.text("#panel")) == words(CLIP.text)
    page.wait_for("document.querySelector('#audio').readyState > 0")
    assert [e for e in page.errors if "localhost:8080" not in e] == []
    wait_until(lambda: server.windows() == 0)
