"""Debian's nginx with the configuration that ships, in front of a running server."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.caddy import wait_until_it_speaks
from tests.support.packages import give_up
from tests.support.running_server import RunningServer, free_ports

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
_AROUND = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass(frozen=True)
class Nginx:
    """The address of the site, what to trust for its certificate, and the folder of its temporary files."""

    url: str
    root: Path
    folder: Path

    def kept(self) -> list[Path]:
        """Bodies of requests and answers that it has written to its disk."""
        return [p for name in ("bodies", "answers") for p in (self.folder / name).rglob("*") if p.is_file()]


@contextmanager
def nginx(server: RunningServer) -> Iterator[Nginx]:
    """Start it, wait until it answers, stop it. Skips the test where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    openssl = shutil.which("openssl")
    if program is None or openssl is None:
        give_up("nginx and openssl are not both installed")
    port, plain_port = free_ports(2)
    # Its workers run as another user when it is started by root.
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate = [
            "-keyout",
            folder / "key.pem",
            "-out",
            folder / "cert.pem",
            "-subj",
            "/CN=localhost",
            "-days",
            "2",
        ]
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run([openssl, "req", "-x509", *new_key, *certificate], check=True, capture_output=True)
        (folder / "site.conf").write_text(_site(server, folder, port, plain_port))
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder))
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until_it_speaks(port, process, folder / "log")
            yield Nginx(f"https://localhost:{port}", folder / "cert.pem", folder)
        finally:
            process.terminate()
            process.wait(20)


def _site(server: RunningServer, folder: Path, port: int, plain_port: int) -> str:
    """The configuration that ships, with the addresses of this test: nothing else is changed."""
    site = CONFIGURATION.read_text()
    for ours, here in {
        "127.0.0.1:8080": urlsplit(server.http_url).netloc,
        "127.0.0.1:5050": urlsplit(server.live_url).netloc,
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "    listen [::]:80;\n": "",
        "/etc/ssl/stt.pem": str(folder / "cert.pem"),
        "/etc/ssl/stt.key": str(folder / "key.pem"),
    }.items():
        assert site.count(ours) == 1, f"{ours!r} is there {site.count(ours)} times"
        site = site.replace(ours, here)
    return site.replace("stt.example.org", "localhost")
