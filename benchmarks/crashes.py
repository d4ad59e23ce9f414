"""SIGKILL at random moments under uploads, jobs and webhooks: what was acknowledged is there in the end, once.

python -m benchmarks.crashes                                 200 kills, SQLite and a folder, some twenty minutes
python -m benchmarks.crashes --kills 20                      shorter
python -m benchmarks.crashes --storage postgresql-s3         on a PostgreSQL and an S3 (moto) that it starts itself
python -m benchmarks.crashes --storage postgresql-s3 --victim database    PostgreSQL is killed instead of the server
python -m benchmarks.crashes --storage postgresql-s3 --servers 2          of two servers one is killed, one goes on

Callers upload clips of their own content in three ways (a clip and then a job, one step, a file filed as a job), each
request with an idempotency key, sent again until it is answered. The server, a real process on one data folder, is
killed again and again: a fifth of the times while it starts, else up to some seconds after it is ready. At last it runs
until all jobs are over, and everything that was ever acknowledged, or seen to be done, is looked for.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.crash_callers import WAYS, Caller
from benchmarks.crash_ledger import Ledger, Verdict, judge
from benchmarks.report import percentile, table
from tests.support.moto_server import ENVIRONMENT, moto_server
from tests.support.postgres import PostgresProcess, new_database, postgres_process
from tests.support.server_process import ServerProcess
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

STORAGES = ("folder", "postgresql-s3")
VICTIMS = ("server", "database")
STARTING_SHARE = 0.2
"""Of the kills, while the server starts."""
OVER_WITHIN_S = 600.0


@dataclass(frozen=True)
class Stage:
    """What the benchmark runs on."""

    servers: Sequence[ServerProcess]
    """The first one is the victim."""
    receiver: WebhookReceiver
    database: PostgresProcess | None = None
    """One that may be killed."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    ledger: Ledger
    verdict: Verdict
    lives: Sequence[float]
    """Seconds that each life took from its start to its end."""
    n_hooks: int
    """Webhooks received."""


async def kill_server(server: ServerProcess, rng: random.Random) -> None:
    """One life and its end."""
    if not server.running:
        server.start()
    if rng.random() < STARTING_SHARE:
        await asyncio.sleep(rng.uniform(0.1, 2.0))
    else:
        await asyncio.to_thread(server.wait_ready)
        await asyncio.sleep(rng.uniform(0.0, 3.0))
    server.kill()


async def kill_database(database: PostgresProcess, rng: random.Random) -> None:
    """Some seconds with a database, its end, and its return."""
    await asyncio.sleep(rng.uniform(0.3, 4.0))
    await asyncio.to_thread(database.kill)
    await asyncio.sleep(rng.uniform(0.0, 1.5))
    await asyncio.to_thread(database.start)


async def kill_again_and_again(stage: Stage, victim: str, kills: int, rng: random.Random) -> list[float]:
    """Seconds that each life took from its start to its end. Everything runs in the end."""
    lives = []
    for number in range(kills):
        began = time.monotonic()
        if victim == "database":
            assert stage.database is not None, "only a database that was started here can be killed"
            await kill_database(stage.database, rng)
            dead = [server for server in stage.servers if not server.running]
            assert not dead, f"a server ended with the database:\n{dead[0].tail()}"
        else:
            await kill_server(stage.servers[0], rng)
        lives.append(time.monotonic() - began)
        if number % 10 == 9:
            print(f"{number + 1} kills", file=sys.stderr, flush=True)
    for server in stage.servers:
        if not server.running:
            server.start()
        await asyncio.to_thread(server.wait_ready)
    return lives


async def everything(server: ServerProcess) -> tuple[dict[str, dict[str, Any]], dict[str, str | None]]:
    """All jobs with their texts, and the content of all clips, once every job and webhook is over."""
    async with aiohttp.ClientSession(server.http_url) as session:
        until = time.monotonic() + OVER_WITHIN_S
        while time.monotonic() < until:
            waiting = await _all(session, "/api/webhooks?state=waiting", "webhooks")
            counts = (await _json(session, "/api/jobs?limit=1"))["counts"]
            if not waiting and not {"queued", "running"} & counts.keys():
                break
            await asyncio.sleep(0.5)
        found = {job["job_id"]: job for job in await _all(session, "/api/jobs", "jobs")}
        for id, job in found.items():
            if job["state"] == "done":
                job["text"] = (await _json(session, f"/api/jobs/{id}/result"))["text"]
        contents: dict[str, str | None] = {}
        for clip in await _all(session, "/api/audio", "clips"):
            async with session.get(f"/api/audio/{clip['clip_id']}/content") as answer:
                data = await answer.read()
            contents[clip["clip_id"]] = hashlib.sha256(data).hexdigest() if answer.status == 200 else None
        return found, contents


