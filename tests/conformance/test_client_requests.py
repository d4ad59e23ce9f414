"""Requests of programs that speak OpenAI's API, byte for byte as these write them, and the Vercel AI SDK itself.

docs/howto/clients.md says what to set in them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.support.clips import Clip, words
from tests.support.encoded_audio import mux
from tests.support.http_server import HttpServer, http_server
from tests.support.packages import node_environment

pytestmark = pytest.mark.timeout(240)

CLIENT = Path(__file__).parent / "clients" / "vercel_ai.mjs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("programs") / "uploads", api_key="a-key") as running:
        yield running


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body of (the part's headers, its content)."""
    written = b"".join(f"--b\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
    return written + b"--b--\r\n"


def field(name: str, value: str) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value.encode()


def send(client: httpx.Client, path: str, parts: Sequence[tuple[str, bytes]], **headers: str) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": "Bearer a-key", **headers}
    return client.post(path, content=form(*parts), headers=headers)


@pytest.mark.parametrize("base", ["/v1", ""])
def test_open_webui(client: httpx.Client, clip: Clip, base: str) -> None:
    """Written by requests: fields first, then the file under a random name and without a type of its own."""
    name = "2f1c8a52-7c1e-4f0e-9b57-0c7ad1d34c61.wav"
    file = (
        f'Content-Disposition: form-data; name="file"; filename="{name}"',
        mux(clip.samples(), "wav", "pcm_s16le", rate=16_000),
    )
    path = f"{base}/audio/transcriptions"

    answer = send(client, path, [field("model", "whisper-1"), field("language", "en"), file])
    refused = send(client, path, [field("model", "no-such-model"), file])
    assert words(answer.json()["text"]) == words(clip.text)
    assert isinstance(refused.json()["error"]["message"], str)


def test_n8n(client: httpx.Client, clip: Clip) -> None:
    """The model is always whisper-1, the file comes last."""
    file = (
        'Content-Disposition: form-data; name="file"; filename="audio.mp3"\r\nContent-Type: audio/mpeg',
        mux(clip.samples(), "mp3", "libmp3lame", rate=16_000),
    )
    answer = send(
        client, "/v1/audio/transcriptions", [field("model", "whisper-1"), field("temperature", "0"), file], Accept="*/*"
    )

    assert words(answer.json()["text"]) == words(clip.text)


def test_librechat(client: httpx.Client, clip: Clip) -> None:
    """Written by axios: the file first; through Azure without a model and with another header for the key."""
    file = (
        'Content-Disposition: form-data; name="file"; filename="audio.webm"\r\nContent-Type: audio/webm',
        mux(clip.samples(), "webm", "libopus", rate=16_000),
    )
    answer = send(client, "/v1/audio/transcriptions", [file, field("model", "whisper-1"), field("language", "en")])
    azure = client.post(
        "/openai/deployments/whisper/audio/transcriptions?api-version=2024-02-01",
        content=form(file),
        headers={"Content-Type": "multipart/form-data; boundary=b", "api-key": "a-key"},
    )

    assert words(answer.json()["text"]) == words(azure.json()["text"]) == words(clip.text)


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_the_vercel_ai_sdk(server: HttpServer, clip: Clip, model: str) -> None:
    folder = node_environment("vercel-ai", "ai@7.0.173", "@ai-sdk/openai@4.0.118")
    script = folder / "vercel_ai.mjs"
    script.write_text(CLIENT.read_text())
    call = {"baseURL": f"{server.url}/v1", "apiKey": "a-key", "path": str(clip.path), "model": model}
    ran = subprocess.run(
        ["node", script], input=json.dumps(call), capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)

    assert words(said["text"]) == words(clip.text)
    if model == "whisper-1":
        assert said["language"] == "en" and len(said["segments"]) >= 1
        assert said["durationInSeconds"] == pytest.approx(clip.duration_s, abs=0.1)
