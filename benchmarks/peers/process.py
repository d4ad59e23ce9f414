"""A server under measurement: started, waited for, weighed with all its children, and surely ended. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1


class MeasuredServer:
    """`with MeasuredServer(command, port, environment, log) as server:` ends with no process left.

    environment: the whole of it. The server gets a process group of its own, which is killed on the way out; should
    this process be killed first, the kernel kills the server.
    """

    def __init__(
        self, command: Sequence[str], port: int, environment: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        self._command, self.port, self.log = list(command), port, log
        self._environment, self._cwd = dict(environment), cwd
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one thread here
            )
        try:
            self._wait_for_port(120.0)
        except BaseException:
            self.stop(0.0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM to the whole group, and SIGKILL to what is left of it after `grace_s`."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)
            process.wait()

    def check(self) -> None:
        """Raises RuntimeError with the end of the log when the server has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the server has ended:\n{self.tail()}")

    def cpu_s(self) -> float:
        """CPU seconds of the server, its children and their children so far."""
        assert self._process is not None
        return tree_cpu_s(self._process.pid)

    def memory_mib(self) -> float:
        """Most memory that the server's first process has held at a time."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024

    def tail(self, n_chars: int = 3000) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-n_chars:]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _wait_for_port(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"nothing listens on port {self.port} after {timeout_s:.0f} s:\n{self.tail()}")


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all that descend from it, running or ended and waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    return sum(n for each, n in ticks.items() if _descends(each, pid, parents)) / _TICKS


def _descends(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parents.get(pid, 0)
    return False
