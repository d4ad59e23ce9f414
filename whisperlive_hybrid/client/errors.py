"""What can go wrong for a client.

ClientError             the server refused; `code` is its word for why
├── ServerUnreachable   nobody answers at the address
├── JobFailed           a job has no result; `code` says why
└── ConnectionLost      a live connection broke and could not be resumed in time
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The server's `code` and `message`; `status` is the HTTP status or the WebSocket's close code, if any.

    `detail`: all that the server said about it (docs/protocols/files.md, errors), over HTTP.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "error",
        status: int | None = None,
        retry_after_s: float | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        self.detail = dict(detail or {})


class ServerUnreachable(ClientError):
    """No server answers there."""


class JobFailed(ClientError):
    """The job ended without a result: it failed, or was cancelled (`code` is `job_cancelled`)."""


class ConnectionLost(ClientError):
    """The connection broke, and the session could not be resumed in time."""


def reason_of(error: Exception) -> str:
    """Why a connection could not be made, or broke, without the words of the library that tried."""
    cause = getattr(error, "os_error", error)  # aiohttp's own words add its settings of TLS
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        if (cause.errno or 0) > 0:
            return os.strerror(cause.errno or 0)
        if cause.strerror:
            return cause.strerror
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {getattr(cause, 'verify_message', cause.strerror)}"
    if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "it speaks http, not https"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
