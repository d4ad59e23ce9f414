"""Transcripts as the bodies of answers: text and subtitles, written out in a thread where there is much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.transcript import Transcript

T = TypeVar("T")

MANY_SEGMENTS = 100
"""Longer transcripts are written out in a thread."""
_TEXTS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (formats.to_txt, "text/plain"),
    "txt": (formats.to_txt, "text/plain"),
    "srt": (formats.to_srt, "application/x-subrip"),
    "vtt": (formats.to_vtt, "text/vtt"),
    "tsv": (formats.to_tsv, "text/tab-separated-values"),
}


async def text_response(transcript: Transcript, format_: str) -> web.Response:
    """The transcript as plain text, a table or subtitles."""
    write, media_type = _TEXTS[format_]
    text = await off_loop(transcript, lambda: write(transcript))
    return web.Response(text=text, content_type=media_type, charset="utf-8")


async def off_loop(transcript: Transcript, render: Callable[[], T]) -> T:
    """`render()`, in a thread where there is much to write out."""
    return await asyncio.to_thread(render) if len(transcript.segments) > MANY_SEGMENTS else render()
