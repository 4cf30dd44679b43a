"""What is drawn is what is there."""

from __future__ import annotations

import numpy as np
import pytest

from clone.audio.waveform import N_BANDS, N_COLUMNS, draw
from tests.sounds import tone


def test_a_tone_then_silence() -> None:
    samples = np.concatenate([tone(3.0, 44_100, hz=2_000.0, level=0.5), np.zeros(3 * 44_100, np.float32)])
    picture = draw(samples, 44_100, [(0.0, 3.0)], [])
    half = N_COLUMNS // 2
    assert picture.duration_s == pytest.approx(6.0)
    assert picture.highs[10 : half - 10] == pytest.approx(0.5, abs=0.01)
    assert picture.lows[10 : half - 10] == pytest.approx(-0.5, abs=0.01)
    assert np.abs(picture.highs[half + 10 :]).max() == 0.0
    loudest = picture.spectrogram[:, 10 : half - 10].argmax(axis=0)
    assert loudest == pytest.approx(2_000 / picture.top_hz * N_BANDS, abs=1.5)
    assert picture.spectrogram[:, half + 10 :].max() == 0


@pytest.mark.parametrize("n_samples", [1, 7, 599, 601])
def test_next_to_nothing_is_drawn_too(n_samples: int) -> None:
    picture = draw(np.full(n_samples, 0.1, np.float32), 16_000, [], [])
    assert (picture.lows.shape, picture.spectrogram.shape) == ((N_COLUMNS,), (N_BANDS, N_COLUMNS))
