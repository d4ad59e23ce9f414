"""The lock that tells whether a process is the only one."""

from __future__ import annotations

from pathlib import Path

from whisperlive_hybrid.storage.sole import sole_process


def test_only_one_at_a_time(tmp_path: Path) -> None:
    with sole_process(tmp_path / "lock") as first:
        assert first
        with sole_process(tmp_path / "lock") as second:
            assert not second
    with sole_process(tmp_path / "lock") as again:
        assert again
