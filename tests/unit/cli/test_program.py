from __future__ import annotations

import subprocess
import sys

import pytest

from whisperlive_hybrid import __version__
from whisperlive_hybrid.cli import exit_codes, main
from whisperlive_hybrid.cli.program import COMMANDS
from whisperlive_hybrid.config import ConfigError
from whisperlive_hybrid.errors import (
    BadInput,
    DeadlineExceeded,
    HybridError,
    ModelUnavailable,
    NotFound,
    Refused,
    TooLarge,
    Unauthorized,
    UndecodableAudio,
    WorkerLost,
)


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_help_starts_with_three_examples_and_names_every_command(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "examples:"
    assert all(line.startswith("  whisperlive-hybrid") for line in lines[1:4])
    assert lines[4] == ""
    for name in COMMANDS:
        assert any(line.startswith(f"  {name} ") for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_starts_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "examples:"
    assert sum(f"whisperlive-hybrid {command}" in line for line in lines[1:4]) == 3
    assert any(line.startswith("usage: whisperlive-hybrid " + command) for line in lines)


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_version(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([argument]) == 0
    assert capsys.readouterr().out == f"whisperlive-hybrid {__version__}\n"


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sevre"]) == exit_codes.USAGE
    assert "serve, transcribe, jobs, live, models, doctor" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--http-port", "banana"], ["serve", "--http-port", "banana"]])
def test_a_wrong_setting_is_one_line_and_flags_alone_mean_serve(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == exit_codes.USAGE
    err = capsys.readouterr().err
    assert err.startswith("HTTP_PORT='banana' is not allowed: ")
    assert err.count("\n") == 1


def test_an_unknown_flag_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--no-such-flag"])
    assert ended.value.code == exit_codes.USAGE
    assert "--no-such-flag" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UndecodableAudio("not audio"), exit_codes.BAD_AUDIO),
        (TooLarge("too long", limit=1), exit_codes.BAD_AUDIO),
        (BadInput("no such language", param="language"), exit_codes.USAGE),
        (ConfigError("bad"), exit_codes.USAGE),
        (Refused("full", retry_after_s=1), exit_codes.REFUSED),
        (Unauthorized("no key"), exit_codes.REFUSED),
        (DeadlineExceeded("late"), exit_codes.TIMED_OUT),
        (ModelUnavailable("none", model="x"), exit_codes.FAILURE),
        (NotFound("none", kind="model", id="x"), exit_codes.FAILURE),
        (WorkerLost("died"), exit_codes.FAILURE),
    ],
)
def test_exit_codes(error: HybridError, code: int) -> None:
    assert exit_codes.of(error) == code


def test_the_line_of_an_error_says_what_can_be_done() -> None:
    assert exit_codes.line_of(ModelUnavailable("No model", model="x", ways_out=["a", "b"])) == (
        "No model. Try: a; or b."
    )
    assert exit_codes.line_of(BadInput("wrong\nword.", accepted=["x", "y"])) == "wrong word. Accepted: x, y."


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from whisperlive_hybrid.cli import main\n"
        "main(['--help'])\n"
        "heavy = {'numpy', 'pydantic', 'aiohttp', 'ctranslate2', 'onnxruntime', 'av', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    """`whisperlive-hybrid models | true`: no traceback."""
    code = "import sys\nfrom whisperlive_hybrid.cli import main\nsys.exit(main(['models', 'list']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(60) == exit_codes.CLOSED_PIPE
    assert err == b""
