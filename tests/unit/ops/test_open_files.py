from __future__ import annotations

import asyncio
import errno
import logging
import subprocess
import sys

import pytest

from whisperlive_hybrid.ops import open_files

RAISE = """
import resource
from whisperlive_hybrid.ops.open_files import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    said = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == said[1]
    assert int(said[0]) > 64


async def test_running_out_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    handle = open_files.quiet_handler()
    for _ in range(500):
        handle(loop, {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "full")})
    assert len(caplog.records) == 1
    handle(loop, {"message": "something else", "exception": ValueError()})
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2
