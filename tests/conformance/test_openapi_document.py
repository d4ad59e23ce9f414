"""Every operation of the API's description, attacked by schemathesis on the running server with the real model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import python_environment
from tests.support.running_server import running_server

ROOT = Path(__file__).parent.parent.parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.mark.timeout(600)
def test_no_request_finds_a_server_error_or_an_answer_that_is_not_described(tmp_path: Path) -> None:
    python = python_environment("schemathesis", "schemathesis==4.32.5")
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(ROOT / "tests/support/schemathesis_hooks.py"),
        "SPOKEN_CLIP": str(ROOT / "tests/data/en-one-digit.flac"),
    }
    with running_server(MAX_UPLOAD_MB="5") as server:
        done = subprocess.run(
            [
                python.with_name("st"),
                "run",
                f"{server.http_url}/openapi.json",
                "--phases=examples,coverage,fuzzing",
                "--max-examples=12",
                "--seed=1",  # the same requests each time
                f"--checks={','.join(CHECKS)}",
                "--continue-on-failure",
                "--request-timeout=60",
                "--suppress-health-check=all",
                "--exclude-tag=Live",
                "--warnings=off",
                "--no-color",
            ],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
        )
        health = server.health()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert health["status"] == "ok", "no request costs the others the engine"
