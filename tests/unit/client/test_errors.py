"""Why a connection failed, in words for a person."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from whisperlive_hybrid.client.errors import reason_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 5050)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "certificate verify failed"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("two\nlines."), "two lines"),
    ],
)
def test_reasons_are_plain_words(error: Exception, said: str) -> None:
    assert said in reason_of(error)
    assert "127.0.0.1" not in reason_of(error)
