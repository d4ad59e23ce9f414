"""How often a request is made, by a server that says what it is told to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from whisperlive_hybrid.client.errors import ClientError, ServerUnreachable
from whisperlive_hybrid.client.jobs import JobsClient
from whisperlive_hybrid.client.requests import Requests, http_url

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(*answers: Answer) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives these answers one after another, the last one again and again."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return await answers[min(len(asked), len(answers)) - 1](request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def refusal(status: int, code: str, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        error = {"code": code, "message": f"It is {code}."}
        return web.json_response({"success": False, "error": error}, status=status, headers=headers)

    return answer


async def fine(request: web.Request) -> web.StreamResponse:
    return web.json_response({"fine": True})


async def broken(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def bad_gateway(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502, text="<h1>Bad Gateway</h1>", content_type="text/html")


@pytest.mark.parametrize(("status", "code"), [(429, "full"), (503, "full"), (503, "loading")])
async def test_a_full_server_is_asked_again_when_it_says(status: int, code: str) -> None:
    waits: list[str] = []
    full = refusal(status, code, **{"Retry-After": "0"})
    async with answering(full, full, fine) as (url, asked), Requests(url, on_wait=waits.append) as requests:
        assert await requests.ask("POST", "/api/jobs", body={}, key="k") == {"fine": True}
    assert [request.headers["Idempotency-Key"] for request in asked] == ["k"] * 3
    assert waits == [f"It is {code}: asking again in 0 s."] * 2


@pytest.mark.parametrize(
    ("status", "code", "retry_after"),
    [
        (400, "bad_option", None),
        (401, "key_missing", None),
        (409, "idempotency_key_reused", None),
        (413, "file_too_large", None),
        (429, "full", "86400"),
        (503, "no_storage", None),
        (503, "worker_lost", None),
        (507, "disk_full", None),
    ],
)
async def test_what_asking_again_does_not_help_is_raised_at_once(
    status: int, code: str, retry_after: str | None
) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    async with answering(refusal(status, code, **headers)) as (url, asked), Requests(url) as requests:
        with pytest.raises(ClientError) as refused:
            await requests.ask("POST", "/api/jobs")
    assert (refused.value.status, refused.value.code, len(asked)) == (status, code, 1)
    assert refused.value.detail["message"] == f"It is {code}."


@pytest.mark.parametrize("away", [broken, bad_gateway])
async def test_a_server_that_goes_away_is_asked_until_it_is_back(away: Answer) -> None:
    waits: list[str] = []
    async with answering(fine, away, away, fine) as (url, asked), Requests(url, on_wait=waits.append) as requests:
        await requests.ask("GET", "/first")
        assert await requests.ask("POST", "/second", key="k") == {"fine": True}
    assert len(asked) == 4
    assert waits == ["The connection to the server is lost. Trying again."]


@pytest.mark.parametrize("away", [broken, bad_gateway])
async def test_one_that_never_answered_is_not_waited_for(away: Answer) -> None:
    async with answering(away) as (url, asked), Requests(url) as requests:
        with pytest.raises(ClientError):
            await requests.ask("GET", "/first")
    assert len(asked) <= 2  # aiohttp itself repeats a GET once


async def test_patience_ends() -> None:
    async with answering(fine, broken) as (url, _), Requests(url, patience_s=0.5) as requests:
        await requests.ask("GET", "/first")
        with pytest.raises(ServerUnreachable, match="any more"):
            await requests.ask("GET", "/second")


async def test_a_server_that_is_not_there_is_told_in_plain_words() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with Requests(url) as requests:
            with pytest.raises(ServerUnreachable) as raised:
                await requests.ask("GET", "/first")

    assert raised.value.message == f"No server answers at {url}: Connection refused."


async def test_a_job_goes_on_behind_the_segments_that_were_told() -> None:
    async def first(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b'{"type":"segment","segment":{"id":0}}\n{"type":"segment","segment":{"id":1}}\n{"ty')
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return answer

    async def second(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"type":"segment","segment":{"id":2}}\n{"type":"done"}\n')

    async with answering(first, second) as (url, asked), JobsClient(url) as client:
        events = [event async for event in client.events("job_1")]
    assert [e["segment"]["id"] for e in events if e["type"] == "segment"] == [0, 1, 2]
    assert events[-1] == {"type": "done"}
    assert [request.headers.get("Last-Event-ID") for request in asked] == [None, "2"]


@pytest.mark.parametrize("n_lost", [0, 1])
async def test_a_job_that_is_cancelled_already_is_no_error(n_lost: int) -> None:
    async def job(request: web.Request) -> web.StreamResponse:
        return web.json_response({"job_id": "job_1", "state": "cancelled"})

    answers = [job, *([broken] * n_lost), refusal(409, "job_cancelled"), job]
    async with answering(*answers) as (url, _), JobsClient(url) as client:
        await client.get("job_1")
        assert (await client.cancel("job_1")).state == "cancelled"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("https://stt.example.org/", "https://stt.example.org"),
        ("ws://host:1", "http://host:1"),
        ("wss://host/stt/", "https://host/stt"),
    ],
)
def test_addresses_as_people_write_them(written: str, meant: str) -> None:
    assert http_url(written) == meant
