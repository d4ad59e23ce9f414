"""What the descriptions of the /api routes share."""

from __future__ import annotations

from typing import Final

from whisperlive_hybrid.transports.http.api_answers import FORMATS
from whisperlive_hybrid.transports.http.api_requests import JOB_OPTIONS, MAX_PAGE, TRANSCRIPTION_OPTIONS
from whisperlive_hybrid.transports.http.describing import (
    FAULTS,
    FLAG,
    MAYBE_TEXT,
    NUMBER,
    SECONDS,
    TEXT,
    WHOLE,
    Json,
    described,
    faults,
    list_of,
    object_of,
    properties,
    ref,
)

MAYBE_NUMBER: Final[Json] = {"type": ["number", "null"]}
MAYBE_WHOLE: Final[Json] = {"type": ["integer", "null"]}
MAYBE_TIME: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
LINKS: Final[Json] = {"type": "object", "additionalProperties": {"type": "string"}}
STATE: Final[Json] = {"type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"]}
JOB_FIELDS: Final = {**properties(TRANSCRIPTION_OPTIONS), **properties(JOB_OPTIONS)}


def api_faults(*more: str) -> Json:
    """Answers to requests that fail, of most routes."""
    return {
        **faults("Error", *FAULTS, *more),
        "404": {
            "description": "There is no such clip, job, transcription or model.",
            "content": {"application/json": {"schema": ref("Error")}},
        },
    }


def by_id(what: str) -> Json:
    """The id in a path."""
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": f"Of the {what}.",
    }


def query(name: str, schema: Json, help: str) -> Json:
    """A parameter of the query."""
    return {"name": name, "in": "query", "schema": schema, "description": help}


def in_query(fields: Json) -> list[Json]:
    """Fields that may be sent in the query."""
    return [{"name": name, "in": "query", "schema": schema} for name, schema in fields.items()]


def paged(*more: Json) -> list[Json]:
    """Parameters of a list."""
    return [
        *more,
        query("after", TEXT, "Where the page before ended: its `after`."),
        query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}, "How many at most."),
    ]


def since_until() -> list[Json]:
    """A span of time."""
    return [query(name, {"type": "string", "format": "date-time"}, "Of creation.") for name in ("since", "until")]


def format_parameter(formats: tuple[str, ...] = FORMATS) -> Json:
    """`format`, which wins over Accept."""
    return query("format", {"type": "string", "enum": list(formats)}, "Form of the answer; wins over Accept.")


