"""Reading a recording: any format by its content, mono float32 at its own rate, bounded, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np

from clone.audio import formats, whole
from clone.contract import clock
from clone.errors import AudioError

MAX_INTAKE_BYTES = 200_000_000
MAX_INTAKE_S = 3600.0
SAMPLE_RATE_MIN_HZ = 8_000
SAMPLE_RATE_MAX_HZ = 192_000
MAX_CHANNELS = 8

ANTIPHASE_RATIO = 0.01
"""Channels whose mean keeps less than this share of their energy (-20 dB) cancel each other: one is taken alone."""

_SLACK_S = {"flac": 0.0, "wav": 0.0, "mp4": 0.25, "webm": 0.25, "mp3": 0.5}
"""How much less than promised may be decoded: encoder delay and padding are promised, then trimmed.

ogg has no promise apart from its last page, which the page walk has checked."""

_GROWTH = 1 << 22
_EXPORT_AGAIN = "Export it again, or upload it again if the transfer broke off."
_FORMATS_ADVICE = "Give an mp3, m4a or wav file, or record with the microphone."


@dataclass(frozen=True)
class Recording:
    """One recording, as it was given.

    Attributes:
        samples: float32, shape (n_samples,), mono, in [-1, 1].
        sample_rate: Hz.
        format: ``mp3``, ``m4a`` (AAC in mp4, nothing else in it), ``wav`` (PCM), ``webm``, ``ogg``, ``flac``,
            ``mp4`` (any other mp4) or ``riff`` (any other wav).
        n_bytes: size of the file.
        sha256: hex digest of the file's bytes.
    """

    samples: np.ndarray
    sample_rate: int
    format: str
    n_bytes: int
    sha256: str

    @property
    def duration_s(self) -> float:
        """Length in seconds, as decoded."""
        return len(self.samples) / self.sample_rate


def read(path: Path, *, field: str = "audio") -> Recording:
    """Read a recording from a file.

    Args:
        path: the file; its name says nothing about its format.
        field: the input it was given at, for the error.

    Returns:
        The whole recording, decoded.

    Raises:
        AudioError: ``no_file``; ``too_big_to_read`` (bytes); ``not_audio``; ``no_audio``; ``bad_sample_rate``
            (Hz); ``too_many_channels``; ``too_long_to_read`` (seconds); ``damaged`` (seconds there, promised).
    """
    try:
        return _Reading(path).recording()
    except AudioError as e:
        e.field = field
        raise


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
    import librosa  # takes a while the first time

    return np.asarray(
        librosa.resample(samples, orig_sr=sample_rate, target_sr=to_rate, res_type="soxr_hq"), dtype=np.float32
    )


class _Reading:
    """One file on its way to a Recording."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        with self.path.open("rb") as file:
            self.kind, self.extent, sha256 = self._inspect(file)
            file.seek(0)
            sound = self._decode(file, channel=None)
            if sound.cancels:
                file.seek(0)
                sound = self._decode(file, channel=0)
        self._check_whole(sound)
        return Recording(_in_range(sound.samples()), sound.sample_rate, sound.format, self.n_bytes, sha256)

    def _inspect(self, file: BinaryIO) -> tuple[str, whole.Extent, str]:
        if not self.n_bytes:
            raise _not_audio("The file is empty.")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            kind = formats.kind(lambda at, n: data[at : at + n])
            if kind is None:
                raise _not_audio("This is not a recording in a format that can be read.")
            return kind, whole.extent(data, kind), hashlib.sha256(data).hexdigest()

    def _decode(self, file: BinaryIO, channel: int | None) -> _Sound:
        try:
            with av.open(
                file,
                mode="r",
                format=formats.DEMUXERS[self.kind],
                options={"codec_whitelist": ",".join(sorted(formats.DECODERS))},
                metadata_errors="ignore",
            ) as container:
                sound = _Sound(container, self.kind, channel)
                self._check_declared(sound)
                sound.decode()
                return sound
        except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as e:
            if isinstance(e, AudioError):
                raise
            raise _damaged(0.0, self.extent.promised_s) from e

    def _check_declared(self, sound: _Sound) -> None:
        if self.extent.promised_s is not None:
            sound.declared_s = self.extent.promised_s
        if sound.declared_s is not None and sound.declared_s > MAX_INTAKE_S:
            raise _too_long(sound.declared_s)

    def _check_whole(self, sound: _Sound) -> None:
        measured, promised = sound.measured_s, sound.declared_s or 0.0
        missing, untold = self.extent.missing_bytes, self.extent.untold_bytes
        if untold:
            held = self.n_bytes - untold
            raise _damaged(measured * self.n_bytes / held, measured)
        if missing:  # FFmpeg often counts the length from what is there: then the share of bytes tells
            share = measured * (self.n_bytes + missing) / self.n_bytes
            raise _damaged(measured, promised if promised > measured + 0.05 else share, missing_bytes=missing)
        if sound.lost_s > 0.1:
            raise _damaged(measured - sound.lost_s, measured)
        if not sound.has_video and promised - measured > _SLACK_S.get(self.kind, float("inf")):
            raise _damaged(measured, promised)
        if not sound.n_samples:
            raise _damaged(0.0, promised or None)


