"""How good a recording is, in numbers: clipping, noise, bandwidth, hum, offset, echo, silence at the edges.

Every measure is of float32 mono samples and says nothing about what is good enough: preflight.py holds the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy  # loads its parts when they are first used: signal takes a second

from clone.audio.reader import resample

Spans = Sequence[tuple[float, float]]

CLIP_NEAR_PEAK = 0.98
"""Samples above this share of the peak count as being at it: coding makes flat tops wavy by a percent or two."""

CLIP_BLOCK_S = 0.05
CLIP_BLOCK_SHARE = 0.02
"""Share of a block at its own peak from which it is clipped; undistorted speech touches its peak once or twice."""

CLIP_LOUD_SHARE = 0.3
"""Blocks whose peak is below this share of the loudest are too soft to be clipped."""

FRAME_S = 0.02
PAUSE_MARGIN_S = 0.1
"""Kept away from speech on both sides when pauses are measured: breath, reverberation, late detection."""

PAUSE_LEAST_S = 0.3
SILENT_POWER = 1e-11
QUIET_SHARE = 0.05
"""Share of frames taken as pauses where none are long enough."""

RUMBLE_HZ = 200
"""Traffic and tables rumble below; nobody hears it as noise, and half of all home recordings have it."""

MEASURED_RATE = 16_000
"""Hum and echo are measured at this rate."""

BAND_HZ = 250
BAND_FLOOR_DB = -55.0
"""A band below the loudest one by more than this holds no speech; what codecs and filters cut off lies far below."""

MAINS_HZ = (50.0, 60.0)
HUM_HARMONICS = 6
HUM_WINDOW_S = 1.0
HUM_STANDS_OUT_DB = 15.0
"""A line counts from here on; a steady voice's own harmonics stand out by less in its quieter moments."""

DECAY_S = 0.06
DECAY_RANGE_DB = (12.0, 45.0)
"""Decays are looked at while they are this far above the floor, and this far below the loudest frames."""

DECAY_SHARE = 0.1

_AT_ONCE = 1 << 20
"""Samples that are measured at once: a quarter of an hour has 40 times as many, and measures several copies."""


