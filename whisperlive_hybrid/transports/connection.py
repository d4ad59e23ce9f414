"""What every live front door shares: a connection, a dialect, and the one loop that runs them.

A `Connection` moves messages and knows nothing of their meaning. A `Dialect` is pure: it turns a client's messages into
commands and events into messages, one per connection. `serve_connection` is the only place that awaits both.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from whisperlive_hybrid.errors import BadInput, HybridError, Unavailable
from whisperlive_hybrid.live.commands import Audio, Command, LiveOptions, Ping, Resume, Start, Stop
from whisperlive_hybrid.live.events import Pong, failed_by
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.parting import Closing
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.transports.turnstile import Turnstile

log = logging.getLogger(__name__)

Message: TypeAlias = str | bytes

MAX_MESSAGE_BYTES: Final = 2**20
"""Unless a door takes more; what is larger is unpacked in a thread."""
PING_EVERY_S: Final = 10.0
PONG_WITHIN_S: Final = 8.0
"""A half-open connection is found within both together, and 20 s leave time to come back."""
OPEN_WITHIN_S: Final = 60.0
"""From the handshake to the first message."""


FAREWELL_WITHIN_S: Final = 1.0
"""For the last words to a client that reads too slowly or was taken over."""
START_GRACE_S: Final = 0.25
"""A session that the query string asks for starts after this, or with the first message."""


class ConnectionLost(Exception):
    """The connection is gone. `clean`: the peer closed it on purpose (1000)."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("closed" if clean else "broken")
        self.clean = clean


class BadStart(BadInput):
    """The session cannot be opened as asked; ends the connection."""

    code = "bad_start"


class Connection(Protocol):
    """Two-way messages. One task receives, one sends."""

    async def receive(self) -> Message:
        """The next message. Raises ConnectionLost."""
        ...

    async def send(self, message: Message) -> None:
        """Send, waiting while the peer reads too slowly. Raises ConnectionLost."""
        ...

    async def ping(self, timeout_s: float) -> bool:
        """Whether the peer answers a ping in time. Raises ConnectionLost."""
        ...

    async def close(self, code: int, reason: str) -> bool:
        """Close; whether the peer agreed."""
        ...

    def abort(self) -> None:
        """Drop the connection without a word."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a front door says no: messages, then a close code. `linger_ms`: wait so long between them."""

    messages: Sequence[Message]
    close_code: int
    reason: str = ""
    linger_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """Messages that answer a client without the session: sent at once, and not again to a client that resumes."""

    messages: Sequence[Message]


class Dialect(Protocol):
    """One front door's wire, for one connection. Pure. Derive from it: what a wire does not have need not be said."""

    can_resume: bool = False
    """Its clients know how to come back to a session."""
    starts_at_once: bool = False
    """The session that the request itself asks for is opened before anything is read."""
    open_within_s: float = OPEN_WITHIN_S
    """How long a client may take until it has a session."""
    idle_s: float | None = None
    """How long a session's client may send nothing; None is as the server has it."""
    flush_after_s: float | None = None
    """What was said is finalized when the client has sent nothing for so long; None waits for more."""
    any_model: bool = False
    """Its clients always name a model: where that cannot be had, the server's own is used."""
    time_limit_s: float | None = None
    """How long a session may take, for wires that have a message for that; then `time_up` is asked."""

    amid_audio: bool = False
    """What came last is a piece of audio with more to come: it counts as audio, though it leads to nothing."""

    def opening(self) -> Sequence[Command | Reply]:
        """What follows from the request itself (its query string). Raises BadStart."""
        return []

    def unpack(self, message: Message) -> Message:
        """A simpler form of a very large message, without a look at the connection: this runs in a thread."""
        return message

    def receive(self, message: Message) -> Sequence[Command | Reply]:
        """Commands in a client's message, and answers that need no session.

        Raises BadInput for one without sense, BadStart where it ends all.
        """
        ...

    def time_up(self) -> Sequence[Command]:
        """What ends the session when `time_limit_s` is over."""
        return [Stop()]

    def default_start(self) -> LiveOptions:
        """Options of a session whose client sends audio without a start."""
        ...

    def send(self, event: Numbered) -> Sequence[Message]:
        """What the client is sent for an event."""
        ...

    def close_code(self, code: int) -> int:
        """This wire's code for the one that a session ends with."""
        return code

    def refuse(self, error: HybridError) -> Refusal:
        """How the client is told that there will be no session."""
        ...


