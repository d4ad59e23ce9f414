"""The browser's modules: their pure parts under node's test runner, all of them for syntax."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from whisperlive_hybrid.pages import site

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None or int(subprocess.check_output([NODE, "-p", "process.versions.node.split('.')[0]"])) < 20,
    reason="node 20 or newer is not installed; it is needed by these tests only",
)
HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.mjs")), ids=lambda p: p.name)
def test_module(path: Path) -> None:
    assert NODE is not None
    done = subprocess.run([NODE, "--test", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "# pass 0\n" not in done.stdout


@pytest.mark.parametrize("path", sorted(site.STATIC.rglob("*.js")), ids=lambda p: p.name)
def test_syntax(path: Path) -> None:
    assert NODE is not None
    done = subprocess.run([NODE, "--check", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
