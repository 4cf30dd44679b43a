"""A clone beside its original: the words that are heard in its preview, and both at one loudness."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.audio.enhance import LOUDNESS_BLOCK_S, integrated_loudness
from clone.audio.reader import Recording, read
from clone.contract.cloning import CloneOptions
from clone.core.jobs import Stop
from clone.core.likeness import Likeness
from clone.engine import transcript
from clone.engine.backend import Heard, LocalBackend
from clone.engine.profile import Profile
from clone.studio.analysis import enhanced

log = logging.getLogger(__name__)

MOST_DB = 30.0
"""Nothing is turned down by more than this: what is so much quieter is nearly silent."""


@dataclass(frozen=True)
class Comparison:
    """What a preview says against its text, and by how much each recording is turned down, dB ≤ 0, to sound as loud."""

    match: transcript.Match
    original_db: float
    clone_db: float


def compare(backend: LocalBackend, original: Path, preview: Path, text: str, language: str | None = None) -> Comparison:
    """Compare a preview with its text, and its loudness with the original's.

    Args:
        backend: hears words.
        original: the reference's file.
        preview: the preview's file.
        text: what the preview should say.
        language: of the text, as an ISO 639-1 code; None to hear which it is.

    Raises:
        AudioError: a file can't be read.
    """
    said = read(preview)
    spoken = Heard(said.samples, said.sample_rate, [])
    heard = backend.transcribe(spoken, (language, 1.0) if language else None)
    one, other = _loudness(read(original)), _loudness(said)
    quieter = min(one, other)
    return Comparison(
        transcript.compare(text, heard),
        max(quieter - one, -MOST_DB),
        max(quieter - other, -MOST_DB),
    )


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
