"""What the HTTP doors are given: the rooms below and the settings, made by the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperlive_hybrid.config import Settings
    from whisperlive_hybrid.engine.engine import Engine
    from whisperlive_hybrid.jobs.pipeline import Pipeline
    from whisperlive_hybrid.live.runner import LiveService


@dataclass(frozen=True, slots=True)
class HttpServices:
    """Everything a door may use. The server owns the lifetimes."""

    settings: Settings
    engine: Engine
    pipeline: Pipeline
    live: LiveService | None = None
    """None: this application answers no live audio."""
    live_port: int | None = None
    """Port of the WebSocket listener, for pages and /health; None where there is none."""
    loop_lag_s: Callable[[], float | None] = lambda: None
    """Recent 99th percentile of the event loop's lag in seconds; None while unknown."""
    started_at: float = field(default_factory=time.monotonic)
    """When the server started, on the monotonic clock."""
