"""Is the file whole? Counted from the container's own structure, because FFmpeg plays a cut file in silence.

Each walker goes from box to box (chunk, page, frame, element) without decoding, and compares what the
headers promise with the bytes that are there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap

from clone.audio.decoder import too_many_parts
from clone.audio.formats import Mp3Header, after_tags, id3_bytes, mp3_header, mp3_start

Data = bytes | mmap

MAX_PARTS = 500_000
"""Boxes, chunks, pages, frames or elements in a file: an hour in pages of 10 ms has 360,000."""


@dataclass(frozen=True)
class Extent:
    """How much of a file is there.

    Attributes:
        missing_bytes: bytes that the structure promises beyond those there; 0 when the file is whole.
        untold_bytes: bytes of sound there that the header does not speak of.
        promised_s: length in seconds where the structure tells it better than FFmpeg estimates it.
        contradiction: what the header says against itself; empty when it does not.
    """

    missing_bytes: int = 0
    untold_bytes: int = 0
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
            raise too_many_parts(MAX_PARTS)
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
    untold = max(len(data) - at, 0)
    return Extent(untold_bytes=untold if untold > bytes_per_s / 10 else 0)  # a little padding is no sound


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
