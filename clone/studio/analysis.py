"""What a person is shown of a recording before it is cloned: report, picture, best segment, excerpts.

Nothing here costs anything, keeps anything or goes anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.audio import enhance, preflight, segment, turns, waveform
from clone.audio.preflight import Report
from clone.audio.quality import clipped_spans
from clone.audio.reader import Recording, read
from clone.audio.segment import Segment
from clone.audio.writer import accepted, stays, wav_bytes
from clone.contract import cloning
from clone.contract.cloning import CloneOptions
from clone.contract.orders import CloneOrder
from clone.core.errors import AudioError, BusyError
from clone.core.jobs import Stop
from clone.engine.backend import Heard, LocalBackend

MAX_CHECKS = 2
CHECK_WAIT_S = 10.0

MAX_EXCERPT_S = 60.0
"""Longest part given back to be heard."""

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Examination:
    """What is known of a recording so far; ``complete`` once speakers, language and best segment are."""

    report: Report
    picture: waveform.Picture
    segment: Segment | None = None
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
class Clip:
    """A recording to hand over: as it is to be sent, its format, and the link it was given by, if it is still that."""

    data: bytes
    suffix: str
    url: str | None = None


class Examining:
    """Looks at recordings for every visitor; thread-safe, a few at a time.

    Args:
        backend: hears speech, voices and words.
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._places = threading.BoundedSemaphore(MAX_CHECKS)

    def examine(self, path: Path, stop: Stop | None = None) -> Iterator[Examination]:
        """Look at a recording.

        Args:
            path: its file.
            stop: obeyed while it is read.

        Yields:
            What limits, level, clipping and noise are like, as soon as that is known; then everything.

        Raises:
            AudioError: it can't be read at all.
            BusyError: too many are being looked at.
        """
        with self.place():
            recording = read(path, stop=stop)
            heard = self._backend.listen(recording.samples, recording.sample_rate)
            clipped = clipped_spans(heard.samples, heard.sample_rate)
            report = preflight.check(recording, _bytes_to_clone(recording, path), heard.spans)
            drawn = waveform.draw(heard.samples, heard.sample_rate, heard.spans, clipped)
            yield Examination(report, drawn)
            best = None
            if heard.spans:
                who = turns.who_speaks(*_undistorted(*self._backend.voices(heard), clipped))
                language = self._backend.language(heard)
                name = self._backend.language_name(language[0])
                best = segment.best_segment(heard.samples, heard.sample_rate, heard.spans, clipped, who)
                alone = (best.start_s, best.end_s) if best else None
                report = preflight.complete(report, who, language, name, alone)
            yield Examination(report, drawn, best, complete=True)

    def hear(self, audio: Path, bounds: Bounds | None, noise: bool, volume: bool) -> Excerpt:
        """Return a part of a recording as it would be learned from.

        Args:
            audio: the recording.
            bounds: its start and end in seconds; None for all of it. At most MAX_EXCERPT_S are given back.
            noise: with its noise reduced.
            volume: with its volume evened out.

        Raises:
            As examine(); AudioError ``bad_stretch``.
        """
        with self.place():
            part = part_at(audio, bounds)
            samples = part.samples[: int(MAX_EXCERPT_S * part.sample_rate)]
            heard = self._backend.listen(samples, part.sample_rate)
            quiet = enhanced(heard, CloneOptions(need_noise_reduction=noise))
            even = enhanced(quiet, CloneOptions(need_volume_normalization=volume))
            gain_db = _level_db(even.samples) - _level_db(quiet.samples)
            return Excerpt(even.samples, part.sample_rate, gain_db, _pauses_db(quiet) - _pauses_db(heard))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Let a few at a time look at a recording.

        Raises:
            BusyError: ``queue_full``.
        """
        if not self._places.acquire(timeout=CHECK_WAIT_S):
            raise BusyError("Many recordings are being checked.", code="queue_full", advice="Try again in a moment.")
        try:
            yield
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
    return segment.cut(recording, start_s, end_s)


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


def part_at(path: Path, bounds: Bounds | None) -> Recording:
    """Return what is looked at of a recording: its part, or its beginning; raises as read() and part_of()."""
    return read(path) if bounds is None else part_of(read(path, begins_s=bounds[0]), bounds)


def _bytes_to_clone(recording: Recording, path: Path) -> int:
    if stays(recording) or recording.duration_s > cloning.REFERENCE_MAX_S:  # an hour is refused: why convert it
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


def chosen(path: Path, bounds: Bounds | None, stop: Stop, *, as_sent: bool = False) -> tuple[Recording, Path | bytes]:
    """Return what is to be cloned, and its file: the recording, or the part of it from one second to another.

    Raises:
        AudioError: it can't be read; ``bad_stretch``; ``bad_format`` or ``too_big``, where the file goes ``as_sent``.
    """
    recording = read(path, stop=stop, begins_s=bounds[0] if bounds else 0.0)
    if bounds is None:
        if as_sent:
            cloning.check_format(recording.format)
            cloning.check_size(recording.n_bytes)
        return recording, path
    part = part_of(recording, bounds)
    return part, b"" if is_refused(part) else wav_bytes(part.samples, part.sample_rate)


def judged(
    backend: LocalBackend, recording: Recording, original: Path | bytes, stop: Stop
) -> tuple[Report, Heard, tuple[bytes, str]]:
    """Judge what would be cloned: the file itself, or the mp3 that a browser's recording becomes.

    Returns:
        The report, what was heard, and the bytes to clone from with their format.
    """
    if is_refused(recording):  # an hour is, without listening to it
        heard, kept = Heard(recording.samples, recording.sample_rate, []), (b"", recording.format)
        report = preflight.check(recording, recording.n_bytes, heard.spans)
        return Report(tuple(f for f in report.findings if f.code != "no_speech")), heard, kept
    kept = accepted(recording, original, stop)
    heard = backend.listen(recording.samples, recording.sample_rate)
    return preflight.check(recording, len(kept[0]), heard.spans), heard, kept


def is_refused(recording: Recording) -> bool:
    """Tell whether a recording is too long or too big whatever else it is like."""
    too_big = stays(recording) and recording.n_bytes > cloning.REFERENCE_MAX_BYTES
    return recording.duration_s > cloning.REFERENCE_MAX_S or too_big


def is_by_links(order: CloneOrder) -> bool:
    """Tell whether all that an order sends can be had by the links it was given by."""
    whole = isinstance(order.audio, str) and order.segment is None
    return whole and not isinstance(order.prompt_audio, Path)


def clips(backend: LocalBackend, order: CloneOrder) -> tuple[Clip, Clip | None]:
    """Return the reference and the prompt clip of an order to be sent, what was given by a link by that link.

    Args:
        backend: listens.
        order: what is to be cloned; a part of it, of a file only.

    Raises:
        AudioError: what would refuse it at cloning.
        PromptError: the prompt clip is too long.
    """
    if isinstance(order.audio, str):
        reference = Clip(b"", "", order.audio)
    else:
        recording, original = chosen(order.audio, order.segment, Stop())
        report, _, kept = judged(backend, recording, original, Stop())
        report.raise_if_refused()
        reference = Clip(*kept)
    return reference, _prompt_clip(order.prompt_audio)


def _prompt_clip(given: Path | str | None) -> Clip | None:
    if not isinstance(given, Path):
        return Clip(b"", "", given) if given else None
    recording = read(given, field="prompt_audio")
    cloning.check_prompt_duration(recording.duration_s)
    return Clip(*accepted(recording, given))


def clip_of(given: Path | str | None, recording: Recording, kept: tuple[bytes, str]) -> Clip:
    """Return a recording to hand over: by the link it was given by, if that leads to what is to be cloned.

    Args:
        given: a file, or a URL as str.
        recording: what was read there.
        kept: the bytes to clone from, and their format.
    """
    untouched = kept[1] == recording.format and len(kept[0]) == recording.n_bytes
    return Clip(*kept, given if isinstance(given, str) and untouched else None)