def idempotency_header() -> Json:
    """The header of requests that make something."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        "description": "The same request with the same key is carried out once and answered alike, for a day.",
    }


def made(status: str, text: str, schema: Json) -> Json:
    """The answer to a request that made something."""
    return {
        status: {
            "description": text,
            "content": {"application/json": {"schema": schema}},
            "headers": {"Location": {"schema": {"type": "string"}, "description": "Of what was made."}},
        }
    }


def transcription_answer() -> Json:
    """A transcription in any form."""
    text: Json = {"schema": {"type": "string"}}
    return {
        "200": {
            "description": "The transcription.",
            "content": {
                "application/json": {"schema": {"oneOf": [ref("Transcription"), ref("Result")]}},
                **stream_content(),
                **{
                    kind: text
                    for kind in ("text/plain", "application/x-subrip", "text/vtt", "text/tab-separated-values")
                },
            },
        }
    }


def stream_content() -> Json:
    """Events as they come, or all of them."""
    return {
        "application/x-ndjson": {"schema": ref("JobEvent")},
        "text/event-stream": {"schema": object_of("event data", event=TEXT, data=TEXT, optional={"id": TEXT})},
    }


NO_CONTENT: Final[Json] = {"204": {"description": "It is gone."}}


def api_schemas() -> Json:
    """What the routes answer."""
    word: Json = object_of(
        "word start end probability speaker_label",
        word=TEXT,
        start=SECONDS,
        end=SECONDS,
        probability=NUMBER,
        speaker_label=MAYBE_TEXT,
    )
    segment: Json = object_of(
        "id audio_clip_id start end speaker_label text",
        id=WHOLE,
        audio_clip_id=TEXT,
        start=SECONDS,
        end=SECONDS,
        speaker_label=described(MAYBE_TEXT, "Null where speakers are not told apart."),
        text=TEXT,
        optional={"words": described(list_of(word), "With word_timestamps.")},
    )
    progress: Json = {
        "state": STATE,
        "stage": described(TEXT, "queued, decoding, transcribing, diarizing, or the state it ended in."),
        "progress": described({"type": "number", "minimum": 0, "maximum": 1}, "By seconds of audio."),
        "done_s": SECONDS,
        "total_s": described(MAYBE_NUMBER, "Null while unknown."),
        "seconds_left": described(MAYBE_NUMBER, "An estimate; null where there is none."),
        "queue_place": described(MAYBE_WHOLE, "How many jobs go before it; null unless it is queued."),
        "attempts": WHOLE,
        "segments": described(WHOLE, "That there are so far."),
    }
    problem: Json = {
        "type": ["object", "null"],
        "properties": {"code": TEXT, "message": TEXT},
        "required": ["code", "message"],
    }
    job: Json = {
        "job_id": TEXT,
        "batch_id": MAYBE_TEXT,
        "clip_id": described(MAYBE_TEXT, "Null while the file is still to be fetched, and where it is not kept."),
        "name": described(MAYBE_TEXT, "Of the clip."),
        "source_url": MAYBE_TEXT,
        "route": described(MAYBE_TEXT, "Of the request that it was asked for with."),
        "kept": described(FLAG, "false: a request that waits for its answer; no clip and no transcription is kept."),
        "model": TEXT,
        "priority": WHOLE,
        "callback_url": MAYBE_TEXT,
        "created": TIME,
        "started": MAYBE_TIME,
        "finished": MAYBE_TIME,
        **progress,
        "error": described(problem, "Why it failed, for good or for now."),
        "links": LINKS,
    }
    batch: Json = {
        "job_id": TEXT,
        "name": TEXT,
        "created": TIME,
        "state": STATE,
        "progress": progress["progress"],
        "total_s": SECONDS,
        "seconds_left": MAYBE_NUMBER,
        "counts": described({"type": "object", "additionalProperties": WHOLE}, "Jobs by state."),
        "jobs": list_of(ref("Job")),
        "links": LINKS,
    }
    summary = {name: schema for name, schema in batch.items() if name not in ("jobs", "seconds_left")}
    match: Json = object_of(
        "segment_id start end speaker_label snippet",
        segment_id=WHOLE,
        start=described(SECONDS, "Of the first of the words where word times are known, else of the segment."),
        end=described(SECONDS, "Of the segment."),
        speaker_label=MAYBE_TEXT,
        snippet=described(
            list_of(object_of("text match", text=TEXT, match=described(FLAG, "Whether it is one of the words."))),
            "The segment's text, cut where it is long.",
        ),
    )
    transcription: Json = object_of(
        "clip_id job_id model language language_probability duration text segments",
        clip_id=TEXT,
        job_id=TEXT,
        model=TEXT,
        language=TEXT,
        language_probability=NUMBER,
        duration=SECONDS,
        text=TEXT,
        segments=list_of(ref("ClipSegment")),
        optional={"speakers": list_of({}), "turns": list_of({}), "warning": MAYBE_TEXT},
    )
    clip: Json = {
        "clip_id": TEXT,
        "name": TEXT,
        "type": described(TEXT, "By what the file is."),
        "bytes": WHOLE,
        "duration": described(MAYBE_NUMBER, "Seconds; null until the file was decoded, where it does not say."),
        "sha256": TEXT,
        "source_url": described(MAYBE_TEXT, "Where it was fetched from."),
        "created": TIME,
        "transcription": object_of(
            "status job_id",
            status={"type": "string", "enum": ["none", *STATE["enum"]]},
            job_id=MAYBE_TEXT,
        ),
        "links": LINKS,
    }
    event: Json = object_of(
        "type",
        type={"type": "string", "enum": ["progress", "segment", "speaker", "heartbeat", "done", "error"]},
        optional={
            **{name: described(schema, "Of progress.") for name, schema in progress.items()},
            "counts": described(batch["counts"], "Of progress and done of a batch."),
            "segment": described(ref("ClipSegment"), "Of segment."),
            "start": described(SECONDS, "Of speaker."),
            "end": described(SECONDS, "Of speaker."),
            "speaker_label": described(TEXT, "Of speaker."),
            "transcription": {
                "anyOf": [ref("Transcription"), {"type": "null"}],
                "description": "Of done; null where it is not kept.",
            },
            "success": described(FLAG, "Of error."),
            "error": described(ref("ErrorDetail"), "Of error."),
        },
    )
    return {
        "Clip": object_of(" ".join(clip), **clip),
        "ClipSegment": segment,
        "Transcription": transcription,
        "Job": object_of(" ".join(job), **job),
        "Batch": object_of(" ".join(batch), **batch),
        "BatchSummary": object_of(" ".join(summary), **summary),
        "Match": match,
        "JobEvent": event,
    }