@dataclass(frozen=True, slots=True)
class _ClientsLive:
    """The live room for one client."""

    service: LiveService
    client: str | None


async def serve_connection(
    connection: Connection, dialect: Dialect, service: LiveService, client: str | None = None
) -> None:
    """Serve one client until it is gone or told everything. Never raises but on cancellation. `client`: whom its
    sessions count for."""
    live = _ClientsLive(service, client)
    link: Link | None = None
    turnstile = Turnstile(asyncio.get_running_loop().time())
    try:
        link = await _open(connection, dialect, live, turnstile)
        if link is not None:
            await _run(connection, dialect, link, turnstile)
    except ConnectionLost as lost:
        if link is not None:
            link.let_go(clean=lost.clean)
    except HybridError as error:
        await refuse(connection, dialect.refuse(error))
    except Exception:
        incident = secrets.token_hex(4)
        log.exception("live connection failed (incident %s)", incident)
        fault = Unavailable(f"Our fault; incident {incident}.", code="internal_error")
        await refuse(connection, dialect.refuse(fault))
    finally:
        if link is not None:
            link.let_go(clean=False)  # nothing happens if it was let go before


async def refuse(connection: Connection, refusal: Refusal) -> None:
    """Say no: the messages, then the close."""
    with suppress(ConnectionLost):
        for message in refusal.messages:
            await connection.send(message)
        if refusal.linger_ms:
            await asyncio.sleep(refusal.linger_ms / 1000)
        await connection.close(refusal.close_code, refusal.reason)


async def _open(connection: Connection, dialect: Dialect, live: _ClientsLive, turnstile: Turnstile) -> Link | None:
    """Read until there is a session. None when the client was gone before.

    Where the request itself starts one, a client still has a moment to say that it resumes another.
    """
    opening: list[Command] = []
    first = dialect.opening()
    if dialect.starts_at_once:
        return await _obey(first, connection, dialect, live)
    for command in first:
        if isinstance(command, Reply):
            await _answer(command, connection)
        else:
            opening.append(command)
    patience = START_GRACE_S if opening else dialect.open_within_s
    while True:
        try:
            async with asyncio.timeout(patience):
                message = await _next_message(connection, dialect)
        except TimeoutError:
            if opening:
                return await _obey(opening, connection, dialect, live)
            raise BadStart(f"Nothing was received for {patience:g} s.", code="idle") from None
        try:
            commands = dialect.receive(message)
        except BadStart:
            raise
        except BadInput as error:
            await _say(connection, dialect, Numbered(0, failed_by(error, fatal=False)))
            await _queue_up(turnstile, message, (), dialect)
            continue
        if not any(isinstance(c, Start | Resume) for c in commands):
            commands = [*opening, *commands]
        link = await _obey(commands, connection, dialect, live)
        if link is not None:
            return link
        await _queue_up(turnstile, message, commands, dialect)


async def _obey(
    commands: Sequence[Command | Reply], connection: Connection, dialect: Dialect, live: _ClientsLive
) -> Link | None:
    """Carry out a connection's first commands; returns the session's link if they led to one."""
    link: Link | None = None
    for command in commands:
        match command:
            case Reply():
                await _answer(command, connection)
            case Ping(id) if link is None:
                await _say(connection, dialect, Numbered(0, Pong(id)))
            case Start(options) if link is None:
                link = await _new_session(options, dialect, live)
            case Resume(session, token, last_event) if link is None:
                link = await live.service.resume(session, token, last_event, client=live.client)
            case _:
                if link is None:
                    link = await _new_session(dialect.default_start(), dialect, live)
                await link.take(command)
    return link


async def _new_session(options: LiveOptions, dialect: Dialect, live: _ClientsLive) -> Link:
    return await live.service.open(
        options,
        client=live.client,
        can_resume=dialect.can_resume,
        idle_s=dialect.idle_s,
        flush_after_s=dialect.flush_after_s,
        any_model=dialect.any_model,
    )


async def _answer(reply: Reply, connection: Connection) -> None:
    for message in reply.messages:
        await connection.send(message)


