"""Holding peaks back without clipping them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

LOOK_AHEAD_S = 0.005


def limited(samples: np.ndarray, sample_rate: int, ceiling: float) -> np.ndarray:
    """Return samples with every peak at or below a ceiling, by a gain that moves slower than the sound does.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        ceiling: of the absolute value.

    Returns:
        float32, shape (n_samples,); untouched where nothing is near the ceiling.
    """
    width = 2 * int(LOOK_AHEAD_S * sample_rate) + 1
    peaks = maximum_filter1d(np.abs(samples), width, mode="nearest")
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    # The mean of gains that each suffice for all they are averaged over suffices too.
    gain = uniform_filter1d(needed, width, mode="nearest")
    return np.asarray(np.clip(samples * gain, -ceiling, ceiling), np.float32)
