"""What doors describe themselves with: JSON schemas of options and bodies, answers, faults (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from whisperlive_hybrid.transports.http.option import Option

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
WHOLE: Json = {"type": "integer"}
FLAG: Json = {"type": "boolean"}
MAYBE_TEXT: Json = {"type": ["string", "null"]}
ANY: Json = {"type": "object"}
SECONDS: Json = {"type": "number", "description": "Seconds."}

PLAIN_TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
SUBTITLES: Json = {
    t: {"schema": {"type": "string"}}
    for t in ("text/plain", "application/x-subrip", "text/vtt", "text/tab-separated-values")
}
FAULTS = ("400", "401", "403", "404", "408", "409", "413", "415", "429", "500", "503", "507")
OPEN: Json = {"security": []}
"""Of operations that never ask for a key."""


def ref(name: str) -> Json:
    """A reference to one of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Json) -> Json:
    """A list whose items are all alike."""
    return {"type": "array", "items": items}


def any_of(*schemas: Json) -> Json:
    """One of these."""
    return {"anyOf": list(schemas)}


def object_of(required: str, *, optional: Json | None = None, **fields: Any) -> Json:
    """An object with these properties; `required` names those that are always there."""
    return {"type": "object", "required": required.split(), "properties": {**fields, **(optional or {})}}


def described(schema: Json, description: str) -> Json:
    """`schema` with a description."""
    return {**schema, "description": description}


SEGMENT_FIELDS: Json = {
    "id": WHOLE,
    "start": SECONDS,
    "end": SECONDS,
    "text": TEXT,
    "tokens": list_of(WHOLE),
    "temperature": described(NUMBER, "At which the text was found; above 0 the model was unsure."),
    "avg_logprob": described(NUMBER, "Mean log probability of the tokens."),
    "compression_ratio": described(NUMBER, "High where the text repeats itself."),
    "no_speech_prob": described(NUMBER, "Probability that nothing is said."),
}


def form_schema(options: Json) -> Json:
    """A form with the part `file` and these options."""
    file: Json = {"type": "string", "format": "binary", "description": "Audio, or video with sound."}
    return {"type": "object", "required": ["file"], "properties": {"file": file, **options}}


def properties(options: Iterable[Option]) -> Json:
    """Schemas of options by name, from the declarations that requests are read by."""
    return {option.name: schema_of(option) for option in options}


def schema_of(option: Option) -> Json:
    """The schema of one option."""
    kinds = {"text": "string", "number": "number", "integer": "integer", "flag": "boolean", "choice": "string"}
    schema: Json = {"type": kinds.get(option.kind, "string"), "description": option.help}
    inner = schema
    if option.kind == "list":
        inner = {"type": "number" if option.high is not None else "string"}
        schema.update(type="array", items=inner)
    if option.accepted:
        inner["enum"] = list(option.accepted)
    if option.high is not None:
        inner.update(minimum=option.low, maximum=option.high)
    return schema


def ok(text: str, schema: Json) -> Json:
    """The answer 200, as JSON."""
    return {"200": {"description": text, "content": {"application/json": {"schema": schema}}}}


def faults(schema: str, *statuses: str) -> Json:
    """The answers of these statuses, in the envelope that `schema` describes."""
    meaning = {
        "400": "Something in the request is wrong; param and accepted say what.",
        "401": "A key is needed, or this one is not known.",
        "403": "Not from this page or under this host name.",
        "404": "No such model, or it cannot be had here.",
        "405": "Not allowed.",
        "408": "The upload stood still, or was too slow while others waited for its place.",
        "409": "Its state forbids this, its job was cancelled, or the Idempotency-Key was used for something else.",
        "413": "Too large or too long.",
        "415": "The body is not of a type that is taken here.",
        "416": "Nothing of it lies in this range.",
        "426": "Not a WebSocket's handshake.",
        "429": "This client has all that it may have, or the server is full; Retry-After says when to come again.",
        "500": "Our fault; the log tells more under the answer's x-request-id.",
        "503": "Full, loading or shutting down; Retry-After says when to come again.",
        "504": "Not done in time.",
        "507": "No room for the upload.",
    }
    if schema == "OpenAIError":
        meaning["503"] = "Loading or shutting down; Retry-After says when to come again."
    content: Json = {"application/json": {"schema": ref(schema)}}
    later: Json = {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}}
    return {
        status: {"description": meaning[status], "content": content, **(later if status in ("429", "503") else {})}
        for status in sorted(statuses)
    }


def page_operation(summary: str, operation: str, media_type: str = "text/html") -> Json:
    """GET of something for people, which needs no key."""
    return {
        "get": {
            "tags": ["Pages"],
            "operationId": operation,
            "summary": summary,
            "responses": {"200": {"description": summary, "content": {media_type: {}}}},
            **OPEN,
        }
    }