async def _say(connection: Connection, dialect: Dialect, event: Numbered) -> None:
    for message in dialect.send(event):
        await connection.send(message)


async def _next_message(connection: Connection, dialect: Dialect) -> Message:
    message = await connection.receive()
    return message if len(message) <= MAX_MESSAGE_BYTES else await asyncio.to_thread(dialect.unpack, message)


async def _queue_up(
    turnstile: Turnstile, message: Message, commands: Sequence[Command | Reply], dialect: Dialect
) -> None:
    """After a message and what it led to: wait until the client may be heard again. Others always come in between."""
    audio = dialect.amid_audio or any(isinstance(c, Audio) for c in commands)
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(turnstile.wait_s(audio=audio, now=now, length=len(message)))


async def _run(connection: Connection, dialect: Dialect, link: Link, turnstile: Turnstile) -> None:
    """Read, write and ping until one of them ends."""
    watch = _Watch()
    reader = asyncio.create_task(_read(connection, dialect, link, watch, turnstile), name="live read")
    writer = asyncio.create_task(_write(connection, dialect, link), name="live write")
    pinger = asyncio.create_task(_ping(connection, watch), name="live ping")
    ender = asyncio.create_task(_drop_if_stuck(connection, link), name="live end")
    limit = asyncio.create_task(_limit(dialect, link), name="live limit")
    tasks = (reader, writer, pinger, ender)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        closing = writer.result() if writer.done() and not writer.cancelled() and not writer.exception() else None
        errors = [t.exception() for t in tasks if t.done() and not t.cancelled()]
        for task in (*tasks, limit):
            task.cancel()
        await asyncio.gather(*tasks, limit, return_exceptions=True)
    if closing is not None:
        agreed = await connection.close(dialect.close_code(closing.code), closing.reason)
        link.let_go(clean=agreed and closing.code not in RESUMABLE)
        return
    for error in errors:
        if error is not None:
            raise error


RESUMABLE: Final = frozenset({1012, 1013, 4410})
"""Codes after which the session may go on with another connection."""


class _Watch:
    """When the reader began to wait for the message it waits for; None while it does not read (its session is full)."""

    def __init__(self) -> None:
        self.reading_since: float | None = None


async def _read(connection: Connection, dialect: Dialect, link: Link, watch: _Watch, turnstile: Turnstile) -> None:
    now: Callable[[], float] = asyncio.get_running_loop().time
    while True:
        watch.reading_since = now()
        message = await _next_message(connection, dialect)
        watch.reading_since = None
        commands: Sequence[Command | Reply] = ()
        try:
            commands = dialect.receive(message)
        except BadInput as error:
            link.reject(error)
        for command in commands:
            if isinstance(command, Reply):
                await _answer(command, connection)
            else:
                await link.take(command)
        await _queue_up(turnstile, message, commands, dialect)


async def _write(connection: Connection, dialect: Dialect, link: Link) -> Closing:
    while True:
        event = await link.next()
        if isinstance(event, Closing):
            return event
        await _say(connection, dialect, event)


async def _limit(dialect: Dialect, link: Link) -> None:
    """End a session that has had its time. What was heard until then is told as usual."""
    if dialect.time_limit_s is not None:
        await asyncio.sleep(dialect.time_limit_s)
        for command in dialect.time_up():
            await link.take(command)


async def _drop_if_stuck(connection: Connection, link: Link) -> None:
    """A connection that the session has given up may be one that takes no more bytes: do not wait for it."""
    await link.wait_ended()
    await asyncio.sleep(FAREWELL_WITHIN_S)
    connection.abort()
    raise ConnectionLost(clean=False)


async def _ping(connection: Connection, watch: _Watch) -> None:
    """Find a half-open connection. Pongs are seen only while messages are read, so it looks only then."""
    now: Callable[[], float] = asyncio.get_running_loop().time
    while True:
        since = watch.reading_since
        if since is None or now() < since + PING_EVERY_S:
            await asyncio.sleep(PING_EVERY_S if since is None else since + PING_EVERY_S - now())
        elif not await connection.ping(PONG_WITHIN_S) and watch.reading_since == since:
            connection.abort()
            raise ConnectionLost(clean=False)
        else:
            await asyncio.sleep(PING_EVERY_S)
