"""What can go wrong for a client.

ClientError             the server refused; `code` is its word for why
├── ServerUnreachable   nobody answers at the address
└── ConnectionLost      a live connection broke and could not be resumed in time
"""

from __future__ import annotations


class ClientError(Exception):
    """The server's `code` and `message`; `status` is the HTTP status or the WebSocket's close code, if any."""

    def __init__(
        self, message: str, *, code: str = "error", status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s


class ServerUnreachable(ClientError):
    """No server answers there."""


class ConnectionLost(ClientError):
    """The connection broke, and the session could not be resumed in time."""
