"""OpenAI's Python client, as people use it, against a server of this process."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from openai import OpenAI

from tests.support.clips import Clip, clips
from tests.support.http_server import HttpServer, http_server

KEY = "right"
OTHER_KEY = "other"
MAX_UPLOAD_MB = 5


@contextmanager
def openai_server(folder: Path) -> Iterator[HttpServer]:
    """A server that asks for a key and takes files of 5 MB."""
    with http_server(folder / "uploads", max_upload_mb=MAX_UPLOAD_MB, api_key=f"{KEY},{OTHER_KEY}") as running:
        yield running


def openai_client(server: HttpServer, **options: Any) -> OpenAI:
    """The client, which fails for any answer that is not exactly of its type, and tries once."""
    chosen: dict[str, Any] = {"base_url": server.url + "/v1", "api_key": KEY, "max_retries": 0, **options}
    return OpenAI(_strict_response_validation=True, **chosen)


def spoken() -> Clip:
    """A clip that the small model reads with a wide margin."""
    return next(c for c in clips("en") if c.path.stem == "en-05")


def transcribe(client: OpenAI, clip: Clip, **options: Any) -> Any:
    """`audio.transcriptions.create` of a clip in English."""
    options = {"model": "whisper-1", "language": "en", **options}
    return client.audio.transcriptions.create(file=clip.path, **options)


def translate(client: OpenAI, clip: Clip, **options: Any) -> Any:
    """`audio.translations.create` of a clip. The client announces the end of OpenAI's own endpoint by a warning."""
    return client.audio.translations.create(file=clip.path, **{"model": "whisper-1", **options})


def silence(seconds: float) -> tuple[str, bytes]:
    """A WAV file of nothing."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.zeros(round(seconds * 16000), np.int16).tobytes())
    return "silence.wav", content.getvalue()
