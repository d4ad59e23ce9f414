"""What the HTTP doors are given: the rooms below and the settings, made by the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from whisperlive_hybrid.ops.limits import ClientLimits
from whisperlive_hybrid.ops.rates import Verdict

if TYPE_CHECKING:
    from whisperlive_hybrid.config import Settings
    from whisperlive_hybrid.engine.engine import Engine
    from whisperlive_hybrid.jobs.pipeline import Pipeline
    from whisperlive_hybrid.jobs.service import JobService
    from whisperlive_hybrid.live.runner import LiveService
    from whisperlive_hybrid.ops.loop_lag import LagSnapshot


REQUEST_ID = web.RequestKey("request_id", str)
"""Of a request: the id in its answer, its log lines and what it was told of our faults."""

JOB_ID = web.RequestKey("job_id", str)
"""Of a request for a transcription: the id of its job, which its answer carries."""

BEGAN = web.RequestKey("began", float)
"""Of a request: when it came, on the monotonic clock."""

ANSWER = web.RequestKey("answer", web.StreamResponse)
"""Of a request: its answer, as soon as that has begun."""

CLIENT = web.RequestKey("client", str)
"""Of a request that needs a key where there is one: who has sent it."""

VERDICT = web.RequestKey("verdict", Verdict)
"""Of a request that was counted: what its client has left."""

LIMITS = web.AppKey("limits", ClientLimits)
"""Of an application: what one client may have of it."""


@dataclass(frozen=True, slots=True)
class HttpServices:
    """Everything a door may use. The server owns the lifetimes."""

    settings: Settings
    engine: Engine
    pipeline: Pipeline
    limits: ClientLimits
    """Shared with the other listeners."""
    jobs: JobService | None = None
    """None: this server keeps no clips and no jobs."""
    live: LiveService | None = None
    """None: this application answers no live audio."""
    live_port: int | None = None
    """Port of the WebSocket listener, for pages and /health; None where there is none."""
    loop_lag: Callable[[], LagSnapshot | None] = lambda: None
    """Recent lag of the event loop; None where it is not measured."""
    draining: Callable[[], bool] = lambda: False
    """Whether the server is shutting down: it finishes what it has and takes no new work."""
    started_at: float = field(default_factory=time.monotonic)
    """When the server started, on the monotonic clock."""
