"""Errors on the wire: which status, and which envelope the door that was called speaks.

| kind                     | status      |
|--------------------------|-------------|
| BadInput, undecodable    | 400         |
| Unauthorized             | 401         |
| foreign web origin, host | 403         |
| NotFound, no such model  | 404         |
| TooLarge                 | 413         |
| OverLimit                | 429, with Retry-After |
| Refused                  | 503, or 429 in the OpenAI envelope when the server is full, with Retry-After |
| DeadlineExceeded         | 504         |
| disk full                | 507         |
| other Unavailable        | 503         |
| unknown                  | 500 with an id that is also in the log |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import (
    BadInput,
    Conflict,
    DeadlineExceeded,
    DiskFull,
    HybridError,
    ModelUnavailable,
    NotFound,
    OverLimit,
    Refused,
    Superseded,
    TooLarge,
    Unauthorized,
    Unavailable,
    UndecodableAudio,
)


class WireError(HybridError):
    """Something only HTTP knows: a method, a media type, a stalled upload. Carries its own `status`."""

    def __init__(self, message: str, *, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = headers or {}


class SeveralProblems(BadInput):
    """More than one option is wrong; all of them are told at once. The first one names `param` and `accepted`."""

    def __init__(self, problems: Sequence[BadInput]) -> None:
        first = problems[0]
        super().__init__(
            "; ".join(p.message.rstrip(".") for p in problems) + ".",
            param=first.param,
            accepted=first.accepted,
            code=first.code,
        )
        self.problems = tuple(problems)


_STATUS: tuple[tuple[type[HybridError], int], ...] = (
    (TooLarge, 413),
    (BadInput, 400),
    (Unauthorized, 401),
    (ModelUnavailable, 404),
    (NotFound, 404),
    (Conflict, 409),
    (Superseded, 409),
    (OverLimit, 429),
    (Refused, 503),
    (DeadlineExceeded, 504),
    (DiskFull, 507),
    (Unavailable, 503),
)


def status_of(error: HybridError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, WireError):
        return error.status
    if isinstance(error, Unauthorized) and error.is_foreign:
        return 403
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def unknown_error(request_id: str) -> HybridError:
    """What a caller is told of an exception nobody expected; the log has the rest under the same id."""
    return HybridError(f"Something went wrong on the server. Its log tells more under {request_id}.")


def json_response(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`body` as JSON."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers, charset="utf-8"
    )


def native_refusal(error: HybridError) -> web.Response:
    """The answer to a request that failed, in the native envelope."""
    return error_response(error, envelope(error))


def rate_limited_refusal(error: HybridError) -> web.Response:
    """As `native_refusal`, but a full queue is 429: the caller's own pace, which Retry-After sets."""
    return error_response(error, envelope(error), status=openai_status(error))


def openai_refusal(error: HybridError) -> web.Response:
    """The answer to a request that failed, in OpenAI's envelope."""
    return error_response(error, openai_envelope(error), status=openai_status(error))


def error_response(error: HybridError, body: Any, *, status: int | None = None) -> web.Response:
    """The answer to a request that failed: `body` as JSON, and the headers that go with every door's errors.

    `status` where it is not that of `status_of`.
    """
    status = status_of(error) if status is None else status
    response = json_response(body, status=status, headers=_headers(error, status))
    if status in (408, 413):
        response.force_close()  # what is left of the body is not worth reading
    return response


def envelope(error: HybridError) -> dict[str, Any]:
    """The native envelope. `param` and `accepted` are always there; hints only where they say something."""
    inner = _problem(error)
    if isinstance(error, SeveralProblems):
        inner["errors"] = [_problem(p) for p in error.problems]
    if isinstance(error, Refused):
        inner["retry_after_s"] = error.retry_after_s
    if isinstance(error, OverLimit):
        inner["used"] = error.used
    if isinstance(error, TooLarge | OverLimit):
        inner["limit"] = error.limit
    if isinstance(error, ModelUnavailable):
        inner["ways_out"] = list(error.ways_out)
    return {"success": False, "error": inner}


def _problem(error: HybridError) -> dict[str, Any]:
    return {
        "code": _code(error),
        "message": error.message,
        "param": _param(error),
        "accepted": list(error.accepted) if isinstance(error, BadInput) else [],
    }


def _code(error: HybridError) -> str:
    return "model_not_found" if isinstance(error, NotFound) and error.kind == "model" else error.code


def _param(error: HybridError) -> str | None:
    if isinstance(error, UndecodableAudio):
        return error.param or "file"
    if isinstance(error, BadInput):
        return error.param
    return "model" if _is_model(error) else None


def openai_status(error: HybridError) -> int:
    """As `status_of`, but a full server is 429, which is what the official clients call a rate limit."""
    return 429 if isinstance(error, Refused) and error.code == "full" else status_of(error)


def openai_envelope(error: HybridError) -> dict[str, Any]:
    """OpenAI's envelope: all four keys, always."""
    status = openai_status(error)
    code = error.code
    if status == 404 and _is_model(error):
        code = "model_not_found"
    elif status == 401:
        code = "invalid_api_key"
    elif status == 429:
        code = "rate_limit_exceeded"
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = "requests" if error.code == "too_many_requests" else "rate_limit_error"
    if isinstance(error, OverLimit) and error.is_quota:
        kind = code = "insufficient_quota"
    message = error.message
    if isinstance(error, TooLarge) and error.code == "file_too_large":
        message = f"Maximum content size limit ({error.limit:.0f}) exceeded. {message}"
    if isinstance(error, ModelUnavailable) and error.ways_out:
        message = f"{message.rstrip('.')}: {'; or '.join(error.ways_out)}."
    return {"error": {"message": message, "type": kind, "param": _param(error), "code": code}}


def _is_model(error: HybridError) -> bool:
    return isinstance(error, ModelUnavailable) or (isinstance(error, NotFound) and error.kind == "model")


def _headers(error: HybridError, status: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, WireError):
        headers.update(error.headers)
    if isinstance(error, Refused):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        headers["retry-after-ms"] = str(max(1, round(error.retry_after_s * 1000)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, OverLimit) and error.is_quota:
        headers["x-should-retry"] = "false"
    if status == 409 or (status >= 500 and not isinstance(error, Refused | Unavailable)) or status == 507:
        # The official clients repeat any 409 and 5xx, an hour's upload included; these will not get better by that.
        headers["x-should-retry"] = "false"
    return headers
