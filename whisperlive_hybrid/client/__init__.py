"""Client of a WhisperLive Hybrid server: files and live captions, sync and async.

    transcribe("talk.mp3")["segments"]            transcribe_async(…)
    async with LiveSession(codec=…) as session    with BlockingLiveSession(codec=…) as session

This folder needs websockets and aiohttp and nothing else of the package: it can be copied into a project as it is.
"""

from .blocking import BlockingLiveSession
from .errors import ClientError, ConnectionLost, ServerUnreachable
from .files import transcribe, transcribe_async
from .live import LiveSession

__all__ = [
    "BlockingLiveSession",
    "ClientError",
    "ConnectionLost",
    "LiveSession",
    "ServerUnreachable",
    "transcribe",
    "transcribe_async",
]
