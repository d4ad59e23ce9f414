"""The routes of clips as the API's description has them."""

from __future__ import annotations

from whisperlive_hybrid.transports.http.api_description import (
    JOB_FIELDS,
    LINKS,
    MAYBE_TIME,
    NO_CONTENT,
    STATE,
    TIME,
    api_faults,
    api_schemas,
    by_id,
    format_parameter,
    idempotency_header,
    in_query,
    made,
    paged,
    query,
    since_until,
    stream_content,
    transcription_answer,
)
from whisperlive_hybrid.transports.http.describing import (
    FLAG,
    MAYBE_TEXT,
    TEXT,
    WHOLE,
    Json,
    described,
    form_schema,
    list_of,
    object_of,
    ok,
    ref,
)

_BYTES: Json = {"schema": {"type": "string", "format": "binary"}}


def _file_body(fields: Json) -> Json:
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form_schema(fields)},
            "application/octet-stream": _BYTES,
            "audio/*": _BYTES,
        },
    }


def clips_paths() -> Json:
    """Operations by path."""
    stored = object_of("clip_id message", clip_id=TEXT, message=TEXT)
    clip = by_id("clip")
    one_step: Json = {
        "tags": ["Clips"],
        "summary": "Upload and transcribe in one step",
        "description": "Answered as soon as the file is safe and its job is queued. The result is sent to "
        "`callback_url`, and is there to be fetched. Options may also stand in the query.",
        "parameters": [idempotency_header()],
        "requestBody": _file_body(JOB_FIELDS),
        "responses": {
            **made(
                "202",
                "The clip is stored and the job queued.",
                object_of("clip_id job_id state links", clip_id=TEXT, job_id=TEXT, state=STATE, links=LINKS),
            ),
            **api_faults(),
        },
    }
    clip_id = {**query("clip_id", TEXT, "Of the clip."), "required": True}
    listed = object_of(
        "clip_id job_id name created text links",
        clip_id=TEXT,
        job_id=TEXT,
        name=described(TEXT, "Of the clip."),
        created=TIME,
        text=described(MAYBE_TEXT, "Null with text=false."),
        links=LINKS,
        optional={
            "match_count": described(WHOLE, "With q: segments that have one of the words."),
            "matches": described(list_of(ref("Match")), "With q: the best of them, in order of time."),
        },
    )
    return {
        "/api/audio": {
            "post": {
                "tags": ["Clips"],
                "operationId": "uploadClip",
                "summary": "Keep a file",
                "description": "Answered once the file is synced to the disk and recorded.",
                "parameters": [idempotency_header()],
                "requestBody": _file_body({}),
                "responses": {**made("201", "The clip is stored.", stored), **api_faults()},
            },
            "get": {
                "tags": ["Clips"],
                "operationId": "listClips",
                "summary": "Clips, newest first",
                "parameters": paged(
                    query("name", TEXT, "Part of the name."),
                    query("sha256", TEXT, "Of the content."),
                    query("status", {"type": "string", "enum": ["none", *STATE["enum"]]}, "Of a job of the clip."),
                    *since_until(),
                ),
                "responses": {
                    **ok("A page.", object_of("clips after", clips=list_of(ref("Clip")), after=MAYBE_TEXT)),
                    **api_faults(),
                },
            },
        },
        "/api/audio/{id}": {
            "get": {
                "tags": ["Clips"],
                "operationId": "showClip",
                "summary": "A clip",
                "parameters": [clip],
                "responses": {**ok("The clip.", ref("Clip")), **api_faults()},
            },
            "delete": {
                "tags": ["Clips"],
                "operationId": "deleteClip",
                "summary": "Delete a clip with its jobs and transcriptions",
                "parameters": [clip],
                "responses": {**NO_CONTENT, **api_faults()},
            },
        },
        "/api/audio/{id}/content": {
            "get": {
                "tags": ["Clips"],
                "operationId": "clipContent",
                "summary": "The clip's bytes",
                "parameters": [clip, {"name": "Range", "in": "header", "schema": TEXT}],
                "responses": {
                    "200": {"description": "All of it.", "content": {"*/*": _BYTES}},
                    "206": {"description": "A range of it.", "content": {"*/*": _BYTES}},
                    "304": {"description": "As it is known to be (If-None-Match)."},
                    **api_faults("416"),
                },
            }
        },
        "/api/audio/{id}/link": {
            "get": {
                "tags": ["Clips"],
                "operationId": "clipLink",
                "summary": "A link to the clip's bytes that needs no key",
                "description": "For players, which cannot send one. It opens this clip for six hours.",
                "parameters": [clip],
                "responses": {
                    **ok(
                        "The link.",
                        object_of(
                            "url expires",
                            url=described(TEXT, "A path of this server with its query."),
                            expires=described(MAYBE_TIME, "Null where the server asks for no key."),
                        ),
                    ),
                    **api_faults(),
                },
            }
        },
        "/api/transcribe": {
            "post": {
                "tags": ["Clips"],
                "operationId": "transcribeClip",
                "summary": "Transcribe a clip, and wait for it",
                "description": "A job like any other: who hangs up finds its result later. The same clip with the same "
                "options is not computed twice, unless Cache-Control: no-cache is sent.",
                "parameters": [clip_id, *in_query(JOB_FIELDS), format_parameter(), idempotency_header()],
                "responses": {**transcription_answer(), **api_faults()},
            }
        },
        "/api/transcribe/stream": {
            "post": {
                "tags": ["Clips"],
                "operationId": "transcribeClipStream",
                "summary": "Transcribe a clip, answered as it is made",
                "description": "Takes all the options of /api/transcribe.",
                "parameters": [
                    clip_id,
                    *in_query({name: JOB_FIELDS[name] for name in ("diarize", "language", "task", "model")}),
                    format_parameter(("ndjson", "sse")),
                    idempotency_header(),
                ],
                "responses": {
                    "200": {"description": "Events as they come.", "content": stream_content()},
                    **api_faults(),
                },
            }
        },
        "/api/transcription": {
            "get": {
                "tags": ["Clips"],
                "operationId": "listTranscriptions",
                "summary": "Transcriptions, newest first",
                "parameters": paged(
                    query("clip_id", TEXT, "Of this clip."),
                    query("q", TEXT, "With all of these words in the text."),
                    query("prefix", FLAG, "The last word of q may be the beginning of one, as for one who types."),
                    query("text", FLAG, "Whether to send the whole texts; true if not said."),
                ),
                "responses": {
                    **ok(
                        "A page.", object_of("transcriptions after", transcriptions=list_of(listed), after=MAYBE_TEXT)
                    ),
                    **api_faults(),
                },
            }
        },
        "/api/transcription/{id}": {
            "get": {
                "tags": ["Clips"],
                "operationId": "showTranscription",
                "summary": "The newest transcription of a clip",
                "parameters": [clip, format_parameter()],
                "responses": {**transcription_answer(), **api_faults()},
            },
            "delete": {
                "tags": ["Clips"],
                "operationId": "deleteTranscription",
                "summary": "Delete the transcriptions of a clip",
                "parameters": [clip],
                "responses": {**NO_CONTENT, **api_faults()},
            },
        },
        "/api/transcription/stream/{id}": {
            "get": {
                "tags": ["Clips"],
                "operationId": "transcriptionStream",
                "summary": "The newest job of a clip, followed from its beginning",
                "parameters": [clip, format_parameter(("ndjson", "sse"))],
                "responses": {
                    "200": {"description": "Events as they come.", "content": stream_content()},
                    **api_faults(),
                },
            }
        },
        "/upload+transcribe": {"post": {**one_step, "operationId": "uploadAndTranscribe"}},
        "/api/upload-transcribe": {"post": {**one_step, "operationId": "apiUploadAndTranscribe"}},
    }


def clips_schemas() -> Json:
    """Schemas of clips and jobs."""
    return api_schemas()
