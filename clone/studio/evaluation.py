"""A clone beside its original: the words heard in its preview, both at one loudness, and how alike they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.audio.enhance import LOUDNESS_BLOCK_S, integrated_loudness
from clone.audio.reader import Recording, read
from clone.audio.waveform import outline, points
from clone.contract.cloning import CloneOptions
from clone.core.jobs import Stop
from clone.core.likeness import Likeness
from clone.engine import transcript
from clone.engine.backend import Heard, LocalBackend
from clone.engine.profile import Profile
from clone.studio.analysis import enhanced

log = logging.getLogger(__name__)

OUTLINE_COLUMNS = 160
MOST_DB = 30.0
"""Nothing is turned down by more than this: what is so much quieter is nearly silent."""


@dataclass(frozen=True)
class Outline:
    """A recording as a player draws and plays it.

    Attributes:
        duration_s: its length.
        points: its waveform, of an SVG polygon OUTLINE_COLUMNS wide and 100 high.
        quieter_db: by how much it is turned down, dB ≤ 0, to sound as loud as the others it was looked at with.
    """

    duration_s: float
    points: str
    quieter_db: float = 0.0


def outlines(*paths: Path) -> list[Outline]:
    """Return files as players draw them, all at the loudness of the quietest.

    Raises:
        AudioError: a file can't be read.
    """
    recordings = [read(path) for path in paths]
    louds = [_loudness(each) for each in recordings] if len(paths) > 1 else [0.0]
    return [
        Outline(each.duration_s, points(*outline(each.samples, OUTLINE_COLUMNS), 100), max(min(louds) - loud, -MOST_DB))
        for each, loud in zip(recordings, louds, strict=True)
    ]


def compare(backend: LocalBackend, preview: Path, text: str, language: str | None = None) -> transcript.Match:
    """Compare what is heard in a preview with its text.

    Args:
        backend: hears words.
        preview: its file.
        text: what it should say.
        language: of the text, as an ISO 639-1 code; None to hear which it is.

    Raises:
        AudioError: the file can't be read.
    """
    said = read(preview)
    spoken = Heard(said.samples, said.sample_rate, [])
    return transcript.compare(text, backend.transcribe(spoken, (language, 1.0) if language else None))


def likeness(
    backend: LocalBackend, original: Heard | Profile, samples: np.ndarray, sample_rate: int, stop: Stop
) -> Likeness:
    """Return how alike a voice and a preview of it are; samples float32, shape (n_samples,), mono."""
    return backend.compare(original, backend.listen(samples, sample_rate), stop)


def likeness_of_file(backend: LocalBackend, original: Heard, options: CloneOptions, preview: Path) -> Likeness | None:
    """Measure a preview that another machine spoke as one of this machine's is measured.

    Args:
        backend: listens.
        original: what was cloned, as it was sent.
        options: what was asked to be done to it first, which is done here too.
        preview: the file.

    Returns:
        None where it can't be measured, whatever the reason: the voice is paid for, and there all the same.
    """
    try:
        said, stop = read(preview), Stop()
        return likeness(backend, enhanced(original, options, stop), said.samples, said.sample_rate, stop)
    except Exception as error:  # noqa: BLE001  a likeness is worth no voice
        log.warning("A likeness could not be measured: %s", type(error).__name__)
        return None


def _loudness(recording: Recording) -> float:
    if recording.duration_s < LOUDNESS_BLOCK_S:
        return 0.0
    return max(integrated_loudness(recording.samples, recording.sample_rate), -70.0)
