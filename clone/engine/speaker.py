"""The speaker embedding: it chooses a style, and measures a clone's likeness against its original and stock voices."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from clone.audio.turns import n_people
from clone.core.jobs import Stop
from clone.core.likeness import Likeness
from clone.engine import styles, weights
from clone.engine.asr import mel_basis
from clone.engine.weights import open_session, run

SAMPLE_RATE = 16_000
N_FFT, N_WINDOW, N_HOP, N_MELS = 512, 400, 160, 40
"""25 ms Hamming windows every 10 ms, 40 bands. Source: the model's own metadata."""

WINDOW_FRAMES, STRIDE_FRAMES = 80, 40
BATCH = 16
_FRAMES_AT_ONCE = 1 << 13

LOUD_WITHIN = 2.5
"""Frames at most this far (log10 of power, 25 dB) below the loud ones tell a recording's colour."""

F0_MIN_HZ, F0_MAX_HZ = 60.0, 400.0
F0_FRAME_S, F0_HOP_S = 0.05, 0.01
F0_BAND_HZ = 900.0
VOICED = 0.6
"""Normalised autocorrelation from which a frame counts as voiced."""

QUIET = 0.08
"""Frames below this share of the loud ones' level are not asked for a pitch."""

OCTAVE_COST = 0.03
F0_SPREAD = 1.8
"""Frames further than this factor from the median are octave errors."""


class SpeakerEncoder:
    """The d-vector network: 0.8 s windows, averaged. Thread-safe."""

    def __init__(self, cache_folder: Path) -> None:
        self._session = open_session(weights.load(weights.SPEAKER, cache_folder))

    def windows(
        self,
        samples: np.ndarray,
        stop: Stop | None = None,
        as_colour: np.ndarray | None = None,
        *,
        at_most: int | None = None,
    ) -> np.ndarray:
        """Return one unit vector per window.

        Args:
            samples: float32, shape (n_samples,), mono, 16 kHz.
            stop: obeyed inside a run.
            as_colour: heard as if the recording had this colour (see colour()); its own when None.
            at_most: so many windows, further apart where there would be more.

        Returns:
            float32, shape (n_windows, 256); one window every 0.4 s, at least one.
        """
        frames = _log_mel(samples)
        if as_colour is not None:
            frames = frames + (as_colour - _colour(frames)).astype(np.float32)
        if len(frames) < WINDOW_FRAMES:
            frames = np.pad(frames, ((0, WINDOW_FRAMES - len(frames)), (0, 0)))
        last = len(frames) - WINDOW_FRAMES
        stride = max(STRIDE_FRAMES, last // max(1, at_most - 1) if at_most else 0)
        starts = range(0, last + 1, stride)[:at_most]
        firsts = range(0, len(starts), BATCH)
        batches = (np.stack([frames[at : at + WINDOW_FRAMES] for at in starts[i : i + BATCH]]) for i in firsts)
        vectors = np.concatenate([run(self._session, {"mel_window": batch}, stop)[0] for batch in batches])
        return np.asarray(vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12), np.float32)

    def embed(self, samples: np.ndarray, as_colour: np.ndarray | None = None) -> np.ndarray:
        """Return the speaker embedding: float32, shape (256,), unit length; the arguments are those of windows()."""
        return mean_direction(self.windows(samples, as_colour=as_colour))


def colour(samples: np.ndarray) -> np.ndarray:
    """Return a recording's (16 kHz) mean spectrum where it is loud: log10 of the power in 40 mel bands, shape (40,)."""
    return _colour(_log_mel(samples))


def mean_direction(windows: np.ndarray) -> np.ndarray:
    """Return the unit vector along the mean of unit vectors, shape (n_windows, 256) to (256,)."""
    mean = windows.mean(axis=0)
    return np.asarray(mean / (np.linalg.norm(mean) + 1e-12), np.float32)


