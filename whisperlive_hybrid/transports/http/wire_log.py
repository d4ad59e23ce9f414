"""What aiohttp logs of connections, without the noise that any caller could make.

Bytes that are no HTTP are answered with 400 and are nobody's fault here: they get one quiet line, not a traceback each,
which would let a port scanner fill the log and hide what matters.
"""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

logger = logging.getLogger(__name__)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether the line is about this server and not about what a caller sent."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | RequestPayloadError):
        logger.debug("not HTTP: %s", " ".join(str(error).split())[:200])
        return False
    return True


logger.addFilter(_is_ours)
