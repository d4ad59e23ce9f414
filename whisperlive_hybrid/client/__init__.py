"""Client of a WhisperLive Hybrid server: files, jobs and live captions, sync and async.

    transcribe("talk.mp3")["segments"]            transcribe_async(…), transcribe_stream(…)
    async with JobsClient(url) as client          with BlockingJobsClient(url) as client
    async with LiveSession(codec=…) as session    with BlockingLiveSession(codec=…) as session

This folder needs websockets and aiohttp and nothing else of the package: it can be copied into a project as it is.
"""

from .blocking import BlockingLiveSession
from .blocking_jobs import BlockingJobsClient
from .errors import ClientError, ConnectionLost, JobFailed, ServerUnreachable
from .files import transcribe, transcribe_async, transcribe_stream
from .job_records import Clip, Filed, Job, JobPage
from .jobs import JobsClient
from .live import LiveSession

__all__ = [
    "BlockingJobsClient",
    "BlockingLiveSession",
    "ClientError",
    "Clip",
    "ConnectionLost",
    "Filed",
    "Job",
    "JobFailed",
    "JobPage",
    "JobsClient",
    "LiveSession",
    "ServerUnreachable",
    "transcribe",
    "transcribe_async",
    "transcribe_stream",
]