async def _all(session: aiohttp.ClientSession, path: str, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await _json(session, f"{path}{'&' if '?' in path else '?'}limit=200{after}")
        items += page[name]
        if page["after"] is None:
            return items
        after = f"&after={page['after']}"


async def _json(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with session.get(path) as answer:
        answer.raise_for_status()
        body: dict[str, Any] = await answer.json()
        return body


async def crash(stage: Stage, victim: str, kills: int, callers: int, seed: int) -> Outcome:
    """The whole run."""
    ledger = Ledger()
    urls = [server.http_url for server in stage.servers]
    some = [Caller(urls, stage.receiver.url, ledger, seed + i) for i in range(callers)]
    tasks = [asyncio.create_task(caller.run()) for caller in some]
    lives = await kill_again_and_again(stage, victim, kills, random.Random(seed))
    for caller in some:
        caller.stop.set()
    await asyncio.gather(*tasks)
    found, contents = await everything(stage.servers[-1])
    hooks = [(json.loads(each.body)["data"]["job_id"], each.id) for each in stage.receiver.received]
    return Outcome(ledger, judge(ledger, found, contents, hooks), lives, len(hooks))


@contextmanager
def staged(folder: Path, storage: str, n_servers: int, database_url: str | None, log: Path | None) -> Iterator[Stage]:
    """Everything that is needed, started; `log`: where the servers' logs are kept."""
    with ExitStack() as stack:
        receiver = stack.enter_context(webhook_receiver())
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        settings = {"WEBHOOK_ALLOW_HOSTS": receiver.host, "WEBHOOK_SECRET": secret, "JOB_LEASE_S": "3"}
        database = None
        if storage == "postgresql-s3":
            database = stack.enter_context(postgres_process(durable=True))
            settings |= {"DATABASE_URL": new_database(database.url, "crashes"), "CLIP_STORAGE_URL": "s3://clips/crash"}
            settings |= {**ENVIRONMENT, "AWS_ENDPOINT_URL": stack.enter_context(moto_server())}
        elif database_url is not None:
            settings["DATABASE_URL"] = database_url
            settings["CLIP_STORAGE_URL"] = os.environ.get("CLIP_STORAGE_URL", f"file://{folder}/clips")
        servers = []
        for number in range(n_servers):
            server = ServerProcess(folder / f"server-{number + 1}", **settings)
            if log is not None:
                stack.callback(_keep_log, server, log)
            servers.append(stack.enter_context(server))
        yield Stage(servers, receiver, database)


def _keep_log(server: ServerProcess, log: Path) -> None:
    with log.open("ab") as kept:
        kept.write(server.log.read_bytes())


def main() -> int:
    """Print the table; 1 when anything is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--callers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", choices=STORAGES, default="folder")
    parser.add_argument("--victim", choices=VICTIMS, default="server")
    parser.add_argument("--servers", type=int, default=1, help="more than one need --storage postgresql-s3")
    parser.add_argument("--database-url", help="a PostgreSQL that runs already; clips go to CLIP_STORAGE_URL")
    parser.add_argument("--log", type=Path, help="where the servers' logs are kept")
    args, _ = parser.parse_known_args()
    if args.storage == "folder" and (args.victim == "database" or (args.servers > 1 and not args.database_url)):
        parser.error("SQLite has no server of its own, and is of one server: --storage postgresql-s3")
    with (
        tempfile.TemporaryDirectory() as folder,
        staged(Path(folder), args.storage, args.servers, args.database_url, args.log) as stage,
    ):
        began = time.monotonic()
        outcome = asyncio.run(crash(stage, args.victim, args.kills, args.callers, args.seed))
        took_s = time.monotonic() - began
    of_servers = f" {args.servers} servers." if args.servers > 1 else ""
    return report(outcome, took_s, f"{args.storage}; killed: {args.victim}.{of_servers}")


def report(outcome: Outcome, took_s: float, stage: str) -> int:
    """Print the table; 1 when anything is missing or there twice."""
    ledger, verdict, lives = outcome.ledger, outcome.verdict, outcome.lives
    told = ledger.acknowledged
    n_hooked = sum(each.hooked for each in told)
    rows: list[list[object]] = [
        ["clips acknowledged", len(told), "lost or changed", len(verdict.lost_clips) + len(verdict.changed_clips)],
        ["jobs acknowledged", len(told), "lost", len(verdict.lost_jobs)],
        ["", "", "not done in the end", len(verdict.unfinished_jobs)],
        ["", "", "there twice", verdict.jobs_twice],
        ["results read between kills", len(ledger.seen_done), "changed or gone", len(verdict.changed_results)],
        ["webhooks owed", n_hooked, "missing", len(verdict.missing_webhooks)],
        ["webhooks received", outcome.n_hooks, "under a second id", len(verdict.webhooks_under_two_ids)],
    ]
    ways = ", ".join(f"{way}: {sum(each.way == way for each in told)}" for way in WAYS)
    notes = [
        f"{stage} {len(lives)} kills in {took_s:.0f} s; a life was {percentile(lives, 50):.1f} s long in the middle, "
        f"{max(lives, default=0.0):.1f} s at most. {ways}. {ledger.repeated} requests were sent again, "
        f"{sum(ledger.refusals.values())} were refused ({dict(ledger.refusals)}).",
    ]
    if not verdict.good:
        notes.append(f"BAD: {verdict}")
    table("Killed under load", ("what", "how many", "of these", "how many"), rows, notes)
    return 0 if verdict.good and told else 1


if __name__ == "__main__":
    raise SystemExit(main())
