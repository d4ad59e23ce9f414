"""One HTTP/3 request; its answer is printed as it comes. For the Python of an environment that has aioquic.

    python h3_lines.py POST https://localhost:8443/path?query NAME:VALUE…

The first line printed is the status; the exit status is 1 where there is none within 20 s.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent


class Client(QuicConnectionProtocol):
    """Sends one request and prints what comes back."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._http = H3Connection(self._quic)
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    def ask(self, method: str, url: str, headers: list[str]) -> None:
        """Send the request."""
        at = urlsplit(url)
        pseudo = {":method": method, ":scheme": at.scheme, ":authority": at.netloc, ":path": f"{at.path}?{at.query}"}
        more = (header.partition(":") for header in headers)
        lines = [*pseudo.items(), *((name.lower(), value.strip()) for name, _, value in more)]
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, [(n.encode(), v.encode()) for n, v in lines], end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            self.ended.set()
        for told in self._http.handle_event(event):
            if isinstance(told, HeadersReceived):
                print(dict(told.headers)[b":status"].decode(), flush=True)
                self.began.set()
            elif isinstance(told, DataReceived):
                sys.stdout.write(told.data.decode())
                sys.stdout.flush()
            if isinstance(told, HeadersReceived | DataReceived) and told.stream_ended:
                self.ended.set()


async def main(method: str, url: str, *headers: str) -> int:
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
    at = urlsplit(url)
    async with asyncio.timeout(20):
        opening = connect(at.hostname, at.port, configuration=configuration, create_protocol=Client)
        client = await opening.__aenter__()
        client.ask(method, url, list(headers))
        await client.began.wait()
    await client.ended.wait()
    client.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
