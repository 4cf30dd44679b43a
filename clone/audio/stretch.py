"""Stand-in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clone.audio.read import Recording

Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Stretch:
    start_s: float
    end_s: float
    reasons: tuple[str, ...]


def best_stretch(
    samples: np.ndarray,
    sample_rate: int,
    speech: Spans,
    clipped: Spans,
    voices: np.ndarray,
    at_s: np.ndarray,
    at_most_s: float = 60.0,
) -> Stretch | None:
    duration_s = len(samples) / sample_rate
    return Stretch(1.0, min(61.0, duration_s), ("Stand-in.",)) if duration_s > 15 else None


def cut(recording: Recording, start_s: float, end_s: float) -> Recording:
    a, b = round(start_s * recording.sample_rate), round(end_s * recording.sample_rate)
    key = hashlib.sha256(f"{recording.sha256} {a} {b}".encode()).hexdigest()
    return Recording(recording.samples[a:b], recording.sample_rate, "wav", 44 + 2 * (b - a), key)


def sentence(samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans) -> tuple[float, float] | None:
    return next(((a, min(b, a + 7.0)) for a, b in speech if b - a > 3.0), None)
