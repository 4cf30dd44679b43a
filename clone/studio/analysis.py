"""What a person is shown of a recording before it is cloned: report, picture, best segment, excerpts.

Nothing here costs anything or goes anywhere, and nothing is stored: what was read of a file is remembered for minutes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.audio import enhance, preflight, segment, turns, waveform
from clone.audio.preflight import Report
from clone.audio.quality import clipped_spans, frame_power
from clone.audio.reader import Recording, read
from clone.audio.segment import Alone, Segment
from clone.audio.writer import accepted, stays, wav_bytes
from clone.contract import cloning
from clone.contract.cloning import CloneOptions
from clone.contract.orders import CloneOrder
from clone.core.errors import AudioError, BusyError
from clone.core.jobs import Stop
from clone.engine.backend import SAMPLE_RATE, Heard, LocalBackend

MAX_CHECKS = 2
CHECK_WAIT_S = 10.0

MAX_EXCERPT_S = 60.0
"""Longest part given back to be heard."""

RECENT_S = 300.0
"""How long a checked recording stays in memory, for its cloning."""
RECENT_MAX_BYTES = 64_000_000
"""All of them together: five minutes at 48 kHz take 58 MB."""
_DROPPED_EVERY_S = 30.0

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Examination:
    """What is known of a recording so far; ``complete`` once speakers, language and best segment are.

    ``people`` is what there is of each of several people, who speaks most first; nothing where one person speaks.
    """

    report: Report
    picture: waveform.Picture
    segment: Segment | None = None
    complete: bool = False
    people: tuple[Alone, ...] = ()

    @property
    def is_of_several(self) -> bool:
        """Whether several people were distinguished, so that a part of it has to be chosen."""
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


@dataclass(frozen=True)
class Look:
    """A recording, or the part of it that was chosen: read, listened to and judged.

    Attributes:
        recording: what was read.
        heard: the same as the engine hears it.
        report: the judgement.
        kept, suffix: the bytes to clone from, and their format; no bytes where its length or size refuses it anyway.
    """

    recording: Recording
    heard: Heard
    report: Report
    kept: bytes
    suffix: str


class Examining:
    """Looks at recordings for every visitor; thread-safe, a few at a time.

    Args:
        backend: hears speech, voices and words.
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._places = threading.BoundedSemaphore(MAX_CHECKS)
        self._recent = _Recent()
        self.forget = self._recent.forget

    def warm(self) -> None:
        """Load what judges a recording, which takes a second, so that nobody's first one waits for it."""
        frame_power(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)

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
            look = self.look(path, stop=stop)
            heard, report = look.heard, look.report
            clipped = clipped_spans(heard.samples, heard.sample_rate)
            drawn = waveform.draw(heard.samples, heard.sample_rate, heard.spans, clipped)
            yield Examination(report, drawn)
            best, people = None, tuple[Alone, ...]()
            if heard.spans:
                who = turns.who_speaks(*_undistorted(*self._backend.voices(heard), clipped))
                language = self._backend.language(heard)
                name = self._backend.language_name(language[0])
                told = heard.samples, heard.sample_rate, heard.spans, clipped, who
                best, people = segment.best_segment(*told), segment.each_alone(*told)
                alone = (best.start_s, best.end_s) if best else None
                report = preflight.complete(report, who, language, name, alone)
            yield Examination(report, drawn, best, complete=True, people=people)

    def look(
        self,
        path: Path,
        bounds: Bounds | None = None,
        stop: Stop | None = None,
        begin: Callable[[Recording], None] = lambda _: None,
    ) -> Look:
        """Read, listen to and judge a recording, or take what that came to a moment ago.

        Args:
            path: its file.
            bounds: start and end in seconds of the part that is chosen; None for all of it.
            stop: obeyed while it is read and converted.
            begin: called with what was read before it is listened to; may refuse it.

        Raises:
            AudioError: it can't be read; ``bad_stretch``.
        """
        seen, look = _identity(path), self._recent.find(path, bounds)
        recording = look.recording if look else part_at(path, bounds, stop)
        begin(recording)
        if look is None:
            kept = _to_clone(recording, path, bounds, stop)
            heard = self._backend.listen(recording.samples, recording.sample_rate)
            report = preflight.check(recording, len(kept[0]) or recording.n_bytes, heard.spans)
            recording.samples.flags.writeable = False  # several may work with it
            look = Look(recording, heard, report, *kept)
            self._recent.add(path, bounds, seen, look)
        return look

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


