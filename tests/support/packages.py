"""Real client packages, installed when a test asks for them and kept for the next run.

Each environment is a folder of its own, so that a client's needs and the server's never meet. Without a package index
the test that asks is skipped; where the environment variable CI is set it fails instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = (Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / ".venv") / "clients"
INSTALL_WITHIN_S = 600.0
_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectionError|ConnectTimeout|ReadTimeout|timed out|name resolution|ProxyError|"
    r"ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|network request",
    re.IGNORECASE,
)


def python_environment(
    name: str, *requirements: str, without_dependencies: Sequence[str] = (), on_top: bool = False
) -> Path:
    """The Python of a virtual environment that has `requirements`.

    `without_dependencies`: more requirements, installed alone. `on_top`: what the tests' own environment has can be
    imported too, and need not be installed again; what is named here comes first.
    """
    key = ("python", sys.version, *requirements, "--no-deps", *without_dependencies, str(on_top))

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        python = folder / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
        pip += ["--quiet", "--retries", "1", "--timeout", "20", "--prefer-binary"]
        if requirements:
            _run([*pip, *requirements])
        if without_dependencies:
            _run([*pip, "--no-deps", *without_dependencies])
        if on_top:
            site = next(folder.glob("lib/python*/site-packages"))
            (site / "zz-tests-own.pth").write_text(sysconfig.get_path("purelib") + "\n")

    return _environment(name, key, install) / "bin" / "python"


def source_distribution(requirement: str) -> Path:
    """The unpacked sources of a pinned requirement (`name==version`), with what wheels leave out, such as tests."""

    def install(folder: Path) -> None:
        folder.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        _run(
            [
                *pip,
                "--retries",
                "1",
                "--timeout",
                "20",
                "--no-deps",
                "--no-binary",
                requirement.partition("==")[0],
                "-d",
                str(folder),
                requirement,
            ]
        )
        [archive] = folder.glob("*.tar.gz")
        with tarfile.open(archive) as sources:
            sources.extractall(folder, filter="data")

    name = requirement.partition("==")[0]
    [unpacked] = [
        entry for entry in _environment(f"{name}-sources", ("sdist", requirement), install).iterdir() if entry.is_dir()
    ]
    return unpacked


def node_environment(name: str, *packages: str) -> Path:
    """A folder whose `node_modules` has `packages`; scripts in it can import them. Skips where there is no npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        give_up("node and npm are not installed")

    def install(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--loglevel=error"]
        _run([npm, "install", *quiet, "--prefix", str(folder), *packages])

    return _environment(name, ("node", *packages), install)


class _InstallFailed(Exception):
    """What pip or npm said."""


def _environment(name: str, key: Sequence[str], install: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()[:10]
    folder = ENVIRONMENTS / f"{name}-{digest}"
    complaint = _install_once(folder, install)
    if complaint is not None:
        unreachable = _UNREACHABLE.search(complaint)
        if unreachable is not None:
            give_up(f"the package index cannot be reached ({unreachable.group()})")
        pytest.fail(f"{name} cannot be installed:\n{complaint[-3000:]}", pytrace=False)
    return folder


_complaints: dict[Path, str] = {}
"""Of this run: what could not be installed is not tried again by each test."""


def _install_once(folder: Path, install: Callable[[Path], None]) -> str | None:
    """Install into `folder` unless that has been done; returns why it failed. Other test runs wait meanwhile."""
    if folder in _complaints:
        return _complaints[folder]
    done = folder / ".installed"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return None
        shutil.rmtree(folder, ignore_errors=True)  # one that was interrupted
        try:
            install(folder)
        except _InstallFailed as error:
            _complaints[folder] = str(error)
            return str(error)
        done.touch()
    return None


def _run(command: Sequence[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_WITHIN_S, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise _InstallFailed(f"timed out after {INSTALL_WITHIN_S:g} s: {' '.join(error.cmd)}") from None
    if ran.returncode != 0:
        raise _InstallFailed(ran.stdout + ran.stderr)


def give_up(why: str) -> NoReturn:
    """Skip the test for want of what it needs; where the environment variable CI is set, fail it."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
