"""Real speakers, by one of two protocols, told apart by how the folder looks.

``FOLDER/<speaker>/*``, one utterance a file: 30 s of the first five files are cloned, the last five are held out.
``FOLDER/<speaker>.wav``, one recording a speaker: its first 10 s are cloned, its rest is held out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import librosa
import numpy as np

from clone.audio.reader import read

SAMPLE_RATE = 16_000
N_REFERENCE = 5
N_HELD_OUT = 5
REFERENCE_S = {"folders": 30.0, "files": 10.0}
"""What is cloned of a speaker, by protocol."""

MIN_HELD_OUT_S = 4.0
"""Of a single recording; less of a voice is no measure of it."""

MIN_SPEAKERS = 2
PIECE_S = 10.0
Item = TypeVar("Item")
SUFFIXES = (".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm")


@dataclass(frozen=True)
class Speaker:
    """One person: what is cloned, and what the clone is compared with.

    Attributes:
        name: the folder's, or the file's without its suffix.
        recording: what is cloned, float32 mono at the (first) file's own rate.
        recording_rate: that rate in Hz.
        true_voice: what is held out, float32 mono 16 kHz.
    """

    name: str
    recording: np.ndarray
    recording_rate: int
    true_voice: np.ndarray

    @property
    def reference(self) -> np.ndarray:
        """The recording at 16 kHz, as the measurements hear it."""
        return to_rate(self.recording, self.recording_rate)

    @property
    def fingerprint(self) -> str:
        """Both sounds in 16 hexadecimal digits: equal only when nothing in them differs."""
        return hashlib.sha256(self.recording.tobytes() + self.true_voice.tobytes()).hexdigest()[:16]

    def pieces(self, n_pieces: int) -> list[np.ndarray]:
        """Return the first pieces of the true voice, each as long as a clone's text: 10 s."""
        length = int(PIECE_S * SAMPLE_RATE)
        starts = range(0, max(1, len(self.true_voice) - length + 1), length)
        return [self.true_voice[start : start + length] for start in starts][:n_pieces]


@dataclass(frozen=True)
class People:
    """The speakers of a folder, in name order; by which protocol; who had too little to hold out."""

    protocol: str
    speakers: list[Speaker]
    left_out: list[str]


def read_folder(folder: Path, n_speakers: int | None = None) -> People:
    """Read the speakers of a folder.

    Args:
        folder: folders of recordings, one a speaker; or recordings, one a speaker.
        n_speakers: only so many, chosen evenly by name.

    Raises:
        SystemExit: fewer than two speakers, or too few recordings of one of them.
    """
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and _recordings(path))
    if folders:
        _check_enough(len(evenly(folders, n_speakers)), folder)
        return People("folders", [_from_folder(path) for path in evenly(folders, n_speakers)], [])
    found = {path.stem: _from_file(path) for path in _recordings(folder)}
    speakers = evenly([speaker for speaker in found.values() if speaker], n_speakers)
    left_out = [name for name, speaker in found.items() if speaker is None]
    _check_enough(len(speakers), folder, f", {len(left_out)} more are too short" if left_out else "")
    return People("files", speakers, left_out)


def load(folder: Path, n_speakers: int | None = None) -> list[Speaker]:
    """Return the speakers of a folder alone; see read_folder."""
    return read_folder(folder, n_speakers).speakers


def files_by_speaker(folder: Path) -> dict[str, list[Path]]:
    """Return the recordings of everybody in a folder or below it, of both protocols together."""
    found: dict[str, list[Path]] = {}
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES):
        own = len({each.stem.split("-")[0] for each in _recordings(path.parent)}) == 1
        found.setdefault(path.parent.name if own else path.stem, []).append(path)
    return found


def evenly(items: list[Item], n_items: int | None) -> list[Item]:
    """Return so many of a list, the first and the last among them, and equally far apart; all when None."""
    if n_items is None or n_items >= len(items):
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, n_items).round().astype(int)]


def to_rate(samples: np.ndarray, sample_rate: int, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return float32 mono samples at another rate, within [-1, 1]."""
    if sample_rate != rate:
        samples = librosa.resample(np.asarray(samples, np.float32), orig_sr=sample_rate, target_sr=rate)
    return np.asarray(np.clip(samples, -1.0, 1.0), np.float32)


def _check_enough(n_speakers: int, folder: Path, more: str = "") -> None:
    if n_speakers < MIN_SPEAKERS:
        raise SystemExit(
            f"{folder} has {n_speakers} speakers{more}; at least {MIN_SPEAKERS} are needed to tell voices apart."
        )


def _recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _from_folder(folder: Path) -> Speaker:
    paths = _recordings(folder)
    if len(paths) < N_REFERENCE + N_HELD_OUT:
        raise SystemExit(f"{folder} has {len(paths)} recordings; {N_REFERENCE + N_HELD_OUT} are needed.")
    rate = read(paths[0]).sample_rate
    recording = _joined(paths[:N_REFERENCE], rate)[: int(REFERENCE_S["folders"] * rate)]
    return Speaker(folder.name, recording, rate, _joined(paths[-N_HELD_OUT:], SAMPLE_RATE))


def _from_file(path: Path) -> Speaker | None:
    """Return the speaker of a single recording; None when too little of it is left to hold out."""
    whole = read(path)
    cut = int(REFERENCE_S["files"] * whole.sample_rate)
    if len(whole.samples) - cut < MIN_HELD_OUT_S * whole.sample_rate:
        return None
    held_out = to_rate(whole.samples[cut:], whole.sample_rate)
    return Speaker(path.stem, whole.samples[:cut], whole.sample_rate, held_out)


def _joined(paths: list[Path], rate: int) -> np.ndarray:
    recordings = [read(path) for path in paths]
    return np.concatenate([to_rate(one.samples, one.sample_rate, rate) for one in recordings])
