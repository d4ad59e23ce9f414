"""Every error has a status and both envelopes, and clients are told whether to come again."""

from __future__ import annotations

import pytest

from whisperlive_hybrid import errors
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
    WorkerLost,
)
from whisperlive_hybrid.transports.http.app import DOORS
from whisperlive_hybrid.transports.http.errors import (
    SeveralProblems,
    envelope,
    native_refusal,
    openai_envelope,
    openai_refusal,
    status_of,
)
from whisperlive_hybrid.transports.http.openai import DOOR as openai_door

CASES: list[tuple[HybridError, int, int]] = [
    (BadInput("x", param="language"), 400, 400),
    (UndecodableAudio("x", code="not_audio"), 400, 400),
    (SeveralProblems([BadInput("a.", param="a"), BadInput("b", param="b")]), 400, 400),
    (TooLarge("x", limit=1), 413, 413),
    (Unauthorized("x"), 401, 401),
    (Unauthorized("x", code="origin_refused"), 403, 403),
    (Unauthorized("x", code="host_refused"), 403, 403),
    (NotFound("x", kind="model", id="m"), 404, 404),
    (ModelUnavailable("x", model="m", ways_out=["do a", "do b"]), 404, 404),
    (Conflict("x"), 409, 409),
    (Superseded("x"), 409, 409),
    (Refused("x", retry_after_s=1.2), 503, 429),
    (Refused("x", retry_after_s=1.2, code="draining"), 503, 503),
    (OverLimit("x", code="too_many_requests", limit=60, used=60, retry_after_s=1.2), 429, 429),
    (OverLimit("x", code="too_much_stored", limit=1, used=2, retry_after_s=9, is_quota=True), 429, 429),
    (WorkerLost("x"), 503, 503),
    (DeadlineExceeded("x"), 504, 504),
    (DiskFull("x"), 507, 507),
    (Unavailable("x"), 503, 503),
    (HybridError("x"), 500, 500),
]


@pytest.mark.parametrize(("error", "status", "openai_status"), CASES, ids=lambda c: getattr(c, "code", c))
def test_status_and_envelopes(error: HybridError, status: int, openai_status: int) -> None:
    assert status_of(error) == status
    assert native_refusal(error).status == status
    assert openai_refusal(error).status == openai_status
    assert envelope(error)["success"] is False
    assert {"code", "message", "param", "accepted"} <= set(envelope(error)["error"])
    told = openai_envelope(error)["error"]
    assert list(told) == ["message", "type", "param", "code"]
    assert told["type"] in (
        "invalid_request_error",
        "rate_limit_error",
        "requests",
        "insufficient_quota",
        "server_error",
    )
    assert (told["type"] == "server_error") == (openai_status >= 500)


def test_a_limit_says_which_and_how_much_is_used() -> None:
    soon = OverLimit("x", code="too_many_requests", limit=60, used=60, retry_after_s=1.2)
    late = OverLimit("x", code="too_much_stored", limit=1e9, used=2e9, retry_after_s=3600, is_quota=True)

    told = envelope(soon)["error"]
    assert (told["code"], told["limit"], told["used"], told["retry_after_s"]) == ("too_many_requests", 60, 60, 1.2)
    shown = openai_envelope(soon)["error"]
    assert (shown["type"], shown["code"]) == ("requests", "rate_limit_exceeded")
    shown = openai_envelope(late)["error"]
    assert (shown["type"], shown["code"]) == ("insufficient_quota", "insufficient_quota")
    assert "x-should-retry" not in openai_refusal(soon).headers
    assert openai_refusal(late).headers["x-should-retry"] == "false"


def test_every_kind_of_error_is_thought_of() -> None:
    kinds = {k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, HybridError)}

    assert kinds == {type(error) for error, _, _ in CASES} - {SeveralProblems}


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (Refused("x", retry_after_s=1.2), {"Retry-After": "2", "retry-after-ms": "1200"}),
        (Unauthorized("x"), {"WWW-Authenticate": "Bearer"}),
        (HybridError("x"), {"x-should-retry": "false"}),
        (DiskFull("x"), {"x-should-retry": "false"}),
        (Conflict("x"), {"x-should-retry": "false"}),
    ],
)
def test_what_clients_are_to_do(error: HybridError, headers: dict[str, str]) -> None:
    response = openai_refusal(error)

    assert headers.items() <= dict(response.headers).items()


def test_a_worker_that_died_is_worth_another_try() -> None:
    assert "x-should-retry" not in openai_refusal(WorkerLost("x")).headers


def test_openai_clients_read_the_limit_where_they_look_for_it() -> None:
    told = openai_envelope(TooLarge("The file is larger than 5 MB.", limit=5e6, code="file_too_large"))["error"]

    assert told["message"] == "Maximum content size limit (5000000) exceeded. The file is larger than 5 MB."


def test_openai_clients_read_the_ways_out_in_the_message() -> None:
    told = openai_envelope(ModelUnavailable("no model m", model="m", ways_out=["do a", "do b"]))["error"]

    assert told["message"] == "no model m: do a; or do b."
    assert (told["code"], told["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("path", "openai"),
    [
        ("/v1/models", True),
        ("/v1", True),
        ("/openai/deployments/x/audio/transcriptions", True),
        ("/openai/deployments/a\nb/audio/translations", True),
        ("/audio/nowhere", True),
        ("/models", True),
        ("/v1x", False),
        ("/modelsx", False),
        ("/transcribe", False),
    ],
)
def test_the_envelope_is_that_of_the_door(path: str, openai: bool) -> None:
    doors = [door for door in DOORS if door.paths.fullmatch(path)]
    assert (doors[:1] == [openai_door]) is openai
