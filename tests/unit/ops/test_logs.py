from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
from collections.abc import Iterator

import pytest

from tests.support.logging_state import logging_as_it_was
from whisperlive_hybrid.ops.logs import set_up_logging, without_secrets


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    with logging_as_it_was():
        yield


def test_text_lines_name_the_place_within_the_package() -> None:
    out = io.StringIO()
    set_up_logging("info", "text", out)
    logging.getLogger("whisperlive_hybrid.engine.models").info("loading %s", "base")
    logging.getLogger("whisperlive_hybrid.engine.models").debug("not this")
    [line] = out.getvalue().splitlines()
    assert line.endswith(" INFO    engine.models: loading base")


async def test_writes_to_a_client_that_is_gone_do_not_fill_the_log() -> None:
    out = io.StringIO()
    set_up_logging("info", "text", out)
    here, there = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=here)
    transport.abort()
    for _ in range(20):
        transport.write(b"late")
    logging.getLogger("asyncio").warning("something else")
    there.close()
    [line] = out.getvalue().splitlines()
    assert line.endswith("asyncio: something else")


def test_json_lines_carry_extra_and_traceback() -> None:
    out = io.StringIO()
    set_up_logging("info", "json", out)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("whisperlive_hybrid.x").exception("failed", extra={"session": "s1", "odd": object})
    line = json.loads(out.getvalue())
    assert line["level"] == "error"
    assert line["message"] == "failed"
    assert line["session"] == "s1"
    assert line["error"].endswith("ValueError: broken")
    assert line["time"].endswith("Z")


def test_libraries_are_quiet_but_their_warnings_are_kept() -> None:
    out = io.StringIO()
    set_up_logging("info", "text", out)
    for name in ("aiohttp.access", "websockets.server", "faster_whisper", "huggingface_hub.file_download"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("heed")
    assert out.getvalue().count("heed") == 4
    assert "chatter" not in out.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "GET /ws/stream?codec=opus&token=hunter2&x=1",
        "GET /ws/stream?api_key=hunter2 HTTP/1.1",
        "Authorization: Bearer hunter2",
        "x-api-key: hunter2",
        "{'Authorization': 'Bearer hunter2'}",
    ],
)
def test_secrets_are_blotted_out(line: str) -> None:
    out = io.StringIO()
    set_up_logging("info", "text", out)
    logging.getLogger("whisperlive_hybrid").info("%s", line)
    assert "hunter2" not in out.getvalue()


def test_ordinary_text_stays() -> None:
    text = "the token: a word; tokens=5 of 9"
    assert without_secrets(text) == text


def test_setting_up_twice_logs_once() -> None:
    out = io.StringIO()
    set_up_logging("info", "text", out)
    set_up_logging("info", "text", out)
    logging.getLogger("a").info("once")
    assert out.getvalue().count("once") == 1
