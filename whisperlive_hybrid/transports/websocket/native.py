"""The server's own live wire, `/ws/stream`, protocol 1 (docs/protocols/stream.md). Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import (
    BadInput,
    HybridError,
)
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Command, Flush, LiveOptions, Ping, Resume, Start, Stop
from whisperlive_hybrid.live.events import Event, failed_by
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.transports.close_codes import close_code
from whisperlive_hybrid.transports.connection import BadStart, Dialect, Message, Refusal
from whisperlive_hybrid.transports.json_text import json_object
from whisperlive_hybrid.transports.live_door import LiveDoor
from whisperlive_hybrid.transports.start_options import OPTION_NAMES, options_from_json, options_from_query

TYPES: Final[dict[type[Event], str]] = {
    events.Ready: "ready",
    events.Ack: "ack",
    events.SpeechState: "speech",
    events.Partial: "partial",
    events.Final: "final",
    events.SpeakerNamed: "speaker",
    events.Status: "status",
    events.Heartbeat: "heartbeat",
    events.Resumed: "resumed",
    events.GoAway: "go_away",
    events.Pong: "pong",
    events.Flushed: "flushed",
    events.Failed: "error",
    events.Done: "done",
}
_UNASKED: Final = (events.TurnEnded,)
"""Answers to commands that this wire does not have."""
_OMITTED: Final = frozenset({"words", "also", "turns", "param", "accepted", "retry_after_s", "segment"})
"""Fields that are left out when there is nothing to say (a list of words that was asked for stays, though empty)."""
_UNTOLD: Final = frozenset(
    {
        (events.Partial, "language"),
        (events.Partial, "language_probability"),
        (events.Partial, "words"),
        (events.Final, "language_probability"),
    }
)
"""What other wires have use for."""
_PARTS: Final = {"also": ("segment", "speaker"), "turns": ("start", "end", "speaker")}
"""Names of what is told of each segment and each turn of a speaker event."""
COMMANDS: Final = ("start", "flush", "stop", "resume", "ping")


class NativeDialect(Dialect):
    """One connection's wire. `query`: of its URL; `defaults`: options of a client that says nothing."""

    can_resume = True

    def __init__(self, query: Mapping[str, str], defaults: LiveOptions) -> None:
        self._query = query
        self._options = defaults

    def opening(self) -> list[Command]:
        """See Dialect: options in the query string start a session."""
        if not any(name in self._query for name in OPTION_NAMES):
            return []
        try:
            self._options = options_from_query(self._query, self._options)
        except BadInput as error:
            raise _bad_start(error) from None
        return [Start(self._options)]

    def default_start(self) -> LiveOptions:
        """See Dialect."""
        return self._options

    def receive(self, message: Message) -> list[Command]:
        """See Dialect. Codes of BadInput: bad_json, unknown_type, bad_option."""
        if isinstance(message, bytes):
            return [Audio(message)]
        values = json_object(message)
        match values.get("type"):
            case "start":
                try:
                    return [Start(options_from_json(values, self._options))]
                except BadInput as error:
                    raise _bad_start(error) from None
            case "flush":
                return [Flush(_id(values))]
            case "stop":
                return [Stop()]
            case "resume":
                return [_resume(values)]
            case "ping":
                return [Ping(_id(values))]
            case str(name):
                raise BadInput(f"type {name[:60]!r} is not known", param="type", accepted=COMMANDS, code="unknown_type")
            case _:
                raise BadInput("a message needs a type", param="type", accepted=COMMANDS, code="unknown_type")

    def send(self, event: Numbered) -> list[Message]:
        """See Dialect: one JSON text per event."""
        return [] if isinstance(event.event, _UNASKED) else [encode(event)]

    def refuse(self, error: HybridError) -> Refusal:
        """See Dialect: a fatal `error`, then the close code that fits."""
        return Refusal([encode(Numbered(0, failed_by(error, fatal=True)))], close_code(error), error.code)


DOOR: Final = LiveDoor(
    "native", ("/ws/stream",), lambda handshake, terms: NativeDialect(handshake.query, terms.defaults)
)


def encode(numbered: Numbered) -> str:
    """An event as it goes over the wire."""
    event = numbered.event
    message: dict[str, Any] = {"type": TYPES[type(event)], "event": numbered.number}
    for field in dataclasses.fields(event):
        if (type(event), field.name) in _UNTOLD:
            continue
        value = _wire(getattr(event, field.name))
        if isinstance(event, events.SpeakerNamed) and field.name in _PARTS:
            value = [dict(zip(_PARTS[field.name], part, strict=True)) for part in value]
        if field.name in _OMITTED and (value is None or value == []) and not (field.name == "words" and value == []):
            continue
        message[field.name] = value
    return msgspec.json.encode(message).decode()


def _wire(value: Any) -> Any:
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return round(value, 3)
        case Word(text, start, end, probability):
            return {
                "word": text,
                "start": round(start, 3),
                "end": round(end, 3),
                "probability": round(probability, 3),
            }
        case tuple() | list():
            return [_wire(v) for v in value]
        case dict():
            return {k: _wire(v) for k, v in value.items()}
        case _:
            raise TypeError(f"no wire form for {type(value).__name__}")


def _id(values: Mapping[str, Any]) -> str | int | None:
    id = values.get("id")
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise BadInput("id must be text or a whole number", param="id", code="bad_option")
    return id


def _resume(values: Mapping[str, Any]) -> Resume:
    session, token, last_event = (values.get(name) for name in ("session", "token", "last_event"))
    if not isinstance(session, str) or not isinstance(token, str):
        raise BadStart("resume needs session and token, as ready told them", param="session", code="bad_resume")
    if not isinstance(last_event, int) or isinstance(last_event, bool) or last_event < 0:
        message = "resume needs last_event, the number of the last event that was received"
        raise BadStart(message, param="last_event", code="bad_resume")
    return Resume(session, token, last_event)


def _bad_start(error: BadInput) -> BadStart:
    return BadStart(error.message, param=error.param, accepted=error.accepted, code=error.code)
