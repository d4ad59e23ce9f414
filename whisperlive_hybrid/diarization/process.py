"""The diarization process as the server sees it: started by the first question, ended when nobody asks for a while."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.messages import (
    DEVICE_LINE,
    Answer,
    Cluster,
    Embed,
    Failed,
    Heard,
    Progress,
    Request,
    RunPipeline,
    Told,
    frame,
    pack_region,
    pack_samples,
    pack_voice,
    read_answer,
    unpack_region,
)
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region
from whisperlive_hybrid.errors import HybridError, ModelUnavailable, Unavailable, WorkerLost

log = logging.getLogger(__name__)

MAX_FRAME: Final = 256 << 20
"""Of an answer: 16 hours of speech weigh 60 MB."""
EXIT_S: Final = 2.0


class DiarizationProcess:
    """One process, asked one thing at a time; `environment` is added to its own.

    A process that dies is started again by the next question; the one that killed it raises WorkerLost.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        busy_gpu: int | None = None,
        threads: int = 1,
        keep_s: float = 600.0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._device = device
        self._busy_gpu = -1 if busy_gpu is None else busy_gpu
        self._threads = threads
        self._keep_s = keep_s
        self._environment = environment or {}
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._last_words: deque[str] = deque(maxlen=20)
        self._listening: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        return None if self._process is None else self._process.pid

    async def embed(self, samples: Samples) -> list[Region]:
        """Regions of speech in float32 [n] and the voices in them; times in seconds from the first sample."""
        answer = await self._ask(lambda id: Embed(id, pack_samples(samples)))
        if not isinstance(answer, Heard):
            raise _unexpected(answer)
        return [unpack_region(region) for region in answer.regions]

    async def cluster(
        self, regions: list[Region], options: SpeakerOptions, known: list[KnownVoice]
    ) -> tuple[Turn, ...]:
        """See `clustering.tell_apart`."""
        plain = replace(options, known=())
        packed, voices = [pack_region(region) for region in regions], [pack_voice(voice) for voice in known]
        answer = await self._ask(lambda id: Cluster(id, packed, plain, voices))
        if not isinstance(answer, Told):
            raise _unexpected(answer)
        return tuple(answer.turns)

    async def run_pipeline(
        self, path: Path, options: SpeakerOptions, on_progress: Callable[[float], None]
    ) -> tuple[Turn, ...]:
        """Turns of pyannote's pipeline over the float32 samples in a file. Raises ModelUnavailable."""
        plain = replace(options, known=())
        answer = await self._ask(lambda id: RunPipeline(id, str(path), plain), on_progress)
        if not isinstance(answer, Told):
            raise _unexpected(answer)
        return tuple(answer.turns)

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            self._stop_expiry()
            await self._end()
        await asyncio.gather(*self._ending)

    async def _ask(
        self, make: Callable[[int], Request], on_progress: Callable[[float], None] = lambda share: None
    ) -> Answer:
        async with self._turn:
            self._stop_expiry()
            try:
                return await self._exchange(make(next(self._numbers)), on_progress)
            except BaseException as error:
                # Without its answer the process is out of step with us.
                if not isinstance(error, HybridError) or isinstance(error, WorkerLost):
                    await asyncio.shield(self._end())
                raise
            finally:
                if self._process is not None:
                    self._expiry = asyncio.get_running_loop().call_later(self._keep_s, self._expire)

    async def _exchange(self, request: Request, on_progress: Callable[[float], None]) -> Answer:
        process = await self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(frame(request))
            await process.stdin.drain()
            while True:
                length = int.from_bytes(await process.stdout.readexactly(4), "little")
                if length > MAX_FRAME:
                    raise WorkerLost("The diarization process answers nonsense.")
                answer = read_answer(await process.stdout.readexactly(length))
                if isinstance(answer, Progress):
                    on_progress(answer.share)
                elif isinstance(answer, Failed):
                    raise _error(answer)
                else:
                    return answer
        except (asyncio.IncompleteReadError, ConnectionError):
            status = await process.wait()
            words = " | ".join(self._last_words)[-500:]
            log.error("the diarization process ended with status %s: %s", status, words or "it said nothing")
            raise WorkerLost(f"The process that tells speakers apart ended with status {status}.") from None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        arguments = (self._device, str(self._busy_gpu), str(self._threads), str(os.getpid()))
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "whisperlive_hybrid.diarization.child",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **self._environment, "PYTHONPATH": path},
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"The process that tells speakers apart cannot be started: {error.strerror}.") from error
        self._last_words.clear()
        self._listening = asyncio.create_task(self._listen(self._process), name="diarization process's log")
        log.info("diarization process %d started", self._process.pid)
        return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """What it writes to its log: which device it took is told, the rest on level debug, and again if it dies."""
        assert process.stderr is not None
        with suppress(ValueError, OSError):  # a line longer than the stream's limit
            async for line in process.stderr:
                text = line.decode("utf-8", "replace").rstrip()
                self._last_words.append(text)
                level = logging.INFO if text.startswith(DEVICE_LINE) else logging.DEBUG
                log.log(level, "diarization process: %s", text)

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expire(self) -> None:
        async def end() -> None:
            async with self._turn:
                if self._expiry is expiry:
                    self._expiry = None
                    await self._end()

        expiry = self._expiry
        task = asyncio.create_task(end(), name="diarization process expires")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()  # it has nothing to save
        await process.wait()
        if self._listening is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(EXIT_S):
                    await self._listening
            self._listening = None


def _error(failed: Failed) -> HybridError:
    if failed.code == ModelUnavailable.code:
        return ModelUnavailable(failed.message, model="", ways_out=failed.ways_out)
    return Unavailable(failed.message, code=failed.code)


def _unexpected(answer: Answer) -> WorkerLost:
    return WorkerLost(f"The diarization process answered {type(answer).__name__}.")
