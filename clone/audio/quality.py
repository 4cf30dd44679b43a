"""Stand-in."""

from __future__ import annotations

import numpy as np


def clipped_spans(samples: np.ndarray, sample_rate: int) -> list[tuple[float, float]]:
    return []
