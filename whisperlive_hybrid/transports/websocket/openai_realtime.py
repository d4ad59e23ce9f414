"""OpenAI's Realtime API for transcription, `/v1/realtime?intent=transcription`, GA and beta.

https://platform.openai.com/docs/guides/realtime-transcription, and docs/protocols/realtime.md.
`error` is used sparingly, because several clients end at any.
Whatever is not about a transcription is answered or ignored, and the session goes on. Pure, but for `_new`.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Change, Command, Discard, EndTurn, LiveOptions, Start
from whisperlive_hybrid.live.events import failed_by
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.ops.auth import offered_keys, one_value
from whisperlive_hybrid.ops.client_secrets import claims_of
from whisperlive_hybrid.transports.connection import MAX_MESSAGE_BYTES, Dialect, Message, Refusal, Reply
from whisperlive_hybrid.transports.json_text import json_object
from whisperlive_hybrid.transports.live_door import Handshake, HandshakeRefusal, LiveDoor, LiveTerms
from whisperlive_hybrid.transports.realtime_settings import Json, RealtimeSettings, Shown, is_default
from whisperlive_hybrid.transports.realtime_updates import MAX_TEXT, updated
from whisperlive_hybrid.transports.websocket.realtime_events import RealtimeEvents, close_code, refusal_body
from whisperlive_hybrid.transports.websocket.realtime_turns import Turns

PATHS: Final = ("/v1/realtime", "/realtime", "/openai/v1/realtime", "/openai/realtime")
"""OpenAI's, without its prefix, and Azure's."""
MAX_APPEND_BYTES: Final = 15 * 2**20
"""Audio in one event, as at OpenAI; a third more as base64."""
MAX_TEXT_BYTES: Final = 21 * 2**20
IDLE_S: Final = 3600.0
"""Clients that talk at the push of a button may be silent for long; dead ones are found by pings. OpenAI's own sessions
end after an hour."""
LEAST_COMMIT_S: Final = 0.1
BETA_HEADER: Final = "realtime=v1"
BETA_PROTOCOL: Final = "openai-beta.realtime-v1"
_APPEND: Final = "input_audio_buffer.append"
_AUDIO_KEY: Final = re.compile(r'"audio"\s*:\s*"')
_HEAD_CHARS: Final = 4096
"""Of a large append, without its audio, on either side."""
_PIECE_CHARS: Final = 2**16
_CONVERSATION: Final = ("conversation.", "response.", "output_audio_buffer.")
"""What a client event's type begins with that is not about transcription."""

