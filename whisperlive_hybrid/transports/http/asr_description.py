"""whisper-asr-webservice's API as the API's description has it."""

from __future__ import annotations

from collections.abc import Iterable

from whisperlive_hybrid.transports.http.describing import (
    FAULTS,
    NUMBER,
    PLAIN_TEXT,
    SECONDS,
    SEGMENT_FIELDS,
    TEXT,
    WHOLE,
    Json,
    described,
    faults,
    list_of,
    object_of,
    ok,
    ref,
    schema_of,
)
from whisperlive_hybrid.transports.http.option import Option


def asr_paths(asr: Iterable[Option], detect: Iterable[Option], file_part: str) -> Json:
    file: Json = {"type": "string", "format": "binary", "description": "Audio, or video with sound."}
    form: Json = {"type": "object", "required": [file_part], "properties": {file_part: file}}
    wrong: Json = {
        "422": {
            "description": "A parameter is wrong, or the file is missing.",
            "content": {"application/json": {"schema": ref("AsrProblems")}},
        }
    }

    def operation(summary: str, id: str, options: Iterable[Option], answers: Json) -> Json:
        return {
            "post": {
                "tags": ["whisper-asr-webservice"],
                "operationId": id,
                "summary": summary,
                "parameters": [_parameter(option) for option in options],
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
                "responses": {**answers, **wrong, **faults("AsrError", *FAULTS, "504")},
            }
        }

    texts: Json = {"200": {"description": "As output says; JSON is called plain text, too.", "content": PLAIN_TEXT}}
    found = ok("The likeliest language.", ref("AsrLanguage"))
    return {
        "/asr": operation("Transcribe a file", "asr", asr, texts),
        "/detect-language": operation("Detect the language of a file", "detectLanguage", detect, found),
    }


def _parameter(option: Option) -> Json:
    return {"name": option.name, "in": "query", "schema": schema_of(option)}


def asr_schemas() -> Json:
    problem = object_of("type loc msg", type=TEXT, loc=list_of(TEXT), msg=TEXT)
    segment = {**SEGMENT_FIELDS, "seek": described(WHOLE, "Hundredths of a second.")}
    speaker: Json = {"speaker": described(TEXT, "With diarize.")}
    word = object_of(
        "word start end probability", word=TEXT, start=SECONDS, end=SECONDS, probability=NUMBER, optional=speaker
    )
    return {
        "AsrError": object_of("detail", detail=TEXT),
        "AsrProblems": object_of("detail", detail=list_of(problem)),
        "AsrLanguage": object_of(
            "detected_language language_code confidence",
            detected_language=described(TEXT, "English name."),
            language_code=described(TEXT, "ISO 639-1 code."),
            confidence=NUMBER,
        ),
        "AsrResult": described(
            object_of(
                "text language segments",
                text=TEXT,
                language=described(TEXT, "ISO 639-1 code."),
                segments=list_of(
                    object_of(
                        " ".join(segment),
                        **segment,
                        optional={
                            **speaker,
                            "words": described(list_of(word), "With word_timestamps."),
                        },
                    )
                ),
                optional={"warning": described(TEXT, "Why speakers could not be told apart.")},
            ),
            "What output=json holds.",
        ),
    }
