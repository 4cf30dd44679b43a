"""What a person is shown of a recording before it is cloned: report, picture, best stretch, prompt pair, excerpts.

Nothing here costs anything, keeps anything or goes anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone import contract
from clone.audio import enhance, picture, preflight, stretch, turns
from clone.audio.finding import Report
from clone.audio.preflight import EXAMINED_S
from clone.audio.quality import clipped_spans
from clone.audio.read import Recording, read
from clone.audio.write import accepted
from clone.contract import CloneOptions
from clone.engine.local import Heard, LocalBackend
from clone.engine.matching import match, words_heard
from clone.errors import AudioError, BusyError
from clone.jobs import Stop
from clone.workspace import Workspace

MAX_CHECKS = 2
CHECK_WAIT_S = 10.0

MAX_EXCERPT_S = 60.0
"""Longest part given back to be heard."""

Bounds = tuple[float, float]
Lend = Callable[[Path | str, Path, str, Stop], Path]
"""Gives the file of a path or URL: (audio, folder, field, stop)."""


@dataclass(frozen=True)
class Examination:
    """What is known of a recording so far; ``complete`` once speakers, language and best stretch are."""

    report: Report
    picture: picture.Picture
    stretch: stretch.Stretch | None = None
    complete: bool = False

    @property
    def is_of_several(self) -> bool:
        """Whether several people were told apart, so that a part of it has to be chosen."""
        return any(finding.code == "speakers" and finding.severity == "warn" for finding in self.report.findings)


@dataclass(frozen=True)
class Excerpt:
    """A part of a recording as it would be learned from: float32, shape (n_samples,), mono.

    ``gain_db`` is how much louder it became, ``noise_db`` how much its pauses changed; 0 where nothing was asked.
    """

    samples: np.ndarray
    sample_rate: int
    gain_db: float = 0.0
    noise_db: float = 0.0


@dataclass(frozen=True)
class PromptPair:
    """A sentence cut from a recording, float32, shape (n_samples,), mono, and what was heard in it."""

    samples: np.ndarray
    sample_rate: int
    text: str


@dataclass(frozen=True)
class Match:
    """A transcript against what is heard: ``score`` from 0 to 1, and each word of the transcript with whether it is."""

    heard: str
    score: float
    words: tuple[tuple[str, bool], ...]


class Examining:
    """Looks at recordings for every visitor; thread-safe, a few at a time.

    Args:
        backend: hears speech, voices and words.
        workspace: lends folders.
        lend: gives the file of a path or URL.
    """

    def __init__(self, backend: LocalBackend, workspace: Workspace, lend: Lend) -> None:
        self._backend = backend
        self._workspace = workspace
        self._lend = lend
        self._places = threading.BoundedSemaphore(MAX_CHECKS)

    def examine(self, audio: Path | str) -> Iterator[Examination]:
        """Look at a recording.

        Yields:
            What limits, level, clipping and noise are like, as soon as that is known; then everything.

        Raises:
            AudioError: it can't be read at all.
            FetchError: its URL can't be downloaded.
            BusyError: too many are being looked at.
        """
        with self.place() as folder:
            path = self._lend(audio, folder, "audio", Stop())
            recording = read(path)
            heard = self._backend.listen(_first(recording), recording.sample_rate)
            clipped = clipped_spans(heard.samples, heard.sample_rate)
            report = preflight.check(recording, _bytes_to_clone(recording, path), heard.spans)
            drawn = picture.draw(heard.samples, heard.sample_rate, heard.spans, clipped)
            yield Examination(report, drawn)
            best = None
            if heard.spans:
                who = turns.who_speaks(*_undistorted(*self._backend.voices(heard), clipped))
                best = stretch.best_stretch(heard.samples, heard.sample_rate, heard.spans, clipped, who)
                alone = (best.start_s, best.end_s) if best else None
                report = preflight.complete(report, who, self._backend.language(heard), alone)
            yield Examination(report, drawn, best, complete=True)

    def hear(self, audio: Path | str, bounds: Bounds | None, noise: bool, volume: bool) -> Excerpt:
        """Return a part of a recording as it would be learned from.

        Args:
            audio: the recording.
            bounds: its start and end in seconds; None for all of it. At most MAX_EXCERPT_S are given back.
            noise: with its noise reduced.
            volume: with its volume evened out.

        Raises:
            As examine(); AudioError ``bad_stretch``.
        """
        with self.place() as folder:
            recording = read(self._lend(audio, folder, "audio", Stop()))
            part = recording if bounds is None else part_of(recording, bounds)
            samples = part.samples[: int(MAX_EXCERPT_S * part.sample_rate)]
            heard = self._backend.listen(samples, part.sample_rate)
            quiet = enhanced(heard, CloneOptions(need_noise_reduction=noise))
            even = enhanced(quiet, CloneOptions(need_volume_normalization=volume))
            gain_db = _level_db(even.samples) - _level_db(quiet.samples)
            return Excerpt(even.samples, part.sample_rate, gain_db, _pauses_db(quiet) - _pauses_db(heard))

    def prompt_pair(self, audio: Path | str, bounds: Bounds | None) -> PromptPair:
        """Cut a clean sentence out of a recording and write down what is said in it.

        Args:
            audio: the recording.
            bounds: the part of it that will be cloned; None for all of it.

        Raises:
            As examine(); AudioError ``no_sentence``.
        """
        with self.place() as folder:
            recording = read(self._lend(audio, folder, "audio", Stop()))
            part = recording if bounds is None else part_of(recording, bounds)
            heard = self._backend.listen(_first(part), part.sample_rate)
            clipped = clipped_spans(heard.samples, heard.sample_rate)
            found = stretch.sentence(heard.samples, heard.sample_rate, heard.spans, clipped)
            if found is None:
                raise AudioError(
                    f"No clean sentence of 3 to {contract.PROMPT_LIMIT_S:.0f} s was found in the recording.",
                    code="no_sentence",
                    field="prompt_audio",
                    advice="Record one sentence, with a short pause before and after it.",
                )
            cut = stretch.cut(part, *found)
            text = self._backend.transcribe(Heard(cut.samples, cut.sample_rate, []), self._backend.language(heard))
            return PromptPair(cut.samples, cut.sample_rate, _ended(text))

    def match(self, prompt_audio: Path, text: str | None, heard: str | None = None) -> Match:
        """Compare a prompt clip with its transcript; without one, say what is heard in it.

        Args:
            prompt_audio: the clip.
            text: its transcript, if there is one.
            heard: what was heard in it before; None to listen.

        Raises:
            As examine(), at the field ``prompt_audio``; PromptError: the clip is too long.
        """
        if heard is None:
            with self.place():
                recording = read(prompt_audio, field="prompt_audio")
                contract.check_prompt_duration(recording.duration_s)
                heard = _ended(self._backend.transcribe(Heard(recording.samples, recording.sample_rate, [])))
        return Match(heard, match(text or heard, heard), words_heard(text or heard, heard))

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Lend a folder for a look at a recording, to a few at a time.

        Raises:
            BusyError: ``queue_full``.
        """
        if not self._places.acquire(timeout=CHECK_WAIT_S):
            raise BusyError("Many recordings are being checked.", code="queue_full", advice="Try again in a moment.")
        try:
            with self._workspace.folder() as folder:
                yield folder
        finally:
            self._places.release()


