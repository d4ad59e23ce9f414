"""What the server does before it listens."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from whisperlive_hybrid import server
from whisperlive_hybrid.config import ConfigError, Settings
from whisperlive_hybrid.storage import records


@pytest.mark.parametrize(("code", "starts"), [(sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_READONLY, False)])
async def test_a_full_disk_keeps_no_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, starts: bool
) -> None:
    def fail(_: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("cannot write")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(records, "_connect", fail)
    settings = Settings(data_dir=tmp_path)
    async with AsyncExitStack() as stack:
        if starts:
            assert await server._open_store(settings, stack) is None
        else:
            with pytest.raises(ConfigError, match="DATA_DIR"):
                await server._open_store(settings, stack)
