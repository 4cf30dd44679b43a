"""Spectral conversion: make speech sound like the reference, by what the reference sounds like when it says the same.

For every frame of the base speech, the frames of the reference nearest to it in what is being said (Whisper's encoder
knows) tell which spectral envelope this person has there. The difference becomes a slowly moving filter, so no vocoder
is involved and words stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import librosa
import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d

from clone.engine.recognizer import FRAME_S

SAMPLE_RATE = 24_000
N_FFT, N_HOP = 1536, 120
"""64 ms windows every 5 ms."""

N_ENVELOPE_HOP = int(FRAME_S * SAMPLE_RATE)
N_BANDS = 55
"""Mel bands up to 12 kHz, as dense as 48 bands up to 8 kHz."""

N_NEIGHBOURS = 4
CONTEXT_WEIGHT = 0.5
CONTEXT_FRAMES = 2
SMOOTHING_FRAMES = 4.0
"""Standard deviation, 80 ms: with 50 ms a turbo clone is 0.06 closer and says four words in a hundred wrong."""
GAIN_SHARE = 0.95
"""How far to go: all the way is 0.02 closer and 0.02 DNSMOS worse, 0.9 the other way round (turbo, bench)."""

GAIN_LIMIT_DB = 18.0
SPEECH_BELOW_PEAK_DB = 40.0
"""Frames quieter than this below the loudest count as pauses."""

BANDWIDTH_BELOW_PEAK_DB = 65.0
"""Bands this far below the strongest hold nothing of the voice: the recording's format ends there."""


@dataclass(frozen=True)
class Frames:
    """What a recording says and sounds like, frame by frame (20 ms), speech frames only.

    Attributes:
        features: float32, shape (n_frames, n_features), unit vectors.
        envelopes: float32, shape (n_frames, N_BANDS), dB, each frame's mean over the audible bands removed.
        n_bands: how many bands the recording's bandwidth fills.
    """

    features: np.ndarray
    envelopes: np.ndarray
    n_bands: int


def analyse(samples: np.ndarray, features: np.ndarray, n_bands: int = N_BANDS) -> tuple[Frames, np.ndarray]:
    """Return the speech frames of a recording and which of its frames they are.

    Args:
        samples: float32, shape (n_samples,), mono, 24 kHz.
        features: float32, shape (n_frames, n_features), what the recognizer's encoder made of it.
        n_bands: bands to remove the mean over; those of the reference when base speech is analysed.

    Returns:
        The frames, and a bool mask of shape (n_frames,) telling speech frames from pauses.
    """
    power = _band_power(samples)[: len(features)]
    features = features[: len(power)]
    level_db = 10 * np.log10(power.sum(axis=1) + 1e-10)
    speech = level_db > level_db.max() - SPEECH_BELOW_PEAK_DB
    filled = min(n_bands, _filled_bands(power[speech]))
    envelopes = 10 * np.log10(power[speech] + 1e-10)
    envelopes -= envelopes[:, :filled].mean(axis=1, keepdims=True)
    return Frames(_normalised(features, speech), envelopes.astype(np.float32), filled), speech


def convert(samples: np.ndarray, features: np.ndarray, reference: Frames) -> np.ndarray:
    """Return base speech with the reference's timbre.

    Args:
        samples: float32, shape (n_samples,), mono, 24 kHz: the base speech.
        features: float32, shape (n_frames, n_features): the encoder's view of it.
        reference: the recording to sound like.

    Returns:
        float32, shape (n_samples,), 24 kHz, as loud as the base speech.
    """
    base, speech = analyse(samples, features, reference.n_bands)
    if not len(base.features) or not len(reference.features):
        return samples
    target = _neighbours_envelope(base.features, reference)
    return _filtered(samples, _gain_db(target - base.envelopes, speech, reference.n_bands))


def _normalised(features: np.ndarray, speech: np.ndarray) -> np.ndarray:
    spoken = features[speech]
    scaled = (features - spoken.mean(axis=0)) / (spoken.std(axis=0) + 1e-5)
    around = scaled.copy()
    for shift in range(1, CONTEXT_FRAMES + 1):
        weight = CONTEXT_WEIGHT / CONTEXT_FRAMES
        around[shift:] += weight * scaled[:-shift]
        around[:-shift] += weight * scaled[shift:]
    kept = around[speech]
    return np.asarray(kept / (np.linalg.norm(kept, axis=1, keepdims=True) + 1e-9), np.float32)


