"""Drives the real WhisperLive client, in an environment that has it: a script, not a module of the tests.

python whisperlive_client.py '{"mode": "file", "port": …, "wav": …, "options": {…}}'

The last line of its output is JSON: what the client kept. PyAudio needs a sound card and headers; the client only opens
a microphone with it, and goes on without one.
"""

from __future__ import annotations

import json
import sys
import time
import types
import wave
from contextlib import suppress
from typing import Any


def stub_pyaudio() -> None:
    """A machine without a microphone."""

    class PyAudio:
        def open(self, **_: Any) -> None:
            raise OSError("no sound card")

        def terminate(self) -> None:
            pass

        def get_format_from_width(self, width: int) -> int:
            return width

    module = types.ModuleType("pyaudio")
    module.PyAudio, module.paInt16 = PyAudio, 8  # type: ignore[attr-defined]
    sys.modules["pyaudio"] = module


def play_file(port: int, wav: str, options: dict[str, Any]) -> dict[str, Any]:
    """The client that plays a file and writes subtitles. It leaves files in the working directory."""
    from whisper_live.client import TranscriptionClient

    seen: list[list[dict[str, Any]]] = []
    client = TranscriptionClient(
        "127.0.0.1",
        port,
        mute_audio_playback=True,
        log_transcription=False,
        output_transcription_path="out.srt",
        transcription_callback=lambda _, segments: seen.append(segments),
        **options,
    )
    client.client.disconnect_if_no_response_for = 5
    began = time.monotonic()
    text = client(wav)
    return {"text": text, "took_s": time.monotonic() - began, "messages": seen}


def stream(port: int, wav: str, options: dict[str, Any]) -> dict[str, Any]:
    """The client that is given samples, four times as fast as they are spoken."""
    from whisper_live.client import StreamingTranscriptionClient

    committed: list[str] = []
    partials: list[str] = []
    client = StreamingTranscriptionClient(
        "127.0.0.1",
        port,
        on_committed_transcript=lambda text, _: committed.append(text),
        on_partial_transcript=lambda text, _: partials.append(text),
        **options,
    )
    client.connect()
    with wave.open(wav, "rb") as file:
        while client._client.recording and (chunk := file.readframes(4096)):
            client.send(chunk, pcm_format="int16")
            time.sleep(4096 / 16_000 / 4)
    ended = time.monotonic()
    with suppress(Exception):  # it says goodbye to a server that has closed already, and minds
        client.close()
    return {
        "transcript": client.transcript,
        "last_partial": client.last_partial,
        "committed": committed,
        "partials": partials,
        "closing_s": time.monotonic() - ended,
    }


def connect_only(port: int, wav: str, options: dict[str, Any]) -> dict[str, Any]:
    """The file client where it is not let in: it must come back."""
    from whisper_live.client import TranscriptionClient

    client = TranscriptionClient("127.0.0.1", port, mute_audio_playback=True, log_transcription=False, **options)
    return {"text": client(wav)}


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    stub_pyaudio()
    modes = {"file": play_file, "stream": stream, "connect": connect_only}
    result = modes[task["mode"]](task["port"], task["wav"], task["options"])
    print(json.dumps(result), flush=True)
