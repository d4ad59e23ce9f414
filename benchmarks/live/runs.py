"""Measurements of one running server: at N sessions, at an immediate stop, in silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.live.clients import Recording, converse
from benchmarks.live.metrics import session_figures, summarize, tail_delivered
from benchmarks.live.offline import clips
from benchmarks.live.systems import Started, System
from benchmarks.material import Conversation, room_tone
from whisperlive_hybrid.audio.samples import SAMPLE_RATE


def talk(system: System, started: Started, said: Sequence[Conversation], drain_s: float) -> dict[str, Any]:
    """One session for each conversation, all at once, each followed by `drain_s` of room tone and a goodbye."""
    streams = [np.concatenate([c.samples, room_tone(drain_s, seed)]) for seed, c in enumerate(said)]
    cpu: list[float] = []
    audio_s = 0.0
    measuring: list[asyncio.Task[None]] = []

    async def weigh(begin: float, end: float) -> None:
        for moment in (begin, end):
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            cpu.append(started.server.cpu_s())

    def on_start(starts: Sequence[float]) -> None:
        nonlocal audio_s
        end = min(s + c.duration_s for s, c in zip(starts, said, strict=True))
        audio_s = sum(end - s for s in starts)
        measuring.append(asyncio.ensure_future(weigh(min(starts), end)))

    async def run() -> list[Recording]:
        recordings = await converse(system.dialect, started.url, streams, on_start=on_start)
        await asyncio.gather(*measuring)
        return recordings

    recordings = asyncio.run(run())
    started.server.check()
    figures = [
        session_figures(c.words, system.dialect.updates(r.parsed())) for c, r in zip(said, recordings, strict=True)
    ]
    minutes = sum(len(s) for s in streams) / SAMPLE_RATE / 60
    return {
        "sessions": len(said),
        "seconds": round(sum(c.duration_s for c in said) / len(said), 1),
        "utterances": sum(len(c.ends) for c in said),
        **asdict(summarize(figures)),
        "wer": sum((f.errors for f in figures[1:]), figures[0].errors).rate,
        "cpu_s_per_audio_s": (cpu[1] - cpu[0]) / audio_s,
        "memory_mib": started.server.memory_mib(),
        **_wire(recordings, minutes),
    }


def _wire(recordings: Sequence[Recording], minutes: float) -> dict[str, Any]:
    return {
        "messages_per_minute": sum(len(r.messages) for r in recordings) / minutes,
        "received_kb_per_minute": sum(len(text) for r in recordings for _, text in r.messages) / 1000 / minutes,
        "sent_kb_per_minute": sum(r.sent_bytes for r in recordings) / 1000 / minutes,
        "latest_send_s": max(r.late_s for r in recordings),
        "failures": [r.error for r in recordings if r.error],
    }


def stop_at_once(
    system: System, started: Started, said: Conversation, count: int, *, at_once: int = 2
) -> dict[str, Any]:
    """Sessions of one utterance that say goodbye with its last sample."""
    streams, words = zip(*clips(said, count), strict=True)
    delivered = on_screen = n_said = 0
    failures: list[str] = []
    for i in range(0, len(streams), at_once):
        recordings = asyncio.run(converse(system.dialect, started.url, streams[i : i + at_once]))
        started.server.check()
        for of_it, recording in zip(words[i : i + at_once], recordings, strict=True):
            final, shown, n = tail_delivered(of_it, system.dialect.updates(recording.parsed()))
            delivered, on_screen, n_said = delivered + final, on_screen + shown, n_said + n
            failures += [recording.error] if recording.error else []
    return {"stops": len(streams), "said": n_said, "final": delivered, "shown": on_screen, "failures": failures}


def silent(system: System, started: Started, seconds: float) -> dict[str, Any]:
    """One session of room tone; the server's CPU time meanwhile, beside that without a session."""
    idle_s = min(3.0, seconds / 4)
    before = started.server.cpu_s()
    time.sleep(idle_s)
    idle = (started.server.cpu_s() - before) / idle_s
    before, begun = started.server.cpu_s(), time.monotonic()
    (recording,) = asyncio.run(converse(system.dialect, started.url, [room_tone(seconds, seed=7)], spread_s=0.0))
    started.server.check()
    updates = system.dialect.updates(recording.parsed())
    return {
        "seconds": seconds,
        "cpu_share": (started.server.cpu_s() - before) / (time.monotonic() - begun),
        "cpu_share_without_session": idle,
        "words": max((len(u.shown) for u in updates), default=0),
        **_wire([recording], seconds / 60),
    }