def framed(samples: np.ndarray, n: int) -> Iterator[np.ndarray]:
    """Yield samples as frames, a few seconds of them at a time.

    Args:
        samples: shape (n_samples,); what is left over at the end is left out.
        n: samples in a frame.

    Yields:
        Views, shape (n_frames, n).
    """
    step = max(_AT_ONCE // n, 1) * n
    for start in range(0, len(samples) // n * n, step):
        part = samples[start : start + step]
        yield part[: len(part) // n * n].reshape(-1, n)


def frame_power(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the mean power above RUMBLE_HZ of each frame of FRAME_S.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        float32, shape (n_frames,).
    """
    n = round(FRAME_S * sample_rate)
    sections = scipy.signal.butter(4, RUMBLE_HZ, "highpass", fs=sample_rate, output="sos").astype(np.float32)
    state = np.zeros((len(sections), 2), np.float32)
    powers = [np.zeros(0, np.float32)]
    for frames in framed(samples, n):
        filtered, state = scipy.signal.sosfilt(sections, frames.reshape(-1), zi=state)
        filtered = filtered.reshape(-1, n)
        powers.append(np.einsum("ij,ij->i", filtered, filtered) / n)
    return np.concatenate(powers)


def clipped_spans(samples: np.ndarray, sample_rate: int) -> list[tuple[float, float]]:
    """Return where a recording is clipped: loud and flat at the top, whatever gain came after.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        (start, end) in seconds, in order, apart.
    """
    n = round(CLIP_BLOCK_S * sample_rate)
    loud = CLIP_LOUD_SHARE * float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
    flat = [np.zeros(0, bool)]
    for blocks in framed(samples, n):
        shares = []
        for signed in (blocks, -blocks):
            top = signed.max(axis=1, keepdims=True)
            shares.append(np.where(top[:, 0] > loud, (signed > CLIP_NEAR_PEAK * top).mean(axis=1), 0.0))
        flat.append(np.maximum(*shares) >= CLIP_BLOCK_SHARE)
    return _runs(np.concatenate(flat), n / sample_rate)


def snr_db(samples: np.ndarray, sample_rate: int, speech: Spans) -> float | None:
    """Return how far the noise lies below the speech.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        speech: (start, end) of speech in seconds.

    Returns:
        dB, from the mean power of speech (less the noise) to the median power of pauses; None without speech.
        Where there are no pauses, the quietest frames stand for them. At most 90: digital silence.
    """
    power = frame_power(samples, sample_rate)
    spoken, paused = _masks(len(power), speech)
    if not spoken.any():
        return None
    noise = power[paused & (power > SILENT_POWER)]  # what an editor put in is no pause of this room
    if len(noise) * FRAME_S < PAUSE_LEAST_S:
        noise = np.sort(power)[: max(1, round(QUIET_SHARE * len(power)))]
    floor = max(float(np.median(noise)), 1e-12) if len(noise) else 1e-12
    voice = max(float(power[spoken].mean()) - floor, 1e-12)
    return min(10.0 * float(np.log10(voice / floor)), 90.0)


def bandwidth_hz(samples: np.ndarray, sample_rate: int) -> float:
    """Return the highest frequency that a recording holds anything of.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        Hz, in steps of BAND_HZ: the upper edge of the last band within BAND_FLOOR_DB of the loudest, in the loud
        moments of each.
    """
    n = 2 ** round(np.log2(sample_rate * 0.03))
    per_band = max(1, round(BAND_HZ * n / sample_rate))
    n_bands = (n // 2 + 1) // per_band
    parts = []
    for frames in framed(samples, n):
        _, _, spectrum = scipy.signal.stft(
            frames.reshape(-1), sample_rate, nperseg=n, noverlap=0, boundary=None, padded=False
        )
        power = np.abs(spectrum) ** 2
        parts.append(power[: n_bands * per_band].reshape(n_bands, per_band, -1).mean(axis=1))
    if not parts:
        return sample_rate / 2
    level_db = 10 * np.log10(np.percentile(np.concatenate(parts, axis=1), 98, axis=1) + 1e-14)
    above = np.flatnonzero(level_db > level_db.max() + BAND_FLOOR_DB)
    return float((above[-1] + 1) * per_band * sample_rate / n)


def hum(samples: np.ndarray, sample_rate: int) -> tuple[float, float] | None:
    """Return the hum of the mains.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        (50 or 60 Hz, dB of its lines against the whole recording), of those lines that stand out even in the quieter
        moments; None where there is none, or less than three windows of a second.
    """
    rate = MEASURED_RATE // 8
    heard = resample(samples, sample_rate, rate)
    n = round(HUM_WINDOW_S * rate)
    if len(heard) < 3 * n:
        return None
    _, _, spectrum = scipy.signal.stft(heard, rate, "hann", n, 3 * n // 4, boundary=None, padded=False)
    power = np.percentile(np.abs(spectrum) ** 2, 10, axis=1)  # speech comes and goes, hum stays
    mains, lines = max(((hz, _lines(power, hz)) for hz in MAINS_HZ), key=lambda found: found[1])
    full = float(np.vdot(samples, samples)) / len(samples)
    return (mains, 10 * float(np.log10(lines / full))) if lines > 0.0 < full else None


def dc_offset(samples: np.ndarray) -> float:
    """Return how far a recording's mean lies off zero, as a share of full scale."""
    return abs(float(samples.mean(dtype=np.float64))) if len(samples) else 0.0


def echo_s(samples: np.ndarray, sample_rate: int) -> float | None:
    """Return the decay time that a recording's fastest decays allow for: no room dies away more slowly than speech.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        Seconds for 60 dB, an estimate of the room's reverberation; None where too little dies away.

    Source: after Löllmann et al. (2010), who take the decays' statistics as the bound of the room's.
    """
    power = frame_power(samples, sample_rate)
    level_db = 10 * np.log10(power + 1e-12)
    n = round(DECAY_S / FRAME_S)
    if len(level_db) < 10 * n:
        return None
    floor, top = np.percentile(level_db, 5), np.percentile(level_db, 95)
    slopes = (level_db[n:] - level_db[:-n]) / DECAY_S
    steady = np.all(np.diff(np.lib.stride_tricks.sliding_window_view(level_db, n + 1), axis=1) < 0, axis=1)
    usable = steady & (level_db[n:] > floor + DECAY_RANGE_DB[0] / 2) & (level_db[:-n] > top - DECAY_RANGE_DB[1])
    falls = -slopes[usable]
    if len(falls) < 10:
        return None
    return 60.0 / max(float(np.percentile(falls, 100 * (1 - DECAY_SHARE))), 1.0)


def edges_s(speech: Spans, duration_s: float) -> tuple[float, float]:
    """Return the seconds before the first word and after the last; all of them, twice, where nobody speaks."""
    if not speech:
        return duration_s, duration_s
    return max(0.0, min(start for start, _ in speech)), max(0.0, duration_s - max(end for _, end in speech))


def _masks(n_frames: int, speech: Spans) -> tuple[np.ndarray, np.ndarray]:
    spoken, near = np.zeros(n_frames, bool), np.zeros(n_frames, bool)
    for start, end in speech:
        spoken[round(start / FRAME_S) : round(end / FRAME_S)] = True
        near[max(0, round((start - PAUSE_MARGIN_S) / FRAME_S)) : round((end + PAUSE_MARGIN_S) / FRAME_S)] = True
    return spoken, ~near


def _lines(power: np.ndarray, mains: float) -> float:
    """Return the power of the mains' harmonics that stand out; bins are 1 Hz wide, and a line of power p reads p/2."""
    total = 0.0
    for k in range(1, HUM_HARMONICS + 1):
        at = round(mains * k * HUM_WINDOW_S)
        line = power[at - 1 : at + 2].max()
        around = np.concatenate([power[at - 20 : at - 5], power[at + 6 : at + 21]])
        if line > np.median(around) * 10 ** (HUM_STANDS_OUT_DB / 10):
            total += 2.0 * float(line)
    return total


def _runs(flags: np.ndarray, step_s: float) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(float(start * step_s), float(end * step_s)) for start, end in edges.reshape(-1, 2)]
