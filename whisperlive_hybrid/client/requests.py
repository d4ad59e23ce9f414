"""HTTP requests that outlive a lost connection, a server that is full and one that is started again."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias

import aiohttp

from .errors import ClientError, ServerUnreachable, reason_of

Audio: TypeAlias = str | Path | bytes
OnSent: TypeAlias = Callable[[int], None]
"""Told how many bytes of a file have been sent so far; from 0 again when it is sent again."""

CONNECT_S: Final = 10.0
QUIET_S: Final = 30.0
"""Streams have heartbeats every 10 s; one that is quiet for so long is lost."""
STALL_S: Final = 120.0
"""An upload that does not move, or is not answered, for so long is sent again."""
LONGEST_BUSY_S: Final = 600.0
"""A server that wants to be left alone for longer is not waited for."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_AWAY: Final = frozenset({502, 503, 504})
"""What a proxy says whose server is being started again, and what that says itself."""
_BYTES: Final = "application/octet-stream"
_PASSING: Final = frozenset({"error", "draining", "shutting_down", "loading", "full", "storage_busy", "storage_failed"})
"""Codes of a 503 that is over some time; `error` is none of ours: a proxy's."""
LOST: Final = (aiohttp.ClientError, ConnectionError, TimeoutError, ClientError)
"""What a request may fail with that may be made again, for `Requests.wait_after` to judge."""


