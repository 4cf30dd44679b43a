"""Sounds for tests, made with numpy and encoded with PyAV: no recording of anybody is needed."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "wav": ("wav", "pcm_s16le"),
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
}
"""Format → (FFmpeg's muxer, encoder)."""


def tone(duration_s: float, rate: int = 44_100, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """A sine: float32, shape (n_samples,)."""
    t = np.arange(round(duration_s * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def silence(duration_s: float, rate: int = 44_100) -> np.ndarray:
    return np.zeros(round(duration_s * rate), np.float32)


def noise(duration_s: float, rate: int = 44_100, level: float = 0.05, seed: int = 1) -> np.ndarray:
    """White noise of a given RMS."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(duration_s * rate))).astype(np.float32)


def speechlike(duration_s: float, rate: int = 24_000, f0_hz: float = 120.0, seed: int = 0) -> np.ndarray:
    """Something a voice detector could take for speech: a gliding pulse train through three moving formants,
    in syllables of about 0.2 s, with a pause of 0.3 s after every eighth. float32, shape (n_samples,), peak 0.5."""
    rng = np.random.default_rng(seed)
    n = round(duration_s * rate)
    t = np.arange(n) / rate
    n_syllables = int(duration_s / 0.2) + 2
    glide = np.interp(t, np.arange(n_syllables) * 0.2, rng.normal(0.0, 1.0, n_syllables))
    phase = np.cumsum(f0_hz * 2 ** (glide * 2 / 12)) / rate
    centres = [
        np.interp(t, np.arange(n_syllables) * 0.2, rng.uniform(lo, hi, n_syllables))
        for lo, hi in ((300, 800), (900, 2300), (2400, 3200))
    ]
    sound = np.zeros(n)
    for k in range(1, int(min(rate / 2, 5_000) / (f0_hz * 1.6))):  # harmonics, weighted by formants
        hz = k * f0_hz
        weight = sum(
            g / (1 + ((hz - c) / w) ** 2) for g, c, w in zip((1, 0.5, 0.25), centres, (80, 120, 180), strict=True)
        )
        sound += weight * np.sin(2 * np.pi * k * phase)
    syllable = 0.5 - 0.5 * np.cos(2 * np.pi * np.clip(t % 0.2 / 0.2, 0, 1))
    pause = (t % 1.9) < 1.6
    sound *= syllable * pause
    return (0.5 * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)


def pauses(duration_s: float, rate: int = 24_000) -> np.ndarray:
    """Where ``speechlike`` is silent: bool, shape (n_samples,)."""
    t = np.arange(round(duration_s * rate)) / rate
    return (t % 1.9) >= 1.6


def encode(
    samples: np.ndarray,
    rate: int,
    fmt: str,
    *,
    codec: str | None = None,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    cover: bool = False,
) -> bytes:
    """Encode mono (n_samples,) or multichannel (n_channels, n_samples) float32 as a file.

    Args:
        fmt: ``mp3``, ``m4a``, ``wav``, ``webm``, ``ogg`` or ``flac``; another name is taken as FFmpeg's muxer.
        codec: FFmpeg's encoder, instead of the format's usual one.
        options: the muxer's, for example ``{"movflags": "faststart"}``.
        cover: put a picture beside the sound.
    """
    muxer, usual = CODECS.get(fmt, (fmt, codec or ""))
    if cover and fmt == "m4a":
        muxer = "mp4"  # the ipod muxer takes no pictures
    sound = np.atleast_2d(samples).astype(np.float32)
    if codec == "vorbis" and len(sound) == 1:
        sound = np.repeat(sound, 2, axis=0)  # FFmpeg's own encoder knows stereo only
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(sound)]
    opus = (codec or usual) == "libopus"
    with (
        tempfile.NamedTemporaryFile() as file,  # a path, because some muxers open it a second time
        av.open(file.name, "w", format=muxer, container_options=options or {}) as container,
    ):
        context: dict[str, Any] = {"strict": "experimental"} if codec == "vorbis" else {}
        stream = container.add_stream(codec or usual, rate=48_000 if opus else rate, layout=layout, options=context)
        if bit_rate:
            stream.bit_rate = bit_rate
        picture = _add_cover(container) if cover else None
        resampler = av.AudioResampler(stream.format.name, layout, stream.rate, frame_size=None)
        for start in range(0, sound.shape[1], 1 << 16):
            part = np.ascontiguousarray(sound[:, start : start + (1 << 16)].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(picture.encode(frame.reformat(format="yuvj420p")))
            container.mux(picture.encode(None))
        container.close()
        return Path(file.name).read_bytes()


def _add_cover(container: Any) -> Any:
    picture = container.add_stream("mjpeg", rate=1)
    picture.width = picture.height = 64
    picture.pix_fmt = "yuvj420p"
    picture.disposition = av.stream.Disposition.attached_pic
    return picture


def picture_file(path: Path) -> Path:
    """Write a jpeg, whatever the path is named."""
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = _add_cover(container)
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    path.write_bytes(out.getvalue())
    return path


def video_file(path: Path, *, sound: np.ndarray | None = None, rate: int = 24_000) -> Path:
    """Write an mp4 of one second of grey, with or without sound."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        voice = container.add_stream("aac", rate=rate, layout="mono") if sound is not None else None
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
        if voice is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    path.write_bytes(out.getvalue())
    return path


def _ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def ogg_of_silence(hours: int) -> bytes:
    """Opus packets of one byte, 60 ms of silence each: an hour in 130 kB. Middle pages share one checksum's work."""

    def page(flags: int, granule: int, number: int, packets: list[bytes]) -> bytes:
        head = struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, 1, number, 0)
        body = bytes([len(packets)]) + bytes(len(p) for p in packets) + b"".join(packets)
        return head[:22] + struct.pack("<I", _ogg_crc(head + body)) + body

    first = page(2, 0, 0, [struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, 48_000, 0, 0)])
    second = page(0, 0, 1, [b"OpusTags" + struct.pack("<II", 0, 0)])
    n_pages = round(hours * 3600 / (0.06 * 255)) + 1
    step = 255 * 2880
    only_last_counts = b"".join(
        struct.pack("<4sBBqIII", b"OggS", 0, 0, (n + 1) * step, 1, n + 2, 0) + b"\xff" + b"\x01" * 255 + b"\x18" * 255
        for n in range(n_pages - 1)
    )
    return first + second + only_last_counts + page(4, n_pages * step, n_pages + 1, [b"\x18"] * 255)


def flac_of_silence(duration_s: float, rate: int = 192_000, n_channels: int = 1) -> bytes:
    """Silence in frames of 65,535 samples and a few bytes each, whatever the rate: an hour at 192 kHz in 150 kB."""
    n_samples, n_frames = round(duration_s * rate), round(duration_s * rate) // 65_535
    rates = {48_000: 0b1010, 192_000: 0b0011}
    info = struct.pack(">HH6x", 65_535, 65_535)
    info += (rate << 44 | (n_channels - 1) << 41 | 15 << 36 | n_frames * 65_535).to_bytes(8, "big") + bytes(16)
    assert n_frames * 65_535 <= n_samples

    def frame(number: int) -> bytes:
        head = b"\xff\xf8" + bytes([0b0111 << 4 | rates[rate], (n_channels - 1) << 4 | 0b1000])
        head += _utf8(number) + struct.pack(">H", 65_534)
        body = head + bytes([_crc(head, 8, 0x07)]) + b"\0\0\0" * n_channels
        return body + struct.pack(">H", _crc(body, 16, 0x8005))

    return b"fLaC\x80\0\0\x22" + info + b"".join(map(frame, range(n_frames)))


def _utf8(number: int) -> bytes:
    """As UTF-8 writes a character of that number, surrogates too."""
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, n_bits: int, polynomial: int) -> int:
    crc, top = 0, 1 << n_bits - 1
    for byte in data:
        crc ^= byte << n_bits - 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & (1 << n_bits) - 1
    return crc


def tagged_mp3(n_tags: int) -> bytes:
    """A tone behind so many tags of different names; FFmpeg compares each with all before it."""
    frames = b"".join(b"TXXX" + struct.pack(">I", 9) + b"\0\0\0%06x\0a" % n for n in range(n_tags))
    size = bytes(len(frames) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + frames + encode(tone(12.0), 44_100, "mp3", options={"id3v2_version": "0"})


def webm_of_nothing(n_bytes: int, element: bytes = b"\xec\x80") -> bytes:
    """A segment of empty elements, two bytes each."""
    head = b"\x1aE\xdf\xa3\x87\x42\x82\x84webm"
    return head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + element * ((n_bytes - 23) // len(element))


def m4a_of_promises(n_samples: int, n_fragments: int) -> bytes:
    """Fragments that promise samples of one byte each without a table of them: gigabytes for an index, in few bytes."""

    def box(name: bytes, *data: bytes) -> bytes:
        return struct.pack(">I4s", 8 + sum(map(len, data)), name) + b"".join(data)

    none = bytes(8)
    entry = box(b"ulaw", bytes(6), b"\0\1", bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 8_000 << 16))
    table = box(
        b"stbl",
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        *(box(name, none) for name in (b"stts", b"stsc", b"stco")),
        box(b"stsz", bytes(12)),
    )
    source = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", b"\0\0\0\1")))
    clock = struct.pack(">IIIII", 0, 0, 0, 8_000, 0)
    media = box(
        b"mdia",
        box(b"mdhd", clock, bytes(4)),
        box(b"hdlr", bytes(8), b"soun", bytes(13)),
        box(b"minf", box(b"smhd", none), source, table),
    )
    track = box(b"trak", box(b"tkhd", struct.pack(">IIIIII", 7, 0, 0, 1, 0, 0), bytes(60)), media)
    extends = box(b"mvex", box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 1, 1, 0)))
    movie = box(b"moov", box(b"mvhd", clock, struct.pack(">IH", 0x10000, 0x100), bytes(70)), track, extends)
    run = box(b"traf", box(b"tfhd", struct.pack(">II", 0, 1)), box(b"trun", struct.pack(">II", 0, n_samples)))
    fragment = box(b"moof", box(b"mfhd", none), run)
    return box(b"ftyp", b"isom\0\0\0\0isom") + movie + fragment * n_fragments + box(b"mdat", bytes(100_000))
