"""What all live sessions of a server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.window_tasks import Transcriber

if TYPE_CHECKING:
    from whisperlive_hybrid.live.running_session import RunningSession
    from whisperlive_hybrid.live.speaker_tasks import Listener


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Around a running session."""

    engine: Transcriber
    threads: Executor
    """Where audio is decoded."""
    heartbeat_s: float
    idle_s: float
    on_let_go: Callable[[RunningSession, bool], None]
    """Called when the session lost its connection; True when nobody will come back."""
    on_lost: Callable[[RunningSession], None]
    """Called when another process has taken the session over."""
    on_timing: Callable[[float, float], None]
    """How long a window waited and how long it took, in seconds."""
    take_models: Callable[[LiveOptions, Sequence[str]], Awaitable[tuple[str, str | None]]]
    """The models for such options: loaded, and held unless they are among those named, which are. Raises NotFound or
    ModelUnavailable."""
    listener: Listener | None = None
    """Who tells speakers apart; None: nobody does."""
    max_speed: float = 0.0
    """Audio is worked off at so many times real time at most, once `burst_s` of it were ahead; 0 is any."""
    burst_s: float = 120.0
