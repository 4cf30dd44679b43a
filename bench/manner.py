"""How something is said: how high, how lively, how fast. None of it is measured as the engine does it."""

from __future__ import annotations

import unicodedata
import warnings
from dataclasses import dataclass

import librosa
import numpy as np

SAMPLE_RATE = 16_000
F0_MIN_HZ, F0_MAX_HZ = 60.0, 400.0
N_FRAME, N_HOP = 1024, 256
OCTAVE_ERROR = 1.8
"""Frames further than this factor from the median are errors of the tracker."""

UNVOICED_ST = 12.0
"""What a sound without any voiced frame counts as being off: an octave."""


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

    The tracker is pYIN (librosa's), frames of 64 ms every 16 ms, from 60 to 400 Hz; the engine uses another. Frames
    that lie further than a factor of 1.8 from the median are left out, as an octave wrong.

    Args:
        sound: float32, shape (n_samples,), mono, 16 kHz.
    """
    if len(sound) < N_FRAME:
        return 0.0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silence, which has no pitch
        tracked, voiced, _ = librosa.pyin(
            sound, fmin=F0_MIN_HZ, fmax=F0_MAX_HZ, sr=SAMPLE_RATE, frame_length=N_FRAME, hop_length=N_HOP
        )
    f0 = tracked[voiced & np.isfinite(tracked)]
    if not len(f0):
        return 0.0, 0.0
    centre = np.median(f0)
    f0 = f0[(f0 > centre / OCTAVE_ERROR) & (f0 < centre * OCTAVE_ERROR)]
    return float(np.median(f0)), float(np.std(12 * np.log2(f0)))


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
