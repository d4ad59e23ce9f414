"""What a server refuses, as a line for a person and an exit code."""

from __future__ import annotations

from typing import Final

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.client.errors import ClientError, JobFailed, ServerUnreachable
from whisperlive_hybrid.jobs.job import SERVER_FAULTS

_CODE_OF: Final = {
    400: exit_codes.USAGE,
    401: exit_codes.REFUSED,
    403: exit_codes.REFUSED,
    413: exit_codes.BAD_AUDIO,
    415: exit_codes.BAD_AUDIO,
    429: exit_codes.REFUSED,
    503: exit_codes.REFUSED,
    507: exit_codes.REFUSED,
}


def code_of(error: ClientError, *, of_audio: bool = False) -> int:
    """The exit code an error leads to. `of_audio`: what was sent was a file, and nothing else can have been wrong."""
    if isinstance(error, ServerUnreachable):
        return exit_codes.UNREACHABLE
    if isinstance(error, JobFailed):
        ours = error.code in SERVER_FAULTS or error.code == "job_cancelled"
        return exit_codes.FAILURE if ours else exit_codes.BAD_AUDIO
    if error.status == 400 and of_audio:
        return exit_codes.BAD_AUDIO
    return _CODE_OF.get(error.status or 0, exit_codes.FAILURE)


def line_of(error: ClientError) -> str:
    """One line, with the ways out where there are some."""
    line = error.message.rstrip(".") + "."
    accepted, ways_out = error.detail.get("accepted"), error.detail.get("ways_out")
    if accepted and "errors" not in error.detail:
        line += f" Accepted: {', '.join(accepted)}."
    if isinstance(error, ServerUnreachable):
        ways_out = ["whisperlive-hybrid serve"]
    elif error.status == 401:
        ways_out = ["API_KEY in the environment"]
    if ways_out:
        line += f" Try: {'; or '.join(ways_out)}"
    return " ".join(line.split())
