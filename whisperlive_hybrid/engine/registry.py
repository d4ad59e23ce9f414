"""Which models are in memory, and which of them may go. Owned by the event loop; pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whisperlive_hybrid.engine.gate import UNMEASURED, Gate
from whisperlive_hybrid.engine.whisper import WhisperBackend


@dataclass(slots=True, eq=False)
class Loaded:
    """A model in memory."""

    name: str
    path: Path
    backend: WhisperBackend
    size_bytes: int
    last_used: float
    in_use: int = 0
    """Windows of it that wait or run."""
    held: int = 0
    """Those who need it to stay, whether or not they have a window just now."""
    gate: Gate = UNMEASURED


class Registry:
    """Models in memory. Those of the settings stay for ever, others while they are busy or held."""

    def __init__(self, max_loaded: int, ttl_s: float) -> None:
        self._max_loaded = max_loaded
        self._ttl_s = ttl_s
        self._models: dict[str, Loaded] = {}
        self.default: str | None = None
        self.permanent: set[str] = set()
        """Models that stay, the default one aside."""

    def get(self, name: str) -> Loaded | None:
        """A loaded model."""
        return self._models.get(name)

    def all(self) -> list[Loaded]:
        """Every loaded model."""
        return list(self._models.values())

    def add(self, model: Loaded) -> None:
        """A model has been loaded."""
        self._models[model.name] = model

    def remove(self, name: str) -> Loaded:
        """Forget a model, whose memory the caller frees."""
        return self._models.pop(name)

    def expired(self, now: float, running: str | None = None) -> list[str]:
        """Models unused for longer than the TTL; never `running`, which a cancelled window may have left at work."""
        return [m.name for m in self._idle(running) if now - m.last_used >= self._ttl_s]

    def to_make_room(self, loading: int, running: str | None = None) -> list[str] | None:
        """Models to free before one more is loaded, with `loading` others being loaded; None if there is no room."""
        excess = len(self._models) + loading + 1 - self._max_loaded
        if excess <= 0:
            return []
        idle = sorted(self._idle(running), key=lambda m: m.last_used)
        return [m.name for m in idle[:excess]] if len(idle) >= excess else None

    def _idle(self, running: str | None) -> list[Loaded]:
        stay = {self.default, running, *self.permanent}
        return [m for m in self._models.values() if not (m.in_use or m.held or m.name in stay)]
