"""A folder of real speakers: ``FOLDER/<speaker>/*``, one utterance a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np

SAMPLE_RATE = 16_000
N_REFERENCE = 5
N_HELD_OUT = 5
REFERENCE_S = 30.0
SUFFIXES = (".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm")


@dataclass(frozen=True)
class Speaker:
    """One person: what is cloned, and what the clone is compared with.

    Attributes:
        name: the folder's.
        clips: the first five files, float32 mono 16 kHz each.
        held_out: the last five files.
    """

    name: str
    clips: tuple[np.ndarray, ...]
    held_out: tuple[np.ndarray, ...]

    @property
    def reference(self) -> np.ndarray:
        """The first five files joined and cut to 30 s."""
        return np.concatenate(self.clips)[: int(REFERENCE_S * SAMPLE_RATE)]

    @property
    def true_voice(self) -> np.ndarray:
        """The last five files joined."""
        return np.concatenate(self.held_out)


def load(folder: Path, n_speakers: int | None = None) -> list[Speaker]:
    """Read the speakers of a folder, in name order.

    Args:
        folder: one folder of recordings per speaker.
        n_speakers: only the first so many.

    Raises:
        SystemExit: fewer than two speakers, or too few recordings of one of them.
    """
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and _recordings(path))[:n_speakers]
    if len(folders) < 2:
        raise SystemExit(f"{folder} has {len(folders)} speakers; at least 2 are needed to tell voices apart.")
    return [_speaker(path) for path in folders]


def to_rate(samples: np.ndarray, sample_rate: int, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return float32 mono samples at another rate, within [-1, 1]."""
    if sample_rate != rate:
        samples = librosa.resample(np.asarray(samples, np.float32), orig_sr=sample_rate, target_sr=rate)
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _speaker(folder: Path) -> Speaker:
    paths = _recordings(folder)
    if len(paths) < N_REFERENCE + N_HELD_OUT:
        raise SystemExit(f"{folder} has {len(paths)} recordings; {N_REFERENCE + N_HELD_OUT} are needed.")
    clips = tuple(_read(path) for path in paths[:N_REFERENCE])
    return Speaker(folder.name, clips, tuple(_read(path) for path in paths[-N_HELD_OUT:]))


def _read(path: Path) -> np.ndarray:
    samples, sample_rate = librosa.load(path, sr=None, mono=True)
    return to_rate(samples, int(sample_rate))
