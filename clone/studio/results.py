"""What a studio answers: a cloned voice, speech, and how much of both one owner may keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clone.audio.writer import Provenance
from clone.core.errors import BusyError
from clone.core.likeness import Likeness
from clone.core.settings import NOVITA
from clone.storage.voice import Voice

MAX_OWNER_BYTES = 1_000_000_000
"""Disk that one owner's voices may take."""


def check_room(n_bytes: int) -> None:
    """Refuse more than one owner may keep.

    Args:
        n_bytes: what their voices would take.

    Raises:
        BusyError: ``quota_disk``.
    """
    if n_bytes > MAX_OWNER_BYTES:
        raise BusyError(
            f"Your voices would take {n_bytes / 1e6:.0f} MB; at most {MAX_OWNER_BYTES / 1e6:.0f} MB are kept for you.",
            code="quota_disk",
            measured=n_bytes,
            limit=MAX_OWNER_BYTES,
            advice="Forget a voice that you no longer need.",
        )


@dataclass(frozen=True)
class Cloned:
    """A cloned voice. ``replayed``: it was there already.

    ``note`` is what else a person must know, such as that a preview was lost.
    """

    voice: Voice
    replayed: bool
    note: str = ""

    @property
    def alike(self) -> Likeness | None:
        """How alike it and its original are; None without a preview, or where that could not be measured."""
        return self.voice.alike


def replayed(voice: Voice) -> Cloned:
    """Return a voice that was there already; what was paid for may have lost its preview in a kill."""
    lost = voice.backend == NOVITA and voice.settings.get("text") and not voice.file("preview")
    return Cloned(
        voice, True, "Its preview could not be had when it was made. Let it speak to hear it." if lost else ""
    )


@dataclass(frozen=True)
class Spoken:
    """Speech: float32, shape (n_samples,), mono, within [-1, 1]; the voice is permanent now.

    ``model`` was asked for, and ``engine`` of this machine spoke; the model is empty for the preview, which the voice's
    own model spoke when it was cloned.
    """

    voice: Voice
    samples: np.ndarray
    sample_rate: int
    model: str = ""
    engine: str = ""


@dataclass(frozen=True)
class Passage:
    """A sentence or a part of it, as soon as it is spoken.

    Attributes:
        samples: float32, shape (n_samples,), mono, within [-1, 1]; with a sentence's end comes the pause after it.
        sample_rate: Hz.
        sentence: what is said, where one begins; "" where it goes on.
        silence_s: of these samples, the pause at their end.
        sentence_id: of a document, which of its sentences this is, or is a part of.
    """

    samples: np.ndarray
    sample_rate: int
    sentence: str = ""
    silence_s: float = 0.0
    sentence_id: int | None = None


def provenance_of(voice: Voice, model: str = "", engine: str = "") -> Provenance:
    """Return what speech says of itself: made now by a model and an engine, or, without one, as the voice's preview."""
    if model:
        return Provenance(voice.voice_id, model, backend=voice.backend, engine=engine)
    return Provenance(voice.voice_id, voice.model or "", voice.created_at, voice.backend, voice.engine)
