"""What a studio is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clone.contract import CloneOptions, check_prompt_pair, check_prompt_text
from clone.errors import BusyError, ConsentError, Refused
from clone.likeness import Likeness
from clone.settings import BACKENDS, LOCAL, NOVITA
from clone.t2a import AS_IT_IS, SpeechSettings
from clone.voice import Voice

LOCAL_OWNER = "local"
"""Whoever runs the app, on the same machine."""
MAX_OWNER_BYTES = 1_000_000_000
"""Disk that one owner's voices may take."""


def check_backend(backend: str) -> str:
    """Refuse a backend that there is not.

    Raises:
        Refused: ``unknown_backend``.
    """
    if backend not in BACKENDS:
        raise Refused(
            f"There is no backend named “{backend[:40]}”.",
            code="unknown_backend",
            measured=backend[:40],
            limit=", ".join(BACKENDS),
            advice=f"Choose one of {', '.join(BACKENDS)}.",
        )
    return backend


@dataclass(frozen=True)
class CloneOrder:
    """What is to be cloned, for whom. A recording is a file, or a URL as str.

    ``backend`` is one of BACKENDS; ``api_key`` is for the hosted one, and kept by nobody. ``stretch`` is the part to
    clone from, its start and end in seconds: only that is sent and kept; None for all of it. ``language`` is the
    preview's, one of t2a.LANGUAGES' codes; None tells it from the text. The contract has no field for it, so the hosted
    service always tells it itself. ``as_sent`` holds the files themselves to the contract's formats and size, as of a
    program; what a person gives is converted instead.
    """

    owner: str
    audio: Path | str
    options: CloneOptions
    consent: bool
    prompt_audio: Path | str | None = None
    prompt_text: str | None = None
    name: str = ""
    backend: str = LOCAL
    api_key: str | None = field(default=None, repr=False)
    stretch: tuple[float, float] | None = None
    language: str | None = None
    as_sent: bool = False


def check_asked(order: CloneOrder) -> None:
    """Refuse what can be seen to be wrong without any work.

    Raises:
        Refused: ``unknown_backend``.
        ConsentError: nobody confirmed it.
        PromptError: half a prompt, or a transcript that can't be one.
    """
    check_backend(order.backend)
    if not order.consent:
        raise ConsentError(
            "Nobody confirmed that the person in the recording agreed to be cloned.",
            code="no_consent",
            field="consent",
            advice="Ask the person, then tick the box.",
        )
    if check_prompt_pair(order.prompt_audio is not None, order.prompt_text):
        check_prompt_text(order.prompt_text or "")


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
class SpeakOrder:
    """What a voice is to say; ``api_key`` as in CloneOrder, for a hosted voice."""

    owner: str
    voice_id: str
    text: str
    model: str
    settings: SpeechSettings = AS_IT_IS
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Spoken:
    """Speech: float32, shape (n_samples,), mono, within [-1, 1]; the voice is permanent now.

    ``model`` spoke it; it is empty for the preview, which the voice's own model spoke when it was cloned.
    """

    voice: Voice
    samples: np.ndarray
    sample_rate: int
    model: str = ""


@dataclass(frozen=True)
class Passage:
    """A sentence as soon as it is spoken: float32, shape (n_samples,), mono, within [-1, 1], its pause included."""

    samples: np.ndarray
    sample_rate: int
