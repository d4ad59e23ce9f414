"""Files transcribed by a running server, several at once, and written out as if it had been done here."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.file_board import FileBoard
from whisperlive_hybrid.cli.interrupts import cancel_on_interrupt
from whisperlive_hybrid.cli.remote_errors import code_of, line_of
from whisperlive_hybrid.cli.remote_files import ByJobs, ByStream, FileFailed, Way
from whisperlive_hybrid.cli.remote_options import job_options
from whisperlive_hybrid.cli.results import Results, is_url, shown_name
from whisperlive_hybrid.client.errors import ClientError
from whisperlive_hybrid.client.jobs import JobsClient
from whisperlive_hybrid.config import Settings

AT_ONCE: Final = 8
"""Files under way: uploaded, waiting, being transcribed. So that the server always has one to go on with."""


async def transcribe_on_server(
    args: argparse.Namespace, settings: Settings, results: Results, paths: Mapping[str, Path]
) -> int:
    """Transcribe `paths`, or only file jobs for them (--detach). Raises BadInput for flags that make no sense."""
    options = job_options(args)
    interrupted = cancel_on_interrupt()
    key = first_key(settings)

    def tell(text: str) -> None:
        if not args.quiet:
            results.progress.note(text, time.monotonic())

    board = FileBoard(results.progress, [shown_name(name) for name in paths])
    try:
        async with JobsClient(args.server, api_key=key, on_wait=tell) as client:
            keeps = await _keeps_jobs(client, options)
            by_jobs = ByJobs(client, options, board, tell, args.delete)
            if args.detach:
                if not keeps:
                    raise ClientError("This server keeps no jobs: its results must be waited for.", code="no_storage")
                await _detach(by_jobs, results, paths)
            elif paths:
                way = by_jobs if keeps else ByStream(client.url, key, options, board, tell)
                await _transcribe_all(way, board, results, paths)
    except asyncio.CancelledError:
        results.progress.clear()
        if not interrupted:
            raise
        print("Interrupted.", file=sys.stderr)
        return exit_codes.INTERRUPTED
    except ClientError as error:
        results.progress.clear()
        print(line_of(error), file=sys.stderr)
        return code_of(error)
    return results.exit_code()


def first_key(settings: Settings) -> str | None:
    """The key to present: a server knows several, a caller needs one."""
    return (settings.api_key or "").split(",")[0].strip() or None


async def _keeps_jobs(client: JobsClient, options: Mapping[str, Any]) -> bool:
    """Whether the server has a place for jobs. Raises ClientError for anything that is wrong from the start."""
    try:
        await client.check(**options)
    except ClientError as error:
        if error.code == "no_storage":
            return False
        raise
    return True


async def _transcribe_all(way: Way, board: FileBoard, results: Results, paths: Mapping[str, Path]) -> None:
    """A file that fails does not stop the others, unless the server is gone."""
    at_once = asyncio.Semaphore(AT_ONCE)
    gone: list[FileFailed] = []

    async def one(name: str, path: Path, before: asyncio.Event, behind: asyncio.Event) -> None:
        try:
            async with at_once:
                if gone:
                    raise gone[0]
                transcript = await way.transcribe(name, path)
            if results.plan.outputs[name] is None:
                await before.wait()  # on standard output in the order of the files
            results.done(name, transcript)
        except FileFailed as failed:
            if failed.code == exit_codes.UNREACHABLE:
                gone.append(failed)
            results.fail(name, failed.message, failed.code)
        except OSError as error:
            results.fail(name, str(error), exit_codes.FAILURE)
        finally:
            board.over(shown_name(name))
            await before.wait()
            behind.set()

    async with asyncio.TaskGroup() as group:
        before = asyncio.Event()
        before.set()
        for name, path in paths.items():
            behind = asyncio.Event()
            group.create_task(one(name, path, before, behind), name=f"transcribe {name}")
            before = behind


async def _detach(by_jobs: ByJobs, results: Results, paths: Mapping[str, Path]) -> None:
    """Upload all, file one job or one batch, and print ids: of the job; or of the batch, then of each file's job."""
    clips: dict[str, str] = {}

    async def upload(name: str, path: Path) -> None:
        try:
            clips[name] = await by_jobs.upload(name, path)
        except FileFailed as failed:
            results.fail(name, failed.message, failed.code)

    async with asyncio.TaskGroup() as group:
        for name, path in paths.items():
            if not is_url(name):
                group.create_task(upload(name, path), name=f"upload {name}")
    files, urls = [name for name in paths if name in clips], [name for name in paths if is_url(name)]
    if not files and not urls:
        return
    filed = asyncio.ensure_future(
        by_jobs.client.submit(clips=[clips[name] for name in files], urls=urls, **by_jobs.options)
    )
    try:
        answer = await asyncio.shield(filed)
    except asyncio.CancelledError:
        await by_jobs.call_off(filed)
        raise
    results.progress.clear()
    print(answer.job_id)
    if len(paths) > 1:
        for job_id, name in zip(answer.jobs, [*files, *urls], strict=True):
            print(f"{job_id}\t{name}")
