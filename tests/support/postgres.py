"""Debian's PostgreSQL as a server of the test's own, where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.packages import give_up
from tests.support.running_server import free_ports

_USER = "postgres"
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off")
START_WITHIN_S = 60.0


class PostgresProcess:
    """A PostgreSQL on a port and a folder of its own, to be killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._tools = _tools()
        (self._port,) = free_ports(1)
        self.url = f"postgresql://{_USER}@127.0.0.1:{self._port}"
        """Without a database's name; `new_database` makes one."""
        self._folder = folder
        self._as_user: list[str | Path] = []
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam(_USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        self._data = folder / "data"
        where = ("-h", "127.0.0.1", "-p", str(self._port), "-k", str(folder), "-c", "max_connections=60")
        self._command = [*self._as_user, self._tools / "postgres", "-D", self._data, *where, *options]
        self._process: subprocess.Popen[bytes] | None = None
        initdb = (self._tools / "initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-N")
        subprocess.run([*self._as_user, *initdb], cwd=folder, stdout=subprocess.DEVNULL, check=True, timeout=60)

    def start(self) -> None:
        """Start it; return once it takes connections. After `kill` it first goes through its log."""
        until = time.monotonic() + START_WITHIN_S
        while True:
            if self._process is None or self._process.poll() is not None:
                # One that was killed leaves its shared memory until the last of its children has noticed.
                with (self._folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
            ready = (self._tools / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port))
            if subprocess.run(ready, check=False, timeout=10).returncode == 0:
                return
            assert time.monotonic() < until, f"PostgreSQL does not start; see {self._folder}/log"
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL for all of its processes: no goodbye, nothing written any more."""
        if self._process is None:
            return
        pid = self._process.pid
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in (pid, *children):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait()
        self._process = None


@contextmanager
def postgres_process(*, durable: bool = False) -> Iterator[PostgresProcess]:
    """Started, and killed at the end. `durable`: what it has committed survives `kill`; else it is faster.

    Skips the test where it is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="whisperlive-pg-", dir="/tmp"))
    try:
        process = PostgresProcess(folder, *(() if durable else _FAST))
        try:
            process.start()
            yield process
        finally:
            process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of one that nobody kills, without a database's name. Skips the test where it is not installed."""
    with postgres_process() as process:
        yield process.url


def new_database(server: str, name: str) -> str:
    """The URL of a new, empty database of the server."""
    port = server.rsplit(":", 1)[1]
    subprocess.run([_tools() / "createdb", "-h", "127.0.0.1", "-p", port, "-U", _USER, name], check=True, timeout=60)
    return f"{server}/{name}"


def _tools() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        give_up("PostgreSQL is not installed")
    return Path(on_path).parent
