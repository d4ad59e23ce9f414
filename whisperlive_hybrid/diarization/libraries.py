"""torch and pyannote.audio as this package uses them: they are imported from here, by the diarization process only.

torchaudio's compiled extension serves forced alignment and codecs, which nobody here uses, and does not load beside
every build of torch (a CUDA build of it beside torch for CPUs); torchcodec reads files, which we never ask for. Both
are left out, so that neither can keep speakers from being told apart. pyannote's telemetry is off.
"""

from __future__ import annotations

import importlib.machinery
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, Final

TELEMETRY: Final = {
    "PYANNOTE_METRICS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def _without_extension() -> types.ModuleType:
    """A torchaudio._extension that says there is none."""
    name = "torchaudio._extension"
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=_same)
    return module


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _prepare() -> None:
    os.environ.update(TELEMETRY)
    sys.modules.setdefault("torchaudio._extension", _without_extension())
    sys.modules.setdefault("torchcodec", None)  # type: ignore[arg-type]  # importing it fails, as is documented
    # Lightning tells of every checkpoint that an older version wrote.
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)


_prepare()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from pyannote.audio import Model, Pipeline
    from pyannote.audio.models.blocks.pooling import StatsPool
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.core import Annotation
    from torchaudio.compliance import kaldi

__all__ = ["Annotation", "Model", "Pipeline", "SpeakerDiarization", "StatsPool", "kaldi", "torch"]
