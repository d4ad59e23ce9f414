"""Delivers the webhooks that are owed: signed, guarded, tried again for a day, always under the same id."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from whisperlive_hybrid import __version__
from whisperlive_hybrid.errors import BadInput, Conflict, DiskFull, NotFound
from whisperlive_hybrid.jobs.bell import OUTBOX, Bell
from whisperlive_hybrid.jobs.signing import Secret, new_secret, signed_headers
from whisperlive_hybrid.ops.egress import AllowedHosts, any_socket, caused_by_guard, check_target, guarded_socket
from whisperlive_hybrid.storage import deliveries
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.rows import DeliveryRow, Page

log = logging.getLogger(__name__)

DELAYS_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 28800.0, 7200.0)
"""Between tries: about a day in all."""
JITTER: Final = 0.1
"""Delays are up to so much longer or shorter, so that many do not come back at once."""
TIMEOUT_S: Final = 10.0
LEASE_S: Final = 30.0
AT_ONCE: Final = 8
IDLE_POLL_S: Final = 2.0
"""How often an idle courier looks for webhooks that another process owes."""
SECRET_FILE: Final = "webhook-secret"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said to a webhook."""

    status: int | None
    """None where there was no answer."""
    error: str | None
    """None: it was taken."""
    final: bool = False
    """Trying again is of no use."""


@dataclass(frozen=True, slots=True)
class NextTry:
    """What is done after a try that failed: again after `delay_s`, or never (None)."""

    delay_s: float | None


def after_try(answer: Answer, attempts: int, jitter: float = 0.0) -> NextTry:
    """After attempt number `attempts`, the first being 1. `jitter` is from -1 to 1."""
    if answer.final or attempts > len(DELAYS_S):
        return NextTry(None)
    return NextTry(DELAYS_S[attempts - 1] * (1 + JITTER * jitter))


class Courier:
    """`async with Courier(…) as courier`: delivers until the block ends."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        keys: Sequence[Secret],
        allowed: AllowedHosts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._bell = bell
        self._keys = tuple(keys)
        self.allowed = allowed
        self._clock = clock
        self._free = asyncio.Semaphore(AT_ONCE)
        self._tries: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._deliver_all(), name="webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._tries, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def page(self, *, state: str | None, job_id: str | None, after: str | None, limit: int) -> Page[DeliveryRow]:
        """Webhooks, newest first."""
        return await self._database.read(
            lambda c: deliveries.page_of_deliveries(c, state=state, job_id=job_id, after=after, limit=limit)
        )

    async def get(self, id: str) -> DeliveryRow:
        """The webhook. Raises NotFound."""
        row = await self._database.read(lambda c: deliveries.get_delivery(c, id))
        if row is None:
            raise NotFound(f"There is no webhook {id[:64]!r}.", kind="webhook", id=id, code="no_such_webhook")
        return row

    async def send_again(self, id: str) -> DeliveryRow:
        """Owe a webhook once more, under its id. Raises NotFound, or Conflict while it is just being sent."""
        await self.get(id)
        if not await self._database.write(lambda c: deliveries.send_again(c, id, self._clock())):
            raise Conflict("The webhook is being sent at this moment.", code="webhook_under_way")
        self._bell.ring(OUTBOX)
        return await self.get(id)

    async def _deliver_all(self) -> None:
        with self._bell.listen(OUTBOX) as listener:
            while True:
                await self._free.acquire()
                lease, now = secrets.token_hex(16), self._clock()
                row = None
                with suppress(StoreFailed, DiskFull):
                    row = await self._database.write(
                        lambda c, lease=lease, now=now: deliveries.take_delivery(  # type: ignore[misc]
                            c, lease=lease, now=now, until=now + LEASE_S
                        )
                    )
                if row is None:
                    self._free.release()
                    await listener.wait(await self._until_due())
                    continue
                task = asyncio.create_task(self._deliver(row, lease), name=row.id)
                self._tries.add(task)
                task.add_done_callback(self._tried)

    def _tried(self, task: asyncio.Task[None]) -> None:
        self._tries.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a webhook failed", exc_info=error)

    async def _until_due(self) -> float:
        try:
            due = await self._database.read(deliveries.next_delivery_at)
        except StoreFailed:
            return IDLE_POLL_S
        return IDLE_POLL_S if due is None else min(max(due - self._clock(), 0.02), IDLE_POLL_S)

    async def _deliver(self, row: DeliveryRow, lease: str) -> None:
        answer = await self._send(row)
        now = self._clock()
        values: dict[str, Any] = {"last_status": answer.status, "last_error": answer.error}
        if answer.error is None:
            values |= {"state": "delivered", "delivered_at": now}
        else:
            delay_s = after_try(answer, row.attempts, random.uniform(-1, 1)).delay_s
            values |= {"state": "failed"} if delay_s is None else {"next_at": now + delay_s}
            log.info("webhook %s to %s: %s (try %d)", row.id, URL(row.url).host, answer.error, row.attempts)
        # What cannot be written down is delivered again, under the same id, once the lease has run out.
        with suppress(StoreFailed, DiskFull):
            await self._database.write(lambda c: deliveries.settle_delivery(c, row.id, lease, **values))

    async def _send(self, row: DeliveryRow) -> Answer:
        try:
            await check_target(row.url, self.allowed, param="callback_url")
        except BadInput as refused:
            return Answer(None, refused.message, final=refused.code != "url_unreachable")
        trusted = self.allowed.trusts(URL(row.url))
        connector = aiohttp.TCPConnector(
            socket_factory=any_socket if trusted else guarded_socket, force_close=True, use_dns_cache=False
        )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"whisperlive-hybrid/{__version__}",
            **signed_headers(row.id, row.body, int(self._clock()), self._keys),
        }
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                ) as session,
                session.post(row.url, data=row.body, headers=headers, allow_redirects=False) as answer,
            ):
                if 200 <= answer.status < 300:
                    return Answer(answer.status, None)
                return Answer(answer.status, f"It answers with {answer.status}.", final=answer.status == 410)
        except aiohttp.ClientConnectorError as e:
            if caused_by_guard(e):
                return Answer(None, "Only public addresses are dialled.", final=True)
            return Answer(None, "It does not answer.")
        except TimeoutError:
            return Answer(None, f"It does not answer within {TIMEOUT_S:g} s.")
        except (aiohttp.ClientError, OSError, UnicodeError):
            return Answer(None, "It does not answer as a web server should.")


def load_keys(setting: str | None, folder: Path) -> tuple[Secret, ...]:
    """The secrets of the setting, the newest first; without one, a secret of the folder's own, made at the first start.

    Raises ValueError for a wrong setting, OSError.
    """
    if setting is not None:
        return tuple(Secret.parse(part) for part in setting.replace(",", " ").split())
    path = folder / SECRET_FILE
    try:
        return (Secret.parse(path.read_text()),)
    except FileNotFoundError:
        pass
    made = new_secret()
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, path)
    except FileExistsError:  # another process was faster
        made = path.read_text()
    finally:
        unfinished.unlink()
    return (Secret.parse(made),)