class _Sound:
    """The sound stream of an open container, decoded to mono chunk by chunk into one growing buffer."""

    def __init__(self, container: av.container.InputContainer, kind: str, channel: int | None) -> None:
        if not container.streams.audio:
            raise AudioError(
                "There is no sound in this file.", code="no_audio", measured=0, limit=1, advice=_FORMATS_ADVICE
            )
        stream = container.streams.audio[0]
        if stream.codec_context is None or stream.codec_context.name not in formats.DECODERS:
            raise _not_audio("The sound in this file is encoded in a way that can't be read.")
        self._container, self._stream, self._channel = container, stream, channel
        self.has_video = any(s.type == "video" and not _is_cover(s) for s in container.streams)
        self.format = _format(kind, stream.codec_context.name, self.has_video)
        self.declared_s = _declared_s(container, stream)
        self.sample_rate = _checked_rate(stream.codec_context.sample_rate)
        _check_channels(stream.codec_context.channels)
        self.n_samples, self.lost_s, self._end_s = 0, 0.0, 0.0
        self._mono_energy = self._channel_energy = 0.0
        self._buffer = np.empty(_GROWTH, np.float32)

    @property
    def measured_s(self) -> float:
        """Seconds decoded, or up to the last one's timestamp where silence was left out on purpose."""
        return max(self.n_samples / self.sample_rate, self._end_s)

    @property
    def cancels(self) -> bool:
        """Whether the channels cancel each other when they are mixed."""
        return self._channel is None and self._mono_energy < ANTIPHASE_RATIO * self._channel_energy

    def samples(self) -> np.ndarray:
        """Return what was decoded, float32, shape (n_samples,)."""
        self._buffer.resize(self.n_samples, refcheck=False)  # in place: no second copy
        return self._buffer

    def decode(self) -> None:
        """Decode everything, within the bounds."""
        for frame in self._frames():
            if frame.sample_rate != self.sample_rate:
                if self.n_samples:
                    raise _damaged(self.measured_s, self.declared_s)
                self.sample_rate = _checked_rate(frame.sample_rate)  # HE-AAC doubles what its header says
            _check_channels(frame.layout.nb_channels)
            self._take(frame)
            if self.n_samples > MAX_INTAKE_S * self.sample_rate:
                raise _too_long(self.n_samples / self.sample_rate)

    def _frames(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the container breaks off here
                self.lost_s = float("inf")
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.lost_s += float((packet.duration or 0) * (packet.time_base or 0))

    def _take(self, frame: av.AudioFrame) -> None:
        channels = _channels(frame)
        mono = channels.mean(axis=0) if self._channel is None else channels[self._channel]
        energy = float(np.vdot(mono, mono))
        if not np.isfinite(energy) and not np.isfinite(channels).all():
            raise _damaged_values(self.n_samples / self.sample_rate)
        if len(channels) > 1:
            self._mono_energy += energy
            self._channel_energy += float(np.vdot(channels, channels)) / len(channels)
        while self.n_samples + len(mono) > len(self._buffer):
            self._buffer.resize(len(self._buffer) + _GROWTH, refcheck=False)
        self._buffer[self.n_samples : self.n_samples + len(mono)] = mono
        self.n_samples += len(mono)
        if frame.pts is not None and frame.time_base:
            start = self._stream.start_time or 0
            end_pts = frame.pts * frame.time_base - start * (self._stream.time_base or 0)
            self._end_s = float(end_pts) + len(mono) / self.sample_rate


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """Return a frame's sound as float32, shape (n_channels, n_samples), full scale 1."""
    sound = frame.to_ndarray()
    if not frame.format.is_planar:
        sound = sound.reshape(-1, frame.layout.nb_channels).T
    if sound.dtype == np.uint8:
        return (sound.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(sound.dtype, np.integer):
        return sound.astype(np.float32) / float(2 ** (8 * sound.dtype.itemsize - 1))
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf and is refused as such
        return sound.astype(np.float32, copy=False)


def _in_range(samples: np.ndarray) -> np.ndarray:
    """Turn a recording down, in place, until its peak is within [-1, 1]: turning down distorts nothing, clipping does.

    Lossy formats overshoot full scale by a little, and float wav may hold anything.
    """
    peak = max(float(samples.max()), -float(samples.min()))
    if peak > 1.0:
        samples /= np.float32(peak)
    return samples


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _format(kind: str, codec: str, has_video: bool) -> str:
    if kind == "mp4":
        return "m4a" if codec == "aac" and not has_video else "mp4"
    if kind == "wav":
        return "wav" if codec.startswith("pcm_") else "riff"
    return kind


def _declared_s(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _checked_rate(sample_rate: int) -> int:
    if not SAMPLE_RATE_MIN_HZ <= sample_rate <= SAMPLE_RATE_MAX_HZ:
        raise AudioError(
            f"The sample rate is {sample_rate:,} Hz; it must be between {SAMPLE_RATE_MIN_HZ:,} and "
            f"{SAMPLE_RATE_MAX_HZ:,} Hz.",
            code="bad_sample_rate",
            measured=sample_rate,
            limit=SAMPLE_RATE_MIN_HZ if sample_rate < SAMPLE_RATE_MIN_HZ else SAMPLE_RATE_MAX_HZ,
            advice="Export it at 44,100 Hz.",
        )
    return sample_rate


def _check_channels(n_channels: int) -> None:
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise AudioError(
            f"The recording has {n_channels} channels; at most {MAX_CHANNELS} can be read.",
            code="too_many_channels",
            measured=n_channels,
            limit=MAX_CHANNELS,
            advice="Export it in mono or stereo.",
        )


def _not_audio(message: str) -> AudioError:
    return AudioError(message, code="not_audio", advice=_FORMATS_ADVICE)


def _too_long(duration_s: float) -> AudioError:
    return AudioError(
        f"The recording is {clock(duration_s)} min long or longer; at most {clock(MAX_INTAKE_S)} min can be read.",
        code="too_long_to_read",
        measured=round(duration_s, 2),
        limit=MAX_INTAKE_S,
        advice="Cut out the part to clone from.",
    )


def _damaged(measured_s: float, promised_s: float | None, missing_bytes: int = 0) -> AudioError:
    promise = f"its header says {promised_s:.1f} s" if promised_s is not None else "the rest can't be read"
    if promised_s is not None and missing_bytes and promised_s - measured_s < 0.1:
        promise = f"and at least {missing_bytes:,} bytes are missing"
    return AudioError(
        f"The file is damaged or cut off: {measured_s:.1f} s of sound are there, {promise}.",
        code="damaged",
        measured=round(measured_s, 2),
        limit=None if promised_s is None else round(promised_s, 2),
        advice=_EXPORT_AGAIN,
    )


def _damaged_values(at_s: float) -> AudioError:
    return AudioError(
        f"The file is damaged: at {at_s:.1f} s it holds values that are no numbers.",
        code="damaged",
        measured=round(at_s, 2),
        advice=_EXPORT_AGAIN,
    )
