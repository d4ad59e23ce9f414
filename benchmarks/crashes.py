"""SIGKILL at random moments under uploads, jobs and webhooks: what was acknowledged is there in the end, once.

python -m benchmarks.crashes                    200 kills, some fifteen minutes
python -m benchmarks.crashes --kills 20         shorter

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
import io
import json
import random
import secrets
import sys
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from benchmarks.report import percentile, table
from tests.support.clips import clips
from tests.support.server_process import ServerProcess
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

WAYS = ("clip, then job", "one step", "file as job")
STARTING_SHARE = 0.2
"""Of the kills, while the server starts."""
PAUSE_S = 0.15
"""A caller rests so long between two clips."""
OVER_WITHIN_S = 300.0


@dataclass(frozen=True)
class Acknowledged:
    """What a caller was told."""

    way: str
    clip_id: str
    job_id: str
    sha256: str
    hooked: bool


@dataclass
class Ledger:
    """All that callers were told, and saw."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    seen_done: dict[str, str] = field(default_factory=dict)
    """Text by job, as it was read while the server was still being killed."""
    repeated: int = 0
    """Requests that had to be sent again."""
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Verdict:
    """What is missing, or there too often."""

    lost_clips: tuple[str, ...] = ()
    changed_clips: tuple[str, ...] = ()
    lost_jobs: tuple[str, ...] = ()
    unfinished_jobs: tuple[str, ...] = ()
    changed_results: tuple[str, ...] = ()
    jobs_twice: int = 0
    missing_webhooks: tuple[str, ...] = ()
    webhooks_under_two_ids: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Nothing of all that."""
        return self == Verdict()


def judge(
    ledger: Ledger, found: dict[str, dict[str, Any]], contents: dict[str, str | None], hooks: Sequence[tuple[str, str]]
) -> Verdict:
    """Compare what was acknowledged with what there is.

    `found`: jobs by id, with `text` where they are done. `contents`: SHA-256 of clips by id, None where there is no
    clip. `hooks`: job and webhook id of each that was received.
    """
    told = {each.job_id: each for each in ledger.acknowledged}
    ids: dict[str, set[str]] = {}
    for job_id, hook_id in hooks:
        ids.setdefault(job_id, set()).add(hook_id)
    of_clip = Counter(job["clip_id"] for job in found.values())
    return Verdict(
        lost_clips=tuple(a.clip_id for a in told.values() if contents.get(a.clip_id) is None),
        changed_clips=tuple(a.clip_id for a in told.values() if contents.get(a.clip_id) not in (None, a.sha256)),
        lost_jobs=tuple(id for id in told if id not in found),
        unfinished_jobs=tuple(id for id in told if id in found and found[id]["state"] != "done"),
        changed_results=tuple(id for id, text in ledger.seen_done.items() if found.get(id, {}).get("text") != text),
        jobs_twice=sum(n - 1 for n in of_clip.values() if n > 1),
        missing_webhooks=tuple(a.job_id for a in told.values() if a.hooked and a.job_id not in ids),
        webhooks_under_two_ids=tuple(id for id, some in ids.items() if len(some) > 1),
    )


def clip_of_its_own(rng: random.Random) -> bytes:
    """A short clip that nobody else has: a least bit here and there."""
    samples = (rng.choice(clips("en")).samples() * 32767).astype("<i2")
    places = np.array([rng.randrange(len(samples)) for _ in range(32)])
    samples[places] ^= 1
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return made.getvalue()


class Caller:
    """Uploads clips until it is told to stop, and finishes the one it is at."""

    def __init__(self, url: str, hook: str, ledger: Ledger, seed: int) -> None:
        self._url = url
        self._hook = hook
        self._ledger = ledger
        self._rng = random.Random(seed)
        self.stop = asyncio.Event()

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as self._session:
            while not self.stop.is_set():
                await self._one(self._rng.choice(WAYS), clip_of_its_own(self._rng))
                await self._look()
                await asyncio.sleep(PAUSE_S)

    async def _one(self, way: str, data: bytes) -> None:
        hooked = self._rng.random() < 0.7
        options = {"language": "en", **({"callback_url": self._hook} if hooked else {})}
        if way == "clip, then job":
            clip_id = (await self._post("/api/audio", data, {}))["clip_id"]
            job = await self._post("/api/jobs", None, {"clip_id": clip_id, **options})
        elif way == "one step":
            job = await self._post("/upload+transcribe", data, options)
            clip_id = job["clip_id"]
        else:
            job = await self._post("/api/jobs", data, options)
            clip_id = job["jobs"][0]["clip_id"]
        sha256 = hashlib.sha256(data).hexdigest()
        self._ledger.acknowledged.append(Acknowledged(way, clip_id, job["job_id"], sha256, hooked))

    async def _post(self, path: str, data: bytes | None, fields: dict[str, str]) -> dict[str, Any]:
        """The answer to a request, which is sent until there is one."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        while True:
            form: Any = fields
            if data is not None:
                form = aiohttp.FormData(fields)
                form.add_field("file", data, filename="clip.wav")
            try:
                async with self._session.post(self._url + path, data=form, headers=key) as answer:
                    body: dict[str, Any] = await answer.json()
                    if answer.status < 300:
                        return body
                    self._ledger.refusals[f"{answer.status} {body['error']['code']}"] += 1
            except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError):
                self._ledger.repeated += 1
            await asyncio.sleep(0.1)

    async def _look(self) -> None:
        """Read a result now and then: what was once there stays."""
        if not self._ledger.acknowledged:
            return
        job_id = self._rng.choice(self._ledger.acknowledged).job_id
        try:
            async with self._session.get(f"{self._url}/api/jobs/{job_id}/result") as answer:
                if answer.status == 200:
                    self._ledger.seen_done[job_id] = (await answer.json())["text"]
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError):
            return


