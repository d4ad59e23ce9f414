"""`whisperlive-hybrid jobs`: jobs of a running server, filed here (`transcribe --server URL --detach`) or elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.file_board import progress_of
from whisperlive_hybrid.cli.on_server import first_key
from whisperlive_hybrid.cli.progress import ProgressLine, clock
from whisperlive_hybrid.cli.remote_errors import code_of, line_of
from whisperlive_hybrid.cli.results import Results, WrongUsage, add_output_flags, plan_of
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, settings_from
from whisperlive_hybrid.cli.wire_transcript import transcript_of
from whisperlive_hybrid.client.errors import ClientError, JobFailed, ServerUnreachable
from whisperlive_hybrid.client.job_records import Job
from whisperlive_hybrid.client.jobs import JobsClient

EXAMPLES = """\
examples:
  whisperlive-hybrid jobs                            the newest jobs of the server
  whisperlive-hybrid jobs wait job_01…               until it is done, with its progress
  whisperlive-hybrid jobs result job_01… -o talk.srt
"""

ACTIONS: Final = ("list", "show", "wait", "result", "cancel", "retry", "delete")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which jobs of which server."""
    parser.usage = f"%(prog)s [{'|'.join(ACTIONS)}] [ID…] [options]"
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="[list]")
    parser.add_argument("ids", nargs="*", metavar="ID", help="of jobs or batches")
    parser.add_argument("--server", metavar="URL", help="address of the server [http://localhost:HTTP_PORT]")
    parser.add_argument("--state", choices=("queued", "running", "done", "failed", "cancelled"), help="of list")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="of list [20]")
    add_output_flags(parser)
    parser.add_argument(
        "--progress", choices=("bar", "plain", "json"), help="of wait [bar on a terminal, else nothing]"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no warnings")
    add_settings_flags(parser, {"http_port", "api_key"})


def run(args: argparse.Namespace) -> int:
    """Do it to one job after another. Ctrl+C leaves; jobs go on."""
    settings = settings_from(args)
    if (args.action == "list") == bool(args.ids):
        wrong = "list takes no ids" if args.ids else f"{args.action} needs the ids of jobs"
        print(f"{wrong}. Try: whisperlive-hybrid jobs --help", file=sys.stderr)
        return exit_codes.USAGE
    url = args.server or f"http://localhost:{settings.http_port}"
    try:
        return asyncio.run(_run(args, url, first_key(settings)))
    except WrongUsage as wrong:
        print(wrong, file=sys.stderr)
        return exit_codes.USAGE
    except ClientError as error:
        print(line_of(error), file=sys.stderr)
        return code_of(error)


async def _run(args: argparse.Namespace, url: str, api_key: str | None) -> int:
    progress = ProgressLine(sys.stderr, "none" if args.quiet else args.progress)

    def tell(text: str) -> None:
        if not args.quiet:
            progress.note(text, time.monotonic())

    async with JobsClient(url, api_key=api_key, on_wait=tell) as client:
        if args.action == "list":
            which = {} if args.state is None else {"state": args.state}
            for job in (await client.list_jobs(limit=args.limit, **which)).jobs:
                print(line_of_job(job))
            return exit_codes.OK
        if args.action == "result":
            return await _results(client, args, progress)
        actions: dict[str, Callable[[str], Awaitable[object]]] = {
            "show": lambda id: _show(client, id),
            "wait": lambda id: _wait(client, id, progress),
            "cancel": client.cancel,
            "retry": client.retry,
            "delete": client.delete,
        }
        codes = [await _one(actions[args.action], id, progress) for id in args.ids]
    failed = [code for code in codes if code != exit_codes.OK]
    return exit_codes.SOME_FAILED if 0 < len(failed) < len(codes) else next(iter(failed), exit_codes.OK)


async def _one(action: Callable[[str], Awaitable[object]], id: str, progress: ProgressLine) -> int:
    try:
        await action(id)
    except ServerUnreachable:
        raise
    except ClientError as error:
        progress.clear()
        line = line_of(error)
        print(line if id in line else f"{id}: {line}", file=sys.stderr)
        return code_of(error)
    return exit_codes.OK


def line_of_job(job: Job) -> str:
    """`job_01…  running    42 %  12:36/30:00  2026-01-31T12:00:00Z  talk.mp3`."""
    length = f"{clock(job.done_s)}/{clock(job.total_s)}" if job.total_s else "-"
    name = job.name or job.source_url or ("" if job.kept else f"(request to {job.route})")
    told = (job.error or {}).get("message") or name
    created = (job.created or "").partition(".")[0]
    return f"{job.job_id}  {job.state:<9}  {job.progress * 100:3.0f} %  {length:>11}  {created}Z  {told}".rstrip()


async def _show(client: JobsClient, id: str) -> None:
    shown = asdict(await client.get(id))
    print(json.dumps({k: v for k, v in shown.items() if v not in (None, ())}, indent=2, ensure_ascii=False))


async def _wait(client: JobsClient, id: str, progress: ProgressLine) -> None:
    progress.start(id, time.monotonic())
    job = await client.wait(id, lambda now: progress.update(progress_of(now), time.monotonic()))
    progress.clear()
    failed = [part for part in job.jobs if part.state != "done"]
    if failed:
        error = failed[0].error or {}
        message = f"{len(failed)} of {len(job.jobs)} jobs have no result: {', '.join(part.job_id for part in failed)}"
        raise JobFailed(message, code=error.get("code", "job_cancelled"))


async def _results(client: JobsClient, args: argparse.Namespace, progress: ProgressLine) -> int:
    """Write results as `transcribe` does; into a folder under the names of their files."""
    jobs = [part for id in args.ids for job in [await client.get(id)] for part in job.jobs or (job,)]
    names = {job.job_id: job.name or job.source_url or job.job_id for job in jobs}
    if len(set(names.values())) < len(names):
        names = {id: f"{Path(name).stem}-{id}" for id, name in names.items()}
    plan = plan_of(args, list(names.values()))
    results = Results(plan, progress, quiet=args.quiet)
    for id, name in names.items():
        if name in plan.outputs:
            try:
                results.done(name, transcript_of(await client.result(id, "full")))
            except ServerUnreachable:
                raise
            except ClientError as error:
                hint = f" Try: whisperlive-hybrid jobs wait {id}" if error.code in ("job_queued", "job_running") else ""
                results.fail(name, line_of(error) + hint, code_of(error))
    return results.exit_code()
