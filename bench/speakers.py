"""A folder of real speakers: ``FOLDER/<speaker>/*``, one utterance a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np

from clone.audio.read import read

SAMPLE_RATE = 16_000
N_REFERENCE = 5
N_HELD_OUT = 5
REFERENCE_S = 30.0
PIECE_S = 10.0
SUFFIXES = (".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm")


@dataclass(frozen=True)
class Speaker:
    """One person: what is cloned, and what the clone is compared with.

    Attributes:
        name: the folder's.
        recording: the first five files joined and cut to 30 s, float32 mono at the first file's own rate.
        recording_rate: that rate in Hz.
        true_voice: the last five files joined, float32 mono 16 kHz.
    """

    name: str
    recording: np.ndarray
    recording_rate: int
    true_voice: np.ndarray

    @property
    def reference(self) -> np.ndarray:
        """The recording at 16 kHz, as the measurements hear it."""
        return to_rate(self.recording, self.recording_rate)

    def pieces(self, n_pieces: int) -> list[np.ndarray]:
        """Return the first pieces of the true voice, each as long as a clone's text: 10 s."""
        length = int(PIECE_S * SAMPLE_RATE)
        starts = range(0, max(1, len(self.true_voice) - length + 1), length)
        return [self.true_voice[start : start + length] for start in starts][:n_pieces]


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
    rate = read(paths[0]).sample_rate
    recording = _joined(paths[:N_REFERENCE], rate)[: int(REFERENCE_S * rate)]
    return Speaker(folder.name, recording, rate, _joined(paths[-N_HELD_OUT:], SAMPLE_RATE))


def _joined(paths: list[Path], rate: int) -> np.ndarray:
    recordings = [read(path) for path in paths]
    return np.concatenate([to_rate(one.samples, one.sample_rate, rate) for one in recordings])
