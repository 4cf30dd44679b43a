"""Two processes, a core each: every speaker is cloned and judged in one of them.

Judging is most of the time, and little of it gains from a second thread.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from bench import manner, systems
from bench.measure import ENCODERS, Judge, word_errors
from bench.speakers import Speaker, to_rate
from bench.texts import TEXTS
from clone.studio.facade import Studio

N_WORKERS = min(2, os.cpu_count() or 1)
PAUSE_S = 0.5


@dataclass(frozen=True)
class Task:
    """A speaker to measure.

    Attributes:
        speaker: who.
        texts: what the clones say.
        clips: what was made already; None to make it.
        audio: folder for the clones as wav, the texts joined; None keeps nothing.
    """

    speaker: Speaker
    texts: tuple[str, ...]
    clips: list[systems.Clip] | None = None
    audio: Path | None = None


@dataclass(frozen=True)
class Row:
    """What was measured of a clip, before the ends of the scale are known: cosines by encoder."""

    clip: systems.Clip
    duration_s: float
    cosines: dict[str, float]
    heard: str
    errors: int
    words: int
    dnsmos: float
    manner: dict[str, float]


@dataclass(frozen=True)
class Found:
    """What was found of a speaker: rows, and by encoder the embeddings of both real recordings, (2, 256)."""

    speaker: str
    rows: list[Row]
    real: dict[str, np.ndarray]


def measure(tasks: list[Task], cache: Path | None) -> Iterator[Found]:
    """Do all tasks, two at a time; yield what was found, in their order.

    Args:
        tasks: one a speaker.
        cache: folder of what is kept of real recordings; None keeps nothing.
    """
    # Read by the libraries as they load, so it must be there when a process starts.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with (
        tempfile.TemporaryDirectory(prefix="timbre-bench-") as home,
        ProcessPoolExecutor(N_WORKERS, get_context("spawn"), _begin, (Path(home), cache)) as pool,
    ):
        yield from pool.map(_do, tasks)


class Maker:
    """Makes a speaker's clips as a person gets them, by a Studio of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.studio = systems.started(home / "home", systems.INSTALLED)
        one_more = {name: {"hd": (kind, *systems.INSTALLED["hd"])} for name, kind in systems.got()}
        self.got = {name: systems.started(home / name, engines) for name, engines in one_more.items()}
        self.kokoro = systems.Kokoro(home / "weights")

    def clips(self, speaker: Speaker, texts: tuple[str, ...]) -> list[systems.Clip]:
        return [
            *systems.clones(self.studio, speaker, texts, self.home, systems.MODELS),
            *(clip for name, studio in self.got.items() for clip in self._by(studio, name, speaker, texts)),
            *systems.stock(self.kokoro, speaker, texts),
            *systems.real(speaker, len(texts)),
        ]

    def _by(self, studio: Studio, name: str, speaker: Speaker, texts: tuple[str, ...]) -> Iterator[systems.Clip]:
        return systems.clones(studio, speaker, texts, self.home, {name: systems.MODELS["hd"]})


def judged(judge: Judge, clip: systems.Clip) -> Row:
    """Measure a clip. A piece of the held-out recordings is compared with what is cloned, never with itself."""
    sound = to_rate(clip.samples, clip.sample_rate)
    is_real = clip.system == "real"
    heard = judge.transcribe(sound) if clip.text else ""
    errors, words = word_errors(clip.text, heard) if clip.text else (0, 0)
    spoken = judge.manner(sound, clip.text) if clip.text else judge.real_manner(sound)
    return Row(
        clip=clip.without_sound(),
        duration_s=len(clip.samples) / clip.sample_rate,
        cosines=judge.likeness(clip.speaker, sound, to_reference=is_real),
        heard=heard,
        errors=errors,
        words=words,
        dnsmos=judge.dnsmos(sound),
        manner=manner.errors(spoken, judge.manner_of(clip.speaker, to_reference=is_real)),
    )


def keep_audio(clips: list[systems.Clip], folder: Path) -> None:
    """Write a speaker's clones as ``<speaker>-<system>.wav``, the texts joined."""
    folder.mkdir(parents=True, exist_ok=True)
    for system in dict.fromkeys(clip.system for clip in clips if clip.text):
        said = [clip for clip in clips if clip.system == system]
        rate = said[0].sample_rate
        pause = np.zeros(int(PAUSE_S * rate), np.float32)
        joined = np.concatenate([part for clip in said for part in (clip.samples, pause)])
        soundfile.write(folder / f"{said[0].speaker}-{system}.wav", joined, rate)


def text_number(clip: systems.Clip) -> int | None:
    """Return which text a clip says; None for a real recording."""
    return None if clip.text is None else TEXTS.index(clip.text)


class _Process:
    """What a process of the pool has from one task to the next."""

    home: Path
    cache: Path | None
    maker: Maker | None = None


def _begin(home: Path, cache: Path | None) -> None:
    _Process.home, _Process.cache = home / str(os.getpid()), cache
    # The engine takes both cores for a person who waits; here each process has one.
    for name, module in list(sys.modules.items()):
        if name.startswith("clone.engine.") and hasattr(module, "N_THREADS"):
            module.N_THREADS = 1  # type: ignore[attr-defined]


def _do(task: Task) -> Found:
    clips = task.clips
    if clips is None:
        _Process.maker = _Process.maker or Maker(_Process.home)
        clips = _Process.maker.clips(task.speaker, task.texts)
    if task.audio:
        keep_audio(clips, task.audio)
    judge = Judge([task.speaker], _Process.cache)
    rows = [judged(judge, clip) for clip in clips]
    return Found(task.speaker.name, rows, {name: np.concatenate(judge.real(name)) for name in ENCODERS})
