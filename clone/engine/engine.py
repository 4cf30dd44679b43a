"""What every engine is: a model that learns a voice and speaks with it. The table of them is in backend.py."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from clone.audio.quality import Spans
from clone.audio.reader import resample
from clone.contract.speech import SpeechSettings
from clone.core.jobs import Stop
from clone.engine import speaker
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.profile import Profile
from clone.engine.speaker import SpeakerEncoder

if TYPE_CHECKING:
    from clone.engine.models import Models

SAMPLE_RATE = 24_000
"""Hz, of what every engine speaks."""

MAX_LEARNED_S = 60.0
"""Speech a voice is learned from; more of it makes a slower voice, not a closer one (bench)."""

EDGE_S = 0.03
EDGE_FRAME_S = 0.01
EDGE_BELOW_DB = 40.0
"""Frames this far below the loud ones are the silence at speech's edges."""

_RESAMPLED_MORE_S = 1.0
"""Resampled beyond what is needed: the end of it then comes out as if all had been resampled."""

Network = TypeVar("Network")


@dataclass(frozen=True)
class Heard:
    """A recording and where somebody speaks in it.

    Attributes:
        samples: float32, shape (n_samples,), mono.
        sample_rate: Hz.
        spans: (start, end) of speech in seconds, in order.
    """

    samples: np.ndarray
    sample_rate: int
    spans: Spans


@dataclass(frozen=True)
class Line:
    """One sentence ready to be spoken: its phonemes, in pieces where it is very long, the pause after it, its language.

    Where there is nothing to read there are no phonemes. ``silence_s`` is as long as somebody set it, at any speed.
    """

    text: str
    phonemes: tuple[str, ...]
    pause_s: float
    language: str = "en"
    silence_s: float = 0.0


@dataclass(frozen=True)
class Manner:
    """How a line is spoken.

    Attributes:
        settings: faster or slower, higher or lower, louder or softer than the voice's own way.
        early: hand over the beginning of the line before the rest of it is spoken.
        take: another number is another way to say the same, where the engine has more than one.
    """

    settings: SpeechSettings
    early: bool = False
    take: int = 0


class Engine(Protocol):
    """A model that learns a voice and speaks with it. It is made from Networks, and keeps nothing of a voice itself."""

    name: str
    """As it stands in files and answers; never changes."""
    title: str
    licence: str
    languages: frozenset[str]
    """ISO 639-1 codes."""
    varies: bool
    """Whether another take is said in another way."""
    mixes: bool
    """Whether it can speak with a mix of voices."""

    def __init__(self, networks: Networks) -> None: ...

    @property
    def is_here(self) -> bool:
        """Whether its weights are on this machine, and good; cheap to ask."""

    def can(self, settings: SpeechSettings) -> bool:
        """Tell whether it can speak at such a speed and pitch."""

    def knows(self, profile: Profile) -> bool:
        """Tell whether a profile holds what it needs to speak with the voice."""

    def learn(self, profile: Profile, reference: Heard, prompt: Heard | None, stop: Stop) -> Profile:
        """Return a profile with what it learned of the voice.

        Args:
            profile: what is known of the voice.
            reference: its recording, enhanced already if that was asked for.
            prompt: a prompt clip: how the voice is to speak.
            stop: obeyed between and inside the steps.
        """

    def speak(self, profile: Profile, line: Line, manner: Manner, stop: Stop) -> Iterator[np.ndarray]:
        """Speak a line.

        Yields:
            float32, shape (n_samples,), 24 kHz: the line in one part or more, without the pause after it. What may
            still change is not handed over.

        Raises:
            CancelledError: ``stop`` was asked; within a fraction of a second.
            WeightsError: its weights are damaged.
        """


class Networks:
    """What engines share: networks that load once, each when it is first needed. Thread-safe.

    Args:
        cache: folder for weights that no installed package has.
        models: what was fetched on request; None where nothing was.
    """

    def __init__(self, cache: Path, models: Models | None = None) -> None:
        self.models = models
        self._cache = cache
        self._lock = threading.RLock()
        self._loaded: dict[type, object] = {}

    def get(self, kind: type[Network]) -> Network:
        """Return the one instance of a network, made with the cache."""
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = kind(self._cache)  # type: ignore[call-arg]
            return cast(Network, self._loaded[kind])


def voices(networks: Networks, heard: Heard) -> tuple[np.ndarray, np.ndarray]:
    """Return who speaks when, over the speech of a recording.

    Returns:
        Speaker embeddings of 0.8 s windows every 0.4 s, float32, shape (n_windows, 256); and where each begins in
        the recording, in seconds, shape (n_windows,).
    """
    samples = resample(heard.samples, heard.sample_rate, HEARD_RATE)
    bounds = [(int(start * HEARD_RATE), int(end * HEARD_RATE)) for start, end in heard.spans]
    samples = np.concatenate([samples[start:end] for start, end in bounds])  # under one name: one copy is kept
    vectors = networks.get(SpeakerEncoder).windows(samples)
    starts, ends = np.array(bounds).T
    before = np.concatenate([[0], np.cumsum(ends - starts)])  # samples of speech before each span, and in all
    at = np.minimum(np.arange(len(vectors)) * int(speaker.STRIDE_FRAMES * speaker.N_HOP), before[-1] - 1)
    span = np.searchsorted(before, at, side="right") - 1
    return vectors, (starts[span] + at - before[span]) / HEARD_RATE


def spoken(heard: Heard, at_most_s: float) -> np.ndarray:
    """Return the speech of a recording without its pauses, at 24 kHz; all of it when no span is known."""
    until_s = min(_until_s(heard.spans, at_most_s) + _RESAMPLED_MORE_S, len(heard.samples) / heard.sample_rate)
    samples = resample(heard.samples[: math.ceil(until_s * heard.sample_rate)], heard.sample_rate, SAMPLE_RATE)
    cut = [samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in heard.spans]
    joined = np.concatenate(cut) if cut else samples
    return joined[: int(at_most_s * SAMPLE_RATE)]


def _until_s(spans: Spans, speech_s: float) -> float:
    """Return when so much speech has been heard; the end of time where there is less."""
    if not spans:
        return speech_s
    for start, end in spans:
        if end - start >= speech_s:
            return start + speech_s
        speech_s -= end - start
    return float("inf")


def trimmed(samples: np.ndarray, *, begin: bool = True, end: bool = True) -> np.ndarray:
    """Return speech without the silence at its edges, or at one of them, but for a little."""
    n_frame, edge = int(EDGE_FRAME_S * SAMPLE_RATE), int(EDGE_S * SAMPLE_RATE)
    # Levels, not peaks: those depend on how harmonics fall together, and speech would end elsewhere at another pitch.
    level = np.sqrt((samples[: len(samples) // n_frame * n_frame].reshape(-1, n_frame) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > 10 ** (-EDGE_BELOW_DB / 20) * np.percentile(level, 95)) if len(level) else level
    if not len(loud):
        return samples
    first = max(0, loud[0] * n_frame - edge) if begin else 0
    return samples[first : (loud[-1] + 1) * n_frame + edge if end else len(samples)]
