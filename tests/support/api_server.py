"""The HTTP application with clips and jobs, on SQLite and a folder, or on PostgreSQL and S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.clips import Clip
from tests.support.http_server import HttpServer, http_server
from tests.support.moto_server import ENVIRONMENT, moto_server
from tests.support.postgres import new_database, postgres_server

STORAGES = ("sqlite and folder", "postgresql and s3")


@contextmanager
def api_server(storage: str, folder: Path, **settings: Any) -> Iterator[HttpServer]:
    """Start it on one of STORAGES; skips the test where that is not installed."""
    settings = {"data_dir": folder / "data", "file_window_s": 5.0, **settings}
    if storage == "sqlite and folder":
        with http_server(folder / "uploads", **settings) as server:
            yield server
        return
    before = dict(os.environ)
    with postgres_server() as postgres, moto_server() as s3:
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=s3)
        try:
            elsewhere = {"database_url": new_database(postgres, "api"), "clip_storage_url": "s3://clips/test"}
            with http_server(folder / "uploads", **settings, **elsewhere) as server:
                yield server
        finally:
            os.environ.clear()
            os.environ.update(before)


def upload(client: httpx.Client, clip: Clip, path: str = "/api/audio", **more: Any) -> httpx.Response:
    """The clip as a multipart body."""
    return client.post(path, files={"file": (clip.path.name, clip.path.read_bytes())}, **more)


def clip_id(client: httpx.Client, clip: Clip) -> str:
    """Upload a clip and return its id."""
    answer = upload(client, clip)
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["clip_id"]
    return id
