"""What kind of file it is, and whether it is whole, found from its content. The file's name is never looked at.

FFmpeg is given the one demuxer that fits: its own guessing would also open playlists, which name other files and
addresses. It plays a cut file in silence, so each walker goes from box to box (chunk, page, frame, element) without
decoding, and compares what the headers promise with the bytes that are there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import mmap

from clone.core.errors import AudioError

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


EXPORT_AGAIN = "Export it again, or upload it again if the transfer broke off."


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


Data = bytes | mmap

MAX_PARTS = 500_000
"""Boxes, chunks, pages, frames or elements in a file: an hour in pages of 10 ms has 360,000."""


@dataclass(frozen=True)
class Extent:
    """How much of a file is there.

    Attributes:
        missing_bytes: bytes that the structure promises beyond those there; 0 when the file is whole.
        unannounced_bytes: bytes of sound there that the header does not speak of.
        promised_s: length in seconds where the structure tells it better than FFmpeg estimates it.
        contradiction: what the header says against itself; empty when it does not.
    """

    missing_bytes: int = 0
    unannounced_bytes: int = 0
    promised_s: float | None = None
    contradiction: str = ""


def extent(data: Data, kind: str) -> Extent:
    """Return how much of a file is there.

    Args:
        data: the whole file.
        kind: as ``formats.kind`` gave it; flac says nothing until it is decoded.

    Raises:
        AudioError: ``too_many_parts``.
    """
    walkers = {"wav": _wav, "mp3": _mp3, "mp4": _mp4, "ogg": _ogg, "webm": _webm}
    try:
        return walkers[kind](data) if kind in walkers else Extent()
    except (struct.error, IndexError):  # cut in the middle of a header
        return Extent(missing_bytes=1)


class _Count:
    """Counts the parts of a file; true until there are too many."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def __call__(self) -> bool:
        self._left -= 1
        if self._left < 0:
            raise AudioError(
                f"The file consists of more than {MAX_PARTS:,} pieces, as no recording of an hour does.",
                code="too_many_parts",
                limit=MAX_PARTS,
                advice=EXPORT_AGAIN,
            )
        return True


# --- wav ---------------------------------------------------------------------------------------------


_WAV_PCM = (1, 3, 0xFFFE)
"""Format tags of whole numbers, of floats, and of either with more said about it."""


def _is_placeholder(size: int) -> bool:
    """Tell whether a chunk size is one that writers leave who could not seek back.

    0 and 0xFFFFFFFF (FFmpeg, GStreamer, browsers), those less a header (some services), 0x7FFFF000 less a
    remainder (SoX): beyond what may come in anyway, so that nothing true is mistaken for one.
    """
    return size == 0 or 0x7FFF0000 <= size <= 0x7FFFFFFF or size >= 0xFFFF0000


def _wav(data: Data) -> Extent:
    at, bytes_per_s, ds64_size, another = 12, 0, None, _Count()
    while at + 8 <= len(data) and another():
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        if name == b"ds64":
            ds64_size = struct.unpack("<Q", data[at + 16 : at + 24])[0]
        elif name == b"fmt ":
            tag, _, rate, bytes_per_s = struct.unpack("<HHII", data[at + 8 : at + 20])
            if tag in _WAV_PCM and rate and bytes_per_s % rate:  # careless writers get the factor wrong, not the rate
                return Extent(contradiction=f"its header says {rate:,} Hz, but {bytes_per_s:,} bytes a second")
        elif name == b"data":
            size = ds64_size if ds64_size is not None and size == 0xFFFFFFFF else size
            return _wav_data(data, at + 8, size, bytes_per_s)
        at += 8 + size + (size & 1)
    return Extent(missing_bytes=max(at - len(data), 1))  # cut before the sound began


def _wav_data(data: Data, start: int, size: int, bytes_per_s: int) -> Extent:
    if _is_placeholder(size):
        return Extent()
    end = start + size
    if end > len(data):
        return Extent(missing_bytes=end - len(data))
    at, another = end + (size & 1), _Count()
    while at + 8 <= len(data) and data[at : at + 4].isascii() and data[at : at + 4].strip(b" \0").isalnum():
        another()
        at += 8 + struct.unpack("<I", data[at + 4 : at + 8])[0]
        at += at & 1
    unannounced = max(len(data) - at, 0)
    is_sound = unannounced > bytes_per_s / 10  # a little padding is none
    return Extent(unannounced_bytes=unannounced if is_sound else 0)


# --- mp3 ---------------------------------------------------------------------------------------------

_JUNK_LIMIT_S = 1.0


def _mp3(data: Data) -> Extent:
    start = after_tags(lambda at, n: data[at : at + n])
    start = mp3_start(lambda at, n: data[at : at + n], start) or start
    first = mp3_header(data[start : start + 4])
    assert first is not None, "formats.kind found a frame there"
    promised = _xing_frames(data[start : start + first.n_bytes], first)
    if promised is not None:
        start += first.n_bytes
    n_frames, n_held, junk, missing = _mp3_frames(data, start, first)
    frame_bytes = n_held / max(n_frames, 1)
    if promised and promised - n_frames > 1:  # some encoders count the header frame too
        missing += round((promised - n_frames) * frame_bytes)
    if junk > _JUNK_LIMIT_S * frame_bytes * first.sample_rate / first.n_samples:
        missing += junk  # a hole where frames should be
    return Extent(missing, promised_s=max(n_frames, promised or 0) * first.n_samples / first.sample_rate)


