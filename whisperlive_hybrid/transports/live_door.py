"""What a live front door is to both listeners: paths, a wire, and how it refuses a handshake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.transports.connection import MAX_MESSAGE_BYTES, Dialect


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client's request says before its first message."""

    path: str
    headers: Mapping[str, str]
    """Names compare without case."""
    pairs: Sequence[tuple[str, str]] = ()
    """The query string in order; a name may come more than once."""

    @classmethod
    def of(cls, target: str, headers: Mapping[str, str]) -> Handshake:
        """Of a request for `target`: path and query string."""
        try:
            path, query = urlsplit(target)[2:4]
        except ValueError:  # a path that looks like an address, and is none
            path, _, query = target.partition("?")
        return cls(path, headers, tuple(parse_qsl(query, keep_blank_values=True)))

    @property
    def query(self) -> dict[str, str]:
        """The query string's last value of each name."""
        return dict(self.pairs)


@dataclass(frozen=True, slots=True)
class LiveTerms:
    """What the server grants all live clients."""

    defaults: LiveOptions = field(default_factory=LiveOptions)
    """Options of a client that says nothing."""
    time_limit_s: float | None = None
    """How long a session may take, on wires that have a message for that."""
    client_models: bool = True
    """Clients that always name a model, mean it or not, get the one they name."""
    raw_pcm: bool = False
    """Audio of clients that do not name its format is 16-bit integers rather than floats."""


def live_terms(settings: Settings) -> LiveTerms:
    """What live clients are granted. Raises BadInput when the default language is none."""
    return LiveTerms(
        LiveOptions(language=parse_language(settings.language), speech=settings.speech_options()),
        time_limit_s=settings.max_connection_time_s or None,
        client_models=settings.whisperlive_models == "client",
        raw_pcm=settings.raw_pcm_input,
    )


@dataclass(frozen=True, slots=True)
class HandshakeRefusal:
    """An HTTP answer instead of a WebSocket."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveDoor:
    """One front door for live audio. Its dialect's module declares it; `websocket/doors.py` lists them."""

    name: str
    paths: tuple[str, ...]
    """Where it answers, without a slash at the end. Empty: wherever no other door does, on the live port."""
    dialect: Callable[[Handshake, LiveTerms], Dialect]
    """The wire of one connection; may be asked twice. Where `refuse_handshake` can say so, it raises BadInput for a
    request that cannot be served."""
    max_message_bytes: int = MAX_MESSAGE_BYTES
    refuse_handshake: Callable[[HybridError], HandshakeRefusal] | None = None
    """How callers who may not come in are told. None: the handshake is accepted and the dialect says it, which is
    all that a browser can read."""
