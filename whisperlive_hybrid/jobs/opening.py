"""The job room put together: database, clips, workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from whisperlive_hybrid.jobs.bell import Bell
from whisperlive_hybrid.jobs.clips import Clips
from whisperlive_hybrid.jobs.courier import Courier, load_keys
from whisperlive_hybrid.jobs.direct import DirectJobs
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.jobs.retention import Retention
from whisperlive_hybrid.jobs.running_job import WorkRooms, WorkRules
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.jobs.signing import Secret
from whisperlive_hybrid.jobs.workers import Workers
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.storage.blobs import Blobs, open_blobs
from whisperlive_hybrid.storage.database import BadDatabase, Database
from whisperlive_hybrid.storage.queue import void_leases
from whisperlive_hybrid.storage.sole import sole_process

DATABASE_FILE: Final = "jobs.sqlite"
CLIPS_FOLDER: Final = "clips"
LOCK_FILE: Final = "jobs.lock"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Where clips and jobs are kept, and how many there may be."""

    folder: Path
    """For what is not elsewhere: the database, the clips, files while they are received."""
    database_url: str | None = None
    clips_url: str | None = None
    max_running: int = 4
    max_queued: int = 10_000
    lease_s: float = 15.0
    max_bytes: int = 100_000_000
    allowed_hosts: AllowedHosts = field(default_factory=AllowedHosts)
    archive: Path | None = None
    keep_s: float | None = None
    """How long clips with their jobs and transcripts are kept; None is for ever."""
    keep_direct_s: float = 3600.0
    """How long rows of requests of which nothing else is kept are; 0 writes none."""
    webhook_secret: str | None = None
    """Secrets that webhooks are signed with; None: one that is made and kept in `folder`."""
    webhook_hosts: AllowedHosts = field(default_factory=AllowedHosts)
    """Private hosts that webhooks may go to."""
    quotas: Quotas = field(default_factory=Quotas)
    """What one client may have of it."""
    floor_bytes: int | None = None
    """How much the disk is to have left; None is the usual."""


class NoStorage(Exception):
    """Clips and jobs cannot be kept: `what` is the setting's name, the message says why."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


@asynccontextmanager
async def open_jobs(options: JobOptions, pipeline: Pipeline) -> AsyncIterator[JobService]:
    """The jobs of the server, worked on for the length of the block. Raises NoStorage."""
    async with AsyncExitStack() as stack:
        clips = Clips(*await _open_storage(options, stack), pipeline.limits, options.quotas)
        keys = await asyncio.to_thread(_webhook_keys, options)
        bell = Bell()
        rules = WorkRules(options.lease_s, options.max_bytes, options.allowed_hosts, options.archive)
        workers = await stack.enter_async_context(
            Workers(WorkRooms(clips, pipeline, bell, rules), max_running=options.max_running)
        )
        direct = await stack.enter_async_context(
            DirectJobs(
                clips.database,
                bell,
                lease_s=options.lease_s,
                keep=options.keep_direct_s > 0,
                quotas=options.quotas,
            )
        )
        await stack.enter_async_context(Retention(clips, keep_s=options.keep_s, keep_direct_s=options.keep_direct_s))
        courier = await stack.enter_async_context(Courier(clips.database, bell, keys, options.webhook_hosts))
        yield JobService(clips, bell, workers, courier, direct, max_queued=options.max_queued)


def _webhook_keys(options: JobOptions) -> tuple[Secret, ...]:
    try:
        return load_keys(options.webhook_secret, options.folder)
    except ValueError as error:
        raise NoStorage("WEBHOOK_SECRET", str(error)) from error
    except OSError as error:
        raise NoStorage("DATA_DIR", f"{options.folder}: {error.strerror or error}") from error


async def _open_storage(options: JobOptions, stack: AsyncExitStack) -> tuple[Database, Blobs]:
    folder = options.folder
    try:
        await asyncio.to_thread(folder.mkdir, 0o700, True, True)
        only = stack.enter_context(sole_process(folder / LOCK_FILE))
    except OSError as error:
        raise NoStorage("DATA_DIR", f"{folder}: {error.strerror or error}") from error
    try:
        blobs = await asyncio.to_thread(open_blobs, options.clips_url, folder / CLIPS_FOLDER, options.floor_bytes)
    except (OSError, ValueError) as error:
        raise NoStorage("CLIP_STORAGE_URL" if options.clips_url else "DATA_DIR", str(error)) from error
    try:
        database = await stack.enter_async_context(
            Database(options.database_url or f"sqlite:///{folder.absolute() / DATABASE_FILE}")
        )
    except BadDatabase as error:
        raise NoStorage("DATABASE_URL" if options.database_url else "DATA_DIR", str(error)) from error
    if only and database.is_sqlite:
        # Whoever held jobs here was killed: they need not wait until their leases run out.
        await database.write(void_leases)
    return database, blobs