def part_at(path: Path, bounds: Bounds | None, stop: Stop | None = None) -> Recording:
    """Return what is looked at of a recording: its part, or its beginning; raises as read() and part_of()."""
    recording = read(path, stop=stop, begins_s=bounds[0] if bounds else 0.0)
    return part_of(recording, bounds) if bounds else recording


def _pauses_db(heard: Heard) -> float:
    """Return the level of what lies between the spans of speech; of everything where nothing does."""
    speech = np.zeros(len(heard.samples), bool)
    for start, end in heard.spans:
        speech[int(start * heard.sample_rate) : int(end * heard.sample_rate)] = True
    pauses = heard.samples[~speech]
    return _level_db(pauses if len(pauses) else heard.samples)


def _level_db(samples: np.ndarray) -> float:
    return 10.0 * float(np.log10(max(float(np.mean(np.square(samples))), 1e-12))) if len(samples) else 0.0


def refuse_unheard(recording: Recording) -> None:
    """Refuse what is too long or too big whatever else it is like: an hour need not be listened to.

    Raises:
        AudioError: as cloning.check_duration() and cloning.check_size().
    """
    if _is_refused(recording):
        cloning.check_duration(recording.duration_s)
        cloning.check_size(recording.n_bytes)


def _is_refused(recording: Recording) -> bool:
    too_big = stays(recording) and recording.n_bytes > cloning.REFERENCE_MAX_BYTES
    return recording.duration_s > cloning.REFERENCE_MAX_S or too_big


def _to_clone(recording: Recording, path: Path, bounds: Bounds | None, stop: Stop | None) -> tuple[bytes, str]:
    """Return the bytes to clone from: the file, its part as a wav, or the mp3 that a browser's recording becomes."""
    if _is_refused(recording):
        return b"", recording.format
    return accepted(recording, wav_bytes(recording.samples, recording.sample_rate) if bounds else path, stop)


def is_by_links(order: CloneOrder) -> bool:
    """Tell whether all that an order sends can be had by the links it was given by."""
    entire = isinstance(order.audio, str) and order.segment is None
    return entire and not isinstance(order.prompt_audio, Path)


def clips(examining: Examining, order: CloneOrder) -> tuple[Clip, Clip | None]:
    """Return the reference and the prompt clip of an order to be sent, what was given by a link by that link.

    Args:
        examining: looks at the file.
        order: what is to be cloned; a part of it, of a file only.

    Raises:
        AudioError: what would refuse it at cloning.
        PromptError: the prompt clip is too long.
    """
    if isinstance(order.audio, str):
        reference = Clip(b"", "", order.audio)
    else:
        look = examining.look(order.audio, order.segment, begin=refuse_unheard)
        look.report.raise_if_refused()
        reference = Clip(look.kept, look.suffix)
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


class _Recent:
    """The last few looks, while their files lie there unchanged, and for minutes at most; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._looks: dict[tuple[Path, Bounds | None], tuple[Look, tuple[int, ...], float]] = {}
        self._timer = threading.Timer(0.0, self._drop)

    def find(self, path: Path, bounds: Bounds | None) -> Look | None:
        with self._lock:
            self._drop()
            return self._looks.get((path, bounds), (None,))[0]

    def add(self, path: Path, bounds: Bounds | None, seen: tuple[int, ...], look: Look) -> None:
        """Keep a look at the file as it was before it was read; it is dropped at once where that is another by now."""
        with self._lock:
            self._looks[path, bounds] = look, seen, time.monotonic()
            self._drop()

    def forget(self) -> None:
        with self._lock:
            self._looks.clear()
            self._drop()

    def _drop(self) -> None:
        """Drop what is too old, too much or of a file that is gone or another, now and every few seconds."""
        with self._lock:
            n_bytes = 0
            for key, (look, seen, since_s) in reversed(list(self._looks.items())):  # the newest has room first
                n_more, is_old = look.heard.samples.nbytes + len(look.kept), time.monotonic() - since_s > RECENT_S
                if n_bytes + n_more > RECENT_MAX_BYTES or is_old or seen != _identity(key[0]):
                    del self._looks[key]
                else:
                    n_bytes += n_more
            self._timer.cancel()
            if self._looks:
                self._timer = threading.Timer(_DROPPED_EVERY_S, self._drop)
                self._timer.daemon = True
                self._timer.start()


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells whether a file is still the same; nothing where there is none."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
