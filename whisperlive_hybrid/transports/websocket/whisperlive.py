"""The wire of WhisperLive (collabora), for clients that were made for its server (docs/protocols/whisperlive.md). Pure.

    client: config JSON, then audio frames, then END_OF_AUDIO
    server: [status], SERVER_READY, [language], segments …, [DISCONNECT], close 1000

Key order, separators and escapes are those of the original, to the byte. What is said besides: an error before each
close that is not a client's own wish, and the rest of the text after END_OF_AUDIO.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from whisperlive_hybrid.errors import HybridError, ModelUnavailable, NotFound, Refused, Unauthorized, Unavailable
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Command, LiveOptions, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.transports.connection import Dialect, Message, Refusal, Reply
from whisperlive_hybrid.transports.live_door import HandshakeRefusal, LiveDoor, LiveTerms
from whisperlive_hybrid.transports.websocket.whisperlive_config import ClientConfig, read_config, read_object, read_uid
from whisperlive_hybrid.transports.websocket.whisperlive_segments import ShownSegments, Texts

END_OF_AUDIO: Final = "END_OF_AUDIO"
BACKEND: Final = "faster_whisper"
"""Python's client keeps no transcript of any other."""
LINGER_MS: Final = 250
"""Between a refusal and its close: Python's client on websocket-client 1.8 waits for ever, at full load, where a WAIT
and the close arrive as one."""
IDLE_S: Final = 600.0
"""The original disconnects nobody who is silent; a connection that is dead is found by pings."""
FLUSH_AFTER_S: Final = 1.5
"""A client that plays a file sends nothing after its last sample, and waits for the text to settle."""
TOLD_LANGUAGE: Final = 0.5
"""A detected language is told, and its text shown, above this probability; with the first final at the latest."""
NO_SPEAKERS: Final = "Speakers are not told apart on this server."


class WhisperLiveDialect(Dialect):
    """One connection's wire."""

    idle_s = IDLE_S
    flush_after_s = FLUSH_AFTER_S
    any_model = True

    def __init__(self, terms: LiveTerms) -> None:
        self.time_limit_s = terms.time_limit_s
        self._terms = terms
        self._uid: Any = None
        self._config: ClientConfig | None = None
        self._shown = ShownSegments(0)
        self._ended = False
        """The client wants nothing more to be heard, or may say nothing more."""
        self._time_is_up = False
        self._language_due = False
        """The client is to be told the language before any text."""

    def receive(self, message: Message) -> Sequence[Command | Reply]:
        """See Dialect. Raises BadStart for a first message that is no configuration."""
        if self._ended:
            return []
        if self._config is None:
            return [self._start(message)]
        if message in (END_OF_AUDIO, END_OF_AUDIO.encode()):
            self._ended = True
            return [Stop()]
        if isinstance(message, str):
            return self._give_up(
                f"After the configuration come binary frames and {END_OF_AUDIO}; text is not understood."
            )
        size = self._config.sample_bytes
        if len(message) % size:
            return self._give_up(f"A frame of {len(message)} bytes does not hold whole samples of {size} bytes.")
        return [Audio(message)] if message else []

    def _start(self, message: Message) -> Start:
        values = read_object(message)
        self._uid = read_uid(values)
        config = self._config = read_config(values, self._terms)
        self._shown = ShownSegments(config.send_last_n)
        self._language_due = config.tell_language
        return Start(config.options)

    def _give_up(self, why: str) -> Sequence[Command | Reply]:
        """A frame is wrong: what was heard before it is told, then the close."""
        self._ended = True
        return [Reply([self._status("ERROR", why)]), Stop()]

    def time_up(self) -> Sequence[Command]:
        """See Dialect."""
        self._ended = self._time_is_up = True
        return [Stop()]

    def default_start(self) -> LiveOptions:
        """See Dialect; never asked, as the first message starts a session or ends the connection."""
        return self._terms.defaults

    def send(self, event: Numbered) -> Sequence[Message]:
        """See Dialect."""
        match event.event:
            case events.Ready(settings=settings):
                return self._ready(settings)
            case events.Partial() as partial:
                lists = self._shown.partial(partial)
                return self._texts(lists, partial.language, partial.language_probability, final=False)
            case events.Final() as final:
                lists = self._shown.final(final)
                return self._texts(lists, final.language, final.language_probability, final=True)
            case events.SpeakerNamed() as named:
                return self._segments(self._shown.named(named))
            case events.Failed(code="idle", fatal=True):
                return [self._message(message="DISCONNECT")]
            case events.Failed(message=message, fatal=True):
                return [self._status("ERROR", message)]
            case events.Done() if self._time_is_up:
                return [self._message(message="DISCONNECT")]
            case _:
                return []

    def close_code(self, code: int) -> int:
        """See Dialect: the original's one code, except where coming back soon may help."""
        return code if code in (1011, 1012, 1013) else 1000

    def refuse(self, error: HybridError) -> Refusal:
        """See Dialect."""
        match error:
            case Refused(retry_after_s=wait_s):
                status = self._status("WAIT", wait_s / 60)
            case ModelUnavailable(model=model):
                status = self._status("ERROR", f"Failed to load model: {model}. {error.message}")
            case NotFound(kind="model", id=model):
                status = self._status("ERROR", f"Failed to load model: {model}. {error.message}")
            case _:
                status = self._status("ERROR", error.message)
        code = 1011 if isinstance(error, Unavailable) and not isinstance(error, ModelUnavailable) else 1000
        return Refusal([status], code, linger_ms=LINGER_MS)

    def _ready(self, settings: dict[str, Any]) -> list[Message]:
        assert self._config is not None
        warnings = list(self._config.warnings)
        if "model_asked" in settings:
            warnings.append(f"Model {settings['model_asked']} cannot be had here; {settings['model']} is used.")
        if self._config.options.diarize and not settings["diarize"]:
            warnings.append(NO_SPEAKERS)
        ready = self._message(message="SERVER_READY", backend=BACKEND)
        return [*(self._status("WARNING", warning) for warning in warnings), ready]

    def _texts(self, lists: list[Texts], language: str, probability: float, *, final: bool) -> list[Message]:
        """Messages of segments, after the one of the language where that is still due."""
        if not self._language_due:
            return self._segments(lists)
        if not lists or not (final or probability > TOLD_LANGUAGE):
            return []
        self._language_due = False
        told = self._message(language=language, language_prob=float(probability))
        return [told, *self._segments(lists)]

    def _segments(self, lists: list[Texts]) -> list[Message]:
        uid = json.dumps(self._uid)
        return [f'{{"uid": {uid}, "segments": [{", ".join(segments)}]}}' for segments in lists if segments]

    def _status(self, status: str, message: str | float) -> Message:
        return self._message(status=status, message=message)

    def _message(self, **fields: Any) -> Message:
        return json.dumps({"uid": self._uid, **fields})


def _refuse_handshake(error: HybridError) -> HandshakeRefusal:
    """As the original does: the status and its name."""
    if isinstance(error, Unauthorized) and error.is_foreign:
        return HandshakeRefusal(403, "Forbidden\n", "text/plain; charset=utf-8")
    return HandshakeRefusal(401, "Unauthorized\n", "text/plain; charset=utf-8")


DOOR: Final = LiveDoor(
    "whisperlive", (), lambda handshake, terms: WhisperLiveDialect(terms), refuse_handshake=_refuse_handshake
)
