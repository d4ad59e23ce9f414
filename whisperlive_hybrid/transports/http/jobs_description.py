"""The routes of jobs as the API's description has them."""

from __future__ import annotations

from whisperlive_hybrid.transports.http.api_answers import FORMATS
from whisperlive_hybrid.transports.http.api_description import (
    JOB_FIELDS,
    LINKS,
    NO_CONTENT,
    STATE,
    api_faults,
    by_id,
    format_parameter,
    idempotency_header,
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
    list_of,
    object_of,
    ok,
    ref,
)

_JOB_OR_BATCH: Json = {"anyOf": [ref("Job"), ref("Batch")]}


def jobs_paths() -> Json:
    """Operations by path."""
    items: Json = {
        "clip_id": described(list_of(TEXT), "Clips to transcribe."),
        "url": described(list_of({"type": "string", "format": "uri"}), "Files to fetch and transcribe."),
        "name": described(TEXT, "Of the batch; with a name even one job is a batch."),
    }
    files: Json = {"file": list_of({"type": "string", "format": "binary"})}
    named: Json = {"schema": {"type": "object", "properties": {**items, **JOB_FIELDS}}}
    filed = object_of(
        "job_id jobs links",
        job_id=described(TEXT, "Of the batch where there is one, else of the job."),
        jobs=list_of(
            object_of(
                "job_id clip_id source_url state links",
                job_id=TEXT,
                clip_id=MAYBE_TEXT,
                source_url=MAYBE_TEXT,
                state=STATE,
                links=LINKS,
            )
        ),
        links=LINKS,
    )
    job = by_id("job or batch")
    page = object_of(
        "jobs batches counts after",
        jobs=list_of(ref("Job")),
        batches=described(list_of(ref("BatchSummary")), "That these jobs are of."),
        counts=described(
            {"type": "object", "additionalProperties": WHOLE}, "Of all jobs by state; with `kept`, of such."
        ),
        after=MAYBE_TEXT,
    )
    return {
        "/api/jobs": {
            "post": {
                "tags": ["Jobs"],
                "operationId": "fileJobs",
                "summary": "Queue jobs",
                "description": "Of one or many clips, URLs or files. Several are a batch, which every route takes for "
                "a job. In JSON the options may also stand in an object `options`.",
                "parameters": [idempotency_header()],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": named,
                        "application/x-www-form-urlencoded": named,
                        "multipart/form-data": {
                            "schema": {"type": "object", "properties": {**files, **items, **JOB_FIELDS}}
                        },
                    },
                },
                "responses": {**made("202", "The jobs are queued.", filed), **api_faults()},
            },
            "get": {
                "tags": ["Jobs"],
                "operationId": "listJobs",
                "summary": "Jobs, newest first",
                "parameters": paged(
                    query("state", list_of(STATE), "In one of these states."),
                    query("clip_id", TEXT, "Of this clip."),
                    query("batch_id", TEXT, "Of this batch."),
                    query("route", TEXT, "Asked for at this route, such as /v1/audio/transcriptions."),
                    query("kept", FLAG, "Whether clip and transcription are kept."),
                    *since_until(),
                ),
                "responses": {**ok("A page.", page), **api_faults()},
            },
        },
        "/api/jobs/{id}": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "showJob",
                "summary": "A job, or a batch with its jobs",
                "parameters": [job],
                "responses": {**ok("The job.", _JOB_OR_BATCH), **api_faults()},
            },
            "delete": {
                "tags": ["Jobs"],
                "operationId": "deleteJob",
                "summary": "Delete a job with its transcription",
                "parameters": [job],
                "responses": {**NO_CONTENT, **api_faults()},
            },
        },
        **{
            f"/api/jobs/{{id}}/{what}": {
                "post": {
                    "tags": ["Jobs"],
                    "operationId": f"{what}Job",
                    "summary": summary,
                    "parameters": [job],
                    "responses": {**ok("The job as it is now.", _JOB_OR_BATCH), **api_faults()},
                }
            }
            for what, summary in (
                ("cancel", "Cancel a job that is not over"),
                ("retry", "Queue a job again that failed or was cancelled"),
            )
        },
        "/api/jobs/{id}/events": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "jobEvents",
                "summary": "What becomes of a job, as it comes",
                "description": "Server-sent events, or lines. Last-Event-ID counts segments: it goes on behind them.",
                "parameters": [job, format_parameter(("sse", "ndjson"))],
                "responses": {
                    "200": {"description": "Events as they come.", "content": stream_content()},
                    **api_faults(),
                },
            }
        },
        "/api/jobs/{id}/result": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "jobResult",
                "summary": "What became of a job or batch",
                "description": "Of a batch: one line a job, or with format=zip an archive of files in the form that "
                "`transcript` names.",
                "parameters": [
                    job,
                    format_parameter((*FORMATS, "zip")),
                    query(
                        "transcript",
                        {"type": "string", "enum": ["json", "txt", "srt", "vtt", "tsv"]},
                        "Form of the files in an archive.",
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "The result.",
                        "content": {
                            **transcription_answer()["200"]["content"],
                            "application/zip": {"schema": {"type": "string", "format": "binary"}},
                        },
                    },
                    **api_faults(),
                },
            }
        },
    }


def jobs_schemas() -> Json:
    """Those of clips and jobs are declared together."""
    return {}
