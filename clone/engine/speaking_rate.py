"""How fast somebody speaks, told from what the recogniser's encoder hears: no words are needed, and no language."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).resolve().parents[2] / "assets" / "rate.npz"
"""Made by scripts/build_rate.py."""

APART = 2
"""Frames (40 ms): about half a phoneme, so nearly every change of sound shows."""

PHONEMES_PER_S = 12.2
"""Of speech, by either network at pace 1: Kokoro 12.2 (11.8 to 12.6 in ten styles), hibari 12.1."""

HD_SLOWEST, TURBO_SLOWEST = 0.8, 0.7
"""The lowest pace of each. At 0.7 Kokoro drawls: DNSMOS falls by 0.03, and no more of the person is heard."""

PACE_MAX = 1.3


def changes(features: np.ndarray) -> np.ndarray:
    """Return how much each of the encoder's values changes within APART frames: shape (n_frames, 512) to (512,)."""
    return np.asarray(np.abs(features[APART:] - features[:-APART]).mean(axis=0), np.float32)


def phonemes_per_s(features: np.ndarray) -> float:
    """Return a rate of speaking: phonemes per second of speech, pauses left out; 0 when there are too few frames.

    Args:
        features: float32, shape (n_frames, 512): Recognizer.features() of speech without its pauses.
    """
    if len(features) <= APART:
        return 0.0
    weights, offset = _table()
    return float(np.exp(changes(features) @ weights + offset))


def pace(wanted: float, slowest: float = HD_SLOWEST) -> float:
    """Return the pace at which a network speaks a wanted number of phonemes per second; 1 when that is 0: unknown."""
    return float(np.clip(wanted / PHONEMES_PER_S, slowest, PACE_MAX)) if wanted > 0 else 1.0


@cache
def _table() -> tuple[np.ndarray, float]:
    with np.load(TABLE) as kept:
        return kept["weights"], float(kept["offset"])