def _xing_frames(frame: bytes, header: Mp3Header) -> int | None:
    """Return the frames promised by a Xing, Info or VBRI header, 0 if it does not say; None without one."""
    side_info = ((17 if header.mono else 32) if header.version == 3 else (9 if header.mono else 17)) + 4
    if frame[side_info : side_info + 4] in (b"Xing", b"Info"):
        flags, n_frames = struct.unpack(">II", frame[side_info + 4 : side_info + 12])
        return n_frames if flags & 1 else 0
    if frame[36:40] == b"VBRI":
        return int(struct.unpack(">I", frame[50:54])[0])
    return None


def _mp3_frames(data: Data, at: int, first: Mp3Header) -> tuple[int, int, int, int]:
    """Count frames; return (frames, bytes in them, bytes between and behind them, bytes missing at the end)."""
    headers: dict[bytes, Mp3Header | None] = {}
    n_frames = n_held = junk = 0
    end = _before_tags(data)
    in_step, another = True, _Count()
    while at < end and another():
        four = data[at : at + 4]
        if four not in headers:
            headers[four] = mp3_header(four)
        frame = headers[four]
        if frame and (frame.version, frame.sample_rate) == (first.version, first.sample_rate):
            if at + frame.n_bytes > end:
                return n_frames, n_held, junk, at + frame.n_bytes - end if in_step else 0
            n_frames, n_held, at, in_step = n_frames + 1, n_held + frame.n_bytes, at + frame.n_bytes, True
        elif tag := id3_bytes(data[at : at + 10]):
            at += tag
        else:
            if in_step and end - at < 4 and four[:1] == b"\xff":
                return n_frames, n_held, junk, 1
            following = data.find(b"\xff", at + 1)
            following = end if following < 0 else min(following, end)
            junk, at, in_step = junk + following - at, following, False
    return n_frames, n_held, junk, 0


def _before_tags(data: Data) -> int:
    """Return where the tags at a file's end begin (ID3v1, APEv2)."""
    end = len(data)
    if data[max(end - 128, 0) : max(end - 128, 0) + 3] == b"TAG":
        end -= 128
    footer = data[max(end - 32, 0) : end]
    if footer[:8] == b"APETAGEX":
        size, flags = struct.unpack("<I", footer[12:16])[0], struct.unpack("<I", footer[20:24])[0]
        end = max(end - size - (32 if flags >> 31 else 0), 0)
    return end


# --- mp4, ogg, webm ----------------------------------------------------------------------------------


def _mp4(data: Data) -> Extent:
    at, found, another = 0, set(), _Count()
    while at + 8 <= len(data) and another():
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if size == 1 and at + 16 <= len(data):
            size = struct.unpack(">Q", data[at + 8 : at + 16])[0]
        if size == 0 or not name.isascii():
            size = len(data) - at
        found.add(name)
        at += max(size, 8)
    missing = max(at - len(data), 0)
    return Extent(missing or int(b"moov" not in found))


def _ogg(data: Data) -> Extent:
    at, missing, last = 0, 0, b""
    pages: dict[int, int] = {}
    another = _Count()
    while at + 27 <= len(data) and another():
        if data[at : at + 4] != b"OggS":
            at = data.find(b"OggS", at + 1)
            if at < 0:
                return Extent(missing)
            continue
        serial, number = struct.unpack("<II", data[at + 14 : at + 22])
        last = data[at + 27 : at + 27 + data[at + 26]]
        n_bytes = 27 + len(last) + sum(last)
        missing += n_bytes * max(number - pages.get(serial, number - 1) - 1, 0)  # pages that are not there
        pages[serial] = number
        at += n_bytes
    in_page = len(data) - at if data[at : at + 4] == b"OggS"[: max(len(data) - at, 0)] else 0
    continues = int(last[-1:] == b"\xff")  # the last packet goes on in a page that is not there
    return Extent(missing + max(at - len(data), 0) + max(in_page, 0) + continues)


_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def _webm(data: Data) -> Extent:
    at, missing, another = 0, 0, _Count()
    while at < len(data) and another():
        name, start = _vint(data, at, keep_marker=True)
        size, start = _vint(data, start, keep_marker=False)
        if name is None or size is None:
            return Extent(max(missing, 1))
        unknown = size == (1 << 7 * (start - at - _vint_bytes(data[at]))) - 1
        end = start if unknown else start + size
        missing = max(missing, end - len(data))
        at = start if name in (_SEGMENT, _CLUSTER) else end
    return Extent(missing)


def _vint_bytes(first: int) -> int:
    return 9 - first.bit_length()


def _vint(data: Data, at: int, *, keep_marker: bool) -> tuple[int | None, int]:
    """Return an EBML variable-length number and where it ends; None for it where it is cut (RFC 8794, 4)."""
    if at >= len(data) or data[at] == 0 or at + _vint_bytes(data[at]) > len(data):
        return None, at
    n_bytes = _vint_bytes(data[at])
    value = int.from_bytes(data[at : at + n_bytes], "big")
    return (value if keep_marker else value & (1 << 7 * n_bytes) - 1), at + n_bytes
