"""What one client may have of the storage and the queue. Counted in the database, so it holds for all processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import OverLimit
from whisperlive_hybrid.storage.usage import DAY_S, Used, one_at_a_time, used_by

RETRY_AFTER_S = 30.0
"""For a job that waits to begin."""
NEVER_S = 86400.0
"""Told where nothing frees what is used up but its owner."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much one client may have; 0 is any amount."""

    queued_jobs: int = 0
    stored_bytes: int = 0
    audio_s_per_day: float = 0.0
    keep_s: float | None = None
    """How long clips are kept; None is for ever."""

    @property
    def are_any(self) -> bool:
        """Something is limited."""
        return bool(self.queued_jobs or self.stored_bytes or self.audio_s_per_day)

    def owner(self, client: str | None) -> str | None:
        """Whom to count something for: nobody where nothing is limited, since then nobody needs to know who it was."""
        return client if self.are_any else None

    async def check(
        self,
        connection: AsyncConnection,
        owner: str | None,
        now: float,
        *,
        new_bytes: int = 0,
        new_jobs: int = 0,
        new_audio_s: float | None = None,
    ) -> None:
        """Whether a client may have so much more. Of audio 0 is some, nobody knows how much, and None is none.

        Where it is asked in a transaction that adds them, nobody else adds to them meanwhile. Raises OverLimit
        (too_much_stored, too_many_jobs, too_much_audio).
        """
        if owner is None or not self.are_any:
            return
        await one_at_a_time(connection, [owner])
        used = await used_by(connection, owner, now)
        self.judge(used, now, new_bytes=new_bytes, new_jobs=new_jobs, new_audio_s=new_audio_s)

    def judge(
        self, used: Used, now: float, *, new_bytes: int = 0, new_jobs: int = 0, new_audio_s: float | None = None
    ) -> None:
        """As `check`, of what is known to be used."""
        if new_bytes and 0 < self.stored_bytes < used.stored_bytes + new_bytes:
            raise self._too_much_stored(used, new_bytes, now)
        if new_jobs and 0 < self.queued_jobs < used.queued_jobs + new_jobs:
            raise OverLimit(
                f"This client has {used.queued_jobs} jobs waiting, of {self.queued_jobs} that it may have"
                f"{_and_more(new_jobs)}; file the next when one of them has begun.",
                code="too_many_jobs",
                limit=self.queued_jobs,
                used=used.queued_jobs,
                retry_after_s=RETRY_AFTER_S,
            )
        if new_audio_s is None or not self.audio_s_per_day:
            return
        if used.audio_s + new_audio_s > self.audio_s_per_day or used.audio_s >= self.audio_s_per_day:
            left_s = DAY_S - now % DAY_S
            raise OverLimit(
                f"This client has had {used.audio_s:.0f} s of audio today, of {self.audio_s_per_day:.0f} s that it may "
                f"have in a day{f', and this is {new_audio_s:.0f} s more' if new_audio_s else ''}; "
                f"the next day begins in {_duration(left_s)}, at 00:00 UTC.",
                code="too_much_audio",
                limit=self.audio_s_per_day,
                used=used.audio_s,
                retry_after_s=left_s,
                is_quota=True,
            )

    def _too_much_stored(self, used: Used, new_bytes: int, now: float) -> OverLimit:
        left_s, frees = NEVER_S, "delete clips to make room"
        if self.keep_s is not None and used.oldest_at is not None:
            left_s = max(60.0, used.oldest_at + self.keep_s - now)
            frees += f", or wait until the oldest is deleted in {_duration(left_s)}"
        return OverLimit(
            f"This client has {used.stored_bytes / 1e6:.1f} MB stored, of {self.stored_bytes / 1e6:.1f} MB that it may "
            f"have, and this is {new_bytes / 1e6:.1f} MB more; {frees}.",
            code="too_much_stored",
            limit=self.stored_bytes,
            used=used.stored_bytes,
            retry_after_s=left_s,
            is_quota=True,
        )


def _and_more(n: int) -> str:
    return "" if n == 1 else f", and these are {n} more"


def _duration(seconds: float) -> str:
    """About how long, for a person."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{math.ceil(seconds / unit)} {name}"
    return f"{math.ceil(seconds)} seconds"
