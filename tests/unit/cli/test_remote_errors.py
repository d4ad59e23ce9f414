from __future__ import annotations

import pytest

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.remote_errors import code_of, line_of
from whisperlive_hybrid.client.errors import ClientError, JobFailed, ServerUnreachable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServerUnreachable("gone"), exit_codes.UNREACHABLE),
        (ClientError("no key", status=401), exit_codes.REFUSED),
        (ClientError("foreign", status=403), exit_codes.REFUSED),
        (ClientError("too large", status=413), exit_codes.BAD_AUDIO),
        (ClientError("full", status=429), exit_codes.REFUSED),
        (ClientError("disk full", status=507), exit_codes.REFUSED),
        (ClientError("no such model", status=404), exit_codes.FAILURE),
        (ClientError("broken", status=500), exit_codes.FAILURE),
        (ClientError("bad option", status=400), exit_codes.USAGE),
        (JobFailed("not audio", code="not_audio"), exit_codes.BAD_AUDIO),
        (JobFailed("worker lost", code="worker_lost"), exit_codes.FAILURE),
        (JobFailed("cancelled", code="job_cancelled"), exit_codes.FAILURE),
    ],
)
def test_exit_codes(error: ClientError, code: int) -> None:
    assert code_of(error) == code


def test_a_file_that_is_refused_is_bad_audio() -> None:
    assert code_of(ClientError("not audio", status=400), of_audio=True) == exit_codes.BAD_AUDIO


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ClientError("No such task.", detail={"accepted": ["transcribe"]}), "No such task. Accepted: transcribe."),
        (ClientError("It needs a key", status=401), "It needs a key. Try: API_KEY in the environment"),
        (ClientError("No model", detail={"ways_out": ["a", "b"]}), "No model. Try: a; or b"),
        (ServerUnreachable("Nobody\nthere."), "Nobody there. Try: whisperlive-hybrid serve"),
    ],
)
def test_lines_for_people(error: ClientError, line: str) -> None:
    assert line_of(error) == line
