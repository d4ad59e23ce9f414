"""Why a connection failed, in words for a person."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from whisperlive_hybrid.client.errors import reason_of


def wrong_version() -> ssl.SSLError:
    """What TLS says of a server that does not speak it."""
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ours, theirs, server_hostname="localhost")
    ours.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    try:
        tls.do_handshake()
    except ssl.SSLError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 5050)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "not trusted: certificate verify failed"),
        (wrong_version(), "it speaks http, not https"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("two\nlines."), "two lines"),
    ],
)
def test_reasons_are_plain_words(error: Exception, said: str) -> None:
    assert said in reason_of(error)
    assert "127.0.0.1" not in reason_of(error)
