"""The close codes of the server's own WebSockets: /ws/stream and /ws/jobs."""

from __future__ import annotations

from whisperlive_hybrid.errors import (
    BadInput,
    HybridError,
    ModelUnavailable,
    NotFound,
    Refused,
    TooLarge,
    Unauthorized,
    UndecodableAudio,
)


def close_code(error: HybridError) -> int:
    """The WebSocket close code for an error that ends a connection."""
    match error:
        case Unauthorized(code="origin_refused" | "host_refused"):
            return 1008
        case Unauthorized():
            return 4401
        case Refused(code="shutting_down" | "draining"):
            return 1012
        case Refused():
            return 1013
        case NotFound(kind="session" | "event" | "job" | "batch"):
            return 4404
        case TooLarge():
            return 1009
        case UndecodableAudio():
            return 1003
        case BadInput(code="unknown_codec"):
            return 1003
        case BadInput(code="idle"):
            return 4408
        case BadInput() | NotFound() | ModelUnavailable():
            return 4400
        case HybridError(code="already_started"):
            return 4400
        case _:
            return 1011
