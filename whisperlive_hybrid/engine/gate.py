"""Which encoder inputs shorter than 30 s a model takes well: its gate, measured once and kept in a file beside it.

Whisper was trained on 30 s, padded. Shorter input costs a fraction of that, since the attention of the encoder grows
with the square of its length, but not every model reads it as well (CTranslate2 issue 2100: large-v3-turbo on 1 to
3.5 s). So what is allowed is measured for each model (`whisperlive-hybrid models gate`) and never assumed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

Padding: TypeAlias = Literal["zero", "silence"]
"""What lies behind the audio in a short input: `zero` as in faster-whisper's 30 s, or the value that silence has."""

FULL_FRAMES = 3000
"""Frames of 30 s, which Whisper was trained on."""
BUCKETS = (300, 500, 800, 1000, 1500)
"""Short sizes that are tried. Few, so that windows of different lengths share a batch."""
TAIL_FRAMES = 100
"""Empty frames kept behind the content: without them Whisper drops or repeats the last word."""
FILE = "gate.json"
"""Beside the model's weights."""


Steps: TypeAlias = tuple[tuple[int, int], ...]
"""(wanted, size), ascending: a window that wants at most so many frames is padded to this size; others to 30 s."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What windows are padded to instead of 30 s. What a window wants is its content and the tail (frames of 10 ms)."""

    partials: Steps = ((500, 500), (1000, 1000), (1500, 1500))
    finals: Steps = ()
    """Also of files' windows that are short enough."""
    tail_frames: int = TAIL_FRAMES
    """Empty frames behind the content, at least."""
    padding: Padding = "zero"
    measured: dict[str, Any] = field(default_factory=dict)
    """The figures behind it, for people."""

    def __str__(self) -> str:
        def said(steps: Steps) -> str:
            sizes = sorted({size for _, size in steps} | {FULL_FRAMES})
            return ", ".join(f"{frames / 100:g}" for frames in sizes) + " s"

        return f"partials in {said(self.partials)}; finals in {said(self.finals)}; padding {self.padding}"


UNMEASURED = Gate()
"""For models without a gate: partials, which a final corrects, from 5 s on; finals and files in 30 s."""


def size_for(steps: Steps, wanted: int) -> int:
    """Frames to pad a window to that wants `wanted` of them."""
    return next((size for most, size in steps if wanted <= most), FULL_FRAMES)


def read_gate(path: Path) -> Gate:
    """The gate kept in a file. Raises OSError where it cannot be read, ValueError where it is no gate."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(kept, dict):
        raise ValueError("a gate is a JSON object")
    gate = Gate(
        partials=_steps(kept, "partials"),
        finals=_steps(kept, "finals"),
        tail_frames=_number(kept.get("tail_frames", TAIL_FRAMES)),
        padding=kept.get("padding", "zero"),
        measured=kept.get("measured", {}),
    )
    if gate.padding not in get_args(Padding):
        raise ValueError(f"padding is one of {', '.join(get_args(Padding))}")
    return gate


def write_gate(gate: Gate, path: Path) -> None:
    """Keep a gate in a file. Raises OSError."""
    kept = {
        "partials": gate.partials,
        "finals": gate.finals,
        "tail_frames": gate.tail_frames,
        "padding": gate.padding,
        "measured": gate.measured,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def find_gate(folder: Path, name: str, cache: Path | None) -> Path | None:
    """The file with the gate of the model `name` in `folder`; None where there is none."""
    return next((path for path in (_in_cache(folder, name, cache), folder / FILE) if path.is_file()), None)


def keep_gate(gate: Gate, folder: Path, name: str, cache: Path | None) -> Path:
    """Keep a model's gate beside it or, where that cannot be written, in the cache. Returns where. Raises OSError."""
    elsewhere = _in_cache(folder, name, cache)
    try:
        write_gate(gate, folder / FILE)
    except OSError:
        write_gate(gate, elsewhere)
        return elsewhere
    elsewhere.unlink(missing_ok=True)
    return folder / FILE


def _in_cache(folder: Path, name: str, cache: Path | None) -> Path:
    """The size of the weights tells models of one name apart."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "whisperlive-hybrid"
    size = (folder / "model.bin").stat().st_size
    return (cache or home) / "gates" / f"{name.strip('/').replace('/', '--')}-{size}.json"


def _steps(kept: dict[str, Any], name: str) -> Steps:
    value = kept.get(name, [])
    if not isinstance(value, list) or not all(isinstance(step, list) and len(step) == 2 for step in value):
        raise ValueError(f"{name} is a list of pairs of frames")
    steps = tuple(sorted((_number(wanted), _number(size)) for wanted, size in value))
    if any(not 0 < wanted <= size <= FULL_FRAMES or size % 2 for wanted, size in steps):
        raise ValueError(f"{name} are pairs of frames up to {FULL_FRAMES}, the second even and no less than the first")
    return steps


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of frames")
    return value
