"""Cleaning a reference before anything is learned from it: noise reduction and volume normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used: signal takes a second

from clone.audio.quality import frame_power
from clone.audio.reader import resample
from clone.core.errors import AudioError
from clone.core.jobs import Stop

TARGET_LUFS = -23.0
"""Programme loudness. Source: EBU R 128 (2020), recommendation h; speech reaches it without a limiter."""

PEAK_CEILING_DBTP = -1.0
"""Maximum true peak. Source: EBU R 128 (2020), recommendation l."""

TRUE_PEAK_OVERSAMPLING = 4
"""Source: ITU-R BS.1770-4, annex 2."""

LOUDNESS_BLOCK_S = 0.4
"""Shortest recording whose loudness is defined. Source: ITU-R BS.1770-4, annex 1."""

NOISE_BLOCK_S = 0.1
NOISE_SHARE = 0.1
"""Share of a recording, its quietest blocks, from which the noise is learned; at least NOISE_MIN_BLOCKS of them.

Measured on LibriSpeech speakers with white and pink noise at 10 dB: with the noise learned from pauses the ratio of
signal to distortion rises by 4 dB and pauses fall by 11 dB; learned from the whole recording, and in non-stationary
mode, the ratio falls by 1 to 2 dB, and a clean recording comes back at 6 to 8 dB instead of 28 dB."""
NOISE_MIN_BLOCKS = 5

NOISE_DECREASE = 0.9
"""How much of what is masked goes: some noise stays, which covers the musical tones that gating leaves."""

NOISE_FULL_DB, NOISE_SPARED_DB = 18.0, 28.0
"""Of the mean above the quietest frames: from the first on less is reduced, from the second on nothing. A clean speaker
over a rumble lost 0.028 of likeness to a reduction in full (bench/stretch.py)."""

NOISE_THRESHOLD_STD = 1.2
"""Standard deviations above the noise's mean below which a bin is masked; more would eat soft consonants."""

NOISE_WINDOW_S = 0.016
NOISE_SMOOTHING_HZ = 200
NOISE_SMOOTHING_MS = 30
"""Window and smoothing of the mask: shorter and finer than the library's own, which cost 1.7 dB of speech at 10 dB."""

_NOISE_CHUNK, _NOISE_PADDING = 1 << 19, 1 << 14
_NOISE_MAX = 600_000
"""Samples of noise that are looked at."""

_PEAK_CHUNK = 1 << 18
_PEAK_MARGIN = 512


def reduce_noise(samples: np.ndarray, sample_rate: int, stop: Stop | None = None) -> np.ndarray:
    """Return a recording with its steady noise turned down, by spectral gating.

    Args:
        samples: float32, shape (n_samples,), mono, in [-1, 1].
        sample_rate: Hz.
        stop: obeyed every few seconds of the recording.

    Returns:
        float32, shape (n_samples,). A recording too short to have a pause to learn from (under half a second), or
        one without noise worth it, comes back as it was.

    Source: T. Sainburg, noisereduce (stationary mode).
    """
    noise = _quietest(samples, sample_rate)
    if noise is None:
        return samples.copy()
    decrease = NOISE_DECREASE * noise_share(samples, sample_rate)
    if decrease <= 0.0:
        return samples.copy()
    gate = _gate(samples, sample_rate, noise, decrease)
    cleaned = np.empty_like(samples, np.float32)
    for start in range(0, len(samples), _NOISE_CHUNK):
        if stop is not None:
            stop.check()
        end = min(start + _NOISE_CHUNK, len(samples))
        cleaned[start:end] = gate.filter_chunk(start, end)[0]
    return cleaned