Purpose = Literal["commit", "clear", "switch"]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the audio that the client has set, and what it is for."""

    purpose: Purpose
    seconds: float = 0.0
    """Of audio since the one before."""
    manual: bool = False


class RealtimeDialect(Dialect):
    """One connection's wire. `name`: in all ids of the session; `beta`: the client said that it speaks it."""

    starts_at_once = True
    idle_s = IDLE_S

    def __init__(self, name: str, settings: RealtimeSettings, *, beta: bool, transcription: bool) -> None:
        self._settings = settings
        self._transcription = transcription
        """The client asked for a transcription session, which in the beta is told by another event."""
        self._events = RealtimeEvents(name)
        self._turns = Turns(self._events, manual=settings.turn_detection is None, beta=beta)
        self._model_before = settings.model
        """The one to go on with should the present one not be had."""
        self._marks: dict[int, _Mark] = {}
        self._n_marks = 0
        self._heard_s = 0.0
        """Seconds of audio that the client has sent."""
        self._buffer_s = 0.0
        """Where on that clock the client's uncommitted audio begins."""

    # --- how it begins ---------------------------------------------------------------------------------------------

    def opening(self) -> list[Command | Reply]:
        """See Dialect: the session is there, then the client is told so."""
        created = "transcription_session.created" if self._turns.beta and self._transcription else "session.created"
        return [Start(self.default_start()), self._reply(self._events.event(created, session=self._shown()))]

    def default_start(self) -> LiveOptions:
        """See Dialect."""
        return self._settings.live_options()

    def refuse(self, error: HybridError) -> Refusal:
        """See Dialect."""
        body = self._events.error_of(failed_by(error, fatal=True))
        return Refusal([_encode(body)], close_code(error), error.code)

    # --- what the client says --------------------------------------------------------------------------------------

    def unpack(self, message: Message) -> Message:
        """See Dialect: an append of much audio becomes that audio."""
        if isinstance(message, bytes):
            return message
        audio = large_append(message)
        return message if audio is None else audio

    def receive(self, message: Message) -> list[Command | Reply]:
        """See Dialect. Whatever is wrong is answered by an `error`, nothing is raised."""
        if isinstance(message, bytes):
            return self._hear(message, None)
        if len(message) > MAX_MESSAGE_BYTES:
            return [self._error("Only input_audio_buffer.append may be so large, with audio as base64.")]
        values = _json_object(message)
        if values is None:
            return [self._error("The event is not a JSON object.", code="invalid_json")]
        kind = values.get("type")
        handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            return handler(self, values)
        return [self._unknown(kind, values)]

    def _append(self, values: Json) -> list[Command | Reply]:
        audio = _audio(values.get("audio"))
        if audio is None:
            return [self._error("audio must be base64.", code="invalid_value", param="audio", of=values)]
        return self._hear(audio, values)

    def _hear(self, audio: bytes, values: Json | None) -> list[Command | Reply]:
        if len(audio) > MAX_APPEND_BYTES:
            message = f"{len(audio)} bytes of audio are more than the {MAX_APPEND_BYTES} that one event may have."
            return [self._error(message, code="too_large", param="audio", of=values)]
        self._heard_s += len(audio) / self._settings.bytes_per_s
        return [Audio(audio[i : i + MAX_MESSAGE_BYTES]) for i in range(0, len(audio), MAX_MESSAGE_BYTES)]

    def _commit(self, values: Json) -> list[Command | Reply]:
        seconds = self._heard_s - self._buffer_s
        if seconds < LEAST_COMMIT_S - 1e-6:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {1000 * max(0.0, seconds):.2f}ms of audio."
            )
            return [self._error(message, code="input_audio_buffer_commit_empty", of=values)]
        self._buffer_s = self._heard_s
        return [EndTurn(self._mark(_Mark("commit", seconds)))]

    def _clear(self, values: Json) -> list[Command | Reply]:
        self._buffer_s = self._heard_s
        return [Discard(self._mark(_Mark("clear")))]

    def _update(self, values: Json) -> list[Command | Reply]:
        beta = values["type"] == "transcription_session.update"
        before = self._settings
        try:
            self._settings = updated(before, values.get("session"))
        except BadInput as error:
            return [self._error(error.message, code=error.code, param=error.param, of=values)]
        if self._settings.model != before.model:
            self._model_before = before.model
        session = values["session"]
        if beta or "audio" in session or session.get("type") == "transcription":
            self._turns.beta = beta
        done = "transcription_session.updated" if beta else "session.updated"
        commands: list[Command | Reply] = [self._reply(self._events.event(done, session=self._shown()))]
        if self._settings.live_options() != before.live_options():
            commands.append(Change(self._settings.live_options()))
        manual = self._settings.turn_detection is None
        if manual != (before.turn_detection is None):
            commands.append(EndTurn(self._mark(_Mark("switch", manual=manual))))
        return commands

    _HANDLERS: Final[Mapping[str, Callable[[RealtimeDialect, Json], list[Command | Reply]]]] = {
        _APPEND: _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "session.update": _update,
        "transcription_session.update": _update,
    }

    def _unknown(self, kind: object, values: Json) -> Reply:
        if isinstance(kind, str) and kind.startswith(_CONVERSATION):
            message = f"{kind[:80]} is not for transcription sessions, which is all that this server has."
            return self._error(message, code="unsupported_event", param="type", of=values)
        shown = f"{kind[:80]!r}" if isinstance(kind, str) else "missing"
        accepted = ", ".join(repr(name) for name in self._HANDLERS)
        return self._error(
            f"Invalid value: {shown}. Supported values are: {accepted}.", code="invalid_value", param="type", of=values
        )

    # --- what the session tells ------------------------------------------------------------------------------------

    def send(self, event: Numbered) -> list[Message]:
        """See Dialect. Pace, heartbeats and going away have no events here."""
        return [_encode(body) for body in self._bodies(event.event)]

    def _bodies(self, event: events.Event) -> Sequence[Json]:
        turns = self._turns
        match event:
            case events.SpeechState():
                if event.state == "stopped" and self._settings.turn_detection is not None:
                    self._buffer_s = max(self._buffer_s, min(event.at, self._heard_s))
                return turns.speech(event)
            case events.Partial():
                return turns.partial(event)
            case events.Final():
                return turns.final(event)
            case events.TurnEnded(int(id), segment, spoken):
                mark = self._marks.pop(id)
                match mark.purpose:
                    case "commit":
                        return turns.commit(segment, spoken=spoken, seconds=mark.seconds)
                    case "clear":
                        return turns.clear(segment)
                    case "switch":
                        return turns.switch(segment, manual=mark.manual)
            case events.Failed("final_failed", message, segment=int(segment)):
                return turns.fail(segment, message)
            case events.Failed():
                if event.param == "model":
                    self._settings = replace(self._settings, model=self._model_before)
                return [self._events.error_of(event)]
            case _:
                return []

    # --- all of it -------------------------------------------------------------------------------------------------

    def _shown(self) -> Json:
        shown = Shown(self._settings, self._events.session_id)
        return shown.beta() if self._turns.beta else shown.ga()

    def _mark(self, mark: _Mark) -> int:
        self._n_marks += 1
        self._marks[self._n_marks] = mark
        return self._n_marks

    def _error(
        self, message: str, *, code: str = "invalid_event", param: str | None = None, of: Json | None = None
    ) -> Reply:
        event_id = (of or {}).get("event_id")
        return self._reply(self._events.error(message, code=code, param=param, event_id=event_id))

    @staticmethod
    def _reply(body: Json) -> Reply:
        return Reply([_encode(body)])


