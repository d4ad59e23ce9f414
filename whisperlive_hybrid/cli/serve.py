"""`whisperlive-hybrid serve`: the server, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, settings_from
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.ops import open_files
from whisperlive_hybrid.ops.logs import set_up_logging

EXAMPLES = """\
examples:
  whisperlive-hybrid serve
  whisperlive-hybrid serve --model small --language en
  API_KEY=secret whisperlive-hybrid serve --host 0.0.0.0 --http-port 80
"""

log = logging.getLogger(__name__)

_ECHO_S = 1.0
"""A service manager sends SIGTERM to all processes of a service, and make passes it on to us: twice is once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every setting is a flag."""
    parser.usage = "%(prog)s [--SETTING VALUE …]"
    add_settings_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl+C; a second one ends the process at once."""
    settings = settings_from(args)
    set_up_logging(settings.log_level, settings.log_format)
    open_files.raise_limit()
    # Looked at before the model is loaded, which may take long, so that these errors come at once.
    if settings.http_port == settings.port_whisperlive != 0:
        print(f"HTTP_PORT and PORT_WHISPERLIVE are both {settings.http_port}; each needs its own.", file=sys.stderr)
        return exit_codes.FAILURE
    for name, port in (("HTTP_PORT", settings.http_port), ("PORT_WHISPERLIVE", settings.port_whisperlive)):
        fault = port_fault(settings.app_host, port)
        if fault is not None:
            print(f"{name}={port} cannot be used on {settings.app_host}: {fault}.", file=sys.stderr)
            return exit_codes.FAILURE
    folder = settings.transcription_storage_path
    fault = None if folder is None else folder_fault(folder)
    if fault is not None:
        print(f"TRANSCRIPTION_STORAGE_PATH={folder} cannot be used: {fault}.", file=sys.stderr)
        return exit_codes.FAILURE
    try:
        return asyncio.run(_serve(settings))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        print(f"Cannot listen: {error}.", file=sys.stderr)
        return exit_codes.FAILURE


def port_fault(host: str, port: int) -> str | None:
    """Why `port` cannot be bound on `host`, in words; None when it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        return "the address cannot be resolved"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "another program listens there"
        return (error.strerror or str(error)).lower()
    return None


def folder_fault(folder: Path) -> str | None:
    """Why nothing can be written into `folder`, in words; None when it can. Makes the folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return (error.strerror or str(error)).lower()


def addresses(host: str, http_port: int, live_port: int, wyoming_port: int | None = None) -> list[tuple[str, str]]:
    """What a user can open, as (what, URL)."""
    # A wildcard address is not one that a browser can open.
    name = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, host)
    name = f"[{name}]" if ":" in name else name
    return [
        ("files", f"http://{name}:{http_port}/"),
        ("jobs", f"http://{name}:{http_port}/jobs"),
        ("live captions", f"http://{name}:{http_port}/live"),
        ("API", f"http://{name}:{http_port}/docs"),
        ("OpenAI base_url", f"http://{name}:{http_port}/v1"),
        ("live socket", f"ws://{name}:{live_port}/ws/stream"),
        *([] if wyoming_port is None else [("Wyoming", f"tcp://{name}:{wyoming_port}")]),
    ]


async def _serve(settings: Settings) -> int:
    from whisperlive_hybrid.server import Server

    stop = asyncio.Event()
    starting = asyncio.current_task()
    assert starting is not None
    started = False
    asked, asked_at = 0, 0.0

    def on_signal(number: int) -> None:
        nonlocal asked, asked_at
        if asked and number == signal.SIGTERM and loop.time() < asked_at + _ECHO_S:
            return
        asked, asked_at = asked + 1, loop.time()
        if asked > 1:
            log.warning("ending at once")
            os._exit(128 + number)
        log.info("stopping; once more to end at once")
        if started:
            stop.set()
        else:
            starting.cancel()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(open_files.quiet_handler())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        async with Server(settings) as server:
            started = True
            for what, url in addresses(settings.app_host, server.http_port, server.live_port, server.wyoming_port):
                print(f"{what:<16} {url}", flush=True)
            closed = asyncio.ensure_future(server.wait_closed())
            asked_to = asyncio.ensure_future(stop.wait())
            await asyncio.wait([closed, asked_to], return_when=asyncio.FIRST_COMPLETED)
            asked_to.cancel()
            if not closed.done():
                closed.cancel()
            else:
                closed.result()
    except asyncio.CancelledError:
        if not asked:
            raise
    return exit_codes.OK
