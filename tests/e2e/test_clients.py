"""The clients people are given, against the real server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clips import DATA, Clip, all_clips, words
from tests.support.running_server import RunningServer, running_server
from tests.support.tcp_proxy import tcp_proxy
from whisperlive_hybrid.client import (
    BlockingJobsClient,
    BlockingLiveSession,
    ClientError,
    JobFailed,
    LiveSession,
    ServerUnreachable,
    transcribe,
    transcribe_async,
)

CLIENTS = Path(__file__).parent.parent.parent / "clients"
KEY = "key-of-the-tests"
RATE = 16_000

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(API_KEY=KEY) as running:
        yield running


def clip(name: str) -> Clip:
    return next(c for c in all_clips() if c.path.name == name)


def pcm(of: Clip) -> bytes:
    return (of.samples() * 32767).astype("<i2").tobytes()


def text_of(events: list[dict[str, Any]]) -> list[str]:
    return words(" ".join(e["text"] for e in events if e["type"] == "final"))


async def test_a_file_by_path_bytes_and_file_object(server: RunningServer) -> None:
    said = clip("en-01.flac")
    by_path = await transcribe_async(said.path, url=server.http_url, api_key=KEY, language="en")
    assert words(by_path["segments"][0]["text"]) == words(said.text)
    assert by_path["filename"] == said.path.name
    by_bytes = await transcribe_async(said.path.read_bytes(), url=server.http_url, api_key=KEY, language="en")
    assert by_bytes["segments"] == by_path["segments"]
    with said.path.open("rb") as file:
        # The synchronous function, called where a loop runs, as in a notebook.
        assert transcribe(file, url=server.http_url, api_key=KEY, language="en")["segments"] == by_path["segments"]


def test_a_file_as_subtitles_without_a_loop(server: RunningServer) -> None:
    srt = transcribe(clip("en-03.flac").path, url=server.http_url, api_key=KEY, format="srt", language="en")
    assert srt.startswith("1\n00:00:0")
    assert words(srt)[-6:] == words(clip("en-03.flac").text)


async def test_refusals_carry_the_servers_code(server: RunningServer) -> None:
    with pytest.raises(ClientError) as refused:
        await transcribe_async(b"these bytes are not audio", url=server.http_url, api_key=KEY)
    assert (refused.value.status, refused.value.code) == (400, "not_audio")
    with pytest.raises(ClientError) as unknown:
        await transcribe_async(b"x", url=server.http_url, api_key="wrong")
    assert (unknown.value.status, unknown.value.code) == (401, "key_unknown")
    with pytest.raises(ServerUnreachable):
        await transcribe_async(b"x", url="http://127.0.0.1:1")
    with pytest.raises(ClientError) as closed:
        await LiveSession(server.live_url, codec="pcm_s16le").__aenter__()
    assert (closed.value.status, closed.value.code) == (4401, "key_missing")
    with pytest.raises(ClientError) as wrong:
        await LiveSession(server.live_url, api_key=KEY, codec="mp3").__aenter__()
    assert wrong.value.status in (1003, 4400)


@pytest.mark.parametrize("door", ["live", "http"])
async def test_live_captions(server: RunningServer, door: str) -> None:
    said = clip("conversation-20s.flac")
    url = server.live_url if door == "live" else server.http_url
    async with LiveSession(url, api_key=KEY, codec="pcm_s16le", language="en") as session:
        await session.send(pcm(said))
        await session.stop()
        events = [event async for event in session]
    assert text_of(events) == words(said.text)
    assert events[-1]["type"] == "done"
    numbers = [e["event"] for e in events]
    assert numbers == sorted(set(numbers))


def test_jobs_without_asyncio(server: RunningServer) -> None:
    said = [clip(name) for name in ("en-01.flac", "en-02.flac")]
    with BlockingJobsClient(server.http_url, api_key=KEY) as client:
        with pytest.raises(ClientError, match="klingon") as refused:
            client.check(language="klingon", priority="high")
        assert (refused.value.status, refused.value.code) == (400, "unknown_language")
        batch = client.submit(*(s.path for s in said), name="two", language="en")
        stages: list[str | None] = []
        done = client.wait(batch.job_id, lambda job: stages.append(job.stage))
        assert (done.state, done.name, [job.job_id for job in done.jobs]) == ("done", "two", list(batch.jobs))
        for job, spoken in zip(done.jobs, said, strict=True):
            assert job.over and job.clip_id is not None
            assert client.clip(job.clip_id).name == spoken.path.name
            events = list(client.events(job.job_id))
            assert words(events[-1]["transcription"]["text"]) == words(spoken.text)
            assert client.result(job.job_id, "txt").strip() == events[-1]["transcription"]["text"]
        assert [j.job_id for j in client.list_jobs(batch_id=batch.job_id).jobs] == [*reversed(batch.jobs)]
        cancelled = client.submit(clip("conversation-60s.flac").path, language="de", beam_size=10).job_id
        client.cancel(cancelled)
        assert client.cancel(cancelled).state == "cancelled"
        with pytest.raises(JobFailed) as failed:
            client.wait(cancelled)
        assert failed.value.code == "job_cancelled"
        assert client.retry(cancelled).state in ("queued", "running")
        client.cancel(cancelled)
        client.delete(batch.job_id)
        with pytest.raises(ClientError) as gone:
            client.get(batch.job_id)
        assert gone.value.status == 404


def test_live_captions_without_asyncio(server: RunningServer) -> None:
    said = clip("en-04.flac")
    with BlockingLiveSession(server.live_url, api_key=KEY, codec="pcm_s16le", language="en") as session:
        assert session.ready["protocol"] == 1
        session.send(pcm(said))
        session.stop()
        assert text_of(list(session)) == words(said.text)


async def test_no_word_is_lost_or_said_twice_when_the_connection_breaks(server: RunningServer) -> None:
    said = clip("conversation-20s.flac")
    audio = pcm(said)
    step = RATE  # half a second of 16-bit samples
    live_port = int(server.live_url.rsplit(":", 1)[1])
    with tcp_proxy(live_port) as road:
        session = LiveSession(f"ws://127.0.0.1:{road.port}", api_key=KEY, codec="pcm_s16le", language="en")
        async with session:

            async def speak() -> None:
                for i in range(0, len(audio), step):
                    if i // step in (5, 6, 20, 30):
                        road.cut()
                    await session.send(audio[i : i + step])
                    await asyncio.sleep(0.1)
                await session.stop()
                road.cut()

            speaking = asyncio.create_task(speak())
            events = [event async for event in session]
            await speaking
    assert session.n_resumed >= 3
    assert [e["state"] for e in events if e["type"] == "connection"] == ["lost", "resumed"] * session.n_resumed
    assert text_of(events) == words(said.text)
    segments = [e["segment"] for e in events if e["type"] == "final"]
    assert segments == sorted(set(segments))
    assert events[-1]["type"] == "done"
    assert events[-1]["audio"] == pytest.approx(len(audio) / 2 / RATE, abs=0.001)


def run_script(path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable] if path.suffix == ".py" else []
    return subprocess.run(
        [*command, str(path), *arguments], capture_output=True, timeout=60, check=False, env={**os.environ, **env}
    )


@needs_curl
@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("transcribe.sh", ("en-01.flac",), '"success":true'),
        ("transcribe.sh", ("en-01.flac", "text", "en"), clip("en-01.flac").text),
        ("progress.sh", ("en-01.flac",), '"done"'),
        ("job.sh", ("en-01.flac",), clip("en-01.flac").text),
        ("job.sh", ("en-01.flac", "srt"), "00:00:0"),
        ("openai.sh", ("en-01.flac",), '"text"'),
        ("openai.sh", ("en-01.flac", "vtt"), "WEBVTT"),
        ("translate.sh", ("de-01.flac",), clip("de-01.flac").translation),
        ("models.sh", (), '"digits"'),
        ("health.sh", (), '"status"'),
    ],
)
def test_curl(server: RunningServer, script: str, arguments: tuple[str, ...], expected: str) -> None:
    files = [str(DATA / a) if a.endswith(".flac") else a for a in arguments]
    run = run_script(CLIENTS / "curl" / script, *files, SERVER=server.http_url, API_KEY=KEY)
    assert run.returncode == 0, run.stdout + run.stderr
    assert expected in run.stdout.decode().replace('": "', '":"').replace('": true', '":true')


@needs_curl
def test_curl_of_an_address_and_a_wrong_key_fail_with_the_servers_words(server: RunningServer) -> None:
    private = run_script(
        CLIENTS / "curl/transcribe_url.sh", "http://127.0.0.1:1/x.mp3", SERVER=server.http_url, API_KEY=KEY
    )
    assert private.returncode == 22
    assert b'"error"' in private.stdout
    not_audio = run_script(CLIENTS / "curl/job.sh", __file__, SERVER=server.http_url, API_KEY=KEY)
    assert not_audio.returncode == 22
    assert b'"not_audio"' in not_audio.stderr
    wrong = run_script(CLIENTS / "curl/models.sh", SERVER=server.http_url, API_KEY="wrong")
    assert wrong.returncode == 22
    assert b"This API key is not known here" in wrong.stdout


def test_every_example_is_tested_here() -> None:
    mine = Path(__file__).read_text()
    examples = [p.name for folder in ("curl", "python") for p in (CLIENTS / folder).iterdir() if p.suffix != ".md"]
    assert [name for name in examples if name not in mine] == []


def test_the_python_examples(tmp_path: Path) -> None:
    said = clip("en-01.flac")
    wav = tmp_path / "said.wav"
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(pcm(said))
    with running_server() as open_server:
        file_run = run_script(CLIENTS / "python/transcribe_file.py", str(said.path), open_server.http_url)
        assert said.text in file_run.stdout.decode(), file_run.stderr
        jobs_run = run_script(CLIENTS / "python/transcribe_jobs.py", open_server.http_url, str(said.path))
        assert said.text in jobs_run.stdout.decode(), jobs_run.stderr
        live_run = run_script(CLIENTS / "python/live_file.py", str(wav), open_server.live_url)
        assert words(live_run.stdout.decode()) == words(said.text), live_run.stderr
        blocking = subprocess.run(
            [sys.executable, str(CLIENTS / "python/live_blocking.py"), open_server.live_url],
            input=pcm(said) + bytes(2 * RATE),
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert words(blocking.stdout.decode()) == words(said.text)


@needs_curl
def test_the_words_of_a_json_answer_are_readable_by_anyone(server: RunningServer) -> None:
    answer = run_script(
        CLIENTS / "curl/openai.sh", str(clip("en-02.flac").path), "verbose_json", SERVER=server.http_url, API_KEY=KEY
    )
    assert words(json.loads(answer.stdout)["text"]) == words(clip("en-02.flac").text)


def test_the_text_of_silence_is_empty(server: RunningServer) -> None:
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE))
    assert transcribe(silence.getvalue(), url=server.http_url, api_key=KEY, format="txt") == ""


def test_silence_is_no_error(server: RunningServer) -> None:
    async def silent() -> list[dict[str, Any]]:
        async with LiveSession(server.live_url, api_key=KEY, codec="pcm_f32le") as session:
            await session.send(np.zeros(3 * RATE, "<f4").tobytes())
            await session.stop()
            return [event async for event in session]

    events = asyncio.run(silent())
    assert text_of(events) == []
    assert events[-1]["type"] == "done"
