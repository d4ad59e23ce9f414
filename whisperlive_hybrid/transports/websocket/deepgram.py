"""Deepgram's live API: /v1/listen as a WebSocket. All options stand in the query; the audio begins at once.

https://developers.deepgram.com/reference/speech-to-text/listen-streaming
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, cast

import msgspec

from whisperlive_hybrid.audio.pcm import MAX_CHANNELS
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.errors import BadInput, HybridError, Refused, Unauthorized, Unavailable
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Codec, Command, Flush, LiveOptions, Ping, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.connection import Dialect, Message, Refusal, Reply
from whisperlive_hybrid.transports.deepgram_wire import (
    SAMPLES,
    Parameters,
    error_body,
    header_text,
    hotwords,
    model_id,
    model_info,
    model_of,
    refuse_separate_channels,
    refuse_unsupported,
    wants_diarization,
    warnings,
)
from whisperlive_hybrid.transports.json_text import json_object
from whisperlive_hybrid.transports.live_door import Handshake, HandshakeRefusal, LiveDoor, LiveTerms
from whisperlive_hybrid.transports.websocket.deepgram_results import Json, Results, Telling
from whisperlive_hybrid.transports.websocket.deepgram_speakers import WaitForSpeakers

ENCODINGS: Final = (*SAMPLES, "opus", "ogg-opus")
LEAST_PAUSE_MS: Final = 300
"""Deepgram's clients ask for pauses of 10 ms. Cut at each of these, speech would be words without context."""
MOST_PAUSE_MS: Final = 10_000
SPEAKERS_WITHIN_S: Final = 10.0
"""A final waits so long for its speaker."""
MAX_PACKET: Final = 2**16 - 1
_BYTES: Final = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}
_CLOSE_CODES: Final = {1003: 1008, 4400: 1008, 4401: 1008, 4404: 1008, 4408: 1011, 4410: 1011}
"""Ours → Deepgram's: 1008 for what the client did wrong, 1011 for anything else."""


class DeepgramDialect(Dialect):
    """One connection's wire. Raises BadInput where its query asks for what cannot be done."""

    def __init__(self, parameters: Parameters, terms: LiveTerms, *, request_id: str, now: Callable[[], str]) -> None:
        self._parameters = parameters
        self._request_id = request_id
        self._created = now
        self._options = read_options(parameters, terms.defaults)
        samples = self._options.codec in _BYTES
        self._bytes_per_s = (
            self._options.sample_rate * self._options.channels * _BYTES.get(self._options.codec or "", 1)
        )
        self._results = Results(read_telling(parameters), request_id, clock=samples)
        self._sha256 = hashlib.sha256()
        self._finalized = 0

    def opening(self) -> list[Command | Reply]:
        """See Dialect."""
        return [Start(self._options)]

    def default_start(self) -> LiveOptions:
        """See Dialect."""
        return self._options

    def receive(self, message: Message) -> list[Command | Reply]:
        """See Dialect. What is no message of this wire is answered by an Error, and the session goes on."""
        if isinstance(message, bytes):
            return self._audio(message)
        try:
            values = json_object(message)
        except BadInput as error:
            return [_schema_error(error.message, message)]
        match values.get("type"):
            case "KeepAlive":
                return [Ping(None)]
            case "Finalize":
                self._results.finalize()
                self._finalized += 1
                return [Flush(self._finalized)]
            case "CloseStream":
                return [Stop()]
            case "Configure":
                failure = {"code": "UNSUPPORTED", "description": "A running stream cannot be configured here."}
                return [_reply({"type": "ConfigureFailure", "request_id": self._request_id, **failure})]
        return [_schema_error("type is KeepAlive, Finalize, CloseStream or Configure", message)]

    def _audio(self, data: bytes) -> list[Command | Reply]:
        if not data:  # how older clients end a stream
            return [Stop()]
        self._sha256.update(data)
        if self._options.codec == "opus":
            if len(data) > MAX_PACKET:
                return [_schema_error("a message is one Opus packet; send a stream in Ogg as ogg-opus", "")]
            data = len(data).to_bytes(2, "big") + data
        told = self._results.heard(len(data) / self._bytes_per_s)
        return [Audio(data), *(_reply(message) for message in told)]

    def send(self, event: Numbered) -> list[Message]:
        """See Dialect."""
        return [_encode(message) for message in self._told(event.event)]

    def _told(self, event: events.Event) -> list[Json]:
        results = self._results
        match event:
            case events.Ready(settings=settings):
                results.model = settings["model"]
                if settings.get("diarize"):
                    results.speakers = WaitForSpeakers()
            case events.SpeechState():
                return results.speech(event)
            case events.Partial():
                return results.partial(event)
            case events.Final():
                return results.final(event)
            case events.SpeakerNamed():
                return results.named(event)
            case events.Flushed():
                return results.flushed()
            case events.Failed(code=code, message=message):
                return [_error(code, message)]
            case events.Done(audio=audio_s):
                return [*results.done(), self._metadata(audio_s)]
        return []

    def _metadata(self, audio_s: float) -> Json:
        id = model_id(self._results.model)
        told: Json = {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request_id,
            "sha256": self._sha256.hexdigest(),
            "created": self._created(),
            "duration": round(audio_s, 3),
            "channels": 1,
            "models": [id],
            "model_info": {id: model_info(self._results.model)},
        }
        found = warnings(self._parameters)
        if wants_diarization(self._parameters) and self._results.speakers is None:
            message = "Speakers are not told apart on this server."
            found.append({"parameter": "diarize", "type": "unavailable", "message": message})
        if found:
            told["warnings"] = found
        if tags := self._parameters.many("tag"):
            told["tags"] = tags
        return told

    def close_code(self, code: int) -> int:
        """See Dialect."""
        return _CLOSE_CODES.get(code, code)

    def refuse(self, error: HybridError) -> Refusal:
        """See Dialect: an Error, then the close."""
        code = 1008
        if isinstance(error, Unavailable) or error.code in ("idle", "internal_error"):
            code = 1011
        elif isinstance(error, Refused):
            code = 1012 if error.code in ("shutting_down", "draining") else 1013
        return Refusal([_encode(_error(error.code, error.message))], code, error.code)


