"""Reading a recording: any format by its content, as mono float32, bounded, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
import soxr

from clone.audio import containers, reader_process
from clone.audio.decoder import (
    MAX_INTAKE_S,
    SoundStream,
    check_samples,
    contradictory,
    damaged,
    no_audio,
    not_audio,
    too_long,
)
from clone.audio.reader_process import DECODING_S, OPENING_S, Readers
from clone.core.errors import AudioError
from clone.core.jobs import Stop

MAX_INTAKE_BYTES = 200_000_000
MAX_KEPT_S = 900.0
"""As much as is kept of a recording: what is looked at of a very long one, and three times what is cloned."""

_SLACK_S = {"flac": 0.0, "wav": 0.0, "mp4": 0.25, "webm": 0.25, "mp3": 0.5}
"""How much less than promised may be decoded: encoder delay and padding are promised, then trimmed.

ogg has no promise apart from its last page, which the page walk has checked."""

_LOSS_LIMIT_S = 0.1
"""Packets that can't be decoded may add up to this, as players let them pass: a frame cut by an editor."""


@dataclass(frozen=True)
class Recording:
    """One recording, as it was given.

    Attributes:
        samples: float32, shape (n_samples,), mono, in [-1, 1]: all of it, or the part that is kept.
        sample_rate: Hz, of the samples; decode.KEPT_RATE_MAX_HZ at most.
        format: ``mp3``, ``m4a`` (AAC in mp4, nothing else in it), ``wav`` (PCM), ``webm``, ``ogg``, ``flac``,
            ``mp4`` (any other mp4) or ``riff`` (any other wav).
        n_bytes: size of the file.
        sha256: hex digest of the file's bytes.
        begins_s: where in the recording the samples begin, in seconds.
        full_s: length of the recording; None where the samples are all of it.
    """

    samples: np.ndarray
    sample_rate: int
    format: str
    n_bytes: int
    sha256: str
    begins_s: float = 0.0
    full_s: float | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds, as decoded."""
        return len(self.samples) / self.sample_rate if self.full_s is None else self.full_s


_READERS = Readers()


def read(
    path: Path,
    *,
    field: str = "audio",
    stop: Stop | None = None,
    begins_s: float = 0.0,
    most_s: float = MAX_KEPT_S,
) -> Recording:
    """Read a recording from a file, in a process of its own.

    Args:
        path: the file; its name says nothing about its format.
        field: the input it was given at, for the error.
        stop: obeyed at once.
        begins_s: where the part begins that is kept.
        most_s: how much is kept.

    Returns:
        The recording. All of it was decoded, whatever is kept.

    Raises:
        AudioError: ``no_file``; ``too_big_to_read`` (bytes); ``not_audio``; ``no_audio``; ``bad_sample_rate``
            (Hz); ``too_many_channels``; ``too_long_to_read`` (seconds); ``too_many_samples``; ``too_many_parts``;
            ``too_much_work``; ``damaged`` (seconds there, promised).
        CancelledError: ``stop`` was asked.
    """
    begins_s = min(max(0.0, begins_s), MAX_INTAKE_S)  # 0 for no number too
    try:
        samples, attributes = _READERS.read(path, (begins_s, most_s), stop or Stop())
    except AudioError as e:
        e.field = field
        raise
    return Recording(samples, **attributes)


def serve() -> None:
    """Be a process that reads for another one."""
    reader_process.serve(read_here)


def read_here(path: Path, part: tuple[float, float], allow: Callable[[float], None] = lambda _: None) -> Recording:
    """Read a recording in this process, as ``read`` does.

    Args:
        path: the file.
        part: what is kept of it: from which second on, and how many seconds.
        allow: called with how many seconds of a core the next step may take.
    """
    try:
        return _Reading(path, part, allow).recording()
    except OSError as e:
        raise AudioError("The file can't be opened.", code="no_file", advice="Choose the recording again.") from e


def resample(samples: np.ndarray, sample_rate: int, to_rate: int) -> np.ndarray:
    """Return a recording at another rate.

    Args:
        samples: float32, shape (n_samples,).
        sample_rate: Hz, of ``samples``.
        to_rate: Hz, wanted.

    Returns:
        float32, shape (ceil(n_samples * to_rate / sample_rate),), band-limited (soxr, high quality).
    """
    if sample_rate == to_rate:
        return samples.astype(np.float32, copy=False)
    n_samples = -(-len(samples) * to_rate // sample_rate)
    return np.asarray(soxr.resample(samples, sample_rate, to_rate, quality="HQ"), dtype=np.float32)[:n_samples]


class _Reading:
    """One file on its way to a Recording."""

    def __init__(self, path: Path, part: tuple[float, float], allow: Callable[[float], None]) -> None:
        self.path, self.part, self.allow = path, part, allow
        self.n_bytes = self._size()

    def _size(self) -> int:
        if not self.path.is_file():
            raise AudioError("There is no such file.", code="no_file", advice="Choose the recording again.")
        n_bytes = self.path.stat().st_size
        if n_bytes > MAX_INTAKE_BYTES:
            raise AudioError(
                f"The file is {n_bytes / 1e6:.0f} MB; at most {MAX_INTAKE_BYTES / 1e6:.0f} MB can be read.",
                code="too_big_to_read",
                measured=n_bytes,
                limit=MAX_INTAKE_BYTES,
                advice="Cut out the part to clone from, or save it as mp3.",
            )
        return n_bytes

    def recording(self) -> Recording:
        self.allow(OPENING_S)
        with self.path.open("rb") as file:
            self.kind, self.extent, sha256 = self._inspect(file)
            file.seek(0)
            sound = self._decode(file, channel=None)
            if sound.cancels:
                file.seek(0)
                sound = self._decode(file, channel=0)
        self._check_complete(sound)
        samples, rate = sound.kept()
        full_s = sound.n_samples / sound.sample_rate
        return Recording(samples, rate, sound.format, self.n_bytes, sha256, self.part[0], full_s)

    def _inspect(self, file: BinaryIO) -> tuple[str, containers.Extent, str]:
        if not self.n_bytes:
            raise not_audio("The file is empty.")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            kind = containers.kind(lambda at, n: data[at : at + n])
            if kind is None:
                raise not_audio("This is not a recording in a format that can be read.")
            extent = containers.extent(data, kind)
            if extent.contradiction:
                raise contradictory(extent.contradiction)
            return kind, extent, hashlib.sha256(data).hexdigest()

    def _decode(self, file: BinaryIO, channel: int | None) -> SoundStream:
        self.allow(OPENING_S)
        try:
            with av.open(
                file,
                mode="r",
                format=containers.DEMUXERS[self.kind],
                options={"codec_whitelist": ",".join(sorted(containers.DECODERS))},
                metadata_errors="ignore",
            ) as container:
                sound = SoundStream(container, self.kind, channel, self.part)
                self._check_declared(sound)
                self.allow(DECODING_S)
                sound.decode()
                return sound
        except (AudioError, MemoryError):
            raise
        except (av.error.FFmpegError, ValueError, OverflowError) as e:
            raise damaged(0.0, self.extent.promised_s) from e

    def _check_declared(self, sound: SoundStream) -> None:
        if self.extent.promised_s is not None:
            sound.declared_s = self.extent.promised_s
        if sound.declared_s is not None and sound.declared_s > MAX_INTAKE_S + 1.0:  # encoders pad
            raise too_long(sound.declared_s)
        check_samples((sound.declared_s or 0.0) * sound.sample_rate * sound.n_channels)

    def _check_complete(self, sound: SoundStream) -> None:
        measured, promised = sound.measured_s, sound.declared_s or 0.0
        missing, unannounced = self.extent.missing_bytes, self.extent.unannounced_bytes
        if unannounced:
            held = self.n_bytes - unannounced
            raise damaged(measured * self.n_bytes / held, measured)
        if missing:  # FFmpeg often counts the length from what is there: then the share of bytes tells
            share = measured * (self.n_bytes + missing) / self.n_bytes
            raise damaged(measured, promised if promised > measured + 0.05 else share, missing_bytes=missing)
        if sound.lost_s > _LOSS_LIMIT_S:
            raise damaged(max(measured - sound.lost_s, 0.0), measured)
        if sound.broken:
            raise damaged(measured, promised if promised > measured else None)
        if not sound.has_video and promised - measured > _SLACK_S.get(self.kind, float("inf")):
            raise damaged(measured, promised)
        if not sound.n_samples:
            raise no_audio()
