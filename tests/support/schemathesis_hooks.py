"""Loaded by schemathesis, in its own environment: what it sends where a file is wanted."""

from __future__ import annotations

import io
import json
import os
import random
import wave
from pathlib import Path

import schemathesis  # type: ignore[import-not-found]
from hypothesis import strategies as st


def _wav(n_samples: int, noise: bool) -> bytes:
    """16 kHz mono, silence or noise."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(random.Random(0).randbytes(2 * n_samples) if noise else bytes(2 * n_samples))
    return made.getvalue()


_SPEECH = Path(os.environ["SPOKEN_CLIP"]).read_bytes()
_FILES = (_SPEECH, _SPEECH, _SPEECH, _wav(16_000, False), _wav(8_000, True), _wav(0, False), _SPEECH[:1000], b"RIFF")
schemathesis.openapi.format("binary", st.sampled_from(_FILES) | st.binary(max_size=200))

_rng = random.Random(1)
_KNOWN = json.loads(os.environ.get("KNOWN_IDS", "{}"))


if _KNOWN:

    @schemathesis.hook  # type: ignore[misc]
    def map_path_parameters(context, path_parameters):  # type: ignore[no-untyped-def]
        """Every other id is one that there is, unless it is to be deleted; `known-ids-asked-for` tells where."""
        known = next((_KNOWN[part] for part in context.operation.path.split("/") if part in _KNOWN), None)
        if path_parameters and known and context.operation.method.lower() != "delete" and _rng.random() < 0.5:
            with Path("known-ids-asked-for").open("a") as told:
                told.write(f"{context.operation.label}\n")
            return {name: known if name == "id" else value for name, value in path_parameters.items()}
        return path_parameters