def halves_likeness(windows: np.ndarray) -> float:
    """Return the cosine between a recording's two halves: the most that a clone of it could reach."""
    half = max(1, len(windows) // 2)
    return float(mean_direction(windows[:half]) @ mean_direction(windows[-half:]))


def pitch_hz(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the fundamental frequency of each voiced frame.

    Args:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.

    Returns:
        float32, shape (n_voiced_frames,), in Hz; empty when nothing is voiced.

    Source: normalised autocorrelation with the window's own divided out, Boersma (1993).
    """
    n_frame, n_hop = int(F0_FRAME_S * sample_rate), int(F0_HOP_S * sample_rate)
    if len(samples) < n_frame:
        return np.zeros(0, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_frame)[::n_hop].astype(np.float32)
    loud = np.sqrt((frames**2).mean(axis=1))
    frames = frames[loud > QUIET * np.percentile(loud, 95)]
    if not len(frames):
        return np.zeros(0, np.float32)
    window = np.hanning(n_frame + 1)[:-1].astype(np.float32)
    similarity = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window, sample_rate)
    similarity /= _autocorrelation(window[None], sample_rate) + 1e-9
    low, high = int(sample_rate / F0_MAX_HZ), int(sample_rate / F0_MIN_HZ)
    inner = similarity[:, low : high + 1]
    peak = (inner > similarity[:, low - 1 : high]) & (inner >= similarity[:, low + 1 : high + 2])
    # A small cost per octave keeps a voice from being heard an octave low.
    score = np.where(peak, inner - OCTAVE_COST * np.log2(np.arange(low, high + 1) / low), 0.0)
    lag = score.argmax(axis=1)
    voiced = np.take_along_axis(score, lag[:, None], 1)[:, 0] > VOICED
    f0 = sample_rate / (lag[voiced] + low)
    if not len(f0):
        return np.zeros(0, np.float32)
    centre = np.median(f0)
    return np.asarray(f0[(f0 > centre / F0_SPREAD) & (f0 < centre * F0_SPREAD)], np.float32)


def median_pitch_hz(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Return the median pitch in Hz; 0 when nothing is voiced."""
    voiced = pitch_hz(samples, sample_rate)
    return float(np.median(voiced)) if len(voiced) else 0.0


def _autocorrelation(frames: np.ndarray, sample_rate: int) -> np.ndarray:
    n_frame = frames.shape[1]
    power = np.abs(np.fft.rfft(frames, 2 * n_frame)) ** 2
    # Breath and sibilants lie above; the pitch and enough of its harmonics below.
    power[:, np.fft.rfftfreq(2 * n_frame, 1 / sample_rate) > F0_BAND_HZ] = 0.0
    raw = np.fft.irfft(power)[:, :n_frame]
    return np.asarray(raw / (raw[:, :1] + 1e-12))


def _colour(frames: np.ndarray) -> np.ndarray:
    level = frames.mean(axis=1)
    return np.asarray(frames[level > np.percentile(level, 95) - LOUD_WITHIN].mean(axis=0))


def _log_mel(samples: np.ndarray) -> np.ndarray:
    if len(samples) < N_FFT:
        samples = np.pad(samples, (0, N_FFT - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::N_HOP]
    parts = []
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        power = np.abs(np.fft.rfft(frames[start : start + _FRAMES_AT_ONCE] * _window(), axis=1)) ** 2
        parts.append(np.asarray(np.log10(power @ _mel_basis().T + 1e-10), np.float32))
    return np.concatenate(parts)


@cache
def _mel_basis() -> np.ndarray:
    return mel_basis(SAMPLE_RATE, N_FFT, N_MELS)


@cache
def _window() -> np.ndarray:
    window = np.zeros(N_FFT, np.float32)
    start = (N_FFT - N_WINDOW) // 2
    window[start : start + N_WINDOW] = np.hamming(N_WINDOW + 1)[:-1]
    return window


PIECE_MIN, PIECE_MAX = 7, 12
"""Windows of a piece: 3.2 s to 5.2 s of speech. Shorter ones are as alike as chance has it, longer ones too few."""

MIN_PIECES = 3

DRIFT = 1.4
"""How much further from a recording another one of the same person is than a piece of it is from the rest of it (as 1
less the cosine). With it another recording reaches half of the pieces, as it should: of six LibriSpeech speakers, ten
utterances each, the last five reached 47 % of the pieces of the first five (21 % without), from 6 % to 83 % by speaker;
other people reached 0.3 %."""


def measure(original: np.ndarray, clone: np.ndarray) -> Likeness:
    """Return how alike a clone and its original are.

    The original is cut into pieces as long as the clone, within PIECE_MIN and PIECE_MAX; a longer clone is cut the
    same way, and its pieces' cosines are averaged. Each piece of the original is compared with the rest of it, which
    tells, with DRIFT, how far other recordings of that person would be; and the clone is compared with the same rest.
    A clone shorter than PIECE_MIN is judged by less speech than the pieces are, and so a little severely.

    The stock voices were measured on about 15 s of speech each (scripts/build_styles.py). The less speech, the lower
    the cosine, so a clone is at a slight disadvantage against them, never at an advantage: other people's speech came
    before 17.6 of the 54 by 5 s of it and before 19.1 by 15 s; 5 s of the same person came before 53.9.

    Where several people speak in the original there is no ceiling, and nothing is told of pieces.

    Args:
        original: float32, shape (n_windows, 256), unit vectors of SpeakerEncoder.windows(), of speech alone.
        clone: as ``original``, of the preview.
    """
    length = max(1, min(PIECE_MAX, max(PIECE_MIN, len(clone)), len(original) // MIN_PIECES))
    said = np.stack([mean_direction(clone[piece]) for piece in _pieces(len(clone), min(length, len(clone)))])
    whole = mean_direction(original)
    cosine = float((said @ whole).mean())
    stock = styles.table().embeddings @ whole
    is_one = n_people(original) < 2
    own, n_reached = _own(original, said, length) if length >= PIECE_MIN and is_one else (np.zeros(0), None)
    ceiling = float(np.median(own)) if len(own) else halves_likeness(original)
    return Likeness(
        cosine,
        ceiling=ceiling if is_one else None,
        typical_stock=float(np.median(stock)),
        n_stock_beaten=int((stock < cosine).sum()),
        n_stock=len(stock),
        n_pieces_reached=n_reached,
        n_pieces=len(own) or None,
    )


def _own(original: np.ndarray, said: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """Return how near to the rest another recording like each piece would be, and how many of them the clone reaches.

    Returns:
        Cosines, shape (n_pieces,), and their number.
    """
    own, other = [], []
    for piece in _pieces(len(original), length):
        # the windows beside a piece share sound with it: neighbours overlap by half
        rest = mean_direction(np.delete(original, slice(max(0, piece.start - 1), piece.stop + 1), axis=0))
        own.append(1.0 - DRIFT * (1.0 - float(mean_direction(original[piece]) @ rest)))
        other.append(float((said @ rest).mean()))
    return np.array(own), int((np.array(other) >= np.array(own)).sum())


def _pieces(n_windows: int, length: int) -> list[slice]:
    """Return pieces of one length that do not overlap, spread over all windows."""
    starts = np.linspace(0, n_windows - length, max(1, n_windows // length)).astype(int)
    return [slice(int(start), int(start) + length) for start in starts]
