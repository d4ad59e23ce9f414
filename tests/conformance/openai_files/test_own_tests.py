"""The tests of OpenAI's Python client, as they come with its sources, against this server.

They were written for a mock that accepts anything: the file is `b"Example data"`, the language "language". So what they
send as placeholders is replaced by something that means what the test says, before the door reads it. The door itself,
its checks, the engine and its model are as they always are.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.clips import clips
from tests.support.http_server import HttpServer, http_server
from tests.support.openai_files import spoken
from tests.support.packages import python_environment, source_distribution
from whisperlive_hybrid.transports.http import openai as door
from whisperlive_hybrid.transports.http.uploads import Upload, UploadRules, receive_upload

pytestmark = pytest.mark.timeout(600)

FILES = ["audio/test_transcriptions.py", "audio/test_translations.py", "test_models.py"]
MODEL_OF_THE_TESTS = "gpt-6-astra"
NOT_OURS = "not (delete and not path_params)"
"""Models are not deleted over the API: 405, which `test_wire.py` shows."""


def meant(name: str, value: str, fields: dict[str, str]) -> str | None:
    """What a placeholder stands for; None for a field that real calls of this kind do not have."""
    if value == "language" or (name == "languages[]" and value == "string"):
        return "en"
    if name == "known_speaker_references[]" and value == "string":
        return "data:audio/flac;base64," + b64encode(clips("en")[0].path.read_bytes()).decode()
    if name == "timestamp_granularities[]" and fields.get("response_format") == "json":
        return None
    return value


@asynccontextmanager
async def understanding(request: web.Request, rules: UploadRules) -> AsyncIterator[Upload]:
    async with receive_upload(request, rules) as upload:
        if upload.file.path.read_bytes() == b"Example data":
            content = spoken().path.read_bytes()
            upload.file.path.write_bytes(content)
            upload = replace(upload, file=replace(upload.file, size=len(content)))
        fields = dict(upload.fields)
        told = [(name, meant(name, value, fields)) for name, value in upload.fields]
        yield replace(upload, fields=tuple((name, value) for name, value in told if value is not None))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with (
        pytest.MonkeyPatch.context() as patch,
        http_server(tmp_path_factory.mktemp("own") / "uploads") as running,
    ):
        patch.setattr(door, "receive_upload", understanding)
        engine: Any = type(running.services.engine)
        models = engine.models

        def and_the_tests_own(self: Any) -> Any:
            default, *others = models(self)
            return [replace(default, aliases=(*default.aliases, MODEL_OF_THE_TESTS)), *others]

        patch.setattr(engine, "models", and_the_tests_own)
        yield running


def test_the_clients_own_tests(server: HttpServer, tmp_path: Path) -> None:
    python = python_environment("openai-own-tests", "rich==15.0.0", on_top=True)
    sources = source_distribution(f"openai=={importlib.metadata.version('openai')}")
    ran = subprocess.run(
        [
            *(str(python), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-o", "addopts=", "-k", NOT_OURS),
            *(f"tests/api_resources/{name}" for name in FILES),
        ],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": str(sources), "TEST_API_BASE_URL": f"{server.url}/v1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = ran.stdout.strip().splitlines()[-1]
    passed = re.search(r"(\d+) passed", summary)
    assert passed is not None and int(passed[1]) >= 80, summary
    assert "failed" not in summary and "skipped" not in summary, summary