def _gate(samples: np.ndarray, sample_rate: int, noise: np.ndarray, decrease: float) -> Any:
    from noisereduce.spectralgate import SpectralGateStationary  # takes a while the first time

    return SpectralGateStationary(
        y=samples,
        sr=sample_rate,
        y_noise=noise,
        prop_decrease=decrease,
        n_std_thresh_stationary=NOISE_THRESHOLD_STD,
        n_fft=2 ** round(np.log2(NOISE_WINDOW_S * sample_rate)),
        win_length=None,
        hop_length=None,
        freq_mask_smooth_hz=NOISE_SMOOTHING_HZ,
        time_mask_smooth_ms=NOISE_SMOOTHING_MS,
        time_constant_s=0.0,  # of the other mode
        chunk_size=_NOISE_MAX,
        padding=_NOISE_PADDING,
        clip_noise_stationary=True,
        tmp_folder=None,
        use_tqdm=False,
        n_jobs=1,
    )


def noise_share(samples: np.ndarray, sample_rate: int) -> float:
    """Return how much of the noise reduction a recording gets, from 0 to 1: a clean one none.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
    """
    power = np.sort(frame_power(samples, sample_rate))
    quiet = float(power[: max(1, round(NOISE_SHARE * len(power)))].mean()) if len(power) else 0.0
    if quiet <= 0.0:
        return 0.0
    snr_db = 10.0 * float(np.log10(max(float(power.mean()) / quiet, 1e-9)))
    return float(np.clip((NOISE_SPARED_DB - snr_db) / (NOISE_SPARED_DB - NOISE_FULL_DB), 0.0, 1.0))


