"""Clips and jobs for programs without an event loop: the same client, on a loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from .job_records import Clip, Filed, Job, JobPage
from .jobs import Event, JobsClient, OnProgress
from .loop_thread import LoopThread
from .requests import Audio, OnSent


class BlockingJobsClient:
    """`with BlockingJobsClient(url) as client`: as JobsClient, every call waits. Callbacks come from its thread."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        patience_s: float = 300.0,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self._client = JobsClient(url, api_key=api_key, patience_s=patience_s, on_wait=on_wait)
        self._loop = LoopThread("jobs-client")

    def __enter__(self) -> BlockingJobsClient:
        self._loop.start()
        self._loop.wait_for(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.wait_for(self._client.__aexit__(kind, error, trace))
        finally:
            self._loop.end()

    def check(self, **options: Any) -> None:
        """Whether the server would take a job with these options."""
        self._loop.wait_for(self._client.check(**options))

    def upload(self, audio: Audio, *, filename: str | None = None, on_sent: OnSent | None = None) -> str:
        """Keep a file on the server; its clip's id."""
        return self._loop.wait_for(self._client.upload(audio, filename=filename, on_sent=on_sent))

    def submit(
        self,
        *audio: Audio,
        clips: Sequence[str] = (),
        urls: Sequence[str] = (),
        name: str | None = None,
        **options: Any,
    ) -> Filed:
        """Queue jobs of files, clips and URLs."""
        return self._loop.wait_for(self._client.submit(*audio, clips=clips, urls=urls, name=name, **options))

    def get(self, job_id: str) -> Job:
        """A job or batch as it is now."""
        return self._loop.wait_for(self._client.get(job_id))

    def list_jobs(self, *, limit: int = 50, after: str | None = None, **which: str) -> JobPage:
        """Jobs, newest first."""
        return self._loop.wait_for(self._client.list_jobs(limit=limit, after=after, **which))

    def clip(self, clip_id: str) -> Clip:
        """A file that was uploaded."""
        return self._loop.wait_for(self._client.clip(clip_id))

    def events(self, job_id: str) -> Iterator[Event]:
        """What becomes of a job, as it comes."""
        events = self._client.events(job_id)

        async def following() -> Event | None:
            return await anext(events, None)

        try:
            while (event := self._loop.wait_for(following())) is not None:
                yield event
        finally:
            self._loop.wait_for(events.aclose())

    def wait(self, job_id: str, on_progress: OnProgress | None = None) -> Job:
        """The job once it is done. Raises JobFailed if it has no result."""
        return self._loop.wait_for(self._client.wait(job_id, on_progress))

    def result(self, job_id: str, format: str = "json") -> Any:
        """The result."""
        return self._loop.wait_for(self._client.result(job_id, format))

    def cancel(self, job_id: str) -> Job:
        """Stop a job or batch."""
        return self._loop.wait_for(self._client.cancel(job_id))

    def retry(self, job_id: str) -> Job:
        """Queue it again."""
        return self._loop.wait_for(self._client.retry(job_id))

    def delete(self, job_id: str) -> None:
        """Delete a job or batch with its result."""
        self._loop.wait_for(self._client.delete(job_id))

    def delete_clip(self, clip_id: str) -> None:
        """Delete a clip with its jobs and results."""
        self._loop.wait_for(self._client.delete_clip(clip_id))
