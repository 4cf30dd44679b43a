"""Which style Kokoro should speak in: the mixtures of its stock voices that sound most like the voice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

_ASSETS = Path(__file__).resolve().parents[2] / "assets"
TABLE, BANK = _ASSETS / "styles.npz", _ASSETS / "bank.npz"
ROWS = (4, 10, 20, 30, 45, 60, 80, 100, 130, 160, 200, 250, 310, 370, 430, 509)
"""The kept rows of Kokoro's packs: row i is the style for a text of i + 1 phonemes."""

TIMBRE = slice(0, 128)
PROSODY = slice(128, 256)
HALVES = (TIMBRE, PROSODY)
"""Kokoro's halves of a style. Source: its decoder takes the first, its predictor of pitch and timing the second."""

WHISPERED = "af_nicole"
"""A whispering voice: near to some breathy speakers by its embedding, and never what they sound like."""

N_WINDOWS = 24
"""To choose a style by, as many as 10 s have: spread over 30 s, their mean is within 0.011 (cosine) of all of them."""

N_NEAREST = 5
SHARPNESS = 20.0


@dataclass(frozen=True)
class Table:
    """The stock voices, n of them.

    Attributes:
        names: shape (n,), Kokoro's own.
        styles: float32, shape (n, len(ROWS), 256).
        embeddings: float32, shape (n, 256), unit speaker embeddings.
        pitch_hz: float32, shape (n,), median pitch.
    """

    names: np.ndarray
    styles: np.ndarray
    embeddings: np.ndarray
    pitch_hz: np.ndarray


@dataclass(frozen=True)
class Bank:
    """Mixtures of the stock voices, spoken and measured once, n of them; made by scripts/build_bank.py.

    Attributes:
        weights: float32, shape (n, 2, n_voices - 1): see mixed().
        embeddings: float32, shape (n, 256), unit speaker embeddings, each heard with the same colour.
        colour: float64, shape (40,): that colour, see speaker.colour().
    """

    weights: np.ndarray
    embeddings: np.ndarray
    colour: np.ndarray


@cache
def table() -> Table:
    """Return the table in assets/, read once."""
    with np.load(TABLE) as kept:
        return Table(
            kept["names"],
            kept["styles"].astype(np.float32),
            kept["embeddings"].astype(np.float32),
            kept["pitch_hz"].astype(np.float32),
        )


@cache
def bank() -> Bank:
    """Return the bank in assets/, read once."""
    with np.load(BANK) as kept:
        return Bank(kept["weights"].astype(np.float32), kept["embeddings"].astype(np.float32), kept["colour"])


def mixed(weights: np.ndarray) -> np.ndarray:
    """Return a mixture of the stock voices but the whispering one.

    Args:
        weights: float32, shape (2, n_voices - 1): shares of each in the timbre and in the prosody.

    Returns:
        float32, shape (len(ROWS), 256).
    """
    stock = table().styles[table().names != WHISPERED]
    halves = [np.tensordot(share, stock[:, :, half], axes=1) for share, half in zip(weights, HALVES, strict=True)]
    return np.concatenate(halves, axis=-1).astype(np.float32)


def nearest(embedding: np.ndarray) -> np.ndarray:
    """Return the style of a voice: the mean of the mixtures in the bank that sound most like it.

    Args:
        embedding: float32, shape (256,), unit: the voice heard with the bank's colour. How a recording is coloured is
            put right by the conversion anyway: the style is chosen by what no filter changes.

    Returns:
        float32, shape (len(ROWS), 256).
    """
    known = bank()
    nearness = known.embeddings @ embedding
    best = np.argsort(-nearness)[:N_NEAREST]
    weight = np.exp(SHARPNESS * (nearness[best] - nearness[best[0]]))
    return mixed(np.tensordot(weight / weight.sum(), known.weights[best], axes=1))


def row_for(style: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return the row for a text of so many phonemes, between the kept ones: shape (256,)."""
    at = np.interp(n_symbols - 1, ROWS, np.arange(len(ROWS)))
    low = int(at)
    high = min(low + 1, len(ROWS) - 1)
    return np.asarray(style[low] + (at - low) * (style[high] - style[low]), np.float32)
