"""Exit codes, and which error leads to which."""

from __future__ import annotations

from whisperlive_hybrid.errors import (
    BadInput,
    DeadlineExceeded,
    HybridError,
    ModelUnavailable,
    Refused,
    TooLarge,
    Unauthorized,
    UndecodableAudio,
)

OK = 0
FAILURE = 1
USAGE = 2
BAD_AUDIO = 3
"""Input missing, or not audio."""
UNREACHABLE = 4
"""No server answers."""
REFUSED = 5
"""No key, a wrong one, or the server is full."""
SOME_FAILED = 6
"""Some of several files."""
TIMED_OUT = 7
INTERRUPTED = 130
CLOSED_PIPE = 141
"""Nobody reads our output any more; what a process killed by SIGPIPE has."""


def of(error: HybridError) -> int:
    """The exit code an error leads to."""
    from whisperlive_hybrid.config import ConfigError  # late: it brings pydantic, and --help must be quick

    if isinstance(error, UndecodableAudio | TooLarge):
        return BAD_AUDIO
    if isinstance(error, BadInput | ConfigError):
        return USAGE
    if isinstance(error, Refused | Unauthorized):
        return REFUSED
    if isinstance(error, DeadlineExceeded):
        return TIMED_OUT
    return FAILURE


def line_of(error: HybridError) -> str:
    """One line for a person, with the ways out where there are some."""
    line = error.message.rstrip(".") + "."
    if isinstance(error, BadInput) and error.accepted:
        line += f" Accepted: {', '.join(error.accepted)}."
    if isinstance(error, ModelUnavailable) and error.ways_out:
        line += f" Try: {'; or '.join(error.ways_out)}."
    return " ".join(line.split())
