"""Files over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from .errors import ServerUnreachable, reason_of
from .requests import LOST, Audio, OnSent, Patience, Requests, form_of, result_of

NDJSON: Final = "application/x-ndjson"


async def transcribe_async(
    audio: str | Path | bytes | BinaryIO,
    *,
    url: str = "http://127.0.0.1:8080",
    api_key: str | None = None,
    filename: str = "audio",
    timeout_s: float | None = None,
    **fields: Any,
) -> Any:
    """Transcribe a file: a path, its bytes, or a binary file object.

    `fields` are those of POST /transcribe: language, task, model, format, …; `filename` names bytes and file objects.
    Returns the answer's JSON (`segments`, `info`, …), or its text where `format` asks for txt, srt or vtt.
    Raises ClientError, ServerUnreachable, TimeoutError.
    """
    with ExitStack() as opened:
        form = aiohttp.FormData()
        for name, value in fields.items():
            if value is not None:
                form.add_field(name, value if isinstance(value, str) else json.dumps(value))
        if isinstance(audio, str | Path):
            filename = Path(audio).name
            audio = opened.enter_context(await asyncio.to_thread(Path(audio).open, "rb"))
        form.add_field("file", audio, filename=filename, content_type="application/octet-stream")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=10)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.post(f"{url.rstrip('/')}/transcribe", data=form) as answer,
            ):
                return result_of(answer.status, answer.content_type, await answer.text(), dict(answer.headers))
        except aiohttp.ClientConnectionError as error:
            raise ServerUnreachable(f"No server answers at {url}: {reason_of(error)}.", code="unreachable") from error


def transcribe(audio: str | Path | bytes | BinaryIO, **arguments: Any) -> Any:
    """`transcribe_async` for programs without an event loop; works inside a running one too (a notebook's)."""
    coroutine = transcribe_async(audio, **arguments)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_run, coroutine).result()


def _fields_form(fields: dict[str, Any]) -> aiohttp.FormData:
    return aiohttp.FormData({n: v if isinstance(v, str) else json.dumps(v) for n, v in fields.items() if v is not None})


async def transcribe_stream(
    audio: Audio | None = None,
    *,
    audio_url: str | None = None,
    url: str = "http://127.0.0.1:8080",
    api_key: str | None = None,
    filename: str | None = None,
    patience_s: float = 300.0,
    on_sent: OnSent | None = None,
    on_wait: Callable[[str], None] | None = None,
    **fields: Any,
) -> AsyncGenerator[dict[str, Any]]:
    """The events of POST /transcribe/stream as they come, `done` or `error` the last (docs/protocols/files.md).

    `audio`: a path, or bytes; `audio_url`: what the server fetches instead. Nothing is kept on the server: where the
    connection is lost, the file is sent once more and the events begin again, after `{"type": "restarted"}`.
    Raises ClientError, ServerUnreachable, OSError.
    """
    patience = Patience(patience_s)
    path = "/transcribe/stream" if audio_url is None else "/transcribe/url"
    async with Requests(url, api_key=api_key, patience_s=patience_s, on_wait=on_wait) as requests:
        while True:
            try:
                with form_of(audio or b"", on_sent or (lambda _: None), filename, fields) as form:
                    data = form if audio_url is None else _fields_form({**fields, "url": audio_url})
                    lines = requests.lines("POST", path, query={}, headers={"Accept": NDJSON}, data=data)
                    async with aclosing(lines):
                        async for event in lines:
                            patience.start()
                            yield event
                            if event["type"] in ("done", "error"):
                                return
                lost: Exception = ConnectionError("the answer broke off")
            except LOST as error:
                lost = error
            await requests.wait_after(lost, patience)
            yield {"type": "restarted"}


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)
