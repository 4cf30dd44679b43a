"""Which style Kokoro should speak in: a blend of its stock voices, chosen by timbre and by pitch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).resolve().parents[2] / "assets" / "styles.npz"
ROWS = (4, 10, 20, 30, 45, 60, 80, 100, 130, 160, 200, 250, 310, 370, 430, 509)
"""The kept rows of Kokoro's packs: row i is the style for a text of i + 1 phonemes."""

TIMBRE = slice(0, 128)
PROSODY = slice(128, 256)
"""Kokoro's halves of a style. Source: its decoder takes the first, its predictor of pitch and timing the second."""

WHISPERED = "af_nicole"
"""A whispering voice: near to some breathy speakers by its embedding, and never what they sound like."""

N_NEAREST = 4
SHARPNESS = 10.0
ENGLISH = ("a", "b")
"""First letters of the American and British voices: their prosody suits English text."""


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


def blend(embedding: np.ndarray, pitch_hz: float) -> np.ndarray:
    """Return the style of a voice: timbre of the stock voices nearest to it, prosody of those at its pitch.

    Args:
        embedding: float32, shape (256,), unit.
        pitch_hz: the voice's median pitch; 0 when unknown.

    Returns:
        float32, shape (len(ROWS), 256).
    """
    stock = table()
    nearness = np.where(stock.names == WHISPERED, -1.0, stock.embeddings @ embedding)
    nearest = np.argsort(-nearness)[:N_NEAREST]
    weight = np.exp(SHARPNESS * (nearness[nearest] - nearness[nearest].max()))
    style = np.tensordot(weight / weight.sum(), stock.styles[nearest], axes=1)
    style[:, PROSODY] = _prosody(stock, pitch_hz or float(stock.pitch_hz[nearest[0]]))
    return np.asarray(style, np.float32)


def row_for(style: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return the row for a text of so many phonemes, between the kept ones: shape (256,)."""
    at = np.interp(n_symbols - 1, ROWS, np.arange(len(ROWS)))
    low = int(at)
    high = min(low + 1, len(ROWS) - 1)
    return np.asarray(style[low] + (at - low) * (style[high] - style[low]), np.float32)


def _prosody(stock: Table, pitch_hz: float) -> np.ndarray:
    english = np.array([i for i, name in enumerate(stock.names) if name[0] in ENGLISH and name != WHISPERED])
    ordered = english[np.argsort(stock.pitch_hz[english])]
    at = float(np.interp(np.log(pitch_hz), np.log(stock.pitch_hz[ordered]), np.arange(len(ordered))))
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    rows = stock.styles[ordered[low]] * (1 - (at - low)) + stock.styles[ordered[high]] * (at - low)
    return np.asarray(rows[:, PROSODY])
