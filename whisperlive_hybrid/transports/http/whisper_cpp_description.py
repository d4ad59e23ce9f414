"""whisper.cpp's API as the API's description has it."""

from __future__ import annotations

from collections.abc import Iterable

from whisperlive_hybrid.transports.http.describing import (
    FAULTS,
    NUMBER,
    PLAIN_TEXT,
    SECONDS,
    SEGMENT_FIELDS,
    SUBTITLES,
    TEXT,
    Json,
    described,
    faults,
    form_schema,
    list_of,
    object_of,
    properties,
    ref,
)
from whisperlive_hybrid.transports.http.option import Option


def whisper_cpp_paths(options: Iterable[Option]) -> Json:
    subtitles = {kind: SUBTITLES[kind] for kind in ("text/plain", "application/x-subrip", "text/vtt")}
    name: Json = {"type": "object", "required": ["model"], "properties": {"model": TEXT}}
    forms = ("multipart/form-data", "application/x-www-form-urlencoded")
    return {
        "/inference": {
            "post": {
                "tags": ["whisper.cpp"],
                "operationId": "inference",
                "summary": "Transcribe a file",
                "requestBody": {
                    "required": True,
                    "content": {"multipart/form-data": {"schema": form_schema(properties(options))}},
                },
                "responses": {
                    "200": {
                        "description": "As response_format says.",
                        "content": {"application/json": {"schema": ref("CppResult")}, **subtitles},
                    },
                    **faults("CppError", *FAULTS, "504"),
                },
            }
        },
        "/load": {
            "post": {
                "tags": ["whisper.cpp"],
                "operationId": "load",
                "summary": "Load a model, for calls that name it; the default stays",
                "requestBody": {"required": True, "content": {form: {"schema": name} for form in forms}},
                "responses": {
                    "200": {"description": "It is in memory.", "content": PLAIN_TEXT},
                    **faults("CppError", "400", "401", "403", "408", "413", "429", "500", "503"),
                },
            }
        },
    }


def whisper_cpp_schemas() -> Json:
    fields = {name: schema for name, schema in SEGMENT_FIELDS.items() if name != "compression_ratio"}
    times = {name: fields.pop(name) for name in ("start", "end")}
    word = object_of(
        "word start end t_dtw probability", word=TEXT, start=SECONDS, end=SECONDS, t_dtw=NUMBER, probability=NUMBER
    )
    optional: Json = {
        **times,
        "words": described(list_of(word), "Unless token_timestamps or timestamps are off."),
        "speaker": described(TEXT, "With diarize."),
    }
    verbose: Json = {
        "task": described(TEXT, "Of verbose_json, as all below."),
        "language": described(TEXT, "English name."),
        "duration": SECONDS,
        "segments": list_of(object_of(" ".join(fields), **fields, optional=optional)),
        "detected_language": TEXT,
        "detected_language_probability": NUMBER,
        "language_probabilities": {"type": "object", "additionalProperties": NUMBER},
        "warning": described(TEXT, "Why speakers could not be told apart."),
    }
    return {
        "CppResult": object_of("text", text=described(TEXT, "A line for each segment."), optional=verbose),
        "CppError": object_of("error", error=TEXT),
    }
