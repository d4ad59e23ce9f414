"""The real server as a process of its own, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunningServer:
    """Addresses of a running server, its process, and where it keeps uploads."""

    http_url: str
    live_url: str
    process: subprocess.Popen[bytes]
    upload_dir: Path
    log: Path

    def health(self) -> dict[str, Any]:
        """The body of GET /health, whatever its status."""
        try:
            with urllib.request.urlopen(self.http_url + "/health", timeout=10) as answer:
                body: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            body = json.load(error)
        return body


_PORTS = range(11_000 + os.getpid() % 8, 32_000, 8)
"""None that systems give to outgoing connections: those may be taken before the server has them, or while it is started
again. None below, of which browsers refuse some. Processes that test at once seldom draw from the same ones."""
_drawn: set[int] = set()


def free_ports(n: int) -> list[int]:
    """Ports nobody listens on just now, and none twice in a process."""
    found: list[int] = []
    while len(found) < n:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port in _drawn or probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        _drawn.add(port)
        found.append(port)
    return found


@contextmanager
def running_server(
    *flags: str, model: str = "digits", ports: tuple[int, int] | None = None, **env: str
) -> Iterator[RunningServer]:
    """Start `whisperlive-hybrid serve`, wait until it is ready, stop it by SIGTERM.

    On the way out the process must end by itself with status 0 and leave no upload behind.
    """
    http_port, live_port = ports or free_ports(2)
    with tempfile.TemporaryDirectory() as scratch:
        upload_dir, log = Path(scratch) / "uploads", Path(scratch) / "server.log"
        command = [sys.executable, "-m", "whisperlive_hybrid", "serve", *flags]
        settings = {
            "FASTERWHISPER_MODEL": model,
            "HTTP_PORT": str(http_port),
            "PORT_WHISPERLIVE": str(live_port),
            "AUDIO_STORAGE_PATH": str(upload_dir),
            "DATA_DIR": str(Path(scratch) / "data"),
        }
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                command, env={**os.environ, **settings, **env}, stdout=log_file, stderr=log_file, cwd=scratch
            )
        server = RunningServer(f"http://127.0.0.1:{http_port}", f"ws://127.0.0.1:{live_port}", process, upload_dir, log)
        try:
            _wait_until_ready(server)
            yield server
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=40)
            assert status == 0, f"server ended with {status}:\n{log.read_text()[-4000:]}"
            left = [p for p in upload_dir.rglob("*") if p.is_file()] if upload_dir.exists() else []
            assert not left, f"uploads left behind: {left}"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait_until_ready(server: RunningServer, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"server did not start:\n{server.log.read_text()[-4000:]}")
        try:
            if server.health().get("status") in ("ok", "degraded"):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"server not ready in {timeout_s} s:\n{server.log.read_text()[-4000:]}")
