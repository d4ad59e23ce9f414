"""OpenAI's own client for Node, which streams files in chunks and puts them first."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import words
from tests.support.http_server import HttpServer
from tests.support.openai_files import spoken
from tests.support.packages import node_environment

pytestmark = pytest.mark.timeout(600)

SCRIPT = Path(__file__).parents[1] / "clients" / "openai_files.mjs"
CLIENT = "openai@6.49.0"


@pytest.fixture(scope="module")
def told(server: HttpServer) -> dict[str, Any]:
    """What the script was answered."""
    folder = node_environment("openai-node", CLIENT)
    script = folder / SCRIPT.name
    shutil.copy(SCRIPT, script)
    ran = subprocess.run(
        ["node", str(script), server.url, str(spoken().path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    "how",
    ["stream_of_file", "buffer", "nameless", "fetched", "empty_fields", "chunking", "text", "azure", "bare"],
)
def test_the_words_are_right(told: dict[str, Any], how: str) -> None:
    assert words(told[how]) == words(spoken().text)


def test_every_format_is_of_its_type(told: dict[str, Any]) -> None:
    assert told["json"]["usage"]["type"] == "tokens"
    assert "".join(t["token"] for t in told["json"]["logprobs"]).strip() == told["json"]["text"]
    assert told["languages"] == [{"code": "en"}]
    assert told["keywords"] == "string"
    assert told["srt"].startswith("1\n00:00:00,") and told["vtt"].startswith("WEBVTT\n\n")
    verbose = told["verbose"]
    assert (verbose["task"], verbose["language"], verbose["usage"]) == (
        "transcribe",
        "english",
        {"type": "duration", "seconds": 3},
    )
    assert words(" ".join(w["word"] for w in verbose["words"])) == words(spoken().text)
    assert verbose["segments"][0]["id"] == 0
    assert isinstance(told["translation"], str)


def test_a_stream(told: dict[str, Any]) -> None:
    *deltas, done = told["events"]

    assert {d["type"] for d in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done" and done["usage"]["type"] == "tokens"
    assert "".join(d["delta"] for d in deltas) == done["text"]
    assert words(done["text"]) == words(spoken().text)
    assert told["left_after"] == "transcript.text.delta"


def test_models(told: dict[str, Any]) -> None:
    assert {"digits", "whisper-1"} <= set(told["models"])
    assert told["model"] == "whisper-1"


ERRORS = {
    "slashes": ("NotFoundError", 404, "model_not_found", "model"),
    "undeleted": ("APIError", 405, "method_not_allowed", None),
    "bad_option": ("BadRequestError", 400, "bad_option", "temperature"),
    "no_audio": ("BadRequestError", 400, "not_audio", "file"),
    "too_large": ("APIError", 413, "file_too_large", "file"),
    "no_model": ("NotFoundError", 404, "model_not_found", "model"),
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key", None),
}


@pytest.mark.parametrize("call", ERRORS)
def test_errors(told: dict[str, Any], call: str) -> None:
    told_of = told[call]

    assert tuple(told_of[key] for key in ("name", "status", "code", "param")) == ERRORS[call]
    assert told_of["type"] == "invalid_request_error"
    assert told_of["hasId"]
