"""Finds the command, runs it, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from whisperlive_hybrid import __version__
from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.errors import HybridError

COMMANDS = {
    "serve": "start the server (the default)",
    "transcribe": "turn files into text, here or on a server",
    "jobs": "jobs of a server: list, wait for, fetch, cancel",
    "live": "captions in the terminal, from the microphone or a file",
    "models": "list, fetch and check models",
    "doctor": "say what this machine has and what is missing",
}
"""Command and what it does, in the order of --help. Each is a module of this package."""

EXAMPLES = """\
examples:
  whisperlive-hybrid                                 start the server, print its address
  whisperlive-hybrid transcribe talk.mp3 -o talk.srt
  whisperlive-hybrid live --language en              captions of the microphone
"""


class Command(Protocol):
    """What the module of a command offers."""

    EXAMPLES: str
    """Three calls, shown first by --help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare flags and arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code. May raise HybridError."""
        ...


class ExamplesFirst(argparse.ArgumentParser):
    """A parser whose --help starts with examples."""

    def __init__(self, *, examples: str, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.examples = examples

    def format_help(self) -> str:
        """Examples, then the usual."""
        return f"{self.examples}\n{super().format_help()}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return exit_codes.OK
    if arguments and arguments[0] in ("-V", "--version"):
        print(f"whisperlive-hybrid {__version__}")
        return exit_codes.OK
    if not arguments or arguments[0].startswith("-"):
        arguments.insert(0, "serve")
    name, *rest = arguments
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"{name}: no such command. Commands are {known}. Try: whisperlive-hybrid --help", file=sys.stderr)
        return exit_codes.USAGE
    return _run(import_module(f"whisperlive_hybrid.cli.{name}"), name, rest)


def _run(command: Command, name: str, arguments: Sequence[str]) -> int:
    parser = ExamplesFirst(
        examples=command.EXAMPLES, prog=f"whisperlive-hybrid {name}", description=COMMANDS[name].capitalize() + "."
    )
    command.add_arguments(parser)
    try:
        code = command.run(parser.parse_args(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more on its way out; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.CLOSED_PIPE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except HybridError as error:
        print(exit_codes.line_of(error), file=sys.stderr)
        return exit_codes.of(error)
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        f"{EXAMPLES}\n"
        "usage: whisperlive-hybrid [COMMAND] [--help] [--version] …\n\n"
        f"commands:\n{commands}\n\n"
        "Every setting is a flag of the command that uses it, an environment variable and a line of .env:\n"
        "whisperlive-hybrid serve --help lists them."
    )
