"""Pitch, speaking rate and the way of speaking of a language: what is moved or chosen before speech becomes sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from clone.engine.styles import TIMBRE, WHISPERED, Table, table

VOICED_HZ = 40.0
"""Both networks mark a frame as unvoiced by a pitch below this."""

HEARD_ABOVE = 2.0 ** (0.5 / 12)
"""Kokoro is heard half a semitone above its curve's mean (16 speakers): the low ends of words are hardly voiced."""

SPAN_SHARE = 0.5
HIBARI_RANGE_ST = 3.0
"""How far hibari's pitch is heard to move, at whatever pitch it speaks."""
SPAN_MIN, SPAN_MAX = 0.6, 1.5
MIN_VOICED = 20
"""Frames; of fewer nothing can be told."""


@dataclass(frozen=True)
class Pitch:
    """Where a style's pitch lies, and where a voice wants it.

    Attributes:
        centre_hz: geometric mean of the style's own curve; 0 leaves its pitch as it is.
        wanted_hz: where that mean should lie.
        span: factor on the distance from the mean, in semitones.
    """

    centre_hz: float = 0.0
    wanted_hz: float = 0.0
    span: float = 1.0

    def moved(self, curve: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """Return a pitch curve (Hz) brought to the voice, then moved by a factor; what is unvoiced stays so."""
        fitted, centre_hz, wanted_hz = curve, self.centre_hz, self.wanted_hz
        if centre_hz <= 0 and self.span != 1.0:  # around its own mean
            centre_hz = wanted_hz = mean_hz(curve)
        if centre_hz > 0:
            fitted = wanted_hz * (np.maximum(curve, VOICED_HZ) / centre_hz) ** self.span
        # Neither may a voiced frame fall silent nor an unvoiced one start to hum.
        return np.where(curve > VOICED_HZ, np.maximum(fitted * factor, VOICED_HZ), curve).astype(np.float32)


AS_PREDICTED = Pitch()


def mean_hz(curve: np.ndarray) -> float:
    """Return the geometric mean of a pitch curve (Hz) where it is voiced; 0 where it nowhere is."""
    voiced = curve[curve > VOICED_HZ]
    return float(np.exp(np.log(voiced).mean())) if len(voiced) else 0.0


def fitted(own_hz: np.ndarray, voice_hz: np.ndarray) -> Pitch:
    """Return how a style's pitch is moved to a voice's height, and half of the way to its liveliness.

    Args:
        own_hz: the style's own curve, voiced frames, shape (n_frames,).
        voice_hz: what is heard in the voice's recording, voiced frames, shape (n_frames,).
    """
    if min(len(own_hz), len(voice_hz)) < MIN_VOICED:
        return AS_PREDICTED
    own, voice = np.log(own_hz), np.log(voice_hz)
    wanted_hz = float(np.exp(voice.mean())) / HEARD_ABOVE
    return Pitch(float(np.exp(own.mean())), wanted_hz, span(range_st(voice_hz), range_st(own_hz)))


def range_st(voiced_hz: np.ndarray) -> float:
    """Return how far a pitch moves: the standard deviation of voiced frames (Hz) in semitones; 0 when unknown."""
    return max(0.01, float(12 * np.log2(voiced_hz).std())) if len(voiced_hz) >= MIN_VOICED else 0.0


def span(voice_st: float, own_st: float) -> float:
    """Return the factor that brings a network's range half of the way to a voice's; 1 when that is 0: unknown."""
    wanted = (voice_st / max(own_st, 1e-3)) ** SPAN_SHARE if voice_st > 0 else 1.0
    return float(np.clip(wanted, SPAN_MIN, SPAN_MAX))


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


PAUSE_S, PAUSES_AS_SURE = 0.65, 2.0
"""How long people pause between sentences, and how many pauses of a person's own count as much (bench/NOTES.md)."""
PAUSES_BETWEEN_S = 0.3, 2.0
"""What is shorter is within a sentence; what is longer, no pause of somebody who goes on speaking."""


def pauses(spans: Sequence[tuple[float, float]]) -> list[float]:
    """Return the pauses between sentences, in seconds, where ``spans`` are (start, end) of speech in order."""
    least, most = PAUSES_BETWEEN_S
    return [start - end for (_, end), (start, _) in pairwise(spans) if least <= start - end <= most]


def pause_s(spans: Sequence[tuple[float, float]]) -> float:
    """Return how long somebody pauses between sentences, in seconds: as people do, the fewer pauses are heard the more.

    Args:
        spans: (start, end) of their speech in seconds, in order.
    """
    gaps = pauses(spans)
    heard, usual = float(np.log(gaps).sum()), PAUSES_AS_SURE * float(np.log(PAUSE_S))
    return float(np.exp((heard + usual) / (len(gaps) + PAUSES_AS_SURE)))


@cache
def _table() -> tuple[np.ndarray, float]:
    with np.load(TABLE) as kept:
        return kept["weights"], float(kept["offset"])
