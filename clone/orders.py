"""What a studio is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.contract import CloneOptions
from clone.t2a import AS_IT_IS, SpeechSettings
from clone.voice import Voice


@dataclass(frozen=True)
class CloneOrder:
    """What is to be cloned, for whom. A recording is a file, or a URL as str."""

    owner: str
    audio: Path | str
    options: CloneOptions
    consent: bool
    prompt_audio: Path | str | None = None
    prompt_text: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Cloned:
    """A cloned voice; likeness and ceiling are None without a preview. ``replayed``: it was there already."""

    voice: Voice
    replayed: bool
    likeness: float | None
    ceiling: float | None


@dataclass(frozen=True)
class SpeakOrder:
    """What a voice is to say."""

    owner: str
    voice_id: str
    text: str
    model: str
    settings: SpeechSettings = AS_IT_IS


@dataclass(frozen=True)
class Spoken:
    """Speech: float32, shape (n_samples,), mono, within [-1, 1]; the voice is permanent now."""

    voice: Voice
    samples: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class Passage:
    """A sentence as soon as it is spoken: float32, shape (n_samples,), mono, within [-1, 1], its pause included."""

    samples: np.ndarray
    sample_rate: int
