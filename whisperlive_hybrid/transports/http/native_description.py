"""The native door as the API's description has it."""

from __future__ import annotations

from whisperlive_hybrid.transports.http.describing import (
    ANY,
    FAULTS,
    FLAG,
    MAYBE_TEXT,
    NUMBER,
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
from whisperlive_hybrid.transports.http.options import KEEP, NATIVE_OPTIONS


def native_paths() -> Json:
    options = properties((*NATIVE_OPTIONS, KEEP))
    answer: Json = {
        "200": {
            "description": "The transcript. With Accept: application/x-ndjson a stream of lines: progress, segment, "
            "heartbeat, and as the last one done (with the whole result) or error.",
            "content": {
                "application/json": {"schema": ref("Result")},
                "application/x-ndjson": {"schema": ref("StreamLine")},
                **SUBTITLES,
            },
        },
        **faults("Error", *FAULTS),
    }
    in_query = [{"name": name, "in": "query", "schema": schema} for name, schema in options.items()]
    url: Json = {"type": "string", "format": "uri", "description": "http or https, on a public host."}
    lines: Json = {
        "200": {
            "description": "Lines as they come.",
            "content": {"application/x-ndjson": {"schema": ref("StreamLine")}},
        },
        **faults("Error", *FAULTS),
    }
    file_body: Json = {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form_schema(options)},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    by_url = {"schema": {"type": "object", "required": ["url"], "properties": {"url": url, **options}}}
    return {
        "/transcribe": {
            "post": {
                "tags": ["Files"],
                "operationId": "transcribe",
                "summary": "Transcribe or translate a file",
                "description": "One file as the part named file; options as fields or in the query. The body may also "
                "be the file itself. Every wrong option is named in one answer. X-Job-Id names the job that it is.",
                "parameters": in_query,
                "requestBody": file_body,
                "responses": answer,
            }
        },
        "/transcribe/stream": {
            "post": {
                "tags": ["Files"],
                "operationId": "transcribeStream",
                "summary": "Transcribe or translate a file, answered as it is made",
                "description": "As /transcribe with Accept: application/x-ndjson.",
                "parameters": in_query,
                "requestBody": file_body,
                "responses": lines,
            }
        },
        "/transcribe/url": {
            "post": {
                "tags": ["Files"],
                "operationId": "transcribeUrl",
                "summary": "Transcribe or translate a file on the web",
                "parameters": in_query,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": by_url,
                        "application/x-www-form-urlencoded": by_url,
                        "multipart/form-data": by_url,
                    },
                },
                "responses": answer,
            }
        },
    }


def native_schemas() -> Json:
    result: Json = {
        "success": {"const": True},
        "segments": list_of(ref("Segment")),
        "info": ref("Info"),
        "filename": TEXT,
    }
    speaker = {"speaker": described(MAYBE_TEXT, "With diarize; null where nobody is known.")}
    speakers: Json = {
        "speakers": described(list_of(TEXT), "With diarize: names, in the order in which they first speak."),
        "turns": described(list_of(ref("Turn")), "With diarize: who speaks when."),
        "warning": described(TEXT, "Why speakers could not be told apart; the text is complete."),
    }
    kept: Json = {name: described(TEXT, "With keep.") for name in ("job_id", "clip_id")}
    done = {name: schema for name, schema in (result | speakers).items() if name != "success"}
    problem: Json = {
        "code": described(TEXT, "A stable word for programs."),
        "message": described(TEXT, "One sentence for people."),
        "param": described(MAYBE_TEXT, "The field that is wrong."),
        "accepted": described(list_of(TEXT), "What it may be."),
    }
    hints: Json = {
        "errors": described(list_of(ref("Problem")), "All problems where there are several."),
        "limit": described(NUMBER, "With 413: bytes, or seconds; with 429: of what the message names."),
        "used": described(NUMBER, "With 429: how much of that the client has."),
        "retry_after_s": described(SECONDS, "With 429 and 503: when to come again."),
        "ways_out": described(list_of(TEXT), "With model_unavailable: what an administrator can do."),
    }
    return {
        "Result": object_of("success segments info filename", **result, optional=speakers | kept),
        "Segment": object_of(
            " ".join(SEGMENT_FIELDS),
            **SEGMENT_FIELDS,
            optional={"words": described(list_of(ref("Word")), "With word_timestamps."), **speaker},
        ),
        "Word": object_of(
            "word start end probability",
            word=TEXT,
            start=SECONDS,
            end=SECONDS,
            probability=NUMBER,
            optional=speaker,
        ),
        "Turn": object_of("start end speaker confidence", start=SECONDS, end=SECONDS, speaker=TEXT, confidence=NUMBER),
        "Info": object_of(
            "language language_probability duration duration_after_vad transcription_options",
            language=described(TEXT, "ISO 639-1 code."),
            language_probability=NUMBER,
            duration=SECONDS,
            duration_after_vad=described(NUMBER, "Seconds that were taken for speech."),
            transcription_options=described(ANY, "What was in force, the model's name included."),
        ),
        "StreamLine": object_of(
            "type",
            type={"type": "string", "enum": ["progress", "segment", "heartbeat", "done", "error"]},
            stage={
                "type": "string",
                "enum": ["decoding", "transcribing", "diarizing", "done"],
                "description": "Of progress, as are done_s and total_s.",
            },
            done_s=SECONDS,
            total_s=described({"type": ["number", "null"]}, "Seconds; null while unknown."),
            segment=described(ref("Segment"), "Of segment."),
            **{name: described(schema, "Of done.") for name, schema in done.items()},
            job_id=described(TEXT, "Of the first line, whatever its type; and of done, with keep."),
            clip_id=described(TEXT, "Of done, with keep."),
            success=described(FLAG, "Of done and error."),
            error=described(ref("ErrorDetail"), "Of error."),
        ),
        "Error": object_of("success error", success={"const": False}, error=ref("ErrorDetail")),
        "ErrorDetail": object_of(" ".join(problem), **problem, optional=hints),
        "Problem": object_of(" ".join(problem), **problem),
    }
