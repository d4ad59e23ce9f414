"""Callers of the crash benchmark: each request has an idempotency key and is sent again until it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import secrets
import wave
from collections.abc import Sequence
from typing import Any

import aiohttp
import numpy as np

from benchmarks.crash_ledger import Acknowledged, Ledger
from tests.support.clips import clips

WAYS = ("clip, then job", "one step", "file as job")
PAUSE_S = 0.15
"""A caller rests so long between two clips."""
AGAIN_S = 0.1
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError)


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
    """Uploads clips until it is told to stop, and finishes the one it is at. Each request goes to any of the `urls`."""

    def __init__(self, urls: Sequence[str], hook: str, ledger: Ledger, seed: int) -> None:
        self._urls = urls
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
                async with self._session.post(self._rng.choice(self._urls) + path, data=form, headers=key) as answer:
                    body: dict[str, Any] = await answer.json()
                    if answer.status < 300:
                        return body
                    self._ledger.refusals[f"{answer.status} {body['error']['code']}"] += 1
            except _NO_ANSWER:
                self._ledger.repeated += 1
            await asyncio.sleep(AGAIN_S)

    async def _look(self) -> None:
        """Read a result now and then: what was once there stays."""
        if not self._ledger.acknowledged:
            return
        job_id = self._rng.choice(self._ledger.acknowledged).job_id
        try:
            async with self._session.get(f"{self._rng.choice(self._urls)}/api/jobs/{job_id}/result") as answer:
                body = await answer.json()
        except _NO_ANSWER:
            return
        if answer.status == 200:
            self._ledger.seen_done[job_id] = body["text"]
        elif answer.status != 409:  # not done yet
            self._ledger.refusals[f"{answer.status} {body['error']['code']}"] += 1