def part_of(recording: Recording, bounds: Bounds) -> Recording:
    """Return the part of a recording that a person chose.

    Raises:
        AudioError: ``bad_stretch`` (s): it is not inside the recording.
    """
    start_s, end_s = bounds
    end_s = min(end_s, recording.duration_s) if end_s < recording.duration_s + 0.1 else end_s  # shown rounded
    if not 0.0 <= start_s < end_s <= recording.duration_s:
        raise AudioError(
            f"The part from {start_s:.1f} to {end_s:.1f} s is not inside the recording, which ends at "
            f"{recording.duration_s:.1f} s.",
            code="bad_stretch",
            field="audio",
            measured=round(end_s, 1),
            limit=round(recording.duration_s, 1),
            advice="Choose the part again.",
        )
    return stretch.cut(recording, start_s, end_s)


def enhanced(heard: Heard, options: CloneOptions, stop: Stop | None = None) -> Heard:
    """Return a recording as it is learned from: its noise reduced, its volume evened out, as asked."""
    samples = heard.samples
    if options.need_noise_reduction:
        samples = enhance.reduce_noise(samples, heard.sample_rate, stop)
    if options.need_volume_normalization:
        samples = enhance.normalize_volume(samples, heard.sample_rate)
    return Heard(samples, heard.sample_rate, heard.spans)


def _undistorted(voices: np.ndarray, at_s: np.ndarray, clipped: Sequence[Bounds]) -> tuple[np.ndarray, np.ndarray]:
    """Return the voices of windows without clipping, which makes one person sound like two, and where they begin."""
    clear = np.ones(len(at_s), bool)
    for start_s, end_s in clipped:
        clear &= (at_s >= end_s) | (at_s + turns.WINDOW_S <= start_s)
    return voices[clear], at_s[clear]


def _first(recording: Recording) -> np.ndarray:
    return recording.samples[: int(EXAMINED_S * recording.sample_rate)]


def _bytes_to_clone(recording: Recording, path: Path) -> int:
    if recording.duration_s > contract.REFERENCE_MAX_S:  # refused for that; converting an hour would take long
        return recording.n_bytes
    return len(accepted(recording, path)[0])


def _pauses_db(heard: Heard) -> float:
    """Return the level of what lies between the spans of speech; of everything where nothing does."""
    speech = np.zeros(len(heard.samples), bool)
    for start, end in heard.spans:
        speech[int(start * heard.sample_rate) : int(end * heard.sample_rate)] = True
    pauses = heard.samples[~speech]
    return _level_db(pauses if len(pauses) else heard.samples)


def _level_db(samples: np.ndarray) -> float:
    return 10.0 * float(np.log10(max(float(np.mean(np.square(samples))), 1e-12))) if len(samples) else 0.0


def _ended(text: str) -> str:
    text = text.strip()
    return text if not text or contract.ends_with_punctuation(text) else f"{text.rstrip(',;:–—- ')}."
