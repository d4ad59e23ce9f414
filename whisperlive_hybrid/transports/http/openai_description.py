"""OpenAI's audio API as the API's description has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whisperlive_hybrid.transports.http.describing import (
    FAULTS,
    FLAG,
    MAYBE_TEXT,
    NUMBER,
    PLAIN_TEXT,
    SECONDS,
    SEGMENT_FIELDS,
    TEXT,
    WHOLE,
    Json,
    any_of,
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

_ELSEWHERE = "Also without /v1, and with /openai or /openai/v1 in its place."
_KEY_FAULTS = ("401", "403", "429")


def openai_paths(transcription: Iterable[Option], translation: Iterable[Option]) -> Json:
    """Its `paths`."""
    transcription, translation = tuple(transcription), tuple(translation)
    short: Json = {"application/json": {"schema": any_of(ref("OpenAITranscription"), ref("OpenAIVerbose"))}}
    any_form: Json = {
        "application/json": {
            "schema": any_of(ref("OpenAITranscription"), ref("OpenAIVerbose"), ref("OpenAIDiarized")),
        },
        "text/event-stream": {"schema": {"type": "string"}},
    }
    calls = [
        ("transcriptions", "Transcribe a file", "createTranscription", transcription, {**any_form, **PLAIN_TEXT}),
        ("translations", "Translate a file into English", "createTranslation", translation, {**short, **PLAIN_TEXT}),
    ]
    deployment: Json = {
        "name": "deployment",
        "in": "path",
        "required": True,
        "description": "A model, in place of the field.",
        "schema": TEXT,
    }
    paths: Json = {}
    for name, summary, operation, options, content in calls:
        paths[f"/v1/audio/{name}"] = {"post": _audio(summary, operation, options, content)}
        of_azure = _audio(summary, f"{operation}OfDeployment", options, content, required=("file",))
        paths[f"/openai/deployments/{{deployment}}/audio/{name}"] = {"parameters": [deployment], "post": of_azure}
    return {**paths, **_model_paths()}


def _audio(
    summary: str, operation: str, options: Iterable[Option], content: Json, required: Sequence[str] = ("file", "model")
) -> Json:
    schema = form_schema(properties(options))
    schema["required"] = list(required)
    return {
        "tags": ["OpenAI"],
        "operationId": operation,
        "summary": summary,
        "description": _ELSEWHERE if "model" in required else "As Azure's clients call it.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": {
            "200": {"description": "As response_format and stream say.", "content": content},
            **faults("OpenAIError", *FAULTS),
        },
    }


def _model_paths() -> Json:
    of_id: Json = {"name": "id", "in": "path", "required": True, "schema": TEXT}
    nothing = object_of("models", models=list_of(TEXT)), object_of("voices", voices=list_of(TEXT))
    return {
        "/v1/models": {
            "get": _get("Models and their aliases", "listModels", ok("All models.", ref("ModelList")), _ELSEWHERE)
        },
        "/v1/models/{id}": {
            "parameters": [of_id],
            "get": _get("One model", "retrieveModel", ok("One model.", ref("Model")), _ELSEWHERE, "404"),
            "delete": {
                "tags": ["OpenAI"],
                "operationId": "deleteModel",
                "summary": "Refused: models are not deleted over the API",
                "responses": faults("OpenAIError", *_KEY_FAULTS, "404", "405"),
            },
        },
        "/v1/audio/models": {
            "get": _get("Models that speak: none", "listSpeechModels", ok("An empty list.", nothing[0]), _ELSEWHERE)
        },
        "/v1/audio/voices": {
            "get": _get("Voices: none", "listVoices", ok("An empty list.", nothing[1]), _ELSEWHERE),
        },
    }


def _get(summary: str, operation: str, answer: Json, description: str, *more_faults: str) -> Json:
    return {
        "tags": ["OpenAI"],
        "operationId": operation,
        "summary": summary,
        "description": description,
        "responses": {**answer, **faults("OpenAIError", *_KEY_FAULTS, *more_faults)},
    }


def openai_schemas() -> Json:
    """Its `components.schemas`."""
    segment = {**SEGMENT_FIELDS, "seek": described(WHOLE, "Hundredths of a second.")}
    spoken = {
        "type": {"const": "transcript.text.segment"},
        "id": TEXT,
        "start": SECONDS,
        "end": SECONDS,
        "text": TEXT,
        "speaker": described(TEXT, "A known speaker's name, or A, B, …; ? where nobody is known to speak."),
    }
    inner = object_of("message type param code", message=TEXT, type=TEXT, param=MAYBE_TEXT, code=MAYBE_TEXT)
    who: Json = {"speaker": described(MAYBE_TEXT, "With diarize.")}
    warned: Json = {"warning": described(TEXT, "Ours: why speakers could not be told apart.")}
    return {
        "OpenAITranscription": object_of(
            "text usage",
            text=TEXT,
            usage=any_of(ref("UsageSeconds"), ref("UsageTokens")),
            optional={
                "logprobs": described(list_of(ref("OpenAIToken")), "With include logprobs."),
                "languages": described(
                    list_of(object_of("code", code=TEXT)), "Of gpt-transcribe, or with languages: what was heard."
                ),
            },
        ),
        "OpenAIVerbose": object_of(
            "task language duration text usage",
            task={"enum": ["transcribe", "translate"]},
            language=described(TEXT, "English name."),
            duration=SECONDS,
            text=TEXT,
            usage=ref("UsageSeconds"),
            optional={
                "segments": described(list_of(ref("OpenAISegment")), "With timestamp_granularities segment."),
                "words": described(list_of(ref("OpenAIWord")), "With timestamp_granularities word."),
                **warned,
            },
        ),
        "OpenAIDiarized": object_of(
            "task duration text segments usage",
            task={"const": "transcribe"},
            duration=SECONDS,
            text=described(TEXT, "A line each time somebody else speaks: A: text."),
            segments=list_of(ref("OpenAISpoken")),
            usage=ref("UsageSeconds"),
            optional=warned,
        ),
        "OpenAISegment": object_of(" ".join(segment), **segment, optional=who),
        "OpenAIWord": object_of("word start end", word=TEXT, start=SECONDS, end=SECONDS, optional=who),
        "OpenAISpoken": object_of(" ".join(spoken), **spoken),
        "OpenAIToken": object_of(
            "token logprob bytes",
            token=described(TEXT, "U+FFFD for a part of a character."),
            logprob=described(NUMBER, "Natural logarithm of what the model gives it, whatever search found it."),
            bytes=list_of(WHOLE),
        ),
        "UsageSeconds": object_of("type seconds", type={"const": "duration"}, seconds=WHOLE),
        "UsageTokens": object_of(
            "type input_tokens input_token_details output_tokens total_tokens",
            type={"const": "tokens"},
            input_tokens=WHOLE,
            input_token_details=object_of(
                "text_tokens audio_tokens",
                text_tokens=described(WHOLE, "Of the prompt."),
                audio_tokens=described(WHOLE, "Ten for each second."),
            ),
            output_tokens=described(WHOLE, "What the model wrote, timestamps included."),
            total_tokens=WHOLE,
        ),
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
