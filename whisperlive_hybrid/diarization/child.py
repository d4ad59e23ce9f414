"""The process that tells speakers apart.

    python -m whisperlive_hybrid.diarization.child DEVICE BUSY_GPU THREADS PARENT_PID

torch and pyannote live here and nowhere else: the server starts fast and stays small without them, their seconds of
Python between two tensors hold up no event loop, and the memory is the system's again when the process ends. It reads
requests from descriptor 0 and answers on descriptor 1, one after another, and dies with its parent. BUSY_GPU is the one
that Whisper runs on, or -1.

Which pipeline of pyannote's is run, and with which token and cache, stands in the environment: PIPELINE_MODEL,
PIPELINE_TOKEN, PIPELINE_CACHE.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final

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
    read_request,
    unpack_region,
    unpack_samples,
    unpack_voice,
)
from whisperlive_hybrid.errors import HybridError, Unavailable

if TYPE_CHECKING:
    from whisperlive_hybrid.diarization.embedding import Voices
    from whisperlive_hybrid.diarization.pyannote_pipeline import PyannotePipeline

log = logging.getLogger(__name__)

NICENESS: Final = 5
"""Text goes first."""
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


class Child:
    """Answers requests; models are loaded by the first one that needs them."""

    def __init__(self, device: str, busy_gpu: int | None, send: Callable[[Answer], None]) -> None:
        self._device = device
        self._busy_gpu = busy_gpu
        self._send = send
        self._voices: Voices | None = None
        self._pipeline: PyannotePipeline | None = None

    def answer(self, request: Request) -> Answer:
        """The last answer to a request. Raises HybridError, and anything else for our own faults."""
        match request:
            case Embed(id, samples):
                regions = self._loaded_voices().regions(unpack_samples(samples))
                return Heard(id, [pack_region(region) for region in regions])
            case Cluster(id, regions, options, known):
                from whisperlive_hybrid.diarization.clustering import tell_apart

                turns = tell_apart([unpack_region(r) for r in regions], options, [unpack_voice(v) for v in known])
                return Told(id, list(turns))
            case RunPipeline(id, path, options):
                return Told(id, self._loaded_pipeline().turns(path, options, lambda s: self._send(Progress(id, s))))

    def _loaded_voices(self) -> Voices:
        if self._voices is None:
            from whisperlive_hybrid.diarization.embedding import Voices

            self._voices = Voices(self._told_device())
        return self._voices

    def _loaded_pipeline(self) -> PyannotePipeline:
        if self._pipeline is None:
            from whisperlive_hybrid.diarization.pyannote_pipeline import PyannotePipeline

            self._pipeline = PyannotePipeline(
                os.environ["PIPELINE_MODEL"],
                token=os.environ.get("PIPELINE_TOKEN"),
                cache=os.environ.get("PIPELINE_CACHE"),
                device=self._told_device(),
            )
        return self._pipeline

    def _told_device(self) -> str:
        device = self._chosen_device()
        print(f"{DEVICE_LINE}{device}", file=sys.stderr, flush=True)
        return device

    def _chosen_device(self) -> str:
        """The device by torch's name for it. Raises Unavailable for a GPU that is not there."""
        if self._device == "cpu":
            return "cpu"
        from whisperlive_hybrid.diarization.libraries import torch

        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if self._device == "auto":
            others = [i for i in range(n_gpus) if i != self._busy_gpu]
            # On the GPU that Whisper runs on, speakers would hold up text.
            free = {i: torch.cuda.mem_get_info(i)[0] for i in others}
            return f"cuda:{max(others, key=lambda i: free[i])}" if others and self._busy_gpu is not None else "cpu"
        index = int(self._device.partition(":")[2] or 0)
        if index >= n_gpus:
            raise Unavailable(f"DIARIZATION_DEVICE={self._device}: torch finds {n_gpus} GPUs here.", code="no_gpu")
        return f"cuda:{index}"


def main(device: str, busy_gpu: int | None, threads: int, parent_pid: int) -> None:
    """Serve until the parent closes its end."""
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    # What libraries print must not get between the answers.
    os.dup2(2, 1)
    _bind_to_parent(parent_pid)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)

    def send(answer: Answer) -> None:
        outgoing.write(frame(answer))
        outgoing.flush()

    child = Child(device, busy_gpu, send)
    while (request := _next(incoming)) is not None:
        try:
            last = child.answer(request)
        except HybridError as error:
            last = Failed(request.id, error.code, error.message, list(getattr(error, "ways_out", ())))
        except MemoryError:
            last = Failed(request.id, "out_of_memory", "There is not enough memory to tell speakers apart.")
        except Exception as error:  # the server goes on without speakers, and its log says why
            log.exception("a request failed")
            last = Failed(request.id, "internal_error", f"{type(error).__name__}: {error}")
        send(last)


def _next(incoming: BinaryIO) -> Request | None:
    head = incoming.read(4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head, "little")
    body = incoming.read(length)
    return read_request(body) if len(body) == length else None


def _bind_to_parent(parent_pid: int) -> None:
    """Die when the parent dies (Linux; elsewhere the closed pipe ends this process)."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        gpu = int(sys.argv[2])
        main(sys.argv[1], gpu if gpu >= 0 else None, int(sys.argv[3]), int(sys.argv[4]))
