"""Log lines for people or for machines. Called by the command line only; a library leaves logging to its user."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any, Literal, TextIO

import msgspec

_NOISY = (
    "aiohttp.access",
    "aiohttp.web",
    "alembic",
    "asyncio",
    "faster_whisper",
    "filelock",
    "fsspec",
    "httpcore",
    "httpx",
    "huggingface_hub",
    "urllib3",
    "websockets",
)
"""Libraries that tell more than an operator wants; their warnings are kept."""

_SECRET = re.compile(
    r"(?i)\b(token=|api_key=|x-api-key['\"]?: ?['\"]?|authorization['\"]?: ?['\"]?(?:bearer |token )?)[^\s&\"',;]+"
)
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up_logging(level: str, style: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Log from `level` (debug, info, warning, error) on, to `stream` (default standard error).

    Replaces what was set up before. Keys and tokens in a line are blotted out.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    handler.addFilter(_is_news)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    quiet = logging.INFO if level == "debug" else logging.WARNING
    for name in _NOISY:
        logging.getLogger(name).setLevel(quiet)


def _is_news(record: logging.LogRecord) -> bool:
    """All but what asyncio says of each write to a connection that is gone: a client could fill a disk with it."""
    return record.name != "asyncio" or record.msg != "socket.send() raised exception."


class TextLines(logging.Formatter):
    """`12:30:01 INFO    engine.models: loading base`, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(place)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a traceback below it where there is one."""
        record.place = record.name.removeprefix("whisperlive_hybrid.")
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, error, and the call's `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))
        line.update((k, v) for k, v in record.__dict__.items() if k not in _OWN and k not in line)
        return msgspec.json.encode(line, enc_hook=str).decode()


def without_secrets(text: str) -> str:
    """`text` with the values of keys and tokens replaced by ***."""
    return _SECRET.sub(r"\1***", text)
