"""What all doors share: who may call, headers, errors nobody expected, health, pages, and the API's description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clips import clips
from tests.support.http_server import HttpServer, http_server
from whisperlive_hybrid.engine.engine import HOPELESS_DEATHS
from whisperlive_hybrid.pages import site
from whisperlive_hybrid.transports.http.app import DOORS, make_app
from whisperlive_hybrid.transports.http.openapi import description
from whisperlive_hybrid.transports.websocket.doors import DOORS as LIVE_DOORS

TOP = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("app") / "uploads", cors_origins="null,https://app.example") as running:
        yield running


# --- description ---------------------------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else(server: HttpServer) -> None:
    """Other spellings are not. What needs the live room is, though this application is given none."""

    async def found() -> set[tuple[str, str]]:
        app = make_app(server.services)
        return {
            (path, route.method.lower())
            for route in app.router.routes()
            if route.resource is not None and route.method not in ("HEAD", "OPTIONS")
            if (path := re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical).removesuffix("{slash}"))
            if not any(door.aliases.fullmatch(path) for door in DOORS)
        }

    described = {
        (path, method)
        for path, item in description(DOORS)["paths"].items()
        for method in item
        if method in ("get", "post", "delete", "put", "patch")
    }

    sockets = {(path, "get") for door in LIVE_DOORS for path in door.paths}
    without_live_room = {door.name for door in DOORS if not door.routes(server.services)}
    of_live_room = {
        (path, method)
        for door in DOORS
        if door.name in without_live_room
        for path, item in door.describe().items()
        for method in item
    }
    assert server.call(found()) == described - sockets - of_live_room


def test_references_in_the_description_lead_somewhere() -> None:
    document = description(DOORS)
    references = re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document))

    assert references
    assert set(references) <= set(document["components"]["schemas"])


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for item in description(DOORS)["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    ]

    assert len(names) == len(set(names))


def test_the_description_for_programs_and_for_people(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    page = client.get("/docs")

    assert document["openapi"].startswith("3.1")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page.text
    for operation in (o for item in document["paths"].values() for o in item.values() if isinstance(o, dict)):
        for parameter in operation.get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in entry_of(page.text, operation["operationId"])
    assert "script" not in outside_assets(page.text)
    shown = page.text.partition("<script>")[0]
    assert "`" not in shown
    assert "its <code>after</code>" in shown
    for route in ("/transcribe", "/api/audio", "/api/jobs"):
        assert f"http://localhost:8080{route}\n" in shown
    assert re.findall(r"<nav.*?</nav>", shown)[0].count("<a ") == 4


def entry_of(page: str, operation: str) -> str:
    return page.partition(f'<details id="{operation}">')[2].partition("</details>")[0]


# --- pages ---------------------------------------------------------------------------------------------------------


class _Assets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            loads = name == "src" or (name == "href" and tag == "link")
            if loads and value and value.startswith(("http:", "https:", "//")):
                self.outside.append(tag)


def outside_assets(html: str) -> list[str]:
    parser = _Assets()
    parser.feed(html)
    return parser.outside


@pytest.mark.parametrize("path", ["/", "/live", "/docs"])
def test_pages_need_nothing_from_outside(client: httpx.Client, path: str) -> None:
    page = client.get(path)

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert outside_assets(page.text) == []
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy


def test_the_form_is_the_file_at_the_top() -> None:
    assert (TOP / "test_form.html").read_text() == site.test_form().html


@pytest.mark.parametrize("path", ["/live", "/"])
def test_what_pages_load_is_there(client: httpx.Client, path: str) -> None:
    page = client.get(path).text
    assets = re.findall(r'(?:src|href)="(static/[^"]+)"', page)

    for asset in assets:
        assert client.get(f"/{asset}").status_code == 200, asset
    assert assets or path == "/"


def test_files_have_their_types(client: httpx.Client) -> None:
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    files = [f for f in site.STATIC.rglob("*") if f.suffix in kinds]

    assert files
    for file in files:
        answer = client.get(f"/static/{file.relative_to(site.STATIC)}")
        assert answer.headers["content-type"] == kinds[file.suffix]
        assert answer.content == file.read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_is_sent_once(client: httpx.Client) -> None:
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../site.py",
        "/static/..%2Fsite.py",
        "/static/%2e%2e/site.py",
        "/static/..%5Csite.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/.hidden",
        "/static/",
        "/static/nothing.js",
        "/static/live",
        "/static/" + "a" * 300 + ".js",
    ],
)
def test_only_what_is_meant_to_be_served(server: HttpServer, path: str) -> None:
    with httpx.Client() as http:
        request = http.build_request("GET", server.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        assert http.send(request).status_code == 404


# --- who may call --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["null", "https://app.example", "http://localhost:3000"])
def test_pages_that_may_call(client: httpx.Client, origin: str) -> None:
    own = {"Host": "localhost:8080", "Origin": origin}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os"}
    before = client.options("/v1/audio/transcriptions", headers={**own, **asked})
    answer = client.post("/transcribe", headers=own)

    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == origin
    assert before.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "POST" in before.headers["access-control-allow-methods"]
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == origin
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_pages_that_may_not(client: httpx.Client, method: str) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client.request(method, "/transcribe", headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_is_not_ours(client: httpx.Client) -> None:
    """A website's own name that was made to point here (DNS rebinding)."""
    answer = client.get("/v1/models", headers={"Host": "evil.example"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_refused")
    assert client.get("/health", headers={"Host": "10.0.0.5:8080"}).status_code == 200


def test_keys(tmp_path: Path) -> None:
    with (
        http_server(tmp_path / "uploads", api_key="right") as guarded,
        httpx.Client(base_url=guarded.url) as http,
    ):
        for path in ("/", "/live", "/docs", "/openapi.json", "/health", "/health/live"):
            assert http.get(path).status_code == 200, path
        refused = http.post("/transcribe", files={"file": b"x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "key_missing")
        assert refused.headers["www-authenticate"] == "Bearer"
        wrong = http.post("/transcribe", files={"file": b"x"}, headers={"X-API-Key": "wrong"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "key_unknown")
        clip = clips("en")[4]
        right = http.post(
            "/transcribe?token=right", files={"file": clip.path.read_bytes()}, data={"language": "en"}, timeout=60
        )
        assert right.status_code == 200
        preflight = http.options("/transcribe", headers={"Origin": "null", "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 204


# --- errors and headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_path"),
        ("GET", "/v1/nothing", 404, "no_such_path"),
        ("GET", "/transcribe", 405, "method_not_allowed"),
        ("PUT", "/v1/audio/transcriptions", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    body = answer.json()

    assert (answer.status_code, body["error"]["code"]) == (status, code)
    assert set(body["error"]) == (
        {"message", "type", "param", "code"} if path.startswith("/v1") else {"code", "message", "param", "accepted"}
    )
    if status == 405:
        assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions"])
def test_our_own_faults_tell_nothing_but_an_id(
    server: HttpServer,
    client: httpx.Client,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", broken)
    answer = client.post(path, files={"file": b"x"}, data={"model": "digits"}, headers={"X-Request-Id": "my-own.id_1"})

    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "my-own.id_1"
    assert "my-own.id_1" in answer.json()["error"]["message"]
    assert "secret" not in answer.text
    failures = [r for r in caplog.records if r.exc_info and "my-own.id_1" in r.getMessage()]
    assert len(failures) == 1


@pytest.mark.parametrize("offered", ["a" * 129, "new line", "", "<script>"])
def test_request_ids(client: httpx.Client, offered: str) -> None:
    answer = client.get("/health", headers={"X-Request-Id": offered})

    assert re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["x-request-id"])


# --- health --------------------------------------------------------------------------------------------------------


def test_health(client: httpx.Client) -> None:
    answer = client.get("/health")
    body = answer.json()

    assert answer.status_code == 200
    assert body["status"] == "ok"
    assert body["models"] == {"default": "digits", "loaded": ["digits"]}
    assert body["devices"][0]["kind"] in ("cpu", "cuda")
    assert body["versions"]["whisperlive_hybrid"]
    assert body["queue"]["windows"] == {"final": 0, "partial": 0, "file": 0}
    assert body["uptime_s"] > 0
    assert client.get("/health/live").json() == {"status": "alive"}


@pytest.mark.parametrize("state", ["loading", "draining", "failed"])
def test_while_there_is_no_engine(
    server: HttpServer, client: httpx.Client, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.engine, "state", state)

    health = client.get("/health")
    native = client.post("/transcribe", files={"file": b"x"})
    like_openai = client.post("/v1/audio/transcriptions", files={"file": b"x"})

    assert (health.status_code, health.json()["status"]) == (503, state)
    assert native.status_code == like_openai.status_code == 503
    assert native.json()["error"]["code"] == ("engine_failed" if state == "failed" else state)
    assert like_openai.json()["error"]["type"] == "server_error"
    if state != "failed":
        assert int(native.headers["retry-after"]) >= 1
    assert client.get("/health/live").status_code == 200
    assert client.get("/").status_code == 200


def test_a_lost_device_is_told(server: HttpServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.services.engine._worker, "deaths_in_a_row", HOPELESS_DEATHS)

    health = client.get("/health")

    assert (health.status_code, health.json()["status"]) == (503, "failed")


def test_a_fallback_model_is_told(server: HttpServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.services.engine._shelf, "note", "only digits are understood")

    body = client.get("/health").json()

    assert (body["status"], body["note"]) == ("degraded", "only digits are understood")