def _encode(body: Json) -> str:
    return msgspec.json.encode(body).decode()


def _json_object(message: str) -> Json | None:
    try:
        return json_object(message)
    except BadInput:
        return None


def _audio(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def large_append(message: str) -> bytes | None:
    """The audio of an append, piece by piece so that other threads come in between; None where it is anything else."""
    found = _AUDIO_KEY.search(message, 0, _HEAD_CHARS)
    if found is None:
        return None
    begin = found.end()
    end = message.find('"', begin)
    values = _json_object(message[:begin] + message[end:]) if end >= 0 and len(message) - end < _HEAD_CHARS else None
    if values is None or values.get("type") != _APPEND or values.get("audio") != "":
        return None
    pieces = [_audio(message[i : min(i + _PIECE_CHARS, end)]) for i in range(begin, end, _PIECE_CHARS)]
    whole = [piece for piece in pieces if piece is not None]
    return b"".join(whole) if len(whole) == len(pieces) else None


def _new(handshake: Handshake, terms: LiveTerms) -> RealtimeDialect:
    """The wire of one connection: what its request and its client secret say of the session."""
    headers, query = handshake.headers, handshake.query
    settings = RealtimeSettings.new(terms.defaults)
    for secret in offered_keys(headers, query):
        session = claims_of(secret).get("session")
        with suppress(BadInput):  # it was looked at when the secret was made
            settings = settings if session is None else updated(settings, session)
    model = query.get("model", "")[:MAX_TEXT]
    if not is_default(model) and settings.model is None:
        settings = updated(settings, {"input_audio_transcription": {"model": model}})
    protocols = one_value(headers, "Sec-WebSocket-Protocol").split(",")
    beta = BETA_HEADER in one_value(headers, "OpenAI-Beta") or BETA_PROTOCOL in (p.strip() for p in protocols)
    transcription = query.get("intent") == "transcription"
    return RealtimeDialect(secrets.token_hex(6), settings, beta=beta, transcription=transcription)


def _refuse_handshake(error: HybridError) -> HandshakeRefusal:
    status, body = refusal_body(error)
    return HandshakeRefusal(status, _encode(body))


DOOR: Final = LiveDoor(
    "openai realtime", PATHS, _new, max_message_bytes=MAX_TEXT_BYTES, refuse_handshake=_refuse_handshake
)
