"""How fast somebody speaks, told from what the recogniser's encoder hears: no words are needed, and no language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).resolve().parents[2] / "assets" / "rate.npz"
"""Made by scripts/build_rate.py."""

APART = 2
"""Frames (40 ms): about half a phoneme, so nearly every change of sound shows."""

PACE_POWER = 1.23
"""Asked for 0.8 of its pace, Kokoro speaks at 0.84 of its rate (14 mixtures of its voices)."""

PACE_MAX = 1.3


@dataclass(frozen=True)
class Network:
    """How a network speaks when it is left to itself.

    Attributes:
        phonemes_per_s: of speech, at pace 1.
        slowest: the lowest pace at which it does not drawl yet.
    """

    phonemes_per_s: float
    slowest: float


HD = Network(11.8, 0.8)
"""Kokoro (10.8 to 12.2 in those mixtures). At 0.7 its DNSMOS falls by 0.03, and no more of the person is heard."""

TURBO = Network(12.4, 0.7)


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


def pace(wanted: float, network: Network) -> float:
    """Return the pace at which a network speaks a wanted number of phonemes per second; 1 when that is 0: unknown."""
    if wanted <= 0:
        return 1.0
    return float(np.clip((wanted / network.phonemes_per_s) ** PACE_POWER, network.slowest, PACE_MAX))


@cache
def _table() -> tuple[np.ndarray, float]:
    with np.load(TABLE) as kept:
        return kept["weights"], float(kept["offset"])
