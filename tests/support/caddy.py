"""Debian's Caddy with the Caddyfile that ships, in front of a running server."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.packages import give_up
from tests.support.running_server import RunningServer, free_ports

CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"


@dataclass(frozen=True)
class Caddy:
    """The address of the site, and what to trust for its certificate."""

    url: str
    root: Path


@contextmanager
def caddy(server: RunningServer) -> Iterator[Caddy]:
    """Start it, wait until it answers, stop it. Skips the test where there is no Caddy."""
    program = shutil.which("caddy")
    if program is None:
        give_up("Caddy is not installed")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "Caddyfile"
        config.write_text(
            "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n" + f"import {CADDYFILE}\n"
        )
        environment = {
            **os.environ,
            "HOME": folder,
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "SITE_ADDRESS": f"localhost:{port}",
            "HTTP_UPSTREAM": urlsplit(server.http_url).netloc,
            "LIVE_UPSTREAM": urlsplit(server.live_url).netloc,
        }
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(
                [program, "run", "--config", config, "--adapter", "caddyfile"],
                env=environment,
                stdout=log,
                stderr=log,
            )
            try:
                wait_until_it_speaks(port, process, Path(folder) / "log")
                root = Path(folder) / "caddy" / "pki" / "authorities" / "local" / "root.crt"
                yield Caddy(f"https://localhost:{port}", root)
            finally:
                process.terminate()
                process.wait(20)


def untrusting() -> ssl.SSLContext:
    """For clients that take any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait_until_it_speaks(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until TLS is spoken at `port`; fails with the end of the log when the process ends before."""
    until = time.monotonic() + 30
    while True:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 5) as plain,
                untrusting().wrap_socket(plain, server_hostname="localhost"),
            ):
                return
        except OSError:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.1)
