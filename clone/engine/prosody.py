"""The way of speaking of a language: the prosody half of Kokoro's style, and some of the timbre, of its own voices."""

from __future__ import annotations

import numpy as np

from clone.engine.styles import TIMBRE, WHISPERED, Table, table

LETTERS = {"en": "ab", "es": "e", "fr": "f", "hi": "h", "it": "i", "ja": "j", "pt": "p", "zh": "z"}
"""First letters of the stock voices that speak a language."""

TIMBRE_SHARE, TIMBRE_SHARES = 0.3, {"fr": 0.5}
"""Of the timbre that comes from the language's own voices: none is more like the voice, more is better understood.

With none of it 55 % of French and 15 % of Italian words were misheard, with this 9 % and none (example voice Cleo).
"""

MOVED_MAX = 1.6
"""A pitch is moved by this factor at most: further away Kokoro sounds pressed."""


def in_language(style: np.ndarray, pitch_hz: float, language: str) -> tuple[np.ndarray, float]:
    """Return a style that speaks a language, and the factor its pitch is to be moved by.

    Args:
        style: float32, shape (n_rows, 256): a voice's.
        pitch_hz: the voice's median pitch; 0 when unknown.
        language: one of LETTERS.

    Returns:
        The style, of the same shape, with the prosody and TIMBRE_SHARE of the timbre of the two stock voices of that
        language whose pitch is around the voice's; and what is left to move where they are all higher or all lower.
    """
    stock = table()
    own = [i for i, name in enumerate(stock.names) if name[0] in LETTERS[language] and name != WHISPERED]
    ordered = np.array(own)[np.argsort(stock.pitch_hz[own])]
    pitches = stock.pitch_hz[ordered]
    wanted = pitch_hz or float(np.median(pitches))
    at = float(np.interp(np.log(wanted), np.log(pitches), np.arange(len(ordered))))
    spoken = _between(stock, ordered, at)
    share = TIMBRE_SHARES.get(language, TIMBRE_SHARE)
    spoken[:, TIMBRE] = share * spoken[:, TIMBRE] + (1 - share) * style[:, TIMBRE]
    reached = float(np.clip(wanted, pitches[0], pitches[-1]))
    return spoken, float(np.clip(wanted / reached, 1 / MOVED_MAX, MOVED_MAX))


def _between(stock: Table, ordered: np.ndarray, at: float) -> np.ndarray:
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    rows = stock.styles[ordered[low]] * (1 - (at - low)) + stock.styles[ordered[high]] * (at - low)
    return np.asarray(rows, np.float32)
