"""One server that asks for a key, and OpenAI's own Python client with strict validation of every answer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from tests.support.http_server import HttpServer
from tests.support.openai_files import KEY, openai_client, openai_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with openai_server(tmp_path_factory.mktemp("openai")) as running:
        yield running


@pytest.fixture(scope="package")
def client(server: HttpServer) -> Iterator[OpenAI]:
    with openai_client(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def http(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as opened:
        yield opened
