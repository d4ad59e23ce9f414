"""Debian's PostgreSQL as a server of the test's own, where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.packages import give_up
from tests.support.running_server import free_ports

_USER = "postgres"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Its URL, without a database's name; `new_database` makes one. Skips the test where it is not installed."""
    tools = _tools()
    folder = Path(tempfile.mkdtemp(prefix="whisperlive-pg-", dir="/tmp"))
    as_user: list[str | Path] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam(_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    (port,) = free_ports(1)
    data = folder / "data"
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c synchronous_commit=off -c max_connections=60"

    def run(*command: str | Path) -> None:
        # Not a pipe: the server would inherit it and keep it open.
        subprocess.run([*as_user, *command], cwd=folder, stdout=subprocess.DEVNULL, check=True, timeout=60)

    try:
        run(tools / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-N")
        run(tools / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://{_USER}@127.0.0.1:{port}"
        finally:
            run(tools / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
