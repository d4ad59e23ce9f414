"""Ctrl+C: the first cancels what runs, the second ends the process."""

from __future__ import annotations

import asyncio
import os
import signal

from whisperlive_hybrid.cli import exit_codes


def cancel_on_interrupt() -> list[int]:
    """The first Ctrl+C cancels the present task, the second ends the process. Returns a list that holds the first."""
    asked: list[int] = []
    task = asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        if asked:
            os._exit(exit_codes.INTERRUPTED)
        asked.append(signal.SIGINT)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    return asked
