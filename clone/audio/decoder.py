"""Decoding the sound of an open file: within bounds, chunk by chunk, to the part of it that is kept, mono float32."""

from __future__ import annotations

from collections.abc import Iterator

import av
import av.error
import numpy as np
import soxr

from clone.audio import containers
from clone.audio.containers import EXPORT_AGAIN
from clone.contract.cloning import clock
from clone.core.errors import AudioError

MAX_INTAKE_S = 3600.0
SAMPLE_RATE_MIN_HZ = 8_000
SAMPLE_RATE_MAX_HZ = 192_000
MAX_CHANNELS = 8
MAX_SAMPLES = int((MAX_INTAKE_S + 1.0) * 96_000 * 2)
"""Decoded samples of all channels: the longest there may be in stereo at 96 kHz. Lossless silence costs no bytes."""

KEPT_RATE_MAX_HZ = 48_000
"""Higher rates are resampled to this one while they are decoded: what they add is not heard, and takes gigabytes."""

_FRAME_MAX = 65_536 * MAX_CHANNELS
"""Samples in one frame, of all channels: flac allows for no more, and other headers may ask for millions."""

ANTIPHASE_RATIO = 0.01
"""Channels whose mean keeps less than this share of their energy (-20 dB) cancel each other: one is taken alone."""

_GROWTH = 1 << 22
_FORMATS_ADVICE = "Give an mp3, m4a or wav file, or record with the microphone."


