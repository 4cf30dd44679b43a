"""How something is said: how high, how lively, how fast. None of it is measured as the engine does it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from scipy import signal

SAMPLE_RATE = 16_000
F0_MIN_HZ, F0_MAX_HZ = 60.0, 400.0
N_FRAME, N_HOP = 800, 160
F0_BAND_HZ = 75.0, 900.0
"""Hum lies below; breath and sibilants above. A deeper voice is told by its harmonics."""

QUIET_DB = 25.0
GOOD_DIP, VOICED = 0.15, 0.35
"""YIN's difference: any dip this low is good enough, and frames without one below the other are not voiced."""

OCTAVE_ERROR = 1.8
"""Frames further than this factor from the median are errors of the tracker."""

UNVOICED_ST = 12.0
"""What a sound without any voiced frame counts as being off: an octave."""

_BAND = signal.butter(4, F0_BAND_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")


@dataclass(frozen=True)
class Manner:
    """How something is said.

    Attributes:
        pitch_hz: median fundamental frequency of the voiced frames; 0 when nothing is voiced.
        range_st: standard deviation of their pitch in semitones.
        rate: phonemes per second of speech, pauses left out; 0 when nothing is said.
    """

    pitch_hz: float
    range_st: float
    rate: float


def pitch(sound: np.ndarray) -> tuple[float, float]:
    """Return the median pitch in Hz and its standard deviation in semitones; (0, 0) when nothing is voiced.

    The tracker is YIN, over frames of 50 ms every 10 ms, from 75 to 900 Hz; the engine has another. Frames further
    than a factor of 1.8 from the median are left out, as an octave wrong.

    Args:
        sound: float32, shape (n_samples,), mono, 16 kHz.
    """
    f0 = track(sound)
    if not len(f0):
        return 0.0, 0.0
    centre = np.median(f0)
    f0 = f0[(f0 > centre / OCTAVE_ERROR) & (f0 < centre * OCTAVE_ERROR)]
    return float(np.median(f0)), float(np.std(12 * np.log2(f0)))


def track(sound: np.ndarray) -> np.ndarray:
    """Return the fundamental frequency of each voiced frame in Hz, shape (n_voiced_frames,).

    A frame is voiced when it is no more than 25 dB below the loud ones, and repeats itself well enough.

    Args:
        sound: float32, shape (n_samples,), mono, 16 kHz.

    Source: de Cheveigné and Kawahara (2002), YIN; the shortest lag of the best dips counts.
    """
    if len(sound) < N_FRAME or not np.any(sound):
        return np.zeros(0)
    banded = signal.sosfiltfilt(_BAND, sound)
    frames = np.lib.stride_tricks.sliding_window_view(banded, N_FRAME)[::N_HOP]
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    uneven = _unevenness(frames[level > np.percentile(level, 95) - QUIET_DB])
    first, last = int(SAMPLE_RATE / F0_MAX_HZ), int(SAMPLE_RATE / F0_MIN_HZ)
    before, here, after = (uneven[:, first + i : last + i + 1] for i in (-1, 0, 1))
    dips = np.where((here < before) & (here <= after), here, np.inf)
    best = dips.min(axis=1)
    at = (dips <= np.maximum(best, GOOD_DIP)[:, None]).argmax(axis=1)
    voiced = best < VOICED
    lag = np.arange(len(at))[voiced], at[voiced]
    left, middle, right = before[lag], here[lag], after[lag]
    between = 0.5 * (left - right) / (left - 2 * middle + right + 1e-12)  # the dip's bottom, by a parabola
    return np.asarray(SAMPLE_RATE / (first + at[voiced] + between))


def _unevenness(frames: np.ndarray) -> np.ndarray:
    """Return YIN's normalised difference of each frame and itself so many samples later, by lag."""
    n_lags = int(SAMPLE_RATE / F0_MIN_HZ) + 2
    n_sum = N_FRAME - n_lags
    head = np.fft.rfft(frames[:, :n_sum], 2 * N_FRAME)
    products = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, 2 * N_FRAME))[:, :n_lags]
    power = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    later = power[:, n_sum : n_sum + n_lags] - power[:, :n_lags]
    difference = np.maximum(later[:, :1] + later - 2 * products, 0.0)
    mean_so_far = np.cumsum(difference, axis=1) / np.maximum(np.arange(n_lags), 1)
    return np.asarray(np.where(np.arange(n_lags) == 0, 1.0, difference / (mean_so_far + 1e-12)))


def n_phonemes(strings: list[str]) -> int:
    """Return how many sounds there are in strings of phonemes; stress, length, pauses and points are none."""
    return sum(c.isalpha() and unicodedata.category(c) != "Lm" for string in strings for c in string)


def rate(n_sounds: int, spans: list[tuple[float, float]]) -> float:
    """Return phonemes per second of speech, given where somebody speaks as (start, end) in seconds."""
    speech_s = sum(end - start for start, end in spans)
    return n_sounds / speech_s if speech_s else 0.0


def errors(clone: Manner, person: Manner) -> dict[str, float]:
    """Return how a clone's manner differs from a person's.

    Returns:
        ``pitch_st``: semitones by which the median pitch is too high (an octave when nothing is voiced);
        ``pitch_range``: the clone's range by the person's; ``rate_pct``: per cent by which it is said too fast.
    """
    off = 12 * np.log2(clone.pitch_hz / person.pitch_hz) if clone.pitch_hz else UNVOICED_ST
    return {
        "pitch_st": float(off),
        "pitch_range": clone.range_st / person.range_st if person.range_st else 1.0,
        "rate_pct": 100 * (clone.rate / person.rate - 1),
    }
