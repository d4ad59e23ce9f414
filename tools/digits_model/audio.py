"""Reading, resampling and writing of audio. Everywhere: float32, mono, 16 kHz, full scale 1."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.digits_model.words import SAMPLE_RATE

Samples = npt.NDArray[np.float32]


def interpolated(samples: Samples, factor: int) -> Samples:
    """The same sound at `factor` times the sample rate (windowed-sinc interpolation)."""
    if factor == 1:
        return samples
    half = 24 * factor
    positions = np.arange(-half, half + 1)
    kernel = np.sinc(positions / factor) * np.kaiser(2 * half + 1, 8.0)
    spread = np.zeros(len(samples) * factor, np.float32)
    spread[::factor] = samples
    return np.convolve(spread, kernel.astype(np.float32), "same").astype(np.float32)


def read_recording(path: Path) -> Samples:
    """A 16-bit mono WAV file whose rate divides 16 kHz (the digit recordings have 8 kHz)."""
    with wave.open(str(path)) as file:
        if file.getnchannels() != 1 or file.getsampwidth() != 2 or SAMPLE_RATE % file.getframerate():
            raise ValueError(f"{path}: not a 16-bit mono WAV file of a rate that divides {SAMPLE_RATE} Hz")
        factor = SAMPLE_RATE // file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32768)
    return interpolated(samples, factor)


def trimmed(samples: Samples, threshold: float = 0.02) -> Samples:
    """Without the silence before and after, but for 20 and 40 ms; silence is below `threshold` of the peak."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max(initial=0.0))
    if not len(loud):
        return samples
    return samples[max(0, int(loud[0]) - SAMPLE_RATE // 50) : int(loud[-1]) + SAMPLE_RATE // 25]


def write_flac(path: Path, samples: Samples) -> None:
    """Write a 16-bit FLAC file."""
    import av

    data = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE)
        stream.options = {"compression_level": "12"}
        stream.layout = "mono"
        for start in range(0, len(data), 4096):
            frame = av.AudioFrame.from_ndarray(data[None, start : start + 4096], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
