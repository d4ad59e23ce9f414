"""Silero's voice activity model: probabilities of speech for frames of many streams, without importing torch.

The silero-vad package carries the same network twice. The *step* model takes one frame each of many streams (rows)
with their states; the *sequence* model takes many frames of one stream in one call. Both give the same numbers to the
bit, and a frame costs the same 0.035 ms in a large call of either (0.07-0.1 ms in a call of its own), so a stream with
several frames due runs through the sequence model and streams with few are stepped together.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.errors import Unavailable

FRAME: Final = 512
"""Samples of one frame: 32 ms."""
CONTEXT: Final = 64
"""Samples from before a frame that the network sees with it."""
SEQUENCE_FROM: Final = 4
"""From so many frames on, one sequence call costs less than steps shared with other streams."""

_RATE = np.array(16_000, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class VadState:
    """What the network remembers of one stream: `memory` float32 [2, 1, 128] (h and c), `context` float32 [64]."""

    memory: NDArray[np.float32]
    context: Samples


START: Final = VadState(np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32))
"""The state of a stream that has heard nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class FramesDue:
    """Frames of one stream in order: `samples` float32 [n_frames * 512]."""

    state: VadState
    samples: Samples

    @property
    def n_frames(self) -> int:
        """Frames to score."""
        return len(self.samples) // FRAME


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """`probabilities` float32 [n_frames] of speech, and the state after them."""

    probabilities: NDArray[np.float32]
    state: VadState


def model_folder() -> Path:
    """Where the silero-vad package keeps its ONNX files. The package itself imports torch, so it is only looked up."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("The silero-vad package is not installed; it carries the voice activity model.")
    return Path(spec.submodule_search_locations[0]) / "data"


class Silero:
    """Both forms of the network in onnxruntime, each on one thread. Stateless: safe to share, blocking to call."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or model_folder()
        self._step = _open(folder / "silero_vad_16k_op15.onnx")
        self._sequence = _open(folder / "silero_vad_16k_sequence.onnx")

    def score(self, due: Sequence[FramesDue]) -> list[Scored]:
        """Probabilities for all frames of all streams, in the order given."""
        scored: dict[int, Scored] = {}
        short = []
        for i, frames in enumerate(due):
            if frames.n_frames >= SEQUENCE_FROM:
                scored[i] = self._run_sequence(frames)
            else:
                short.append(i)
        scored.update(zip(short, self._run_steps([due[i] for i in short]), strict=True))
        return [_finite(scored[i]) for i in range(len(due))]

    def _run_sequence(self, due: FramesDue) -> Scored:
        h, c = due.state.memory[:1], due.state.memory[1:]
        probabilities, h, c = self._sequence.run(None, {"input": _with_context(due), "h": h, "c": c})
        return Scored(probabilities.reshape(-1), VadState(np.concatenate([h, c]), due.samples[-CONTEXT:].copy()))

    def _run_steps(self, due: Sequence[FramesDue]) -> list[Scored]:
        """Step t runs over the streams that have a frame number t."""
        inputs = [_with_context(frames) for frames in due]
        memories = [frames.state.memory for frames in due]
        probabilities = [np.zeros(frames.n_frames, np.float32) for frames in due]
        for t in range(max((frames.n_frames for frames in due), default=0)):
            rows = [i for i, frames in enumerate(due) if frames.n_frames > t]
            feed = {
                "input": np.stack([inputs[i][t] for i in rows]),
                "state": np.concatenate([memories[i] for i in rows], axis=1),
                "sr": _RATE,
            }
            row_probabilities, row_memories = self._step.run(None, feed)
            for row, i in enumerate(rows):
                probabilities[i][t] = row_probabilities[row, 0]
                memories[i] = row_memories[:, row : row + 1]
        return [
            Scored(p, VadState(memory.copy(), frames.samples[-CONTEXT:].copy()) if frames.n_frames else frames.state)
            for p, memory, frames in zip(probabilities, memories, due, strict=True)
        ]


def _open(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Arenas keep the memory of the largest call for ever.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public error types
        raise Unavailable(f"The voice activity model {path.name} of silero-vad cannot be loaded: {error}") from error


def _with_context(due: FramesDue) -> NDArray[np.float32]:
    """float32 [n_frames, 576]: each frame with the 64 samples before it."""
    if not due.n_frames:
        return np.zeros((0, CONTEXT + FRAME), np.float32)
    heard = np.concatenate([due.state.context, due.samples])
    rows = np.lib.stride_tricks.sliding_window_view(heard, CONTEXT + FRAME)[::FRAME]
    return np.ascontiguousarray(rows[: due.n_frames])


def _finite(scored: Scored) -> Scored:
    """What is not a number would stay in the state for ever: such frames are silence and the state is reset."""
    good = np.isfinite(scored.probabilities)
    if good.all() and np.isfinite(scored.state.memory).all() and np.isfinite(scored.state.context).all():
        return scored
    return Scored(np.where(good, scored.probabilities, np.float32(0.0)), START)
