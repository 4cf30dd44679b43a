"""Speech brought to a loudness piece by piece: measured as in one, and with no peak above the ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from clone.audio.audiobook import AUDIOBOOK_LUFS, PODCAST_LUFS, Meter, gain_to, leveled
from clone.audio.enhance import PEAK_CEILING_DBTP, integrated_loudness, true_peak_dbtp
from tests.sounds import silence, speechlike, tone

RATE = 24_000


def sentences() -> list[np.ndarray]:
    quiet = np.linspace(0.05, 0.4, 6)
    return [np.append(speechlike(1.5, RATE, seed=i) * level, silence(0.35, RATE)) for i, level in enumerate(quiet)]


@pytest.mark.parametrize("n_pieces", [1, 7, 400])
def test_loudness_is_the_same_in_pieces(n_pieces: int) -> None:
    whole = np.concatenate([silence(0.03, RATE), *sentences(), silence(3.0, RATE)]).astype(np.float32)
    meter = Meter(RATE)
    for piece in np.array_split(whole, n_pieces):
        meter.add(piece)
    assert meter.integrated() == pytest.approx(integrated_loudness(whole.copy(), RATE), abs=0.1)


def test_nothing_and_silence_have_no_loudness() -> None:
    for samples in (np.zeros(0, np.float32), tone(0.3, RATE), silence(2.0, RATE)):
        meter = Meter(RATE)
        meter.add(samples)
        assert meter.integrated() == -np.inf


@pytest.mark.parametrize("lufs", [AUDIOBOOK_LUFS, PODCAST_LUFS, -35.0])
def test_speech_comes_to_the_loudness_and_no_higher_than_the_ceiling(lufs: float) -> None:
    gain_db = gain_to(sentences, RATE, lufs)
    whole = np.concatenate([leveled(each, RATE, gain_db) for each in sentences()])
    assert integrated_loudness(whole.copy(), RATE) == pytest.approx(lufs, abs=0.3)
    assert true_peak_dbtp(whole, RATE) <= PEAK_CEILING_DBTP + 0.01


def test_peaks_between_samples_are_held_back_and_what_is_far_below_is_left() -> None:
    at = np.arange(RATE) / RATE
    between = (0.9 * np.sin(2 * np.pi * (RATE / 4) * at + np.pi / 4)).astype(np.float32)  # no sample at the peak
    assert np.abs(leveled(between, RATE, 3.0)).max() < 0.7
    assert true_peak_dbtp(leveled(between, RATE, 3.0), RATE) <= PEAK_CEILING_DBTP
    low = tone(0.5, RATE, level=0.1)
    assert np.allclose(leveled(low, RATE, 6.0), low * 10 ** (6 / 20), atol=1e-6)
    assert len(leveled(np.zeros(0, np.float32), RATE, 6.0)) == 0
    assert gain_to(lambda: [silence(1.0, RATE)], RATE, -19.0) == 0.0