class Requests:
    """`async with Requests(url) as requests`. One that is given up raises ClientError.

    The first request that nobody answers raises ServerUnreachable. After that, a server that is gone is asked again
    for `patience_s` seconds; one that is full (Retry-After) for as long as it says so. `on_wait` is told of waits.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        patience_s: float = 300.0,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.url = http_url(url)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._patience_s = patience_s
        self._on_wait = on_wait or (lambda _: None)
        self._reached = False
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Requests:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        key: str | None = None,
        quiet_s: float = QUIET_S,
    ) -> Any:
        """The answer's JSON, or its text if it is none; None where it is empty. `key`: the Idempotency-Key."""
        headers = {} if key is None else {"Idempotency-Key": key}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=quiet_s)
        patience = Patience(self._patience_s)
        while True:
            try:
                async with self._open().request(
                    method, self.url + path, params=query, json=body, headers=headers, timeout=timeout
                ) as answer:
                    return await self._taken(answer)
            except LOST as error:
                await self.wait_after(error, patience)

    async def send_file(
        self,
        path: str,
        audio: Audio,
        *,
        filename: str | None = None,
        key: str,
        on_sent: OnSent | None = None,
    ) -> Any:
        """POST a file as multipart; the answer's JSON. `filename` where the path does not name it. Raises OSError."""
        patience = Patience(self._patience_s)
        while True:
            moved_at = sent = 0

            def moved(n_bytes: int) -> None:
                nonlocal sent
                sent = n_bytes
                if on_sent is not None:
                    on_sent(n_bytes)

            try:
                with form_of(audio, moved, filename) as form:
                    request = asyncio.ensure_future(self._post(path, form, key))
                    try:
                        while not (await asyncio.wait([request], timeout=STALL_S))[0]:
                            if sent == moved_at:
                                raise TimeoutError("the upload does not move")
                            moved_at = sent
                        return request.result()
                    finally:
                        request.cancel()
                        await asyncio.wait([request])
            except LOST as error:
                await self.wait_after(error, patience)

    async def lines(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str], data: Any = None
    ) -> AsyncGenerator[dict[str, Any]]:
        """The objects of one answer in JSON lines. Raises aiohttp.ClientError or TimeoutError when it breaks off."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with self._open().request(
            method,
            self.url + path,
            params=query,
            headers=headers,
            data=data,
            timeout=timeout,
            expect100=data is not None,  # one that is too large is refused before it is sent
        ) as answer:
            if answer.status >= 400:
                await self._taken(answer)
            self._reached = True
            rest = b""
            while not answer.content.at_eof():
                async with asyncio.timeout(QUIET_S):
                    chunk = await answer.content.readany()
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield json.loads(line)

    async def wait_after(self, error: Exception, patience: Patience) -> None:
        """Wait before a request is made again that failed with `error`. Raises ClientError when that is no use."""
        if isinstance(error, ClientError):
            wait_s = error.retry_after_s
            if error.status == 429 and wait_s is None:
                wait_s = _LONGEST_WAIT_S
            passing = error.status == 429 or (error.status in _AWAY and error.code in _PASSING)
            if not passing or (wait_s or 0.0) > LONGEST_BUSY_S or not self._reached:
                raise error
            if wait_s is not None:
                self._on_wait(f"{error.message.rstrip('.')}: asking again in {wait_s:g} s.")
                await asyncio.sleep(wait_s)
                patience.start()
                return
        elif not self._reached:
            raise ServerUnreachable(
                f"No server answers at {self.url}: {reason_of(error)}.", code="unreachable"
            ) from error
        if not patience.left():
            if isinstance(error, ClientError):
                raise error
            raise ServerUnreachable(
                f"No server answers at {self.url} any more: {reason_of(error)}.", code="unreachable"
            ) from error
        if patience.n_waits == 0:
            self._on_wait("The connection to the server is lost. Trying again.")
        await asyncio.sleep(patience.next())

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is entered by `async with`")
        return self._session

    async def _post(self, path: str, form: aiohttp.FormData, key: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with self._open().post(
            self.url + path, data=form, headers={"Idempotency-Key": key}, timeout=timeout, expect100=True
        ) as answer:
            return await self._taken(answer)

    async def _taken(self, answer: aiohttp.ClientResponse) -> Any:
        text = await answer.text()
        # A proxy answers for a server that is not there.
        self._reached = self._reached or answer.status not in (502, 504)
        return result_of(answer.status, answer.content_type, text, dict(answer.headers))


class Patience:
    """How long a server that does not answer is still asked, and the waits in between."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.start()

    def start(self) -> None:
        """It has answered: all over again."""
        self._until: float | None = None
        self.n_waits = 0
        self._wait_s = _FIRST_WAIT_S

    def left(self) -> bool:
        """Whether to ask once more."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + self._seconds
        return now < self._until

    def next(self) -> float:
        """Seconds to wait now: twice as long each time, and spread, so that not all clients come at once."""
        self.n_waits += 1
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, _LONGEST_WAIT_S)
        return wait_s * random.uniform(0.5, 1.0)


@contextmanager
def form_of(
    audio: Audio, on_sent: OnSent, filename: str | None = None, fields: Mapping[str, Any] | None = None
) -> Iterator[aiohttp.FormData]:
    """A multipart form with a file, its length known before it is sent. Raises OSError."""
    form = aiohttp.FormData()
    for name, value in (fields or {}).items():
        if value is not None:
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    if isinstance(audio, bytes):
        form.add_field("file", audio, filename=filename or "audio", content_type=_BYTES)
        yield form
        return
    with io.BufferedReader(_Counted(str(audio), asyncio.get_running_loop(), on_sent)) as file:
        form.add_field("file", file, filename=filename or Path(audio).name, content_type=_BYTES)
        yield form


class _Counted(io.FileIO):
    """A file that tells how much of it has been read. It is read in threads, and tells it on the loop."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, on_read: OnSent) -> None:
        super().__init__(path)
        self._loop, self._on_read = loop, on_read
        self._n_read = 0

    def readinto(self, buffer: Any, /) -> int | None:
        n = super().readinto(buffer)
        self._n_read += n or 0
        self._loop.call_soon_threadsafe(self._on_read, self._n_read)
        return n


def http_url(url: str) -> str:
    """The HTTP address for what people write: host, WebSocket address, with or without a slash at the end."""
    if "://" not in url:
        url = f"http://{url}"
    scheme, rest = url.split("://", 1)
    return f"{ {'ws': 'http', 'wss': 'https'}.get(scheme, scheme) }://{rest.rstrip('/')}"


def result_of(status: int, content_type: str, body: str, headers: Mapping[str, str]) -> Any:
    """The JSON of an answer, or its text if it is none; None where it is empty. Raises ClientError for a refusal."""
    if status == 204:
        return None
    parsed: Any = None
    if content_type == "application/json":
        parsed = json.loads(body)
    if status < 400:
        return body if parsed is None else parsed
    error = parsed.get("error") if isinstance(parsed, dict) else None
    detail = error if isinstance(error, dict) else {"message": error or f"The server answered {status}."}
    retry_after = headers.get("Retry-After", "")
    raise ClientError(
        str(detail.get("message")),
        code=str(detail.get("code") or "error"),
        status=status,
        retry_after_s=float(retry_after) if retry_after.isdigit() else None,
        detail=detail,
    )