async def kill_again_and_again(server: ServerProcess, kills: int, rng: random.Random) -> list[float]:
    """Seconds that each life took from its start to its end."""
    lives = []
    for number in range(kills):
        began = time.monotonic()
        if not server.running:
            server.start()
        if rng.random() < STARTING_SHARE:
            await asyncio.sleep(rng.uniform(0.1, 2.0))
        else:
            await asyncio.to_thread(server.wait_ready)
            await asyncio.sleep(rng.uniform(0.0, 3.0))
        server.kill()
        lives.append(time.monotonic() - began)
        if number % 10 == 9:
            print(f"{number + 1} kills", file=sys.stderr, flush=True)
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


async def crash(
    server: ServerProcess, receiver: WebhookReceiver, kills: int, callers: int, seed: int
) -> tuple[Ledger, list[float], Verdict, int]:
    """The whole run; the number of webhooks received is the last."""
    ledger = Ledger()
    some = [Caller(server.http_url, receiver.url, ledger, seed + i) for i in range(callers)]
    tasks = [asyncio.create_task(caller.run()) for caller in some]
    lives = await kill_again_and_again(server, kills, random.Random(seed))
    for caller in some:
        caller.stop.set()
    await asyncio.gather(*tasks)
    found, contents = await everything(server)
    hooks = [(json.loads(each.body)["data"]["job_id"], each.id) for each in receiver.received]
    return ledger, lives, judge(ledger, found, contents, hooks), len(hooks)


def main() -> int:
    """Print the table; 1 when anything is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--callers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database-url", help="PostgreSQL instead of SQLite")
    parser.add_argument("--log", type=Path, help="where the server's log is kept")
    args, _ = parser.parse_known_args()
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with tempfile.TemporaryDirectory() as folder, webhook_receiver() as receiver:
        settings = {"WEBHOOK_ALLOW_HOSTS": receiver.host, "WEBHOOK_SECRET": secret, "JOB_LEASE_S": "3"}
        settings |= {"DATABASE_URL": args.database_url} if args.database_url else {}
        with ServerProcess(Path(folder), **settings) as server:
            began = time.monotonic()
            ledger, lives, verdict, n_hooks = asyncio.run(crash(server, receiver, args.kills, args.callers, args.seed))
            took_s = time.monotonic() - began
        if args.log is not None:
            args.log.write_bytes(server.log.read_bytes())
    return report(ledger, lives, verdict, n_hooks, took_s)


def report(ledger: Ledger, lives: Sequence[float], verdict: Verdict, n_hooks: int, took_s: float) -> int:
    """Print the table; 1 when anything is missing or there twice."""
    told = ledger.acknowledged
    n_hooked = sum(each.hooked for each in told)
    rows: list[list[object]] = [
        ["clips acknowledged", len(told), "lost or changed", len(verdict.lost_clips) + len(verdict.changed_clips)],
        ["jobs acknowledged", len(told), "lost", len(verdict.lost_jobs)],
        ["", "", "not done in the end", len(verdict.unfinished_jobs)],
        ["", "", "there twice", verdict.jobs_twice],
        ["results read between kills", len(ledger.seen_done), "changed or gone", len(verdict.changed_results)],
        ["webhooks owed", n_hooked, "missing", len(verdict.missing_webhooks)],
        ["webhooks received", n_hooks, "under a second id", len(verdict.webhooks_under_two_ids)],
    ]
    ways = ", ".join(f"{way}: {sum(each.way == way for each in told)}" for way in WAYS)
    notes = [
        f"{len(lives)} kills in {took_s:.0f} s; a life was {percentile(lives, 50):.1f} s long in the middle, "
        f"{max(lives, default=0.0):.1f} s at most. {ways}. {ledger.repeated} requests were sent again, "
        f"{sum(ledger.refusals.values())} were refused ({dict(ledger.refusals)}).",
    ]
    if not verdict.good:
        notes.append(f"BAD: {verdict}")
    table("Killed under load", ("what", "how many", "of these", "how many"), rows, notes)
    return 0 if verdict.good and told else 1


if __name__ == "__main__":
    raise SystemExit(main())
