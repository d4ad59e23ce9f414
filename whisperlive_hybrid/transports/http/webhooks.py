"""Webhooks under /api/webhooks: what was sent, what is still owed, and sending it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from whisperlive_hybrid.jobs.courier import Courier
from whisperlive_hybrid.storage.rows import DeliveryRow
from whisperlive_hybrid.transports.http.api_description import (
    MAYBE_TIME,
    MAYBE_WHOLE,
    TIME,
    api_faults,
    by_id,
    paged,
    query,
)
from whisperlive_hybrid.transports.http.api_objects import moment
from whisperlive_hybrid.transports.http.api_requests import id_of, jobs_of, page_of, refuse_unknown
from whisperlive_hybrid.transports.http.describing import (
    MAYBE_TEXT,
    TEXT,
    WHOLE,
    Json,
    described,
    list_of,
    object_of,
    ok,
    ref,
)
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import json_response
from whisperlive_hybrid.transports.http.fields import query_fields
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.services import HttpServices

STATES: Final = ("waiting", "delivered", "failed")


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _WebhooksDoor(services)
    return [
        web.get("/api/webhooks", door.list_webhooks),
        web.get("/api/webhooks/{id}", door.show),
        web.post("/api/webhooks/{id}/resend", door.send_again),
    ]


@dataclass(frozen=True, slots=True)
class _WebhooksDoor:
    services: HttpServices

    @property
    def courier(self) -> Courier:
        return jobs_of(self.services).courier

    async def list_webhooks(self, request: web.Request) -> web.Response:
        """GET /api/webhooks."""
        form = Form(query_fields(request))
        state, job_id = form.choice("state", STATES), form.text("job_id", max_chars=64)
        after, limit = page_of(form)
        refuse_unknown(form, ("state", "job_id", "after", "limit"))
        page = await self.courier.page(state=state, job_id=job_id, after=after, limit=limit)
        return json_response({"webhooks": [webhook_object(row) for row in page.items], "after": page.after})

    async def show(self, request: web.Request) -> web.Response:
        """GET /api/webhooks/{id}."""
        return json_response(webhook_object(await self.courier.get(id_of(request, "msg"))))

    async def send_again(self, request: web.Request) -> web.Response:
        """POST /api/webhooks/{id}/resend."""
        return json_response(webhook_object(await self.courier.send_again(id_of(request, "msg"))), status=202)


def webhook_object(row: DeliveryRow) -> dict[str, Any]:
    """A webhook, without its body."""
    return {
        "webhook_id": row.id,
        "job_id": row.job_id,
        "event": row.event,
        "url": row.url,
        "state": row.state,
        "attempts": row.attempts,
        "created": moment(row.created_at),
        "delivered": moment(row.delivered_at),
        "next": moment(row.next_at) if row.state == "waiting" else None,
        "last_status": row.last_status,
        "last_error": row.last_error,
    }


def _paths() -> Json:
    webhook = by_id("webhook")
    page = object_of("webhooks after", webhooks=list_of(ref("Webhook")), after=MAYBE_TEXT)
    return {
        "/api/webhooks": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "listWebhooks",
                "summary": "Webhooks, newest first",
                "parameters": paged(
                    query("state", {"type": "string", "enum": list(STATES)}, "In this state."),
                    query("job_id", TEXT, "Of this job."),
                ),
                "responses": {**ok("A page.", page), **api_faults()},
            }
        },
        "/api/webhooks/{id}": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "showWebhook",
                "summary": "A webhook",
                "parameters": [webhook],
                "responses": {**ok("The webhook.", ref("Webhook")), **api_faults()},
            }
        },
        "/api/webhooks/{id}/resend": {
            "post": {
                "tags": ["Jobs"],
                "operationId": "resendWebhook",
                "summary": "Send a webhook once more, under its id",
                "parameters": [webhook],
                "responses": {"202": ok("It is owed again.", ref("Webhook"))["200"], **api_faults()},
            }
        },
    }


def _schemas() -> Json:
    fields: Json = {
        "webhook_id": described(TEXT, "Its receiver is told this as webhook-id, the same at every try."),
        "job_id": TEXT,
        "event": TEXT,
        "url": TEXT,
        "state": {"type": "string", "enum": list(STATES)},
        "attempts": WHOLE,
        "created": TIME,
        "delivered": MAYBE_TIME,
        "next": described(MAYBE_TIME, "When it is tried next."),
        "last_status": described(MAYBE_WHOLE, "Of the receiver's last answer; null where there was none."),
        "last_error": MAYBE_TEXT,
    }
    return {"Webhook": object_of(" ".join(fields), **fields)}


DOOR: Final = HttpDoor("webhooks", routes, describe=_paths, schemas=_schemas)
