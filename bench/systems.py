"""The systems compared: clones as a person gets them from Studio, the nearest stock voice, the real recordings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.speakers import SAMPLE_RATE, Speaker
from clone.contract.cloning import CloneOptions
from clone.core.jobs import Stage
from clone.core.settings import Settings
from clone.engine import converted, styles, tts
from clone.engine.backend import LocalBackend
from clone.engine.engine import Engine
from clone.engine.models import Models
from clone.engine.pocket import Pocket
from clone.engine.speaker import SpeakerEncoder
from clone.studio.facade import CloneOrder, SpeakOrder, Studio

MODELS = {"hd": "speech-2.6-hd", "turbo": "speech-2.6-turbo"}
INSTALLED = {"hd": (converted.Kokoro,), "turbo": (converted.Hibari, converted.Kokoro)}
"""What the systems of those names are, whatever else has been got."""


READY_S = 120.0


@dataclass(frozen=True)
class Clip:
    """One thing said: by whom it should sound, by which system, and what it took to make (None: not made).

    ``took_s`` are seconds, ``cpu_s`` the seconds of every core: these count on a busy machine, too.
    """

    speaker: str
    system: str
    text: str | None
    samples: np.ndarray
    sample_rate: int
    took_s: float | None = None
    cpu_s: float | None = None

    def without_sound(self) -> Clip:
        """Return what is told of it."""
        return replace(self, samples=np.zeros(0, np.float32))


class Kokoro:
    """Kokoro alone, in one of its stock voices, nothing converted."""

    def __init__(self, cache: Path) -> None:
        self._turbo, self._hd, self._encoder = tts.Turbo(cache), tts.Hd(cache), SpeakerEncoder(cache)

    def nearest(self, speaker: Speaker) -> np.ndarray:
        """Return the style of the stock voice nearest to a speaker's recording by d-vector."""
        stock = styles.table()
        return stock.styles[int((stock.embeddings @ self._encoder.embed(speaker.reference)).argmax())]

    def style(self, voice: str) -> np.ndarray:
        """Return the style of a stock voice by name."""
        stock = styles.table()
        return stock.styles[list(stock.names).index(voice)]

    def speak(self, text: str, style: np.ndarray) -> np.ndarray:
        """Return a text in a style: float32, shape (n_samples,), 24 kHz."""
        return np.concatenate([self._sentence(phonemes, style) for phonemes in self._turbo.phonemes(text)])

    def _sentence(self, phonemes: str, style: np.ndarray) -> np.ndarray:
        tokens = self._turbo.tokens(phonemes)
        return self._hd.speak(tokens, styles.row_for(style, tokens.shape[1] - 2), 1.0)


def models() -> Models:
    """Return the engines that were got on this machine."""
    return Models(Settings.from_environment().home / "models")


def got() -> list[tuple[str, type[Engine]]]:
    """Return the engines that were got and may be used, by name."""
    return [(name, kind) for name, kind in (("pocket", Pocket),) if models().is_usable(name)]


def started(home: Path, engines: Mapping[str, tuple[type[Engine], ...]]) -> Studio:
    """Return a Studio with these engines, by tier, whose models are warm."""
    home.mkdir(parents=True)
    engines = {"turbo": INSTALLED["turbo"], **engines}
    studio = Studio(Settings.at(home), LocalBackend(home / "weights", models(), engines))
    studio.start()
    deadline = time.monotonic() + READY_S
    while not studio.ready:
        if time.monotonic() > deadline:
            studio.close()
            raise SystemExit(f"The models were not ready after {READY_S:.0f} s.")
        time.sleep(0.1)
    return studio


def follow(steps: Iterator[Any]) -> tuple[Any, dict[str, float]]:
    """Run a job of Studio's to its end; return its result and the seconds of each stage."""
    stages: dict[str, float] = {}
    name, begun, item = "Accepting the request", time.perf_counter(), None
    for item in steps:
        now = time.perf_counter()
        stages[name] = stages.get(name, 0.0) + now - begun
        name, begun = item.name if isinstance(item, Stage) else "Waiting", now
    return item, stages


def clone_order(speaker: Speaker, recording: Path, owner: str, **options: str) -> CloneOrder:
    """Return the order to clone a speaker, their recording written to a wav file first."""
    if not recording.exists():
        soundfile.write(recording, speaker.recording, speaker.recording_rate)
    return CloneOrder(owner=owner, audio=recording, options=CloneOptions(**options), consent=True, name=speaker.name)


def clones(
    studio: Studio, speaker: Speaker, texts: tuple[str, ...], folder: Path, models: dict[str, str]
) -> Iterator[Clip]:
    """Clone a speaker once, then speak every text with each model, by the name of the system it stands for."""
    owner = f"bench-{speaker.name}"
    cloned, _ = follow(studio.clone(clone_order(speaker, folder / f"{speaker.name}.wav", owner)))
    for system, model in models.items():
        for text in texts:
            begun, begun_cpu = time.perf_counter(), time.process_time()
            order = SpeakOrder(owner=owner, voice_id=cloned.voice.voice_id, text=text, model=model)
            spoken, _ = follow(studio.speak(order))
            spent = time.perf_counter() - begun, time.process_time() - begun_cpu
            yield Clip(speaker.name, system, text, spoken.samples, spoken.sample_rate, *spent)


def stock(kokoro: Kokoro, speaker: Speaker, texts: tuple[str, ...]) -> Iterator[Clip]:
    """Speak every text with the stock voice nearest to a speaker."""
    style = kokoro.nearest(speaker)
    for text in texts:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        samples = kokoro.speak(text, style)
        spent = time.perf_counter() - begun, time.process_time() - begun_cpu
        yield Clip(speaker.name, "stock", text, samples, tts.SAMPLE_RATE, *spent)


def real(speaker: Speaker, n_pieces: int) -> Iterator[Clip]:
    """Give pieces of the held-out recordings themselves."""
    for piece in speaker.pieces(n_pieces):
        yield Clip(speaker.name, "real", None, piece, SAMPLE_RATE)
