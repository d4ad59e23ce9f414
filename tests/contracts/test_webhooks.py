"""Webhooks from a real server to a real receiver: signed, tried again, sent again, never into the house."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contracts.test_http_description import check
from tests.support.api_server import STORAGES, api_server, clip_id, upload
from tests.support.clips import clips, words
from tests.support.http_server import HttpServer, wait_until
from tests.support.packages import python_environment
from tests.support.webhook_receiver import Received, WebhookReceiver, webhook_receiver
from whisperlive_hybrid.jobs import courier
from whisperlive_hybrid.jobs.signing import new_secret
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.storage.ids import new_id

pytestmark = pytest.mark.timeout(300)

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
OLD, NEW = new_secret(), new_secret()


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(receiver: WebhookReceiver) -> None:
    receiver.received.clear()
    receiver.answers.clear()


@pytest.fixture(scope="module", params=STORAGES)
def server(
    request: pytest.FixtureRequest, receiver: WebhookReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HttpServer]:
    settings: dict[str, Any] = {"webhook_allow_hosts": receiver.host, "webhook_secret": f"{NEW},{OLD}"}
    with api_server(request.param, tmp_path_factory.mktemp("webhooks"), **settings) as running:
        yield running


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "DELAYS_S", (0.05, 0.05))


def ask(client: httpx.Client, url: str, **options: Any) -> str:
    answer = upload(client, CLIP, "/upload+transcribe", data={"callback_url": url, **options})
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["job_id"]
    return id


def webhook(client: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = client.get("/api/webhooks", params={"job_id": job_id})
    check(answer, "/api/webhooks", "get")
    (found,) = answer.json()["webhooks"]
    return dict(found)


def settled(client: httpx.Client, job_id: str, state: str) -> dict[str, Any]:
    wait_until(lambda: bool(client.get("/api/webhooks", params={"job_id": job_id}).json()["webhooks"]))
    wait_until(lambda: webhook(client, job_id)["state"] == state)
    return webhook(client, job_id)


def verified(received: Received, secret: str) -> Any:
    """What the reference implementation makes of it."""
    python = python_environment("standardwebhooks", "standardwebhooks==1.1.0")
    program = (
        "import sys, json\n"
        "from standardwebhooks.webhooks import Webhook\n"
        "secret, headers = json.loads(sys.argv[1])\n"
        "print(json.dumps(Webhook(secret).verify(sys.stdin.buffer.read(), headers)))\n"
    )
    arguments = json.dumps([secret, received.headers])
    run = subprocess.run(
        [python, "-c", program, arguments], input=received.body, capture_output=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    return json.loads(run.stdout)


def test_a_result_is_sent_signed(client: httpx.Client, receiver: WebhookReceiver) -> None:
    id = ask(client, receiver.url + "?a=b", language="en")
    told = settled(client, id, "delivered")
    check(client.get(f"/api/webhooks/{told['webhook_id']}"), "/api/webhooks/{id}", "get")
    (received,) = receiver.received
    assert (received.path, received.headers["content-type"]) == ("/hook?a=b", "application/json")
    assert (received.id, told["attempts"], told["last_status"]) == (told["webhook_id"], 1, 204)
    for secret in (OLD, NEW):
        body = verified(received, secret)
    assert body["type"] == "transcription.completed"
    data = body["data"]
    assert (data["job_id"], data["state"], data["error"]) == (id, "done", None)
    assert words(data["transcription"]["text"]) == words(CLIP.text)


def test_what_was_computed_before_is_sent_too(client: httpx.Client, receiver: WebhookReceiver) -> None:
    for _ in range(2):
        settled(client, ask(client, receiver.url, language="en", beam_size=3), "delivered")
    first, second = (json.loads(each.body)["data"] for each in receiver.received)
    assert first["transcription"] == second["transcription"]
    assert first["clip_id"] != second["clip_id"]
    assert len({each.id for each in receiver.received}) == 2


def test_cancels_and_failures_are_sent(server: HttpServer, client: httpx.Client, receiver: WebhookReceiver) -> None:
    from tests.contracts.test_http_jobs import standing_still
    from whisperlive_hybrid.errors import BadInput

    clip = clip_id(client, CLIP)
    with standing_still(server, BadInput("Not like this.", code="wrong")) as go:
        cancelled, failed = (
            client.post("/api/jobs", json={"clip_id": clip, "callback_url": receiver.url, "beam_size": n}).json()[
                "job_id"
            ]
            for n in (5, 6)
        )
        wait_until(lambda: client.get(f"/api/jobs/{cancelled}").json()["state"] == "running")
        client.post(f"/api/jobs/{cancelled}/cancel").raise_for_status()
        settled(client, cancelled, "delivered")
        go.set()
        settled(client, failed, "delivered")
    events = {json.loads(each.body)["data"]["job_id"]: json.loads(each.body) for each in receiver.received}
    assert events[cancelled]["type"] == "transcription.cancelled"
    assert events[failed]["type"] == "transcription.failed"
    assert events[failed]["data"]["error"] == {"code": "wrong", "message": "Not like this."}


@pytest.mark.usefixtures("soon")
def test_tries_go_on_under_the_same_id(client: httpx.Client, receiver: WebhookReceiver) -> None:
    receiver.answers[:] = [500, 302]
    id = ask(client, receiver.url)
    told = settled(client, id, "delivered")
    assert (told["attempts"], told["last_error"]) == (3, None)
    assert {each.id for each in receiver.received} == {told["webhook_id"]}
    assert {each.body for each in receiver.received} == {receiver.received[0].body}
    assert [each.path for each in receiver.received] == ["/hook"] * 3, "redirects are not followed"


@pytest.mark.usefixtures("soon")
def test_a_receiver_that_never_answers_is_given_up_and_can_be_sent_to_again(
    client: httpx.Client, receiver: WebhookReceiver
) -> None:
    receiver.answers[:] = [503, 503, 503]
    id = ask(client, receiver.url)
    told = settled(client, id, "failed")
    assert (told["attempts"], told["last_status"], told["next"]) == (3, 503, None)
    again = client.post(f"/api/webhooks/{told['webhook_id']}/resend")
    check(again, "/api/webhooks/{id}/resend")
    assert again.status_code == 202
    assert settled(client, id, "delivered")["webhook_id"] == told["webhook_id"]
    assert {each.id for each in receiver.received} == {told["webhook_id"]}


@pytest.mark.usefixtures("soon")
def test_a_receiver_that_is_gone_is_left_alone(client: httpx.Client, receiver: WebhookReceiver) -> None:
    receiver.answers[:] = [410]
    assert settled(client, ask(client, receiver.url), "failed")["attempts"] == 1


@pytest.mark.usefixtures("soon")
def test_targets_are_judged_when_they_are_dialled_too(
    server: HttpServer, client: httpx.Client, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may lead elsewhere by then."""
    jobs = server.services.jobs
    assert jobs is not None
    monkeypatch.setattr(jobs.courier, "allowed", AllowedHosts())
    refused = settled(client, ask(client, receiver.url), "failed")
    assert (refused["attempts"], refused["last_status"]) == (1, None)

    async def let_pass(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr(courier, "check_target", let_pass)
    guarded = settled(client, ask(client, receiver.url), "failed")
    assert guarded["last_error"] == "Only public addresses are dialled."
    assert receiver.received == []


@pytest.mark.usefixtures("soon")
def test_a_name_that_leads_into_the_house_once_it_is_dialled(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is public when the job is filed and when delivery looks at it, and private for the connection itself."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("flips.example", b"flips.example"):
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "1.1.1.1" if len(asked) < 3 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    told = settled(client, ask(client, "http://flips.example/hook"), "failed")
    assert len(asked) == 3
    assert (told["attempts"], told["last_error"]) == (1, "Only public addresses are dialled.")


def test_what_is_not_there(client: httpx.Client) -> None:
    for answer in (
        client.get(f"/api/webhooks/{new_id('msg')}"),
        client.post("/api/webhooks/nonsense/resend"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_webhook")
    assert client.get("/api/webhooks", params={"state": "lost"}).status_code == 400
