"""What kind of file it is, told from its content. The file's name is never looked at.

FFmpeg is then given the one demuxer that fits: its own guessing would also open playlists, which name
other files and addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Bytes = bytes | memoryview
SYNC_SEARCH_BYTES = 65_536
"""How far into a file (after its tags) the first mp3 frame is looked for."""

_MAX_TAGS = 16

DEMUXERS = {"mp3": "mp3", "mp4": "mov", "wav": "wav", "webm": "matroska", "ogg": "ogg", "flac": "flac"}
"""Kind of container → FFmpeg's demuxer."""

DECODERS = frozenset(
    {"mp3", "mp3float", "aac", "alac", "opus", "vorbis", "flac", "adpcm_ms", "adpcm_ima_wav"}
    | {f"pcm_{name}" for name in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")}
)
"""FFmpeg's decoders that may run; nothing else in a file (cover art, video, rare codecs) is ever decoded."""

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp")
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class Mp3Header:
    """The header of one mp3 frame: its length in bytes, samples in it, rate in Hz, MPEG version (3 = MPEG 1)."""

    n_bytes: int
    n_samples: int
    sample_rate: int
    version: int
    mono: bool


def mp3_header(four: bytes) -> Mp3Header | None:
    """Return what the four bytes of an mp3 frame header say; None if they are none (ISO 11172-3, 2.4.2.3)."""
    if len(four) < 4 or four[0] != 0xFF or four[1] & 0xE6 != 0xE2:  # sync, layer III
        return None
    version, kbit, rate = four[1] >> 3 & 3, four[2] >> 4, four[2] >> 2 & 3
    if version == 1 or kbit in (0, 15) or rate == 3:
        return None
    sample_rate = _RATES[version][rate]
    n_samples = 1152 if version == 3 else 576
    bits = (_KBITS_1 if version == 3 else _KBITS_2)[kbit] * 1000
    n_bytes = n_samples // 8 * bits // sample_rate + (four[2] >> 1 & 1)
    return Mp3Header(n_bytes, n_samples, sample_rate, version, mono=four[3] >> 6 == 3)


def id3_bytes(data: bytes) -> int:
    """Return the length of the ID3v2 tag that ``data`` begins with, its header included; 0 if there is none."""
    if len(data) < 10 or data[:3] != b"ID3" or any(b & 0x80 for b in data[6:10]):
        return 0
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    return 10 + size + (10 if data[5] & 0x10 else 0)


def after_tags(read_at: Callable[[int, int], bytes]) -> int:
    """Return where the ID3v2 tags at a file's beginning end; some files carry two, none more than _MAX_TAGS."""
    start = 0
    for _ in range(_MAX_TAGS):
        start += id3_bytes(read_at(start, 10))
    return start


def kind(read_at: Callable[[int, int], bytes]) -> str | None:
    """Return the kind of container a file is.

    Args:
        read_at: gives the bytes at an offset: ``read_at(offset, n_bytes)``, fewer at the end of the file.

    Returns:
        One of DEMUXERS' keys, or None if it is nothing we read.
    """
    head = read_at(0, 64)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm"
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    start = after_tags(read_at)
    if read_at(start, 4) == b"fLaC":
        return "flac"
    return "mp3" if mp3_start(read_at, start) is not None else None


def mp3_start(read_at: Callable[[int, int], bytes], start: int) -> int | None:
    """Return where the first of three consecutive mp3 frames begins, looking from ``start``; None if nowhere."""
    head = read_at(start, SYNC_SEARCH_BYTES)
    for at in _each(head, b"\xff"):
        end, n_frames = start + at, 0
        while n_frames < 3 and (frame := mp3_header(read_at(end, 4))):
            end, n_frames = end + frame.n_bytes, n_frames + 1
        if n_frames == 3:
            return start + at
    return None


def _each(data: bytes, byte: bytes) -> Iterator[int]:
    at = data.find(byte)
    while at >= 0:
        yield at
        at = data.find(byte, at + 1)