def normalize_volume(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return a recording at TARGET_LUFS, or as near to it as PEAK_CEILING_DBTP lets it come.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        float32, shape (n_samples,): one gain for all of it, nothing clipped or limited. Silence stays silence.

    Raises:
        AudioError: ``too_short_to_measure`` (s).

    Source: EBU R 128; ITU-R BS.1770-4.
    """
    headroom_db = PEAK_CEILING_DBTP - true_peak_dbtp(samples, sample_rate)
    # measured at the ceiling: the meter's absolute gate would drop most of a very quiet recording
    loudest = _amplified(samples, headroom_db) if np.isfinite(headroom_db) else samples
    loudness = integrated_loudness(loudest, sample_rate)
    return _amplified(loudest, min(TARGET_LUFS - loudness, 0.0)) if np.isfinite(loudness) else samples.copy()


def integrated_loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Return the gated loudness of a recording.

    Args:
        samples: float32, shape (n_samples,), mono, in [-1, 1].
        sample_rate: Hz.

    Returns:
        Loudness in LUFS; -inf for silence.

    Raises:
        AudioError: ``too_short_to_measure``: shorter than one block of 0.4 s.

    Source: ITU-R BS.1770-4.
    """
    duration_s = len(samples) / sample_rate
    if duration_s < LOUDNESS_BLOCK_S:
        raise AudioError(
            f"The recording is {duration_s:.2f} s long; its loudness can be measured from {LOUDNESS_BLOCK_S:g} s on.",
            code="too_short_to_measure",
            field="audio",
            measured=round(duration_s, 2),
            limit=LOUDNESS_BLOCK_S,
            advice="Record more, or switch volume normalisation off.",
        )
    import pyloudnorm  # brings scipy's filters

    meter = pyloudnorm.Meter(sample_rate)
    meter._filters = {name: _Stage(stage) for name, stage in meter._filters.items()}
    return float(meter.integrated_loudness(samples))


class _Stage:
    """A filter of pyloudnorm's, in place and in parts: as it is, it takes eight bytes a sample three times over."""

    def __init__(self, stage: Any) -> None:
        self._b, self._a, self._gain = stage.b, stage.a, stage.passband_gain

    def apply_filter(self, samples: np.ndarray) -> np.ndarray:
        state = np.zeros(max(len(self._a), len(self._b)) - 1)
        for start in range(0, len(samples), _PEAK_CHUNK):
            part = slice(start, start + _PEAK_CHUNK)
            filtered, state = scipy.signal.lfilter(self._b, self._a, samples[part], zi=state)
            samples[part] = self._gain * filtered
        return samples


def true_peak_dbtp(samples: np.ndarray, sample_rate: int) -> float:
    """Return the highest level between and at the samples.

    Args:
        samples: float32, shape (n_samples,).
        sample_rate: Hz.

    Returns:
        dB relative to full scale; -inf for silence.

    Source: ITU-R BS.1770-4, annex 2: four times oversampled.
    """
    peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    for start in range(0, len(samples), _PEAK_CHUNK):
        before = min(_PEAK_MARGIN, start)
        chunk = samples[start - before : start + _PEAK_CHUNK + _PEAK_MARGIN]
        dense = resample(chunk, sample_rate, TRUE_PEAK_OVERSAMPLING * sample_rate)
        own = slice(before * TRUE_PEAK_OVERSAMPLING, (before + _PEAK_CHUNK) * TRUE_PEAK_OVERSAMPLING)
        peak = max(peak, float(np.abs(dense[own]).max(initial=0.0)))
    return 20.0 * float(np.log10(peak)) if peak > 0 else float("-inf")


def _amplified(samples: np.ndarray, gain_db: float) -> np.ndarray:
    amplified: np.ndarray = samples * np.float32(10 ** (gain_db / 20))
    return amplified


def _quietest(samples: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Return the quietest blocks of a recording, joined: its noise. None if there are too few blocks."""
    n = round(NOISE_BLOCK_S * sample_rate)
    blocks = samples[: len(samples) // n * n].reshape(-1, n)
    if len(blocks) < NOISE_MIN_BLOCKS:
        return None
    energy = np.einsum("ij,ij->i", blocks, blocks)
    n_quiet = max(round(len(blocks) * NOISE_SHARE), NOISE_MIN_BLOCKS)
    quietest: np.ndarray = blocks[np.sort(np.argsort(energy, kind="stable")[:n_quiet])].reshape(-1)
    return quietest


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
    peaks = scipy.ndimage.maximum_filter1d(np.abs(samples), width, mode="nearest")
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    # The mean of gains that each suffice for all they are averaged over suffices too.
    gain = scipy.ndimage.uniform_filter1d(needed, width, mode="nearest")
    return np.asarray(np.clip(samples * gain, -ceiling, ceiling), np.float32)


TILTED_AROUND_HZ, TILTED_OCTAVES = 1_000.0, 2.0
"""A tilt does nothing here, and all it does this far above and below."""

STRETCH_FFT = 1024
"""43 ms at 24 kHz: a few periods of a low voice, and no syllable."""


def tilted(samples: np.ndarray, sample_rate: int, treble_db: float) -> np.ndarray:
    """Return speech with its treble raised and its bass lowered by so much, or the other way round; same shape."""
    hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    octaves = np.log2(np.maximum(hz, 1.0) / TILTED_AROUND_HZ)
    gain = 10 ** (treble_db * np.clip(octaves / TILTED_OCTAVES, -1, 1) / 20)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)), np.float32)


def stretched(samples: np.ndarray, rate: float) -> np.ndarray:
    """Return speech that is so many times as fast, at the same pitch: float32, shape (n_samples / rate,).

    A phase vocoder: spectra are read between frames, and each bin goes on turning as it did from frame to frame.
    Source: M. Dolson, "The phase vocoder: a tutorial", Computer Music Journal 10(4), 1986.
    """
    if len(samples) < STRETCH_FFT:
        return samples
    frames = {"nperseg": STRETCH_FFT, "noverlap": STRETCH_FFT * 3 // 4}
    spectrum = np.pad(scipy.signal.stft(samples, **frames)[2], ((0, 0), (0, 1)))
    at = np.arange(0.0, spectrum.shape[1] - 1, rate)
    before = at.astype(int)
    share = (at - before).astype(np.float32)
    size, angle = np.abs(spectrum), np.angle(spectrum)
    turns = angle[:, before + 1] - angle[:, before]
    phase = np.cumsum(np.column_stack([angle[:, 0], turns[:, :-1]]), axis=1, dtype=np.float64)
    sped = ((1 - share) * size[:, before] + share * size[:, before + 1]) * np.exp(1j * phase)
    sound, n_samples = scipy.signal.istft(sped, **frames)[1], round(len(samples) / rate)
    return np.pad(sound[:n_samples], (0, max(0, n_samples - len(sound)))).astype(np.float32)
