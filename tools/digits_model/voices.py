"""The synthetic voices the model learns from and the tests use: espeak-ng and flite, both from Debian."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio

from tools.digits_model.audio import Samples, trimmed
from tools.digits_model.words import SAMPLE_RATE

ESPEAK_VOICES = {
    "en": ["en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029"],
    "es": ["es", "es-419"],
    "de": ["de"],
    "fr": ["fr-fr", "fr-be", "fr-ch"],
}
ESPEAK_VARIANTS = ["", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+klatt2"]
FLITE_VOICES = ["kal16", "awb", "rms", "slt"]


def _decoded(audio: bytes) -> Samples:
    samples = decode_audio(io.BytesIO(audio), sampling_rate=SAMPLE_RATE)
    return trimmed(np.asarray(samples, np.float32))


def espeak(text: str, voice: str, words_per_minute: int = 150, pitch: int = 50) -> Samples:
    """Text spoken by espeak-ng; voice as ``en-us+f2``, pitch 0 to 99."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", text]
    return _decoded(subprocess.run(command, capture_output=True, check=True).stdout)


def flite(text: str, voice: str, stretch: float = 1.0) -> Samples:
    """English text spoken by flite; a stretch above 1 is slower."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spoken.wav")
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text, "-o", path]
        subprocess.run(command, check=True)
        return _decoded(Path(path).read_bytes())
