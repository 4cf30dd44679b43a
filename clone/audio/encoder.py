"""Speech as a file of the asked kind, piece by piece while it is being spoken."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import OutputContainer

from clone.audio.waveform import outline, points
from clone.audio.writer import Provenance, marked
from clone.contract.speech import SAMPLE_RATES, AudioSetting, OutputFormat

_CODECS = {
    "mp3": ("mp3", "libmp3lame", "s16p"),
    "flac": ("flac", "flac", "s16"),
    "opus": ("ogg", "libopus", "s16"),
    "aac": ("adts", "aac", "fltp"),
    "mulaw": ("mulaw", "pcm_mulaw", "s16"),
    "alaw": ("alaw", "pcm_alaw", "s16"),
}
"""By format: container, codec, and the samples it takes; any other format is plain samples."""
_OPTIONS = {"mp3": {"write_xing": "0", "id3v2_version": "0"}, "opus": {"page_duration": "100000"}}
"""A stream can't be gone back in, so an mp3's first frame promises no length, and its tags are ours. An ogg's pages,
which are sent whole, are 0.1 s long."""
_WITH_BITRATE = ("mp3", "opus", "aac")
_BYTES_PER_SAMPLE = 2
_COLUMNS_PER_S = 20
_UNKNOWN = 0xFFFFFFFF
"""What FFmpeg, too, writes for the length of a wav that it pipes on."""


class Encoder:
    """Takes float32 mono at one rate, gives bytes of one file; what all calls return, joined, is the file.

    Args:
        asked: format, rate in Hz, bits per second, channels; or the format alone, for the rate of what comes in.
        provenance: said in the tags that a mp3 or flac begins with; a wav gets them from ``file``.
        open_ended: begin a wav with a header that promises no length, for who reads it while it is written.
    """

    def __init__(
        self,
        asked: AudioSetting | OutputFormat | str,
        provenance: Provenance | None = None,
        *,
        open_ended: bool = False,
    ) -> None:
        self._has_rate = not isinstance(asked, str)
        given = AudioSetting.model_validate({"format": asked}) if isinstance(asked, str) else asked
        self._setting = OutputFormat(given.format, given.sample_rate, given.bitrate, given.channel)
        self._provenance = provenance
        self._tags_due = provenance if self._setting.format in ("mp3", "flac") else None
        self._open_ended = open_ended and self._setting.format == "wav"
        self._resampler: soxr.ResampleStream | None = None
        self._written = io.BytesIO()
        self._n_samples = 0
        self._container: OutputContainer | None = None
        self._stream: AudioStream | None = None

    def _begin(self, sample_rate: int) -> soxr.ResampleStream:
        """Begin the file, for sound of a rate."""
        if not self._has_rate:
            rate = next((each for each in SAMPLE_RATES if each >= sample_rate), SAMPLE_RATES[-1])
            self._setting = replace(self._setting, sample_rate=rate)
        setting = self._setting
        if self._open_ended:
            self._written.write(wav_header(setting, None))
        if setting.format in _CODECS:
            kind, codec, self._sample_format = _CODECS[setting.format]
            options = _OPTIONS.get(setting.format, {})
            self._container = av.open(_Forward(self._written), "w", format=kind, options=options)
            if setting.format == "opus" and self._provenance is not None:
                self._container.metadata.update(self._provenance.tags())
            self._layout = "stereo" if setting.channel == 2 else "mono"
            self._stream = cast(
                AudioStream, self._container.add_stream(codec, rate=setting.sample_rate, layout=self._layout)
            )
            self._stream.format = self._sample_format
            if setting.format in _WITH_BITRATE:
                self._stream.bit_rate = setting.bitrate
        return soxr.ResampleStream(sample_rate, setting.sample_rate, 1, dtype="float32")

    @property
    def duration_s(self) -> float:
        """Length of what went in so far, in seconds."""
        return self._n_samples / self._setting.sample_rate

    def add(self, samples: np.ndarray, sample_rate: int) -> bytes:
        """Encode a piece; return what is ready of it (float32, shape (n_samples,), within [-1, 1]; Hz)."""
        self._resampler = self._resampler or self._begin(sample_rate)
        return self._encoded(self._resampler.resample_chunk(samples, last=False))

    def end(self) -> bytes:
        """Return the rest."""
        resampler = self._resampler or self._begin(self._setting.sample_rate)
        rest = self._encoded(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        if self._container is None or self._stream is None:
            return rest
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return rest + self._taken()

    def file(self, pieces: list[bytes]) -> bytes:
        """Return the file of all that was returned; a wav gets its header and tags, now that the length is known."""
        data = b"".join(pieces)
        if self._setting.format != "wav":
            return data
        file = wav_header(self._setting, len(data)) + data
        return file if self._provenance is None else marked(file, "wav", self._provenance)

    def _encoded(self, samples: np.ndarray) -> bytes:
        pcm = np.clip(np.round(samples * np.float32(32768.0)), -32768, 32767).astype("<i2")
        both = np.repeat(pcm, self._setting.channel)
        if self._container is None or self._stream is None:
            self._n_samples += len(pcm)
            self._written.write(both.tobytes())
            return self._taken()
        if len(pcm):
            # Stereo of one voice: both channels are the same, interleaved or one after the other.
            planar = self._sample_format.endswith("p")
            rows = np.tile(pcm, (self._setting.channel, 1)) if planar else both[np.newaxis]
            if self._sample_format.startswith("flt"):
                rows = rows.astype(np.float32) / np.float32(32768.0)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(rows), format=self._sample_format, layout=self._layout
            )
            frame.sample_rate, frame.pts = self._setting.sample_rate, self._n_samples
            self._n_samples += len(pcm)
            self._container.mux(self._stream.encode(frame))
        return self._taken()

    def _taken(self) -> bytes:
        taken = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        if taken and self._tags_due is not None:
            taken, self._tags_due = marked(taken, self._setting.format, self._tags_due), None
        return taken


class _Forward:
    """A file that can only be written to, so that a container never goes back to its header."""

    def __init__(self, to: io.BytesIO) -> None:
        self._to = to

    def write(self, data: bytes) -> int:
        return self._to.write(data)


def wav_header(setting: OutputFormat, n_bytes: int | None) -> bytes:
    """Return what stands before so many bytes of sound in a wav; None: nobody knows yet, it goes on until it ends."""
    per_frame = setting.channel * _BYTES_PER_SAMPLE
    rate = setting.sample_rate
    riff, data = (_UNKNOWN, _UNKNOWN) if n_bytes is None else (36 + n_bytes, n_bytes)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, setting.channel, rate,
                       rate * per_frame, per_frame, 8 * _BYTES_PER_SAMPLE)  # fmt: skip
    return head + struct.pack("<4sI", b"data", data)


class FileWriter:
    """Writes a file sentence by sentence, so that what is written of an mp3 or flac can be heard meanwhile.

    Args:
        path: its suffix says of which kind: .mp3, .flac or .wav.
        provenance: said in its tags.
    """

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self._path = path
        self._encoder = Encoder(path.suffix.lstrip("."), provenance)
        self._pieces: list[bytes] | None = [] if path.suffix == ".wav" else None  # its header tells its length
        self._extremes: list[np.ndarray] = []
        path.touch(0o600)

    def add(self, samples: np.ndarray, sample_rate: int) -> None:
        """Write a piece: float32, shape (n_samples,), mono, within [-1, 1]; Hz."""
        if len(samples):
            n_columns = max(1, round(_COLUMNS_PER_S * len(samples) / sample_rate))
            self._extremes.append(np.stack(outline(samples, min(n_columns, len(samples)))))
        self._write(self._encoder.add(samples, sample_rate))

    def end(self) -> float:
        """Finish the file; return its length in seconds."""
        self._write(self._encoder.end())
        if self._pieces is not None:
            self._path.write_bytes(self._encoder.file(self._pieces))
        return self._encoder.duration_s

    def points(self, n_columns: int) -> str:
        """Return the waveform of what was written, as the points of an SVG polygon so many wide and 100 high."""
        if not self._extremes:
            return ""
        lows, highs = np.concatenate(self._extremes, axis=1)
        starts = np.linspace(0, len(lows), n_columns, endpoint=False).astype(int)
        return points(np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts), 100)

    def _write(self, data: bytes) -> None:
        if self._pieces is not None:
            self._pieces.append(data)
        elif data:
            with self._path.open("ab") as file:
                file.write(data)