class SoundStream:
    """The sound stream of an open container, decoded to mono chunk by chunk.

    Args:
        container: open.
        kind: as ``containers.kind`` gave it.
        channel: the one to take alone; None for the mean of all.
        part: what is kept of it: from which second on, and how many seconds.

    Attributes:
        format: as in ``Recording``.
        has_video: whether a moving picture is there too.
        declared_s: length by the header, None if it does not say.
        sample_rate: Hz, as decoded.
        n_samples: samples decoded so far, of one channel.
        lost_s: seconds in packets that could not be decoded.
        broken: whether the container broke off while it was read.
    """

    def __init__(
        self, container: av.container.InputContainer, kind: str, channel: int | None, part: tuple[float, float]
    ) -> None:
        if not container.streams.audio:
            raise no_audio()
        stream = container.streams.audio[0]
        if stream.codec_context is None or stream.codec_context.name not in containers.DECODERS:
            raise not_audio("The sound in this file is encoded in a way that can't be read.")
        stream.codec_context.options = {"max_samples": str(_FRAME_MAX)}
        self._container, self._stream, self._channel = container, stream, channel
        self.has_video = any(s.type == "video" and not _is_cover(s) for s in container.streams)
        self.format = _format(kind, stream.codec_context.name, self.has_video)
        self.declared_s = _declared_s(container, stream)
        self.sample_rate = _checked_rate(stream.codec_context.sample_rate)
        _check_channels(stream.codec_context.channels)
        self.n_channels = stream.codec_context.channels
        self.n_samples, self.lost_s, self._end_s = 0, 0.0, 0.0
        self.broken = False
        self._n_decoded = 0
        self._mono_energy = self._channel_energy = 0.0
        self._packer: av.AudioResampler | None = None
        self._part = part
        self._kept: Kept | None = None

    @property
    def measured_s(self) -> float:
        """Seconds decoded, or up to the last one's timestamp where silence was left out on purpose."""
        return max(self.n_samples / self.sample_rate, self._end_s)

    @property
    def cancels(self) -> bool:
        """Whether the channels cancel each other when they are mixed."""
        return self._channel is None and self._mono_energy < ANTIPHASE_RATIO * self._channel_energy

    def kept(self) -> tuple[np.ndarray, int]:
        """Return what is kept, float32, shape (n_samples,), within [-1, 1], and its rate in Hz."""
        kept = self._kept or Kept(self.sample_rate, self._part)
        return kept.samples(), kept.sample_rate

    def decode(self) -> None:
        """Decode everything, within the bounds."""
        for frame in self._frames():
            if frame.sample_rate != self.sample_rate:
                if self.n_samples:
                    raise damaged(self.measured_s, self.declared_s)
                self.sample_rate = _checked_rate(frame.sample_rate)  # HE-AAC doubles what its header says
            _check_channels(frame.layout.nb_channels)
            for packed in self._packed(frame):
                self._take(packed)
            if self.n_samples > MAX_INTAKE_S * self.sample_rate:
                raise too_long(self.n_samples / self.sample_rate)
            self._n_decoded += frame.samples * frame.layout.nb_channels
            check_samples(self._n_decoded)

    def _frames(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the container breaks off here
                self.broken = True
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.lost_s += float((packet.duration or 0) * (packet.time_base or 0))

    def _packed(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """Interleave eight separate channels: PyAV 18.1.0 reads a ninth there and the process dies."""
        if not frame.format.is_planar or frame.layout.nb_channels < 8:
            return [frame]
        if self._packer is None:
            self._packer = av.AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
        return self._packer.resample(frame)

    def _take(self, frame: av.AudioFrame) -> None:
        channels = _channels(frame)
        with np.errstate(all="ignore"):
            mono = channels.mean(axis=0) if self._channel is None else channels[self._channel]
            energy = float(np.vdot(mono, mono))
        if not np.isfinite(energy) and not np.isfinite(mono).all():
            raise _damaged_values(self.n_samples / self.sample_rate)
        if len(channels) > 1:
            self._mono_energy += energy
            self._channel_energy += float(np.vdot(channels, channels)) / len(channels)
        self._kept = self._kept or Kept(self.sample_rate, self._part)
        self._kept.take(mono)
        self.n_samples += len(mono)
        if frame.pts is not None and frame.time_base:
            start = self._stream.start_time or 0
            end_pts = frame.pts * frame.time_base - start * (self._stream.time_base or 0)
            self._end_s = float(end_pts) + len(mono) / self.sample_rate


class Kept:
    """The part of a sound that is kept, at KEPT_RATE_MAX_HZ at most, in one growing buffer.

    Args:
        sample_rate: Hz, of what is taken.
        part: from which second on, and how many seconds.

    Attributes:
        sample_rate: Hz, of what is kept.
    """

    def __init__(self, sample_rate: int, part: tuple[float, float]) -> None:
        self.sample_rate = min(sample_rate, KEPT_RATE_MAX_HZ)
        self._stream: soxr.ResampleStream | None = None
        if sample_rate != self.sample_rate:
            self._stream = soxr.ResampleStream(sample_rate, self.sample_rate, 1, dtype="float32", quality="HQ")
        self._n_before, self._n_left = (round(each_s * sample_rate) for each_s in part)
        self._peak = 0.0
        self._n_samples = 0
        self._buffer = np.empty(_GROWTH, np.float32)

    def take(self, mono: np.ndarray) -> None:
        """Take the next samples of the sound, float32, shape (n_samples,)."""
        self._peak = max(self._peak, float(mono.max(initial=0.0)), -float(mono.min(initial=0.0)))
        part = mono[self._n_before : self._n_before + self._n_left]
        self._n_before = max(self._n_before - len(mono), 0)
        self._n_left -= len(part)
        if len(part):
            self._add(self._stream.resample_chunk(np.ascontiguousarray(part)) if self._stream else part)

    def samples(self) -> np.ndarray:
        """Return what is kept, turned down until the whole sound's peak is within [-1, 1].

        Lossy formats overshoot full scale by a little, and float wav may hold anything: turning down distorts nothing,
        clipping does.
        """
        if self._stream:
            self._add(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        self._buffer.resize(self._n_samples, refcheck=False)  # in place: no second copy
        peak = max(self._peak, float(self._buffer.max(initial=0.0)), -float(self._buffer.min(initial=0.0)))
        if peak > 1.0:
            self._buffer /= np.float32(peak)
        return self._buffer

    def _add(self, samples: np.ndarray) -> None:
        end = self._n_samples + len(samples)
        if end > len(self._buffer):
            self._buffer.resize(max(len(self._buffer) + _GROWTH, end), refcheck=False)
        self._buffer[self._n_samples : end] = samples
        self._n_samples = end


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


def check_samples(n_samples: float) -> None:
    """Refuse more than MAX_SAMPLES samples of all channels."""
    if n_samples > MAX_SAMPLES:
        raise AudioError(
            f"The recording holds {n_samples / 1e6:,.0f} million samples; at most {MAX_SAMPLES / 1e6:,.0f} million "
            "can be read.",
            code="too_many_samples",
            measured=round(n_samples),
            limit=MAX_SAMPLES,
            advice="Export it in mono at 44,100 Hz.",
        )


def not_audio(message: str) -> AudioError:
    """Return the refusal of a file that holds nothing we can decode."""
    return AudioError(message, code="not_audio", advice=_FORMATS_ADVICE)


def no_audio() -> AudioError:
    """Return the refusal of a file without any sound in it."""
    return AudioError("There is no sound in this file.", code="no_audio", measured=0, limit=1, advice=_FORMATS_ADVICE)


def too_long(duration_s: float) -> AudioError:
    """Return the refusal of a recording longer than MAX_INTAKE_S."""
    return AudioError(
        f"The recording is {clock(duration_s)} min long or longer; at most {clock(MAX_INTAKE_S)} min can be read.",
        code="too_long_to_read",
        measured=round(duration_s, 2),
        limit=MAX_INTAKE_S,
        advice="Cut out the part to clone from.",
    )


def too_much_work() -> AudioError:
    """Return the refusal of a file that takes more time or memory than any recording."""
    return AudioError(
        "Reading this file takes more computing time or memory than a recording does.",
        code="too_much_work",
        advice="Export it again as mp3 or wav, without its tags and pictures.",
    )


def damaged(measured_s: float, promised_s: float | None, missing_bytes: int = 0) -> AudioError:
    """Return the refusal of a file that holds ``measured_s`` where its header says ``promised_s`` (None: unknown)."""
    promise = f"its header says {promised_s:.1f} s" if promised_s is not None else "the rest can't be read"
    if promised_s is not None and missing_bytes and promised_s - measured_s < 0.1:
        promise = f"and at least {missing_bytes:,} bytes are missing"
    return AudioError(
        f"The file is damaged or cut off: {measured_s:.1f} s of sound are there, {promise}.",
        code="damaged",
        measured=round(measured_s, 2),
        limit=None if promised_s is None else round(promised_s, 2),
        advice=EXPORT_AGAIN,
    )


def contradictory(message: str) -> AudioError:
    """Return the refusal of a file whose header contradicts itself."""
    return AudioError(f"The file is damaged: {message}.", code="damaged", advice=EXPORT_AGAIN)


def _damaged_values(at_s: float) -> AudioError:
    return AudioError(
        f"The file is damaged: at {at_s:.1f} s it holds values that are no numbers.",
        code="damaged",
        measured=round(at_s, 2),
        advice=EXPORT_AGAIN,
    )
