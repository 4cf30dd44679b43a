"""Stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    duration_s: float


def draw(
    samples: np.ndarray, sample_rate: int, speech: Sequence[tuple[float, float]], clipped: Sequence[tuple[float, float]]
) -> Picture:
    return Picture(len(samples) / sample_rate)
