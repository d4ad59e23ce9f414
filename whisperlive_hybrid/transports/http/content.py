"""A clip's bytes, whole or a range of them (RFC 9110, section 14)."""

from __future__ import annotations

import logging
import re
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

from aiohttp import web

from whisperlive_hybrid.jobs.clips import Clips
from whisperlive_hybrid.storage.faults import BlobDamaged
from whisperlive_hybrid.storage.rows import ClipRow
from whisperlive_hybrid.transports.http.errors import WireError

log = logging.getLogger(__name__)

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.IGNORECASE | re.ASCII)


async def send_content(request: web.Request, clip: ClipRow, clips: Clips) -> web.StreamResponse:
    """The answer to GET or HEAD. Raises WireError (416) for a range that lies behind the end.

    Several ranges, and what is no range, are answered with the whole clip, as the standard allows.
    """
    etag = f'"{clip.sha256}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        # What was uploaded is nobody's page.
        "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(clip.name, safe='')}",
    }
    known = request.headers.get("If-None-Match", "")
    if etag in known or known.strip() == "*":
        return web.Response(status=304, headers=headers)
    found = None
    if request.headers.get("If-Range", etag) == etag:
        found = byte_range(request.headers.get("Range"), clip.size_bytes)
    start, end = found or (0, clip.size_bytes)
    response = web.StreamResponse(status=206 if found else 200, headers=headers)
    response.content_type = clip.media_type
    response.content_length = end - start
    if found:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{clip.size_bytes}"
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    sent = 0
    async with aclosing(clips.content(clip, start, end)) as pieces:
        async for piece in pieces:
            sent += len(piece)
            if not response.prepared:  # what cannot be read is told by a status of its own
                await response.prepare(request)
            await response.write(piece)
    if sent < end - start:
        log.error("%s has only %d of bytes %d to %d", clip.id, sent, start, end)
        if not response.prepared:
            raise BlobDamaged("The clip's audio is not what was stored.")
        # What was announced does not come: the reader is not to wait for it.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the clip's audio is shorter than it was")
    return response


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for the whole. Raises WireError where there is nothing to send."""
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(size - int(match[2]), 0), size if int(match[2]) else 0
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or end <= start:
        raise WireError(
            f"The clip has {size} bytes.",
            status=416,
            code="range_not_satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