def _neighbours_envelope(features: np.ndarray, reference: Frames) -> np.ndarray:
    nearness = features @ reference.features.T
    k = min(N_NEIGHBOURS, nearness.shape[1])
    nearest = np.argpartition(-nearness, k - 1, axis=1)[:, :k]
    return np.asarray(reference.envelopes[nearest].mean(axis=1))


def _gain_db(difference: np.ndarray, speech: np.ndarray, n_bands: int) -> np.ndarray:
    """Spread the gain of speech frames over all frames, smooth in time, bounded; shape (n_frames, N_BANDS)."""
    constant = difference.mean(axis=0)
    moving = np.zeros((len(speech), difference.shape[1]))
    moving[speech] = difference - constant
    weight = gaussian_filter1d(speech.astype(float), SMOOTHING_FRAMES)
    moving = gaussian_filter1d(moving, SMOOTHING_FRAMES, axis=0) / np.maximum(weight, 0.3)[:, None]
    gain = GAIN_SHARE * np.clip(
        moving + constant * np.minimum(1.0, weight / 0.3)[:, None], -GAIN_LIMIT_DB, GAIN_LIMIT_DB
    )
    # Above the reference's bandwidth nothing is known: its last band speaks for the rest.
    gain[:, n_bands:] = gain[:, max(0, n_bands - 3) : n_bands].mean(axis=1, keepdims=True)
    return np.asarray(gain)


def _filtered(samples: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    spectrum = _stft(samples, N_HOP)
    at = np.arange(spectrum.shape[0]) * N_HOP / N_ENVELOPE_HOP
    left = np.minimum(at.astype(int), len(gain_db) - 1)
    right = np.minimum(left + 1, len(gain_db) - 1)
    share = (at - left).clip(0, 1)[:, None]
    bands = (gain_db[left] * (1 - share) + gain_db[right] * share).astype(np.float32)
    spectrum *= np.exp(bands @ _band_to_bin() * np.float32(np.log(10) / 20))
    converted = _istft(spectrum, len(samples))
    loudness = np.sqrt((samples**2).mean() / ((converted**2).mean() + 1e-12))
    return np.asarray(converted * loudness, np.float32)


def _filled_bands(power: np.ndarray) -> int:
    level_db = 10 * np.log10(power.mean(axis=0) + 1e-12)
    filled = np.flatnonzero(level_db > level_db.max() - BANDWIDTH_BELOW_PEAK_DB)
    return int(filled[-1]) + 1 if len(filled) else N_BANDS


def _band_power(samples: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(_stft(samples, N_ENVELOPE_HOP)) ** 2 @ _mel_basis().T)


def _stft(samples: np.ndarray, n_hop: int) -> np.ndarray:
    padded = np.pad(samples, (N_FFT // 2, N_FFT // 2 + n_hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::n_hop]
    return np.asarray(scipy.fft.rfft(frames * _window(), axis=1))


def _istft(spectrum: np.ndarray, n_samples: int) -> np.ndarray:
    frames = scipy.fft.irfft(spectrum, N_FFT, axis=1) * _window()
    total = np.zeros(N_FFT + N_HOP * (len(frames) - 1), np.float32)
    weight = np.zeros_like(total)
    square = _window() ** 2
    for i, frame in enumerate(frames):
        total[i * N_HOP : i * N_HOP + N_FFT] += frame
        weight[i * N_HOP : i * N_HOP + N_FFT] += square
    start = N_FFT // 2
    return np.asarray((total / np.maximum(weight, 1e-6))[start : start + n_samples])


@cache
def _window() -> np.ndarray:
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)


@cache
def _mel_basis() -> np.ndarray:
    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_BANDS, htk=True, norm=None)


@cache
def _band_to_bin() -> np.ndarray:
    """Linear interpolation from band centres to bins, shape (N_BANDS, n_bins)."""
    centres = librosa.mel_frequencies(N_BANDS + 2, fmin=0.0, fmax=SAMPLE_RATE / 2, htk=True)[1:-1]
    bins = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    return np.stack([np.interp(bins, centres, row) for row in np.eye(N_BANDS)]).astype(np.float32)
