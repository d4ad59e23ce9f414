"""The real server on fixed ports and one data folder, to be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.running_server import free_ports

_TICKS = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """`with ServerProcess(folder) as server:` starts it and waits until it is ready; its end is SIGKILL at the latest.

    `folder` is its home between lives: log, uploads, checkpoints. `settings` are environment variables.
    """

    def __init__(
        self, folder: Path, *, model: str = "digits", command: Sequence[str] | None = None, **settings: str
    ) -> None:
        self.http_port, self.live_port = free_ports(2)
        self.http_url, self.live_url = f"http://127.0.0.1:{self.http_port}", f"ws://127.0.0.1:{self.live_port}"
        self.log = folder / "server.log"
        self.starts = 0
        self._folder = folder
        self._command = list(command or (sys.executable, "-m", "whisperlive_hybrid", "serve"))
        self._environment = {
            **os.environ,
            "FASTERWHISPER_MODEL": model,
            "HTTP_PORT": str(self.http_port),
            "PORT_WHISPERLIVE": str(self.live_port),
            "AUDIO_STORAGE_PATH": str(folder / "uploads"),
            "DATA_DIR": str(folder / "data"),
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.terminate()

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the present process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start the process; it answers some seconds later."""
        assert not self.running, "already running"
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=self._folder
            )
        self.starts += 1

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Wait until the model is loaded. Raises AssertionError with the end of the log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.running, f"server ended:\n{self.tail()}"
            try:
                if self.health().get("status") in ("ok", "degraded"):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"server not ready in {timeout_s} s:\n{self.tail()}")

    def health(self) -> dict[str, Any]:
        """The body of GET /health, whatever its status."""
        try:
            with urllib.request.urlopen(self.http_url + "/health", timeout=10) as answer:
                body: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            body = json.load(error)
        return body

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing written any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns the exit status. A process that does not end in time is killed."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        finally:
            self.kill()

    def tail(self, n_chars: int = 4000) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-n_chars:] if self.log.exists() else ""

    def cpu_s(self) -> float:
        """CPU seconds of the present process and its children that have ended. Linux only."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / _TICKS

    def memory_mib(self) -> float:
        """Resident memory of the present process that is its own: without files it has mapped. Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(each for each in status.splitlines() if each.startswith("RssAnon:"))
        return int(line.split()[1]) / 1024

    def threads_and_files(self) -> tuple[int, int]:
        """Threads and open files of the present process. Linux only."""
        of = Path(f"/proc/{self.pid}")
        return len(list((of / "task").iterdir())), len(list((of / "fd").iterdir()))
