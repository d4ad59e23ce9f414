"""The bodies of answers, as JSON schemas. Tests hold them against real answers, so every field must stand here."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_WHOLE: Json = {"type": "integer"}
_FLAG: Json = {"type": "boolean"}
_MAYBE_TEXT: Json = {"type": ["string", "null"]}
_ANY: Json = {"type": "object"}
_SECONDS: Json = {"type": "number", "description": "Seconds."}


def ref(name: str) -> Json:
    """A reference to one of `schemas()`."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Json) -> Json:
    """A list whose items are all alike."""
    return {"type": "array", "items": items}


def schemas() -> Json:
    """All bodies by name."""
    return {**_native(), **_openai(), **_health()}


def _object(required: str, *, optional: Json | None = None, **properties: Any) -> Json:
    return {"type": "object", "required": required.split(), "properties": {**properties, **(optional or {})}}


def _described(schema: Json, description: str) -> Json:
    return {**schema, "description": description}


_SEGMENT_FIELDS: Json = {
    "id": _WHOLE,
    "start": _SECONDS,
    "end": _SECONDS,
    "text": _TEXT,
    "tokens": list_of(_WHOLE),
    "temperature": _described(_NUMBER, "At which the text was found; above 0 the model was unsure."),
    "avg_logprob": _described(_NUMBER, "Mean log probability of the tokens."),
    "compression_ratio": _described(_NUMBER, "High where the text repeats itself."),
    "no_speech_prob": _described(_NUMBER, "Probability that nothing is said."),
}


def _native() -> Json:
    result: Json = {
        "success": {"const": True},
        "segments": list_of(ref("Segment")),
        "info": ref("Info"),
        "filename": _TEXT,
    }
    problem: Json = {
        "code": _described(_TEXT, "A stable word for programs."),
        "message": _described(_TEXT, "One sentence for people."),
        "param": _described(_MAYBE_TEXT, "The field that is wrong."),
        "accepted": _described(list_of(_TEXT), "What it may be."),
    }
    hints: Json = {
        "errors": _described(list_of(ref("Problem")), "All problems where there are several."),
        "limit": _described(_NUMBER, "With 413: bytes, or seconds."),
        "retry_after_s": _described(_SECONDS, "With 503: when to come again."),
        "ways_out": _described(list_of(_TEXT), "With model_unavailable: what an administrator can do."),
    }
    return {
        "Result": _object("success segments info filename", **result),
        "Segment": _object(
            " ".join(_SEGMENT_FIELDS),
            **_SEGMENT_FIELDS,
            optional={"words": _described(list_of(ref("Word")), "With word_timestamps.")},
        ),
        "Word": _object("word start end probability", word=_TEXT, start=_SECONDS, end=_SECONDS, probability=_NUMBER),
        "Info": _object(
            "language language_probability duration duration_after_vad transcription_options",
            language=_described(_TEXT, "ISO 639-1 code."),
            language_probability=_NUMBER,
            duration=_SECONDS,
            duration_after_vad=_described(_NUMBER, "Seconds that were taken for speech."),
            transcription_options=_described(_ANY, "What was in force, the model's name included."),
        ),
        "StreamLine": _object(
            "type",
            type={"type": "string", "enum": ["progress", "segment", "heartbeat", "done", "error"]},
            stage={
                "type": "string",
                "enum": ["decoding", "transcribing", "done"],
                "description": "Of progress, as are done_s and total_s.",
            },
            done_s=_SECONDS,
            total_s=_described({"type": ["number", "null"]}, "Seconds; null while unknown."),
            segment=_described(ref("Segment"), "Of segment."),
            **{name: _described(schema, "Of done.") for name, schema in result.items() if name != "success"},
            success=_described(_FLAG, "Of done and error."),
            error=_described(ref("ErrorDetail"), "Of error."),
        ),
        "Error": _object("success error", success={"const": False}, error=ref("ErrorDetail")),
        "ErrorDetail": _object(" ".join(problem), **problem, optional=hints),
        "Problem": _object(" ".join(problem), **problem),
    }


def _openai() -> Json:
    segment = {**_SEGMENT_FIELDS, "seek": _described(_WHOLE, "Hundredths of a second.")}
    inner = _object("message type param code", message=_TEXT, type=_TEXT, param=_MAYBE_TEXT, code=_MAYBE_TEXT)
    verbose: Json = {
        "task": _described({"enum": ["transcribe", "translate"]}, "Of verbose_json, as all below."),
        "language": _described(_TEXT, "English name."),
        "duration": _SECONDS,
        "segments": list_of(ref("OpenAISegment")),
        "words": _described(list_of(ref("OpenAIWord")), "With timestamp_granularities word."),
    }
    return {
        "OpenAITranscription": _object("text usage", text=_TEXT, usage=ref("Usage"), optional=verbose),
        "OpenAISegment": _object(" ".join(segment), **segment),
        "OpenAIWord": _object("word start end", word=_TEXT, start=_SECONDS, end=_SECONDS),
        "Usage": _object("type seconds", type={"const": "duration"}, seconds=_WHOLE),
        "OpenAIError": _object("error", error=inner),
        "ModelList": _object("object data", object={"const": "list"}, data=list_of(ref("Model"))),
        "Model": _object(
            "id object created owned_by loaded default",
            id=_TEXT,
            object={"const": "model"},
            created=_WHOLE,
            owned_by=_TEXT,
            loaded=_described(_FLAG, "In memory now."),
            default=_described(_FLAG, "What requests get that name no model."),
            optional={"alias_of": _described(_TEXT, "The model that this name stands for.")},
        ),
    }


def _health() -> Json:
    device = _object(
        "kind index name compute_type threads max_batch memory_bytes",
        kind={"type": "string", "enum": ["cpu", "cuda"]},
        index=_WHOLE,
        name=_TEXT,
        compute_type=_TEXT,
        threads=_WHOLE,
        max_batch=_WHOLE,
        memory_bytes={"type": ["integer", "null"]},
    )
    queue = _object(
        "windows running files_waiting wait_s",
        windows=_described(_ANY, "Windows waiting, by lane: final, partial, file."),
        running=_described(_WHOLE, "Windows in the batch that runs."),
        files_waiting=_WHOLE,
        wait_s=_described(_NUMBER, "About how long a new window would wait."),
    )
    status = {
        "type": "string",
        "enum": ["ok", "degraded", "loading", "draining", "failed"],
        "description": "ok and degraded (a fallback model runs) with 200, the others with 503.",
    }
    return {
        "Health": _object(
            "status note uptime_s models devices versions queue live_sessions live_port loop_lag_ms",
            status=status,
            note=_described(_MAYBE_TEXT, "What users should be told, such as that a fallback model runs."),
            uptime_s=_NUMBER,
            models=_object("default loaded", default=_TEXT, loaded=list_of(_TEXT)),
            devices=list_of(device),
            versions=_ANY,
            queue=queue,
            live_sessions={"type": ["integer", "null"]},
            live_port=_described({"type": ["integer", "null"]}, "Port of live audio over WebSocket."),
            loop_lag_ms=_described({"type": ["object", "null"]}, "How late the event loop is: p50, p99, max."),
        ),
        "Alive": _object("status", status={"const": "alive"}),
    }
