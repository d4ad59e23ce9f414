"""What requests to the /api routes ask for: options, pages, priorities, callbacks, idempotency keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from whisperlive_hybrid.errors import BadInput, Unavailable
from whisperlive_hybrid.jobs.filing import JobRequest
from whisperlive_hybrid.jobs.once import Key
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.ops.clients import is_key
from whisperlive_hybrid.ops.egress import AllowedHosts, check_target
from whisperlive_hybrid.storage.idempotency import digest, key_of
from whisperlive_hybrid.storage.ids import Kind, is_id
from whisperlive_hybrid.transports.http.api_objects import PRIORITIES
from whisperlive_hybrid.transports.http.following import route_of
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.options import NATIVE_OPTIONS, native_options
from whisperlive_hybrid.transports.http.services import CLIENT, HttpServices

MAX_PAGE: Final = 200
MAX_CALLBACK_CHARS: Final = 2048
JOB_OPTIONS: Final = (
    Option("priority", "text", "low, normal, high, or a whole number from -10 to 10; higher goes first."),
    Option("callback_url", "text", "Where a webhook with the result is sent."),
)
"""Of a job, beside those of the transcription."""
TRANSCRIPTION_OPTIONS: Final = tuple(option for option in NATIVE_OPTIONS if option.name != "format")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def jobs_of(services: HttpServices) -> JobService:
    """The server's jobs. Raises Unavailable where it keeps none."""
    if services.jobs is None:
        raise Unavailable(
            "This server keeps no clips and no jobs: its data folder cannot be written; its log says why.",
            code="no_storage",
        )
    return services.jobs


def id_of(request: web.Request, *kinds: Kind) -> str:
    """The id in the path. One that cannot be is simply not found, by whoever looks for it."""
    found = request.match_info["id"]
    return found if is_id(found, *kinds) else "".join(c for c in found if c.isprintable())[:64]


def idempotency_key(request: web.Request, *content: str) -> Key | None:
    """The caller's key for this request, whose `content` is what is asked for. Raises BadInput."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not _KEY.fullmatch(given):
        raise BadInput(
            "An Idempotency-Key has 1 to 255 visible characters.", param="Idempotency-Key", code="bad_idempotency_key"
        )
    # Keys are a caller's own: two callers with two API keys may choose the same one. An address is no caller: who
    # sends again may have another by then.
    client = request.get(CLIENT, "")
    caller = client if is_key(client) else ""
    return Key(key_of(f"{request.method} {request.path} {caller}", given), digest(*content))


def wants_fresh(request: web.Request) -> bool:
    """Whether results of before are not good enough."""
    return "no-cache" in request.headers.get("Cache-Control", "").lower()


async def job_request(
    request: web.Request, services: HttpServices, form: Form, *, default_priority: int = 0
) -> JobRequest:
    """A job by the fields of a request, still without its audio. Raises BadInput naming every wrong field, NotFound."""
    priority = form.text("priority")
    number = default_priority if priority is None else PRIORITIES.get(priority.lower())
    if number is None:
        number = form.integer("priority", PRIORITIES["low"], PRIORITIES["high"])
    callback = form.text("callback_url", max_chars=MAX_CALLBACK_CHARS)
    if callback is not None:
        try:
            await check_target(
                callback, AllowedHosts.parse(services.settings.webhook_allow_hosts), param="callback_url"
            )
        except BadInput as problem:
            form.wrong("callback_url", problem.message, accepted=problem.accepted, code=problem.code)
    form.drop("priority", "callback_url", "format")
    options, _ = native_options(form, services.settings, services.engine)
    model = options.model or services.engine.default_model
    return JobRequest(
        options,
        model,
        priority=number or 0,
        callback_url=callback,
        fresh=wants_fresh(request),
        route=route_of(request),
        owner=request.get(CLIENT),
    )


def page_of(form: Form) -> tuple[str | None, int]:
    """`after` and `limit` of a list."""
    return form.text("after", max_chars=64), form.integer("limit", 1, MAX_PAGE) or 50


def moment_of(form: Form, name: str) -> float | None:
    """A time as RFC 3339 has it; without a zone it is UTC."""
    return form.parsed(name, lambda text: _moment(name, text))


def _moment(name: str, text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as e:
        accepted = ("2026-01-31T12:00:00Z",)
        raise BadInput(f"{name} is a time, not {text[:64]!r}.", param=name, accepted=accepted, code="bad_option") from e


def refuse_unknown(form: Form, known: Iterable[str]) -> None:
    """Raises BadInput for fields that are not `known`, and for all that was wrong before."""
    form.refuse_unknown(known)
    form.finish()
