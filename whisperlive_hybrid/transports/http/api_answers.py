"""Answers of the /api routes in the form that was asked for: whole, or as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.jobs.follow import JobNews, NewSegments
from whisperlive_hybrid.jobs.job import OVER
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.jobs.view import JobView
from whisperlive_hybrid.transports.http.api_objects import (
    failure,
    progress_object,
    segment_object,
    transcription_object,
)
from whisperlive_hybrid.transports.http.errors import envelope, json_response
from whisperlive_hybrid.transports.http.following import stream_answer
from whisperlive_hybrid.transports.http.rendering import off_loop, result_object, text_response

NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"
HEARTBEAT_S: Final = 10.0
"""A stream says something at least this often."""
FORMATS: Final = ("json", "full", "ndjson", "sse", "txt", "srt", "vtt", "tsv")
"""`full` is the answer of /transcribe: tokens, probabilities, text as the model spaced it."""
_BY_TYPE: Final = {
    "application/json": "json",
    NDJSON: "ndjson",
    "application/jsonl": "ndjson",
    SSE: "sse",
    "text/plain": "txt",
    "application/x-subrip": "srt",
    "text/srt": "srt",
    "text/vtt": "vtt",
    "text/tab-separated-values": "tsv",
}
Event = dict[str, Any]


def wanted_format(request: web.Request, accepted: tuple[str, ...] = FORMATS, default: str = "json") -> str:
    """The format by `?format=`, or by Accept. Raises BadInput for one that there is not."""
    named = request.query.get("format", "").lower()
    if named:
        named = "txt" if named == "text" else named
        if named not in accepted:
            raise BadInput(
                f"There is no format {named[:64]!r} here.", param="format", accepted=accepted, code="unknown_format"
            )
        return named
    for part in request.headers.get("Accept", "").split(","):
        found = _BY_TYPE.get(part.partition(";")[0].strip().lower())
        if found in accepted:
            return found
    return default


async def whole_answer(transcript: Transcript, format_: str, clip_id: str, job_id: str) -> web.Response:
    """A finished transcription in one piece."""
    if format_ in ("ndjson", "sse"):
        write = ENCODERS[format_]
        body = await off_loop(
            transcript, lambda: b"".join(write(event) for event in _all_events(transcript, clip_id, job_id))
        )
        return web.Response(body=body, content_type=NDJSON if format_ == "ndjson" else SSE)
    if format_ == "json":
        return json_response(await off_loop(transcript, lambda: transcription_object(transcript, clip_id, job_id)))
    if format_ == "full":
        return json_response(await off_loop(transcript, lambda: result_object(transcript, "")))
    return await text_response(transcript, format_)


async def streamed_answer(request: web.Request, news: AsyncGenerator[JobNews], format_: str) -> web.StreamResponse:
    """What becomes of a job, as it comes, as lines or as server-sent events."""
    encode = ENCODERS[format_]
    last: list[JobView] = []

    async def write(item: JobNews) -> bytes:
        if isinstance(item, JobView):
            last[:] = [item]
        return b"".join([encode(event) async for event in events_of(item, last[0] if last else None)])

    def write_error(error: HybridError) -> bytes:
        return encode({"type": "error", **envelope(error)})

    return await stream_answer(
        request, NDJSON if format_ == "ndjson" else SSE, news, write=write, write_error=write_error
    )


async def events_of(item: JobNews, view: JobView | None) -> AsyncGenerator[Event]:
    """The events that a piece of news is told by; `view` is the newest one."""
    match item:
        case None:
            yield {"type": "heartbeat"}
        case JobView(row=row):
            yield {"type": "progress", **progress_object(item)}
            if row.state in OVER and row.state != "done":
                yield {"type": "error", **envelope(failure(row))}
            elif row.state == "done" and not row.kept:
                yield {"type": "done", "transcription": None}
        case NewSegments(first, segments):
            clip_id = "" if view is None else view.row.clip_id or ""
            for i, segment in enumerate(segments, first):
                yield {"type": "segment", "segment": segment_object(i, segment, clip_id)}
        case Transcript():
            assert view is not None
            clip_id = view.row.clip_id or ""
            for event in _speakers(item):
                yield event
            result = await off_loop(item, lambda: transcription_object(item, clip_id, view.row.id))
            yield {"type": "done", "transcription": result}


def _all_events(transcript: Transcript, clip_id: str, job_id: str) -> Iterable[Event]:
    for i, segment in enumerate(transcript.segments):
        yield {"type": "segment", "segment": segment_object(i, segment, clip_id)}
    yield from _speakers(transcript)
    yield {"type": "done", "transcription": transcription_object(transcript, clip_id, job_id)}


def _speakers(transcript: Transcript) -> Iterable[Event]:
    """Who speaks when: known last, when the text has long been told."""
    for turn in transcript.turns:
        yield {"type": "speaker", "start": turn.start, "end": turn.end, "speaker_label": turn.speaker}


def to_line(event: Event) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(event) + b"\n"


def to_sse(event: Event) -> bytes:
    """One server-sent event. Its id counts segments: a reader who comes back with it goes on behind them."""
    number = event["segment"]["id"] + 1 if event["type"] == "segment" else None
    head = f"event: {event['type']}\n" + ("" if number is None else f"id: {number}\n")
    return head.encode() + b"data: " + msgspec.json.encode(event) + b"\n\n"


ENCODERS: Final[dict[str, Callable[[Event], bytes]]] = {"ndjson": to_line, "sse": to_sse}
