"""Conversations of voices that are far apart, put together from the clips: what diarization is tested with."""

from __future__ import annotations

import wave
from io import BytesIO

import numpy as np

from tests.support.clips import all_clips
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

VOICES = {
    "anna": ("en-01", "en-03", "en-05", "en-07"),
    "ben": ("en-12", "en-12", "en-12", "en-12"),
    "carl": ("en-09", "en-09", "en-09", "en-09"),
}
"""Each voice and its clips. The first has four of one synthesizer that sound alike."""
PAUSE_S = 0.5


def conversation(*speakers: str, pause_s: float = PAUSE_S) -> tuple[Samples, list[tuple[float, float, str]]]:
    """float32 [n] and (start s, end s, speaker) of each clip; a speaker's first turn is their first clip, and so on."""
    clips = {clip.path.stem: clip.samples() for clip in all_clips()}
    said = dict.fromkeys(VOICES, 0)
    parts: list[Samples] = []
    turns = []
    at = 0
    for speaker in speakers:
        samples = clips[VOICES[speaker][said[speaker] % 4]]
        said[speaker] += 1
        turns.append((at / SAMPLE_RATE, (at + len(samples)) / SAMPLE_RATE, speaker))
        pause = np.zeros(round(pause_s * SAMPLE_RATE), np.float32)
        parts += [samples, pause]
        at += len(samples) + len(pause)
    return np.concatenate(parts), turns


def wav(samples: Samples) -> bytes:
    """16-bit WAV at 16 kHz."""
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def reference(speaker: str) -> bytes:
    """A WAV of 2 to 10 s in which one voice speaks."""
    samples, _ = conversation(speaker, speaker, pause_s=0.1)
    return wav(samples[: 10 * SAMPLE_RATE])