def read_options(parameters: Parameters, base: LiveOptions) -> LiveOptions:
    """How the session is to be heard. Raises BadInput naming the first wrong parameter."""
    refuse_unsupported(parameters)
    channels = parameters.whole("channels", 1, MAX_CHANNELS)
    if channels != 1:
        refuse_separate_channels(parameters)
    rate = parameters.whole("sample_rate", MIN_RATE, MAX_RATE)
    codec, usual_rate = _codec(parameters.text("encoding"))
    language = parameters.text("language")
    return replace(
        base,
        codec=codec,
        sample_rate=rate or usual_rate,
        channels=channels or 1,
        language=base.language if language is None else parse_language(language),
        model=model_of(parameters),
        interim=parameters.flag("interim_results"),
        words=True,
        diarize=wants_diarization(parameters),
        speakers_within_s=SPEAKERS_WITHIN_S,
        hotwords=hotwords(parameters),
        speech=_speech(parameters, base.speech),
    )


def _codec(encoding: str | None) -> tuple[Codec | None, int]:
    """Our codec for `encoding`, None where the first bytes tell, and the rate where none is named."""
    name = (encoding or "").lower()
    if name in SAMPLES:
        codec, rate = SAMPLES[name]
        return cast(Codec, codec), rate
    if name in ("opus", "ogg-opus"):
        return cast(Codec, name), 48_000
    if name:
        raise BadInput(
            f"encoding {name[:40]!r} is none of {', '.join(ENCODINGS)}; Ogg, WebM and WAV need none",
            param="encoding",
            accepted=ENCODINGS,
            code="unknown_codec",
        )
    return None, 16_000


def _speech(parameters: Parameters, base: SpeechOptions) -> SpeechOptions:
    if parameters.wanted(("endpointing",)) and (parameters.text("endpointing") or "").lower() != "true":
        pause = parameters.whole("endpointing", 0, 60_000) or 0
        return replace(base, min_silence_ms=min(max(pause, LEAST_PAUSE_MS), MOST_PAUSE_MS))
    return base


def read_telling(parameters: Parameters) -> Telling:
    """What the client wants to be told. Raises BadInput."""
    utterance_end_ms = parameters.whole("utterance_end_ms", 1, 60_000)
    return Telling(
        interim=parameters.flag("interim_results"),
        punctuated=parameters.flag("punctuate") or parameters.flag("smart_format"),
        speech_final=parameters.text("endpointing") is None or bool(parameters.wanted(("endpointing",))),
        speech_events=parameters.flag("vad_events"),
        utterance_end_s=None if utterance_end_ms is None else utterance_end_ms / 1000,
        multilingual=(parameters.text("language") or "").lower() == "multi",
    )


def _error(variant: str, description: str) -> Json:
    return {"type": "Error", "variant": variant, "description": description, "message": description}


def _schema_error(description: str, message: str) -> Reply:
    return _reply({"type": "Error", "variant": "SchemaError", "description": description, "message": message[:1000]})


def _reply(message: Json) -> Reply:
    return Reply([_encode(message)])


def _encode(message: Json) -> str:
    return msgspec.json.encode(message).decode()


def _new(handshake: Handshake, terms: LiveTerms) -> DeepgramDialect:
    return DeepgramDialect(Parameters(handshake.pairs), terms, request_id=str(uuid.uuid4()), now=_now)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse_handshake(error: HybridError) -> HandshakeRefusal:
    status = 400
    if isinstance(error, Unauthorized):
        status = 403 if error.is_foreign else 401
    body = error_body(error, status, str(uuid.uuid4()))
    headers = {"dg-error": header_text(body["err_msg"]), "dg-request-id": body["request_id"]}
    return HandshakeRefusal(status, _encode(cast(Json, body)), headers=headers)


DOOR: Final = LiveDoor("deepgram", ("/v1/listen",), _new, refuse_handshake=_refuse_handshake)
