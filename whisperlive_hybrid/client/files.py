"""Files over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from .errors import ClientError, ServerUnreachable


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
                return _result(answer.status, answer.content_type, await answer.text(), dict(answer.headers))
        except aiohttp.ClientConnectionError as error:
            raise ServerUnreachable(f"No server answers at {url}: {error}", code="unreachable") from error


def transcribe(audio: str | Path | bytes | BinaryIO, **arguments: Any) -> Any:
    """`transcribe_async` for programs without an event loop; works inside a running one too (a notebook's)."""
    coroutine = transcribe_async(audio, **arguments)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_run, coroutine).result()


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def _result(status: int, content_type: str, body: str, headers: dict[str, str]) -> Any:
    parsed: Any = None
    if content_type == "application/json":
        parsed = json.loads(body)
    if status < 400:
        return body if parsed is None else parsed
    error = parsed.get("error") if isinstance(parsed, dict) else None
    detail = error if isinstance(error, dict) else {"message": error or f"The server answered {status}."}
    retry_after = headers.get("Retry-After", "")
    raise ClientError(
        str(detail.get("message")),
        code=str(detail.get("code") or "error"),
        status=status,
        retry_after_s=float(retry_after) if retry_after.isdigit() else None,
    )
