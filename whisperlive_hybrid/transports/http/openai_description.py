"""OpenAI's audio API as the API's description has it."""

from __future__ import annotations

from collections.abc import Iterable

from whisperlive_hybrid.transports.http.describing import (
    FLAG,
    MAYBE_TEXT,
    OPENAI_FAULTS,
    PLAIN_TEXT,
    SECONDS,
    SEGMENT_FIELDS,
    TEXT,
    WHOLE,
    Json,
    described,
    faults,
    form_schema,
    list_of,
    object_of,
    ok,
    properties,
    ref,
)
from whisperlive_hybrid.transports.http.option import Option


def openai_paths(transcription: Iterable[Option], translation: Iterable[Option]) -> Json:
    def audio(summary: str, operation: str, options: Iterable[Option], content: Json) -> Json:
        schema = form_schema(properties(options))
        schema["required"] = ["file", "model"]
        return {
            "post": {
                "tags": ["OpenAI"],
                "operationId": operation,
                "summary": summary,
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
                "responses": {
                    "200": {"description": "As response_format says.", "content": content},
                    **faults("OpenAIError", *OPENAI_FAULTS),
                },
            }
        }

    bodies: Json = {"application/json": {"schema": ref("OpenAITranscription")}, **PLAIN_TEXT}
    events: Json = {"text/event-stream": {"schema": {"type": "string"}}}
    model = ok("One model.", ref("Model"))
    of_id: Json = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/audio/transcriptions": audio(
            "Transcribe a file", "createTranscription", transcription, {**bodies, **events}
        ),
        "/v1/audio/translations": audio("Translate a file into English", "createTranslation", translation, bodies),
        "/v1/models": {
            "get": {
                "tags": ["OpenAI"],
                "operationId": "listModels",
                "summary": "Models and their aliases",
                "responses": {**ok("All models.", ref("ModelList")), **faults("OpenAIError", "401", "403")},
            }
        },
        "/v1/models/{id}": {
            "parameters": [of_id],
            "get": {
                "tags": ["OpenAI"],
                "operationId": "retrieveModel",
                "summary": "One model",
                "responses": {**model, **faults("OpenAIError", "401", "403", "404")},
            },
            "delete": {
                "tags": ["OpenAI"],
                "operationId": "deleteModel",
                "summary": "Refused: models are not deleted over the API",
                "responses": faults("OpenAIError", "401", "403", "404", "405"),
            },
        },
    }


def openai_schemas() -> Json:
    segment = {**SEGMENT_FIELDS, "seek": described(WHOLE, "Hundredths of a second.")}
    inner = object_of("message type param code", message=TEXT, type=TEXT, param=MAYBE_TEXT, code=MAYBE_TEXT)
    verbose: Json = {
        "task": described({"enum": ["transcribe", "translate"]}, "Of verbose_json, as all below."),
        "language": described(TEXT, "English name."),
        "duration": SECONDS,
        "segments": list_of(ref("OpenAISegment")),
        "words": described(list_of(ref("OpenAIWord")), "With timestamp_granularities word."),
    }
    return {
        "OpenAITranscription": object_of("text usage", text=TEXT, usage=ref("Usage"), optional=verbose),
        "OpenAISegment": object_of(" ".join(segment), **segment),
        "OpenAIWord": object_of("word start end", word=TEXT, start=SECONDS, end=SECONDS),
        "Usage": object_of("type seconds", type={"const": "duration"}, seconds=WHOLE),
        "OpenAIError": object_of("error", error=inner),
        "ModelList": object_of("object data", object={"const": "list"}, data=list_of(ref("Model"))),
        "Model": object_of(
            "id object created owned_by loaded default",
            id=TEXT,
            object={"const": "model"},
            created=WHOLE,
            owned_by=TEXT,
            loaded=described(FLAG, "In memory now."),
            default=described(FLAG, "What requests get that name no model."),
            optional={"alias_of": described(TEXT, "The model that this name stands for.")},
        ),
    }
