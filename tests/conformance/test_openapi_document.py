"""Every operation of the API's description, attacked by schemathesis on the running server with the real model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.http_server import wait_until
from tests.support.moto_server import ENVIRONMENT, moto_server
from tests.support.packages import python_environment
from tests.support.postgres import new_database, postgres_server
from tests.support.running_server import RunningServer, running_server
from tests.support.webhook_receiver import webhook_receiver

ROOT = Path(__file__).parent.parent.parent
CLIP = ROOT / "tests/data/en-one-digit.flac"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.mark.timeout(600)
def test_no_request_finds_a_server_error_or_an_answer_that_is_not_described(tmp_path: Path) -> None:
    with running_server(MAX_UPLOAD_MB="5") as server:
        attack(server, tmp_path, "--phases=examples,coverage,fuzzing", "--max-examples=12", "--exclude-tag=Live")


@pytest.mark.timeout(600)
def test_clips_and_jobs_on_postgresql_and_s3(tmp_path: Path) -> None:
    """Half of the ids that it asks for are those of a clip, a job and a webhook that there are."""
    with postgres_server() as postgres, moto_server() as s3, webhook_receiver() as receiver:
        settings = {"DATABASE_URL": new_database(postgres, "attacked"), "CLIP_STORAGE_URL": "s3://clips/attacked"}
        settings |= {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3, "WEBHOOK_ALLOW_HOSTS": receiver.host, "MAX_UPLOAD_MB": "5"}
        with running_server(**settings) as server:
            with httpx.Client(base_url=server.http_url, timeout=60) as client:
                fields = {"callback_url": receiver.url}
                made = client.post("/upload+transcribe", files={"file": CLIP.read_bytes()}, data=fields).json()
                path = f"/api/webhooks?job_id={made['job_id']}"
                wait_until(lambda: bool(client.get(path).json()["webhooks"]))
                known = {"audio": made["clip_id"], "transcription": made["clip_id"], "jobs": made["job_id"]}
                known["webhooks"] = client.get(path).json()["webhooks"][0]["webhook_id"]
            where = r"--include-path-regex=^/(api/(audio|transcri|jobs|webhooks|upload)|upload)"
            attack(
                server, tmp_path, "--phases=examples,fuzzing", "--max-examples=4", where, KNOWN_IDS=json.dumps(known)
            )
    asked = set((tmp_path / "known-ids-asked-for").read_text().splitlines())
    assert {"GET /api/audio/{id}", "GET /api/jobs/{id}/result", "GET /api/webhooks/{id}"} <= asked


def attack(server: RunningServer, folder: Path, *options: str, **variables: str) -> None:
    """Let schemathesis loose on the server."""
    python = python_environment("schemathesis", "schemathesis==4.32.5")
    hooks = str(ROOT / "tests/support/schemathesis_hooks.py")
    done = subprocess.run(
        [
            python.with_name("st"),
            "run",
            f"{server.http_url}/openapi.json",
            *options,
            "--seed=1",  # the same requests each time
            f"--checks={','.join(CHECKS)}",
            "--continue-on-failure",
            "--request-timeout=60",
            "--suppress-health-check=all",
            "--warnings=off",
            "--no-color",
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": hooks, "SPOKEN_CLIP": str(CLIP), **variables},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert server.health()["status"] == "ok", "no request costs the others the engine"
