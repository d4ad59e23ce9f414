"""Anything but speech, made on the spot: noises that a room, a line or a desk has. No recordings are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

Signal = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], Signal]

LEVELS_DB: Final = (-18.0, -30.0, -42.0, -60.0)
"""RMS over full scale; each noise goes through all of them, `LEVEL_S` each."""
LEVEL_S: Final = 15.0
TONE_LEVELS_DB: Final = (-24.0, -36.0, -48.0, -60.0)
"""Of what only sounds like music: quiet, as from the next room."""


def _coloured(random: np.random.Generator, n: int, exponent: float, lowest_hz: float = 20.0) -> Signal:
    """Gaussian noise whose power falls with frequency to the `exponent`."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), lowest_hz)
    out: Signal = np.fft.irfft(spectrum * frequency ** (-exponent / 2), n)
    return out


def _seconds(n: int) -> Signal:
    return np.arange(n) / SAMPLE_RATE


def _wind(random: np.random.Generator, n: int) -> Signal:
    """Brown noise that swells: wind on a microphone."""
    return _coloured(random, n, 2.0) * _slow(random, n, 0.7)


def _slow(random: np.random.Generator, n: int, every_s: float) -> Signal:
    """A random walk between 0.1 and 1 with a new goal every `every_s`."""
    at = np.arange(0, n / SAMPLE_RATE + 2 * every_s, every_s)
    return np.interp(_seconds(n), at, random.uniform(0.1, 1.0, len(at)))


def _struck(random: np.random.Generator, n: int, per_s: float, hz: tuple[float, float], decay_s: float) -> Signal:
    """Damped tones at random times: clicks, keys, knocks."""
    out = np.zeros(n)
    t = np.arange(int(6 * decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    for at in random.integers(0, n, random.poisson(per_s * n / SAMPLE_RATE)):
        sound = np.exp(-t / decay_s) * np.sin(2 * np.pi * random.uniform(*hz) * t) * random.uniform(0.2, 1.0)
        out[at : at + len(t)] += sound[: n - at]
    return out


def _clicks(random: np.random.Generator, n: int) -> Signal:
    return _struck(random, n, 6.0, (1500, 6000), 0.002)


def _knocks(random: np.random.Generator, n: int) -> Signal:
    return _struck(random, n, 1.0, (70, 300), 0.04)


def _hum(random: np.random.Generator, n: int) -> Signal:
    """Mains hum: 50 Hz and its harmonics."""
    t = _seconds(n)
    return sum((np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6)) / k for k in (1, 2, 3, 4, 6, 8, 10)), np.zeros(n))


def _room(random: np.random.Generator, n: int) -> Signal:
    """Room tone: dull noise, a little hum, a fan's slow beat."""
    fan = 1 + 0.2 * np.sin(2 * np.pi * 0.9 * _seconds(n))
    dull = _coloured(random, n, 1.5)
    hum = _hum(random, n)
    out: Signal = fan * dull / dull.std() + 0.2 * hum / hum.std()
    return out


def _tones(random: np.random.Generator, n: int) -> Signal:
    """Slow chords of decaying notes, without a voice."""
    out = np.zeros(n)
    beat = SAMPLE_RATE // 2
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    for at in range(0, n, beat):
        note = 220 * 2 ** (random.choice([0, 3, 5, 7, 10, 12, 15, 17]) / 12)
        shape = np.minimum(t / 0.02, 1) * np.exp(-t / 0.8)
        sound = shape * sum(np.sin(2 * np.pi * note * k * t) / k**2 for k in (1, 2, 3))
        out[at : at + len(t)] += sound[: n - at]
    return out


def _beeps(random: np.random.Generator, n: int) -> Signal:
    """An appliance that wants attention: 1 kHz, a fifth of a second, once a second."""
    t = _seconds(n)
    out: Signal = np.sin(2 * np.pi * 1000 * t) * (t % 1.0 < 0.2) + 0.001 * random.standard_normal(n)
    return out


def _rain(random: np.random.Generator, n: int) -> Signal:
    return _struck(random, n, 300.0, (1000, 7000), 0.001) + 0.02 * random.standard_normal(n)


def _breath(random: np.random.Generator, n: int) -> Signal:
    """Someone breathes near the microphone, four seconds a breath."""
    phase = np.sin(2 * np.pi * _seconds(n) / 4)
    out: Signal = _coloured(random, n, 0.6, 400) * np.maximum(phase, 0) ** 2
    return out


NOISES: Final[dict[str, Make]] = {
    "silence (zeros)": lambda _, n: np.zeros(n),
    "white noise": lambda random, n: random.standard_normal(n),
    "pink noise": lambda random, n: _coloured(random, n, 1.0),
    "wind": _wind,
    "mains hum": _hum,
    "clicks, keys": _clicks,
    "knocks": _knocks,
    "room tone": _room,
    "rain": _rain,
    "breathing": _breath,
    "beeps": _beeps,
    "quiet tones, chords": _tones,
}
"""What is made, by the name it has in tables."""
_QUIETER: Final = ("beeps", "quiet tones, chords")


def noise(name: str, seconds: float, seed: int = 0) -> Samples:
    """`seconds` of one of NOISES, float32 [n], 16 kHz: its levels in turn; the same seed gives the same samples."""
    random = np.random.default_rng([seed, *name.encode()])
    levels = TONE_LEVELS_DB if name in _QUIETER else LEVELS_DB
    total, step = round(seconds * SAMPLE_RATE), round(LEVEL_S * SAMPLE_RATE)
    blocks = []
    for i, start in enumerate(range(0, total, step)):
        block = NOISES[name](random, step)[: total - start]
        loudness = float(np.sqrt(np.mean(block**2)))
        gain = 10 ** (levels[i % len(levels)] / 20) / loudness if loudness > 0 else 0.0
        blocks.append(np.clip(block * gain, -1, 1).astype(np.float32))
    return np.concatenate(blocks)


def every_noise(seconds: float, seed: int = 0) -> Samples:
    """All of NOISES one after another, `seconds` in all."""
    each = seconds / len(NOISES)
    return np.concatenate([noise(name, each, seed) for name in NOISES])
