"""How high a style speaks and how high a voice wants it: a pitch curve is moved before it becomes sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOICED_HZ = 40.0
"""Both networks mark a frame as unvoiced by a pitch below this."""

HEARD_ABOVE = 2.0 ** (0.5 / 12)
"""Kokoro is heard half a semitone above its curve's mean (16 speakers): the low ends of words are hardly voiced."""

SPAN_SHARE = 0.5
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
        fitted = curve
        if self.centre_hz > 0:
            fitted = self.wanted_hz * (np.maximum(curve, VOICED_HZ) / self.centre_hz) ** self.span
        # Neither may a voiced frame fall silent nor an unvoiced one start to hum.
        return np.where(curve > VOICED_HZ, np.maximum(fitted * factor, VOICED_HZ), curve).astype(np.float32)


AS_PREDICTED = Pitch()


def fitted(own_hz: np.ndarray, voice_hz: np.ndarray) -> Pitch:
    """Return how a style's pitch is moved to a voice's height, and half of the way to its liveliness.

    Args:
        own_hz: the style's own curve, voiced frames, shape (n_frames,).
        voice_hz: what is heard in the voice's recording, voiced frames, shape (n_frames,).
    """
    if min(len(own_hz), len(voice_hz)) < MIN_VOICED:
        return AS_PREDICTED
    own, voice = np.log(own_hz), np.log(voice_hz)
    span = (voice.std() / max(float(own.std()), 1e-3)) ** SPAN_SHARE
    wanted_hz = float(np.exp(voice.mean())) / HEARD_ABOVE
    return Pitch(float(np.exp(own.mean())), wanted_hz, float(np.clip(span, SPAN_MIN, SPAN_MAX)))
