"""A recording as a picture: its waveform and spectrogram, in few enough columns for a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clone.audio.quality import Spans
from clone.audio.reader import resample

N_COLUMNS = 600
N_BANDS = 72
RATE = 16_000
N_FFT = 512
RANGE_DB = 70.0
"""What lies further below the loudest is drawn as nothing."""


@dataclass(frozen=True)
class Picture:
    """What is drawn of a recording.

    Attributes:
        duration_s: its length.
        lows, highs: float32, shape (N_COLUMNS,), the waveform's extremes in each column, -1 to 1.
        spectrogram: uint8, shape (N_BANDS, N_COLUMNS), louder is larger; the lowest band first.
        top_hz: upper edge of the last band.
        speech, clipped: (start, end) in seconds.
    """

    duration_s: float
    lows: np.ndarray
    highs: np.ndarray
    spectrogram: np.ndarray
    top_hz: float
    speech: Spans
    clipped: Spans

    def points(self, height: float) -> str:
        """Return its waveform as the points of an SVG polygon; see ``points``."""
        return points(self.lows, self.highs, height)


def draw(samples: np.ndarray, sample_rate: int, speech: Spans, clipped: Spans) -> Picture:
    """Return the picture of a recording.

    Args:
        samples: float32, shape (n_samples,), mono, not empty.
        sample_rate: Hz.
        speech: (start, end) of speech in seconds.
        clipped: (start, end) of clipping in seconds.
    """
    return Picture(
        len(samples) / sample_rate,
        *outline(samples, N_COLUMNS),
        _spectrogram(resample(samples, sample_rate, RATE)),
        RATE / 2,
        tuple(speech),
        tuple(clipped),
    )


def outline(samples: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest sample of each column, shape (n_columns,) both; samples as in ``draw``."""
    starts = np.linspace(0, len(samples), n_columns, endpoint=False).astype(int)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def points(lows: np.ndarray, highs: np.ndarray, height: float) -> str:
    """Return an outline as the points of an SVG polygon: a column a unit wide, the loudest as high as fits.

    Args:
        lows: as ``outline`` returns them.
        highs: likewise.
        height: of the drawing.
    """
    loudest = max(float(highs.max()), -float(lows.min()), 1e-6)
    middle = height / 2
    there = [f"{x},{middle - y / loudest * (middle - 2) - 0.4:.1f}" for x, y in enumerate(highs)]
    back = [f"{x},{middle - y / loudest * (middle - 2) + 0.4:.1f}" for x, y in reversed(list(enumerate(lows)))]
    return " ".join(there + back)


def _spectrogram(samples: np.ndarray) -> np.ndarray:
    """Return levels of bands, linear in frequency, as 0 to 255 over RANGE_DB."""
    if len(samples) < N_FFT:
        samples = np.pad(samples, (0, N_FFT - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)
    # One frame a column is a glance, but of five minutes all would be 40 times the work for the same picture.
    at = np.linspace(0, len(frames) - 1, N_COLUMNS * 2).astype(int)
    power = np.abs(np.fft.rfft(frames[at] * np.hanning(N_FFT), axis=1)) ** 2
    columns = power[:, 1:].reshape(N_COLUMNS, 2, -1).max(axis=1)
    edges = np.linspace(0, columns.shape[1], N_BANDS, endpoint=False).astype(int)
    bands = np.maximum.reduceat(columns, edges, axis=1)
    level_db = 10 * np.log10(bands / max(float(bands.max()), 1e-12) + 1e-12)
    return np.asarray(np.clip(255 * (1 + level_db / RANGE_DB), 0, 255).astype(np.uint8).T)
