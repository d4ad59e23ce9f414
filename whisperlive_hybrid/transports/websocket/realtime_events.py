"""Bodies of the Realtime API's server events, each with an id of its own. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import HybridError, NotFound, Refused, Unauthorized, Unavailable
from whisperlive_hybrid.live.events import Failed
from whisperlive_hybrid.transports.realtime_settings import Json

MAX_ECHOED: Final = 512
"""Characters of a client's `event_id` that are repeated to it."""
SERVER_FAULTS: Final = frozenset({"internal_error", "unavailable", "worker_lost"})


class RealtimeEvents:
    """Of one session, whose ids all have `name` in them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._n_events = 0
        self._n_items = 0
        self.session_id = f"sess_{name}"

    def item_id(self) -> str:
        """A new one."""
        self._n_items += 1
        return f"item_{self._name}{self._n_items:04x}"

    def event(self, kind: str, **fields: object) -> Json:
        """Any event."""
        self._n_events += 1
        return {"type": kind, "event_id": f"event_{self._name}{self._n_events:06x}", **fields}

    def error(
        self,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        event_id: object = None,
    ) -> Json:
        """`error`. `event_id`: of the client's event that was wrong."""
        echoed = event_id[:MAX_ECHOED] if isinstance(event_id, str) else None
        body = {"type": kind, "code": code, "message": message, "param": param, "event_id": echoed}
        return self.event("error", error=body)

    def error_of(self, failed: Failed) -> Json:
        """`error` for what the session tells."""
        kind = "server_error" if failed.code in SERVER_FAULTS else "invalid_request_error"
        message, code = failed.message, failed.code
        if failed.param == "model":
            code = "model_not_found"
            if failed.accepted:
                message = f"{message.rstrip('.')}: {'; or '.join(failed.accepted)}."
        return self.error(message, kind=kind, code=code, param=failed.param)

    def speech_started(self, item_id: str, at_s: float) -> Json:
        """Where speech begins, with what is kept from before it."""
        return self.event("input_audio_buffer.speech_started", audio_start_ms=_ms(at_s), item_id=item_id)

    def speech_stopped(self, item_id: str, at_s: float) -> Json:
        """Where speech ends."""
        return self.event("input_audio_buffer.speech_stopped", audio_end_ms=_ms(at_s), item_id=item_id)

    def committed(self, item_id: str, previous: str | None, *, beta: bool) -> list[Json]:
        """The item exists now. GA adds it in two steps, beta in one."""
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        kinds = ("created",) if beta else ("added", "done")
        return [
            self.event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous),
            *(self.event(f"conversation.item.{kind}", previous_item_id=previous, item=item) for kind in kinds),
        ]

    def delta(self, item_id: str, text: str) -> Json:
        """More of the text, never taken back."""
        return self._transcription("delta", item_id, delta=text)

    def completed(
        self,
        item_id: str,
        transcript: str,
        seconds: float,
        languages: Sequence[str],
        words: Sequence[Word] | None,
    ) -> Json:
        """The whole text; it overwrites the deltas. `words`: where their probabilities were asked for."""
        more = {} if words is None else {"logprobs": [_logprob(word) for word in words]}
        return self._transcription(
            "completed",
            item_id,
            transcript=transcript,
            usage={"type": "duration", "seconds": round(seconds, 3)},
            languages=[{"code": code} for code in languages],
            **more,
        )

    def failed(self, item_id: str, message: str) -> Json:
        """There will be no text of this item."""
        error = {"type": "server_error", "code": "transcription_failed", "message": message, "param": None}
        return self._transcription("failed", item_id, error=error)

    def _transcription(self, kind: str, item_id: str, **fields: object) -> Json:
        name = f"conversation.item.input_audio_transcription.{kind}"
        return self.event(name, item_id=item_id, content_index=0, **fields)


def refusal_body(error: HybridError) -> tuple[int, Json]:
    """Status and body of a handshake that is refused, in OpenAI's envelope."""
    status, code = 401, "invalid_api_key"
    if isinstance(error, Unauthorized) and error.is_foreign:
        status, code = 403, error.code
    return status, {"error": {"message": error.message, "type": "invalid_request_error", "param": None, "code": code}}


def close_code(error: HybridError) -> int:
    """Of a connection that gets no session. The official clients come again after 1011, 1012 and 1013."""
    match error:
        case Refused(code="shutting_down" | "draining"):
            return 1012
        case Refused():
            return 1013
        case Unavailable() | NotFound(kind="session"):
            return 1011
        case _:
            return 1008 if type(error) is not HybridError else 1011


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _logprob(word: Word) -> Json:
    return {
        "token": word.text,
        "logprob": round(math.log(min(1.0, max(word.probability, 1e-10))), 5),
        "bytes": list(word.text.encode()),
    }
