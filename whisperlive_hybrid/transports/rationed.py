"""What comes in over one live connection, in rations: little at a time, and no more than its share of the event loop.

Both WebSocket libraries parse whatever was read from a socket at once, a quarter of a mebibyte, before anybody can ask
how many frames that is; and neither counts pings, pongs and pieces of messages, which never reach `serve_connection`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from whisperlive_hybrid.transports.turnstile import Allowance

READ_BYTES: Final = 4096
"""Read and parsed in one turn of the event loop: 680 frames of nothing, some milliseconds."""
PARSING_PER_S: Final = 0.05
"""CPU seconds a second. Real-time audio takes a thousandth of it."""
PARSING_AT_ONCE_S: Final = 0.1
UNREAD_BYTES: Final = 2**20
"""Written and not taken by the client. Events wait in the session; these are answers to pings."""


def ration(transport: asyncio.Transport, clock: Callable[[], float] = time.thread_time) -> None:
    """Read the connection in rations from now on. `clock`: CPU seconds of the event loop's thread."""
    if hasattr(transport, "max_size"):  # asyncio's own transport for sockets; others read less at once as they come
        transport.max_size = READ_BYTES
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    transport.set_protocol(_Rationed(protocol, transport, clock))


class _Rationed(asyncio.Protocol):
    """Between a transport and its protocol. Holds what was read back while the client has used up its share.

    The protocol pauses and resumes the transport itself. The two never meet: data only comes while the protocol
    reads, and while data is held back nothing comes that it could pause for.
    """

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport, clock: Callable[[], float]) -> None:
        self._protocol = protocol
        self._transport = transport
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._share = Allowance(PARSING_PER_S, PARSING_AT_ONCE_S, self._loop.time())
        self._later: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        wait_s = self._share.wait_s(0, self._loop.time())
        if wait_s > 0:
            self._transport.pause_reading()
            self._later = self._loop.call_later(wait_s, self._go_on, data)
        else:
            self._hand_over(data)

    def _go_on(self, data: bytes) -> None:
        self._later = None
        self._transport.resume_reading()
        self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            self._transport.abort()
            return
        began = self._clock()
        self._protocol.data_received(data)
        self._share.wait_s(self._clock() - began, self._loop.time())

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._later is not None:
            self._later.cancel()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._protocol.resume_writing()
