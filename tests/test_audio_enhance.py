from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from clone.audio.enhance import (
    LOUDNESS_BLOCK_S,
    PEAK_CEILING_DBTP,
    TARGET_LUFS,
    integrated_loudness,
    normalize_volume,
    reduce_noise,
    stretched,
    true_peak_dbtp,
)
from clone.core.errors import AudioError
from tests import sounds

RATE = 24_000
SNR_DB = 10.0
SPEECH = sounds.speechlike(12.0, RATE)
PAUSES = sounds.pauses(12.0, RATE)


def db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-20))


def noise_for(sound: np.ndarray, speaks: np.ndarray, snr_db: float) -> np.ndarray:
    """White noise that much below the speech."""
    white = sounds.noise(len(sound) / RATE, RATE, level=1.0)
    return (white * 10 ** ((db(sound[speaks]) - snr_db) / 20)).astype(np.float32)


def distortion_db(clean: np.ndarray, sound: np.ndarray) -> float:
    """Ratio of the clean sound to everything else, whatever the gain (scale-invariant SDR)."""
    target = np.dot(clean, sound) / np.dot(clean, clean) * clean
    return db(target) - db(sound - target)


def speech_band(sound: np.ndarray) -> np.ndarray:
    return np.asarray(sosfilt(butter(4, [200, 3400], "bandpass", fs=RATE, output="sos"), sound))


def test_noise_at_10_db_goes_down_and_speech_stays() -> None:
    noisy = SPEECH + noise_for(SPEECH, ~PAUSES, SNR_DB)
    cleaned = reduce_noise(noisy, RATE)
    assert cleaned.shape == noisy.shape
    assert cleaned.dtype == np.float32
    assert db(noisy[PAUSES]) - db(cleaned[PAUSES]) > 10.0
    assert db(speech_band(cleaned)[~PAUSES]) - db(speech_band(SPEECH)[~PAUSES]) == pytest.approx(0.0, abs=1.5)
    snr_before = db(noisy[~PAUSES]) - db(noisy[PAUSES])
    assert db(cleaned[~PAUSES]) - db(cleaned[PAUSES]) > snr_before + 8.0
    assert distortion_db(SPEECH, cleaned) > distortion_db(SPEECH, noisy) + 2.0


def test_a_clean_recording_stays_as_it_is() -> None:
    assert distortion_db(SPEECH, reduce_noise(SPEECH, RATE)) > 25.0


def test_noise_is_turned_down_not_gated_to_nothing() -> None:
    noisy = SPEECH + noise_for(SPEECH, ~PAUSES, SNR_DB)
    assert db(noisy[PAUSES]) - db(reduce_noise(noisy, RATE)[PAUSES]) < 25.0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 192_000])
def test_noise_reduction_works_at_every_rate(rate: int) -> None:
    noisy = sounds.speechlike(3.0, rate) + sounds.noise(3.0, rate, level=0.02)
    pauses = sounds.pauses(3.0, rate)
    cleaned = reduce_noise(noisy, rate)
    assert len(cleaned) == len(noisy)
    assert np.isfinite(cleaned).all()
    assert db(noisy[pauses]) - db(cleaned[pauses]) > 6.0


def test_noise_reduction_of_silence_and_of_a_moment() -> None:
    assert not reduce_noise(sounds.silence(2.0, RATE), RATE).any()
    moment = sounds.tone(0.3, RATE)
    np.testing.assert_array_equal(reduce_noise(moment, RATE), moment)


@pytest.mark.parametrize("gain", [0.005, 0.1, 1.0, 1.9])
def test_loudness_lands_on_the_target(gain: float) -> None:
    normal = normalize_volume(SPEECH * np.float32(gain), RATE)
    assert normal.shape == SPEECH.shape
    assert normal.dtype == np.float32
    assert true_peak_dbtp(normal, RATE) < PEAK_CEILING_DBTP
    assert integrated_loudness(normal, RATE) == pytest.approx(TARGET_LUFS, abs=0.5)


def test_the_ceiling_holds_when_the_target_would_break_it() -> None:
    clicks = SPEECH * np.float32(0.02)
    clicks[:: RATE // 2] = 0.9  # quiet speech under loud clicks
    normal = normalize_volume(clicks, RATE)
    assert integrated_loudness(normal, RATE) < TARGET_LUFS - 1.0
    assert true_peak_dbtp(normal, RATE) == pytest.approx(PEAK_CEILING_DBTP, abs=0.01)
    assert np.abs(normal).max() < 1.0
    np.testing.assert_allclose(normal / normal[0], clicks / clicks[0], atol=1e-6)  # one gain, nothing limited


def test_loudness_of_the_reference_tone() -> None:
    """BS.1770-4: a 997 Hz sine at full scale in one front channel reads -3.01 LUFS."""
    assert integrated_loudness(sounds.tone(5.0, 48_000, hz=997.0, level=1.0), 48_000) == pytest.approx(-3.01, abs=0.1)


def test_silence_stays_silence() -> None:
    silence = sounds.silence(2.0, RATE)
    assert integrated_loudness(silence, RATE) == float("-inf")
    assert not normalize_volume(silence, RATE).any()


def test_too_short_to_measure() -> None:
    with pytest.raises(AudioError) as caught:
        normalize_volume(sounds.tone(LOUDNESS_BLOCK_S - 0.1, RATE), RATE)
    assert caught.value.code == "too_short_to_measure"
    assert caught.value.measured == pytest.approx(LOUDNESS_BLOCK_S - 0.1)


def test_true_peak_sees_between_the_samples() -> None:
    """A sine at a quarter of the rate, 45 degrees off: every sample is 3 dB below its peak."""
    t = np.arange(48_000)
    sound = np.sin(np.pi / 2 * t + np.pi / 4).astype(np.float32) * np.hanning(48_000).astype(np.float32)
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-3.01, abs=0.01)
    assert true_peak_dbtp(sound, 48_000) == pytest.approx(0.0, abs=0.1)


def test_true_peak_is_the_same_over_the_borders_of_chunks() -> None:
    sound = np.tile(SPEECH, 3)[: (1 << 19) + 1000]
    assert true_peak_dbtp(sound, RATE) == pytest.approx(true_peak_dbtp(SPEECH, RATE), abs=0.01)


def test_what_is_clean_comes_back_as_it_was() -> None:
    speech = np.concatenate([sounds.speechlike(3.0, 16_000), np.zeros(8_000), sounds.speechlike(3.0, 16_000)])
    hiss = np.random.default_rng(2).standard_normal(len(speech)) * np.sqrt(np.mean(speech**2))
    clean, noisy = ((speech + hiss * 10 ** (-below_db / 20)).astype(np.float32) for below_db in (40.0, 10.0))
    assert np.array_equal(reduce_noise(clean, 16_000), clean)
    assert not np.array_equal(reduce_noise(noisy, 16_000), noisy)


@pytest.mark.parametrize("rate", [0.25, 0.7, 1.3, 4.0])
def test_speech_at_another_tempo_keeps_its_order_and_its_pauses(rate: float) -> None:
    sped = stretched(SPEECH, rate)
    assert (sped.dtype, sped.shape) == (np.float32, (round(len(SPEECH) / rate),))
    at = np.minimum((np.arange(len(sped)) * rate).astype(int), len(SPEECH) - 1)
    assert db(sped[~PAUSES[at]]) == pytest.approx(db(SPEECH[~PAUSES]), abs=5.0)
    assert db(sped[PAUSES[at]]) < db(sped[~PAUSES[at]]) - 10.0
