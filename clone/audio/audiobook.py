"""An audiobook as one file: AAC in MP4 (.m4b), with chapters, written piece by piece, at one loudness.

It is measured first, then amplified and held back, whatever its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import scipy  # loads its parts when they are first used: signal takes a second

from clone.audio.enhance import LOOK_AHEAD_S, PEAK_CEILING_DBTP, TRUE_PEAK_OVERSAMPLING, true_peak_dbtp
from clone.audio.reader import resample
from clone.audio.writer import Provenance

if TYPE_CHECKING:
    from av.container.core import Chapter as AvChapter

# loudness

AUDIOBOOK_LUFS, PODCAST_LUFS = -19.0, -16.0
"""What is asked of mono: as much below the -16 and -14 of the same in two channels as one channel is less loud."""
LUFS_MIN, LUFS_MAX = -40.0, -10.0

STEP_S, BLOCK_STEPS = 0.1, 4
"""Blocks of 0.4 s that overlap by three quarters. Source: ITU-R BS.1770-4, annex 1, as the following."""
OFFSET_LU, ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -0.691, -70.0, -10.0

CLOSE_LU = 0.1
PASSES = 3
"""Holding peaks back takes loudness, which is given back so often at most."""
MARGIN_DB = 0.1
"""Kept below the ceiling, as a gain that moves makes a little that was not there."""

Pieces = Callable[[], Iterable[np.ndarray]]


class Meter:
    """Gated loudness of what is added piece by piece; source: ITU-R BS.1770-4.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        import pyloudnorm  # brings scipy's filters

        self._stages = list(pyloudnorm.Meter(sample_rate)._filters.values())
        self._states = [np.zeros(max(len(each.a), len(each.b)) - 1) for each in self._stages]
        self._n_step = round(STEP_S * sample_rate)
        self._rest = np.zeros(0)
        self._steps: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Hear a piece: float32, shape (n_samples,), mono."""
        filtered: np.ndarray = samples.astype(np.float64)
        for i, stage in enumerate(self._stages):
            filtered, self._states[i] = scipy.signal.lfilter(stage.b, stage.a, filtered, zi=self._states[i])
            filtered = filtered * stage.passband_gain
        filtered = np.concatenate([self._rest, filtered])
        n_whole = len(filtered) // self._n_step * self._n_step
        self._rest = filtered[n_whole:]
        self._steps.append(np.square(filtered[:n_whole]).reshape(-1, self._n_step).mean(axis=1))

    def integrated(self) -> float:
        """Return the loudness of all that was heard, in LUFS; -inf for silence, and for less than a block."""
        steps = np.concatenate([np.zeros(0), *self._steps])
        if len(steps) < BLOCK_STEPS:
            return float("-inf")
        power = np.convolve(steps, np.full(BLOCK_STEPS, 1 / BLOCK_STEPS), "valid")
        loud = power[_lufs(power) > ABSOLUTE_GATE_LUFS]
        if not len(loud):
            return float("-inf")
        gated = loud[_lufs(loud) > _lufs(loud.mean()) + RELATIVE_GATE_LU]
        return float(_lufs(gated.mean()))


def _lufs(power: np.ndarray) -> np.ndarray:
    return np.asarray(OFFSET_LU + 10 * np.log10(np.maximum(power, 1e-15)))


def gain_to(pieces: Pieces, sample_rate: int, lufs: float) -> float:
    """Return the gain in dB that brings speech to a loudness, once its peaks are held back.

    Args:
        pieces: gives all of it anew, float32, mono.
        sample_rate: Hz.
        lufs: the loudness asked for.
    """
    gain_db = 0.0
    for n_before in range(PASSES):
        meter = Meter(sample_rate)
        for piece in pieces():
            meter.add(leveled(piece, sample_rate, gain_db) if n_before else piece)
        off = lufs - meter.integrated()
        if not np.isfinite(off) or abs(off) < CLOSE_LU:
            break
        gain_db += off
    return gain_db


def leveled(samples: np.ndarray, sample_rate: int, gain_db: float) -> np.ndarray:
    """Return a piece of speech with a gain, its true peaks at or below PEAK_CEILING_DBTP.

    Args:
        samples: float32, shape (n_samples,), mono; pieces begin and end in silence.
        sample_rate: Hz.
        gain_db: the gain.
    """
    louder = np.asarray(samples * np.float32(10 ** (gain_db / 20)), np.float32)
    if not len(louder) or true_peak_dbtp(louder, sample_rate) <= PEAK_CEILING_DBTP:
        return louder
    ceiling = 10 ** ((PEAK_CEILING_DBTP - MARGIN_DB) / 20)
    dense = np.abs(resample(louder, sample_rate, TRUE_PEAK_OVERSAMPLING * sample_rate))
    dense = np.pad(dense, (0, max(0, TRUE_PEAK_OVERSAMPLING * len(louder) - len(dense))))
    peaks = dense[: TRUE_PEAK_OVERSAMPLING * len(louder)].reshape(-1, TRUE_PEAK_OVERSAMPLING).max(axis=1)
    width = 2 * int(LOOK_AHEAD_S * sample_rate) + 1
    needed = np.minimum(1.0, ceiling / np.maximum(scipy.ndimage.maximum_filter1d(peaks, width, mode="nearest"), 1e-9))
    held = np.asarray(louder * scipy.ndimage.uniform_filter1d(needed, width, mode="nearest"), np.float32)
    over_db = true_peak_dbtp(held, sample_rate) - PEAK_CEILING_DBTP
    return np.asarray(held * np.float32(10 ** (-max(over_db, 0.0) / 20)), np.float32)


# the file

BIT_RATE = 64_000
"""Of mono speech at 24 kHz, at which nobody tells AAC from what it was made of."""
_MS = Fraction(1, 1000)


@dataclass(frozen=True)
class ChapterMark:
    """What a part is called, and when it begins, in seconds."""

    title: str
    begins_s: float


class AudiobookWriter:
    """Writes an m4b; ``end`` finishes it.

    Args:
        path: of the file.
        sample_rate: Hz, of all that comes.
        provenance: said in its tags.
        title: of the book.
        chapters: in order; all of them are known before.
        duration_s: of all of it.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        provenance: Provenance,
        *,
        title: str,
        chapters: Sequence[ChapterMark],
        duration_s: float,
    ) -> None:
        path.touch(0o600)
        self._rate = sample_rate
        self._n_samples = 0
        self._file = av.open(str(path), "w", format="ipod")
        tags = provenance.tags()
        said = {"title": title, "album": title, "genre": "Audiobook", "synopsis": tags["digital_source_type"]}
        self._file.metadata.update({name: tags[name] for name in ("artist", "comment", "date")} | said)
        self._stream = self._file.add_stream("aac", rate=sample_rate, layout="mono")
        self._stream.bit_rate = BIT_RATE
        ends_s = [*(each.begins_s for each in chapters[1:]), duration_s]
        parts = enumerate(zip(chapters, ends_s, strict=True))
        self._file.set_chapters([_chapter(i, each, end_s) for i, (each, end_s) in parts])

    def add(self, samples: np.ndarray) -> None:
        """Write a piece: float32, shape (n_samples,), mono, within [-1, 1]."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[np.newaxis], np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = self._rate, self._n_samples
        self._n_samples += len(samples)
        self._file.mux(self._stream.encode(frame))

    def end(self) -> float:
        """Finish the file; return its length in seconds."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._n_samples / self._rate


def _chapter(number: int, chapter: ChapterMark, ends_s: float) -> AvChapter:
    start, end = round(chapter.begins_s * 1000), round(ends_s * 1000)
    return {"id": number, "start": start, "end": end, "time_base": _MS, "metadata": {"title": chapter.title}}
