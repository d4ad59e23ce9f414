"""The command line: one module per command, loaded only when it is called."""

from whisperlive_hybrid.cli.program import main

__all__ = ["main"]
