"""Spectral conversion: make speech sound like the reference, by what the reference sounds like when it says the same.

For every frame of the base speech, the frames of the reference in which the same is being said (Whisper's encoder
knows) tell which spectral envelope this person has there. The difference becomes a slowly moving filter, so no vocoder
is involved and words stay as they are. What is left of the difference over a whole sentence becomes a constant filter.

There are two ways to find those frames: ``nearest``, and ``attended``, which was learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import scipy  # loads its parts when they are first used: signal takes a second

from clone.engine.asr import FRAME_S

SAMPLE_RATE = 24_000
N_FFT, N_HOP = 1536, 120
"""64 ms windows every 5 ms."""

N_ENVELOPE_HOP = int(FRAME_S * SAMPLE_RATE)
N_BANDS = 55
"""Mel bands up to 12 kHz, as dense as 48 bands up to 8 kHz."""

N_NEIGHBOURS = 4
CONTEXT_WEIGHT = 0.5
CONTEXT_FRAMES = 2
N_NEAREST_HUB = 10
HUB_SHARE = 0.7
"""Frames that are near to everything are chosen less: as close, and 0.03 DNSMOS better (turbo, bench)."""

N_OWN_NEIGHBOURS = 6
"""Base frames averaged like the reference's, so that the gain follows what is said and not one frame's ripple."""

MOVEMENT_SHARE, MOVEMENT_LIMIT = 0.5, 1.5
"""The share of the movement lost in averaging that is given back: 0.014 closer, 0.03 DNSMOS worse (turbo, bench)."""

MATCHING = Path(__file__).resolve().parents[2] / "assets" / "matching.npz"
"""Made by scripts/build_matching.py."""

HUB_SHARPNESS = 10.0
"""How near a frame of the reference is to everything: by the nearest base frames most, as a soft maximum."""

ATTENDED_MOVEMENT_LIMIT = 3.0
"""All the movement that averaging takes is given back then, up to this factor."""

SMOOTHING_FRAMES = 3.5
"""Standard deviation, 70 ms: with 60 ms a turbo clone is 0.013 closer and says six words in a thousand more wrong."""

AMPLE_FRAMES, SMOOTHING_MORE = 1000.0, 1.3
"""With less than 20 s of speech to match, matches are worse, and smoothed more by up to this: with 10 s of 27 speakers,
70, 85 and 100 ms gave 2.5, 2.0 and 1.7 % wrong words and Resemblyzer 0.468, 0.454 and 0.447 (turbo)."""

TRUSTED_NEARNESS = 0.3
"""Where the matches are further from the base frame than this (cosine; the median with 30 s), what moves counts less.
With 10 s of 27 speakers wrong words fell from 2.3 to 1.2 %, Resemblyzer by 0.001, DNSMOS rose by 0.025 (turbo)."""

GAIN_SHARE = 0.95
"""How far to go: all the way is 0.02 closer and 0.02 DNSMOS worse, 0.9 the other way round (turbo, bench)."""

GAIN_LIMIT_DB = 18.0
POWER_LIMIT_DB = 6.0
SPECTRUM_SHARE = 0.4
"""Twice as much is 0.015 closer by d-vector, 0.004 by Resemblyzer, and 0.04 DNSMOS worse (turbo, bench)."""

SPECTRUM_LIMIT_DB = 8.0
SPECTRUM_SMOOTHING_BINS = 1.5
"""Standard deviation, 23 Hz: the room and the microphone, not single harmonics."""

SETTLED_FRAMES = 25.0
"""A sentence's own average says half as much about the voice when it has only so many frames (0.5 s)."""

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
        levels: float32, shape (n_frames,), dB: those means.
        spectrum: float32, shape (N_FFT // 2 + 1,), dB, mean over the frames.
        n_bands: how many bands the recording's bandwidth fills.
    """

    features: np.ndarray
    envelopes: np.ndarray
    levels: np.ndarray
    spectrum: np.ndarray
    n_bands: int

    @property
    def power(self) -> np.ndarray:
        """Power of every band and frame, shape (n_frames, N_BANDS)."""
        return np.asarray(10 ** ((self.envelopes + self.levels[:, None]) / 10))


def analyse(samples: np.ndarray, features: np.ndarray, n_bands: int = N_BANDS) -> tuple[Frames, np.ndarray]:
    """Return the speech frames of a recording and which of its frames they are.

    Args:
        samples: float32, shape (n_samples,), mono, 24 kHz.
        features: float32, shape (n_frames, n_features), what the recognizer's encoder made of it.
        n_bands: bands to remove the mean over; those of the reference when base speech is analysed.

    Returns:
        The frames, and a bool mask of shape (n_frames,) telling speech frames from pauses.
    """
    bins = np.abs(_stft(samples, N_ENVELOPE_HOP)[: len(features)]) ** 2
    power, features = bins @ _mel_basis().T, features[: len(bins)]
    level_db = 10 * np.log10(power.sum(axis=1) + 1e-10)
    speech = level_db > level_db.max() - SPEECH_BELOW_PEAK_DB
    filled = min(n_bands, _filled_bands(power[speech]))
    envelopes = 10 * np.log10(power[speech] + 1e-10)
    levels = envelopes[:, :filled].mean(axis=1)
    frames = Frames(
        features=_normalised(features, speech),
        envelopes=(envelopes - levels[:, None]).astype(np.float32),
        levels=levels.astype(np.float32),
        spectrum=_mean_db(bins[speech]),
        n_bands=filled,
    )
    return frames, speech


@dataclass(frozen=True)
class Target:
    """What a person sounds like where the same is said, for each frame of base speech.

    Attributes:
        envelopes: shape (n_frames, N_BANDS), dB, each frame's mean over the audible bands removed.
        power: mean over the frames, shape (N_BANDS,).
        nearness: how near the frames of the reference are that say it, shape (n_frames,): mean cosine.
    """

    envelopes: np.ndarray
    power: np.ndarray
    nearness: np.ndarray


def nearest(base: Frames, reference: Frames) -> Target:
    """Match each base frame with the frames of the reference nearest to it, but for those near to every frame."""
    nearness = base.features @ reference.features.T
    n_hub = min(N_NEAREST_HUB, len(base.features))
    hub = np.partition(nearness, len(base.features) - n_hub, axis=0)[-n_hub:].mean(axis=0)
    found = _largest(nearness - HUB_SHARE * hub, N_NEIGHBOURS)
    return Target(
        _moving(reference.envelopes[found].mean(axis=1), reference, MOVEMENT_SHARE, MOVEMENT_LIMIT),
        reference.power[found].mean(axis=(0, 1)),
        np.take_along_axis(nearness, found, axis=1).mean(axis=1),
    )


def attended(base: Frames, reference: Frames) -> Target:
    """Match each base frame with all frames of the reference, by weights that were learned from English."""
    weights = _attention(base.features, reference.features)
    cosines = base.features @ reference.features.T
    n_nearest = min(N_NEIGHBOURS, cosines.shape[1])
    return Target(
        _moving(weights @ reference.envelopes, reference, 1.0, ATTENDED_MOVEMENT_LIMIT),
        weights.mean(axis=0) @ reference.power,
        np.partition(cosines, -n_nearest, axis=1)[:, -n_nearest:].mean(axis=1),
    )


def convert(
    samples: np.ndarray,
    features: np.ndarray,
    reference: Frames,
    match: Callable[[Frames, Frames], Target] = nearest,
) -> np.ndarray:
    """Return base speech with the reference's timbre.

    Args:
        samples: float32, shape (n_samples,), mono, 24 kHz: the base speech.
        features: float32, shape (n_frames, n_features): the encoder's view of it.
        reference: the recording to sound like.
        match: finds where the same is said in it.

    Returns:
        float32, shape (n_samples,), 24 kHz, as loud as the base speech.
    """
    base, speech = analyse(samples, features, reference.n_bands)
    if not len(base.features) or not len(reference.features):
        return samples
    found = match(base, reference)
    difference = found.envelopes - _own_envelopes(base)
    more = np.clip(np.sqrt(AMPLE_FRAMES / len(reference.features)), 1.0, SMOOTHING_MORE)
    constant = difference.mean(axis=0)
    moving = (difference - constant) * np.clip(found.nearness / TRUSTED_NEARNESS, 0.0, 1.0)[:, None]
    gain = _gain_db((constant, moving), speech, reference.n_bands, float(SMOOTHING_FRAMES * more))
    settled = len(base.features) / (len(base.features) + SETTLED_FRAMES)
    gain += settled * _power_gain_db(found.power, base.power * 10 ** (gain[speech] / 10), reference.n_bands)
    spectrum = _filtered(_stft(samples, N_HOP), gain)
    spectrum *= 10 ** (settled / 20 * _spectrum_gain_db(reference, spectrum[:: N_ENVELOPE_HOP // N_HOP], speech))
    return _as_loud(_istft(spectrum, len(samples)), samples)


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


def _attention(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return how much each frame of the reference says about each base frame, shape (n_frames, n_reference)."""
    query, key, sharpness, hub_share = _matching()
    cosines = _unit(features @ query) @ _unit(reference @ key).T
    # Frames that are near to everything are chosen less.
    hub = scipy.special.logsumexp(HUB_SHARPNESS * cosines, axis=0) / HUB_SHARPNESS
    return np.asarray(scipy.special.softmax(sharpness * (cosines - hub_share * hub), axis=1))


def _moving(mean: np.ndarray, reference: Frames, share: float, limit: float) -> np.ndarray:
    """Return averaged envelopes with a share of the movement that averaging took from them, up to a factor."""
    centre, n_bands = mean.mean(axis=0), reference.n_bands
    lost = np.clip(reference.envelopes.std(axis=0) / (mean.std(axis=0) + 1e-6), 1.0, limit)
    moving = centre + (mean - centre) * (1.0 + share * (lost - 1.0))
    return np.asarray(moving - moving[:, :n_bands].mean(axis=1, keepdims=True))


def _own_envelopes(base: Frames) -> np.ndarray:
    own = _largest(base.features @ base.features.T, N_OWN_NEIGHBOURS)
    return np.asarray(base.envelopes[own].mean(axis=1))


def _largest(values: np.ndarray, n_largest: int) -> np.ndarray:
    n_largest = min(n_largest, values.shape[1])
    return np.argpartition(-values, n_largest - 1, axis=1)[:, :n_largest]


def _gain_db(wanted: tuple[np.ndarray, np.ndarray], speech: np.ndarray, n_bands: int, smoothing: float) -> np.ndarray:
    """Spread the gain of speech frames over all frames, smooth in time, bounded; shape (n_frames, N_BANDS).

    Args:
        wanted: what is constant in it, shape (N_BANDS,), and what moves, by speech frame: (n_speech_frames, N_BANDS).
        speech: bool, shape (n_frames,).
        n_bands: the reference's.
        smoothing: standard deviation in frames.
    """
    constant = wanted[0]
    moving = np.zeros((len(speech), N_BANDS))
    moving[speech] = wanted[1]
    weight = scipy.ndimage.gaussian_filter1d(speech.astype(float), smoothing)
    moving = scipy.ndimage.gaussian_filter1d(moving, smoothing, axis=0) / np.maximum(weight, 0.3)[:, None]
    gain = GAIN_SHARE * np.clip(
        moving + constant * np.minimum(1.0, weight / 0.3)[:, None], -GAIN_LIMIT_DB, GAIN_LIMIT_DB
    )
    # Above the reference's bandwidth nothing is known: its last band speaks for the rest.
    gain[:, n_bands:] = gain[:, max(0, n_bands - 3) : n_bands].mean(axis=1, keepdims=True)
    return np.asarray(gain)


def _power_gain_db(wanted: np.ndarray, converted: np.ndarray, n_bands: int) -> np.ndarray:
    """Return the constant gain that gives the sentence the reference's mean power in every band, shape (N_BANDS,).

    The means of decibels are equal by then, but loud frames make most of what is heard.
    """
    gain = 10 * np.log10((wanted + 1e-12) / (converted.mean(axis=0) + 1e-12))
    gain -= gain[:n_bands].mean()
    gain[n_bands:] = gain[max(0, n_bands - 3) : n_bands].mean()
    return np.asarray(np.clip(gain, -POWER_LIMIT_DB, POWER_LIMIT_DB))


def _spectrum_gain_db(reference: Frames, converted: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """Return the constant gain towards the reference's mean spectrum, finer than the bands, shape (n_bins,)."""
    n_frames = min(len(converted), len(speech))
    mean = _mean_db(np.abs(converted[:n_frames][speech[:n_frames]]) ** 2)
    gain = scipy.ndimage.gaussian_filter1d(reference.spectrum - mean, SPECTRUM_SMOOTHING_BINS, mode="nearest")
    top = max(4, int(_centres_hz()[reference.n_bands - 1] * N_FFT / SAMPLE_RATE))
    gain -= np.average(gain[:top], weights=10 ** (mean[:top] / 10))
    gain[top:] = gain[top - 3 : top].mean()
    return np.asarray(SPECTRUM_SHARE * np.clip(gain, -SPECTRUM_LIMIT_DB, SPECTRUM_LIMIT_DB), np.float32)


def _mean_db(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(power + 1e-10).mean(axis=0), np.float32)


def _filtered(spectrum: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    at = np.arange(spectrum.shape[0]) * N_HOP / N_ENVELOPE_HOP
    left = np.minimum(at.astype(int), len(gain_db) - 1)
    right = np.minimum(left + 1, len(gain_db) - 1)
    share = (at - left).clip(0, 1)[:, None]
    bands = (gain_db[left] * (1 - share) + gain_db[right] * share).astype(np.float32)
    return np.asarray(spectrum * np.exp(bands @ _band_to_bin() * np.float32(np.log(10) / 20)))


def _as_loud(converted: np.ndarray, samples: np.ndarray) -> np.ndarray:
    loudness = np.sqrt((samples**2).mean() / ((converted**2).mean() + 1e-12))
    return np.asarray(converted * loudness, np.float32)


def _filled_bands(power: np.ndarray) -> int:
    level_db = 10 * np.log10(power.mean(axis=0) + 1e-12)
    filled = np.flatnonzero(level_db > level_db.max() - BANDWIDTH_BELOW_PEAK_DB)
    return int(filled[-1]) + 1 if len(filled) else N_BANDS


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


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9))


@cache
def _matching() -> tuple[np.ndarray, np.ndarray, np.float32, np.float32]:
    """Return the projections of base frames and of reference frames, how sharp attention is, and the hubs' share."""
    with np.load(MATCHING) as kept:
        query, key = kept["query"].astype(np.float32), kept["key"].astype(np.float32)
        return query, key, np.float32(kept["sharpness"]), np.float32(kept["hub_share"])


@cache
def _window() -> np.ndarray:
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)


@cache
def _mel_basis() -> np.ndarray:
    """Triangles over the bins, each as high as the next, shape (N_BANDS, n_bins)."""
    bins, edges = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE), _edges_hz()
    triangles = [np.interp(bins, edges[band : band + 3], (0.0, 1.0, 0.0)) for band in range(N_BANDS)]
    return np.asarray(triangles, np.float32)


@cache
def _centres_hz() -> np.ndarray:
    return _edges_hz()[1:-1]


def _edges_hz() -> np.ndarray:
    """Return where the bands begin, and the last two end, evenly spaced in mel as HTK defines it."""
    mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0), N_BANDS + 2)
    return np.asarray(700.0 * (10 ** (mel / 2595.0) - 1.0))


@cache
def _band_to_bin() -> np.ndarray:
    """Linear interpolation from band centres to bins, shape (N_BANDS, n_bins)."""
    centres = _centres_hz()
    bins = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    return np.stack([np.interp(bins, centres, row) for row in np.eye(N_BANDS)]).astype(np.float32)
