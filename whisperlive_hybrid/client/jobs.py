"""Clips and jobs over HTTP: filed once however often a request is sent, followed over lost connections and restarts."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final

from .errors import ClientError, JobFailed
from .job_records import Clip, Filed, Job, JobPage
from .requests import LOST, Audio, OnSent, Patience, Requests

Event = dict[str, Any]
OnProgress = Callable[[Job], None]
_ANSWER_S: Final = 120.0
"""Results are written out before they are sent."""


class JobsClient:
    """`async with JobsClient("http://localhost:8080") as client`: the routes under /api (docs/protocols/jobs.md).

    Every call goes on over a lost connection and a restart of the server, for `patience_s` seconds without an answer,
    and waits while the server says that it is full; `on_wait` is told so in a sentence. Nothing is filed twice by that.
    All raise ClientError when the server refuses, and ServerUnreachable.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        patience_s: float = 300.0,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self._requests = Requests(url, api_key=api_key, patience_s=patience_s, on_wait=on_wait)
        self._patience_s = patience_s

    @property
    def url(self) -> str:
        """The server's address."""
        return self._requests.url

    async def __aenter__(self) -> JobsClient:
        await self._requests.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.__aexit__(kind, error, trace)

    # --- filing ---

    async def check(self, **options: Any) -> None:
        """Whether the server would take a job with these options: before anything is uploaded. Raises ClientError."""
        try:
            # A job of nothing is refused, with all that is wrong besides.
            await self._requests.ask("POST", "/api/jobs", body=_given(options))
        except ClientError as error:
            problems = [p for p in error.detail.get("errors", [error.detail]) if p.get("code") != "nothing_to_do"]
            if error.status != 400:
                raise
            if problems:
                message = " ".join(str(p["message"]).rstrip(".") + "." for p in problems)
                raise ClientError(message, code=problems[0]["code"], status=400, detail=error.detail) from None

    async def upload(self, audio: Audio, *, filename: str | None = None, on_sent: OnSent | None = None) -> str:
        """Keep a file on the server, a path or bytes, under `filename`. Returns its clip's id. Raises OSError, too."""
        answer = await self._requests.send_file("/api/audio", audio, filename=filename, key=_key(), on_sent=on_sent)
        return str(answer["clip_id"])

    async def submit(
        self,
        *audio: Audio,
        clips: Sequence[str] = (),
        urls: Sequence[str] = (),
        name: str | None = None,
        **options: Any,
    ) -> Filed:
        """Queue jobs: of files, which are uploaded first, one after another; of clips that are there; of URLs.

        Several are a batch. `options` are those of POST /api/jobs: language, model, diarize, priority, callback_url, …
        """
        key = _key()
        clips = [*clips, *[await self.upload(each) for each in audio]]
        body = {"clip_id": list(clips), "url": list(urls), "name": name, **_given(options)}
        answer = await self._requests.ask("POST", "/api/jobs", body=body, key=key)
        return Filed(answer["job_id"], tuple(job["job_id"] for job in answer["jobs"]))

    # --- looking ---

    async def get(self, job_id: str) -> Job:
        """A job or batch as it is now."""
        return Job.of(await self._requests.ask("GET", f"/api/jobs/{job_id}"))

    async def list_jobs(self, *, limit: int = 50, after: str | None = None, **which: str) -> JobPage:
        """Jobs, newest first. `which`: state, clip_id, batch_id, since, until."""
        query = {"limit": str(limit), **which, **({} if after is None else {"after": after})}
        answer = await self._requests.ask("GET", "/api/jobs", query=query)
        return JobPage(tuple(Job.of(each) for each in answer["jobs"]), answer["counts"], answer["after"])

    async def clip(self, clip_id: str) -> Clip:
        """A file that was uploaded."""
        return Clip.of(await self._requests.ask("GET", f"/api/audio/{clip_id}"))

    async def events(self, job_id: str) -> AsyncGenerator[Event]:
        """What becomes of a job: progress, every segment once and in order, at last `done` or `error`."""
        patience = Patience(self._patience_s)
        n_segments = 0
        while True:
            lines = self._requests.lines(
                "GET",
                f"/api/jobs/{job_id}/events",
                query={"format": "ndjson"},
                headers={"Last-Event-ID": str(n_segments)} if n_segments else {},
            )
            told = False
            try:
                async with aclosing(lines):
                    async for event in lines:
                        if told:  # the first one tells how it stands, and not that anything goes on
                            patience.start()
                        told = True
                        if event["type"] == "error" and not (await self.get(job_id)).over:
                            break  # of the stream, not of the job
                        if event["type"] == "segment":
                            n_segments = event["segment"]["id"] + 1
                        yield event
                        if event["type"] in ("done", "error"):
                            return
                lost: Exception = ConnectionError("the stream of events ended")
            except LOST as error:
                lost = error
            await self._requests.wait_after(lost, patience)

    async def wait(self, job_id: str, on_progress: OnProgress | None = None) -> Job:
        """The job once it is done; `on_progress` is told of it meanwhile. Raises JobFailed if it has no result."""
        async with aclosing(self.events(job_id)) as events:
            async for event in events:
                if event["type"] == "progress" and on_progress is not None:
                    on_progress(Job.of({"job_id": job_id, **event}))
                elif event["type"] == "error":
                    detail = event["error"]
                    raise JobFailed(detail["message"], code=detail["code"], detail=detail)
        return await self.get(job_id)

    async def result(self, job_id: str, format: str = "json") -> Any:
        """The result: JSON's value (json, full), or text (txt, srt, vtt, tsv; ndjson of a batch)."""
        path = f"/api/jobs/{job_id}/result"
        return await self._requests.ask("GET", path, query={"format": format}, quiet_s=_ANSWER_S)

    # --- changing ---

    async def cancel(self, job_id: str) -> Job:
        """Stop a job or batch. One that is cancelled already is no error."""
        return await self._change(job_id, "cancel", ("job_cancelled",))

    async def retry(self, job_id: str) -> Job:
        """Queue it again. One that is queued or running is no error."""
        return await self._change(job_id, "retry", ("job_queued", "job_running"))

    async def delete(self, job_id: str) -> None:
        """Delete a job or batch with its result; the clip stays."""
        await self._requests.ask("DELETE", f"/api/jobs/{job_id}")

    async def delete_clip(self, clip_id: str) -> None:
        """Delete a clip with its jobs, which are stopped, and results."""
        await self._requests.ask("DELETE", f"/api/audio/{clip_id}")

    async def _change(self, job_id: str, what: str, done_already: tuple[str, ...]) -> Job:
        try:
            return Job.of(await self._requests.ask("POST", f"/api/jobs/{job_id}/{what}"))
        except ClientError as error:
            if error.code not in done_already:  # by us, perhaps: the answer may have been lost
                raise
        return await self.get(job_id)


def _key() -> str:
    return uuid.uuid4().hex


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
