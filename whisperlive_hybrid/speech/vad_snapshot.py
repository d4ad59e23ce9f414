"""The state of a voice activity stream as bytes."""

from __future__ import annotations

import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, from_bytes, seal, to_bytes, unseal
from whisperlive_hybrid.speech.silero import FRAME, START, VadState


class _Saved(State, tag="vad"):
    """float32 as bytes; a stream that is new has no memory."""

    memory: bytes
    context: bytes
    remainder: bytes


def pack(state: VadState, remainder: Samples) -> bytes:
    """What the network remembers and the `remainder` float32 [n < 512] of the frame that is not complete."""
    new = state is START
    return seal(
        _Saved(
            b"" if new else to_bytes(state.memory.reshape(-1)),
            b"" if new else to_bytes(state.context),
            to_bytes(remainder),
        )
    )


def unpack(snapshot: bytes) -> tuple[VadState, Samples]:
    """State and remainder. Raises BadInput (bad_snapshot)."""
    saved = unseal(snapshot, _Saved)
    memory, context, remainder = (from_bytes(data) for data in (saved.memory, saved.context, saved.remainder))
    if len(remainder) >= FRAME:
        raise bad_snapshot()
    if not len(memory) and not len(context):
        return START, remainder
    if memory.size != START.memory.size or context.size != START.context.size:
        raise bad_snapshot()
    if not (np.isfinite(memory).all() and np.isfinite(context).all()):
        raise bad_snapshot()
    return VadState(memory.reshape(START.memory.shape), context), remainder
