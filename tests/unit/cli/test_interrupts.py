from __future__ import annotations

import signal
import subprocess
import sys

from whisperlive_hybrid.cli import exit_codes

SCRIPT = """
import asyncio
from whisperlive_hybrid.cli.interrupts import cancel_on_interrupt

async def main():
    asked = cancel_on_interrupt()
    try:
        print("working", flush=True)
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("leaving", len(asked), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_first_ctrl_c_cancels_and_the_second_leaves_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "leaving 1\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == exit_codes.INTERRUPTED
