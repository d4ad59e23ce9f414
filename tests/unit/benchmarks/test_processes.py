from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.peers.process import MeasuredServer
from tests.support.running_server import free_ports

SERVER = """
import http.server, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass\\ntime.sleep(60)"])
print(child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def test_a_server_is_weighed_with_its_children_and_ended_with_them(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with MeasuredServer([sys.executable, "-c", SERVER, str(port)], port, os.environ, tmp_path / "log") as server:
        child = int(server.tail().split()[0])
        deadline = time.monotonic() + 30
        while server.cpu_s() < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.cpu_s() >= 0.3
        assert server.memory_mib() > 1
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and not _zombie(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists() or _zombie(child)


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        pytest.raises(RuntimeError, match="no such model"),
        MeasuredServer(command, port, os.environ, tmp_path / "log"),
    ):
        pass
