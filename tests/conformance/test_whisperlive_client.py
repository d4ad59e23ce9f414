"""WhisperLive's own Python clients, unmodified, against the real server: the file client and the streaming client.

On two versions of websocket-client, as a close is one thing to 1.8 and another to 1.9: where a server closes at once
after WAIT, the former makes the client wait for ever, at full load, in most runs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from websockets.asyncio.client import connect

from tests.support import whisperlive_client
from tests.support.clips import clips, words
from tests.support.live_server import LiveServer, live_server
from tests.support.packages import python_environment
from tests.support.running_server import RunningServer, running_server
from whisperlive_hybrid.live.runner import LiveLimits
from whisperlive_hybrid.transports.live_door import LiveTerms

pytestmark = pytest.mark.timeout(180)

DRIVER = Path(whisperlive_client.__file__)
SPOKEN = [c for c in clips("en") if c.path.stem in ("en-05", "en-09", "en-02")]
HURRY_S = 60


@pytest.fixture(scope="module", params=["1.8.0", "1.9.2"])
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with the client."""
    return python_environment(
        "whisper-live",
        f"websocket-client=={request.param}",
        without_dependencies=["whisper-live==0.10.0"],
        on_top=True,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips with pauses; the file ends with the last word, before a pause could end the utterance."""
    silence = np.zeros(16_000, np.float32)
    parts = [part for clip in SPOKEN[:-1] for part in (clip.samples(), silence)]
    last = SPOKEN[-1]
    parts.append(last.samples()[: int((last.utterances[-1][1] + 0.1) * 16_000)])
    path = tmp_path_factory.mktemp("wav") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.concatenate(parts) * 32767).astype("<i2").tobytes())
    return path


def command(python: Path, mode: str, url: str, wav: Path, options: dict[str, Any]) -> list[str]:
    task = {"mode": mode, "port": urlsplit(url).port, "wav": str(wav), "options": {"lang": "en", **options}}
    return [str(python), str(DRIVER), json.dumps(task)]


def drive(python: Path, mode: str, url: str, wav: Path, cwd: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """What the client kept, and what it printed. The client's way to fail is to wait for ever."""
    ran = subprocess.run(
        command(python, mode, url, wav, options), capture_output=True, text=True, timeout=HURRY_S, cwd=cwd, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1]), ran.stdout


def all_said() -> list[str]:
    return [word for clip in SPOKEN for word in words(clip.text)]


def complaints(output: str) -> list[str]:
    """Lines of errors. websocket-client 1.9 calls an orderly close one, in the thread of the client as well."""
    lines = [line for line in output.splitlines() if "[ERROR" in line]
    return [line for line in lines if "losed normally" not in line and "opcode=8" not in line]


def cues(srt: str) -> list[tuple[str, str]]:
    """(times, text) of each."""
    blocks = [block.split("\n") for block in srt.strip().split("\n\n")]
    return [(block[1], " ".join(block[2:]).strip()) for block in blocks]


@pytest.mark.parametrize("use_vad", [True, False])
def test_the_file_client_gets_the_right_words_once_and_writes_them(
    python: Path, server: RunningServer, wav: Path, tmp_path: Path, use_vad: bool
) -> None:
    heard, output = drive(python, "file", server.live_url, wav, tmp_path, model="digits", use_vad=use_vad)
    assert words(heard["text"]) == all_said()
    subtitles = cues((tmp_path / "out.srt").read_text())
    texts = [text for _, text in subtitles]
    assert words(" ".join(texts)) == all_said(), "each text once, the last one too"
    assert len(texts) == len(SPOKEN)
    times = [t for span, _ in subtitles for t in span.split(" --> ")]
    assert times == sorted(times)
    assert complaints(output) == []
    with wave.open(str(wav), "rb") as file:
        length_s = file.getnframes() / 16_000
    assert heard["messages"][-1][-1]["completed"], "the last words are completed before the client gives up waiting"
    assert heard["took_s"] < length_s + 15


def test_the_streaming_client_gets_the_tail_on_close(
    python: Path, server: RunningServer, wav: Path, tmp_path: Path
) -> None:
    heard, output = drive(python, "stream", server.live_url, wav, tmp_path, model="digits")
    assert words(" ".join(heard["committed"])) == all_said()
    assert [s["text"].strip() for s in heard["transcript"]] == heard["committed"]
    assert heard["last_partial"]["text"].strip() in heard["committed"], "nothing was left partial"
    assert heard["partials"]
    starts, ends = ([float(s[key]) for s in heard["transcript"]] for key in ("start", "end"))
    assert all(end <= start for start, end in zip(starts[1:], ends, strict=False))
    assert complaints(output) == []
    assert heard["closing_s"] < 10, "the client itself gives up after 15 s"


def test_a_client_that_detects_the_language_is_told(
    python: Path, server: RunningServer, wav: Path, tmp_path: Path
) -> None:
    heard, output = drive(python, "stream", server.live_url, wav, tmp_path, model="digits", lang=None)
    assert words(" ".join(heard["committed"])) == all_said()
    assert "Server detected language en with probability" in output


def test_a_client_that_names_the_model_every_client_names_is_served(
    python: Path, server: RunningServer, wav: Path, tmp_path: Path
) -> None:
    heard, output = drive(python, "stream", server.live_url, wav, tmp_path, enable_translation=True)
    assert words(" ".join(heard["committed"])) == all_said()
    warnings = [line for line in output.splitlines() if line.startswith("Message from Server")]
    assert any("translated" in line for line in warnings)


# --- not let in ------------------------------------------------------------------------------------------------------


async def output_of(python: Path, mode: str, server: LiveServer, wav: Path, **options: Any) -> list[str]:
    """What the client prints beside a server in this process."""
    process = await asyncio.create_subprocess_exec(
        *command(python, mode, server.url, wav, options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=wav.parent,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), HURRY_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail("the client waits for ever")
    return output.decode().splitlines()


@pytest.mark.parametrize("attempt", range(3))
async def test_a_full_server_makes_no_client_wait_for_ever(python: Path, wav: Path, attempt: int) -> None:
    async with live_server(limits=LiveLimits(max_sessions=1, retry_after_s=90.0)) as server:
        socket = await connect(f"{server.url}/ws/stream?codec=pcm_s16le")
        await socket.recv()
        printed = await output_of(python, "connect", server, wav)
        await socket.close()
    assert any("Server is full. Estimated wait time 2 minutes." in line for line in printed)


async def test_a_wrong_configuration_makes_no_client_wait_for_ever(python: Path, wav: Path) -> None:
    async with live_server() as server:
        printed = await output_of(python, "connect", server, wav, lang="elvish")
    assert any("Message from Server: unknown language 'elvish'" in line for line in printed)


async def test_a_client_whose_time_is_up_keeps_what_was_said(python: Path, wav: Path) -> None:
    async with live_server(terms=LiveTerms(time_limit_s=1.5)) as server:
        printed = await output_of(python, "stream", server, wav, model="digits")
    assert "[INFO]: Server disconnected due to overtime." in printed
    heard = json.loads(printed[-1])
    first = words(SPOKEN[0].text)
    assert words(" ".join(heard["committed"]))[: len(first)] == first
    assert heard["last_partial"]["text"].strip() in heard["committed"]
