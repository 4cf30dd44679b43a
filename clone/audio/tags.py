"""What made speech says of itself: that it is AI-generated, by what, when, and in which voice.

Tags are put around a finished file, as ordinary players show them; not a byte of the sound is touched.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clone.core import __version__
from clone.core.settings import LOCAL

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The word for AI-generated media that programs look for. Source: IPTC NewsCodes, Digital Source Type."""

# Sources: ID3v2.4 (id3.org), section 4 of its frames; RIFF INFO (Microsoft and IBM, 1991); Vorbis comments (Xiph).
_ID3_FRAMES = {"title": b"TIT2", "artist": b"TPE1", "encoder": b"TSSE", "date": b"TDRC", "comment": b"COMM"}
_INFO_CHUNKS = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT", "encoder": b"ISFT", "date": b"ICRD"}
_VORBIS_NAMES = {"comment": "DESCRIPTION"}
_UTF8 = b"\x03"
_VORBIS_BLOCK, _LAST_BLOCK = 4, 0x80


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Provenance:
    """Where speech comes from: voice, model, when (aware), backend, and the engine of this machine that spoke."""

    voice_id: str
    model: str
    made_at: datetime = field(default_factory=_now)
    backend: str = LOCAL
    engine: str = ""

    def tags(self) -> dict[str, str]:
        """Return what is said, by names that are common to all formats."""
        at = self.made_at.astimezone(UTC)
        maker = "Timbre" if self.backend == LOCAL else f"{self.backend.capitalize()}, through Timbre"
        return {
            "title": "AI-generated speech",
            "artist": "Timbre (AI-generated voice)",
            "comment": f"AI-generated speech in a cloned voice. Made by {maker}, with {self.model}"
            f"{self.engine and f' ({self.engine})'}, "
            f"on {at:%Y-%m-%d at %H:%M} UTC. voice_id: {self.voice_id}",
            "encoder": f"Timbre {__version__}",
            "date": f"{at:%Y-%m-%dT%H:%M:%S}",
            "voice_id": self.voice_id,
            "model": self.model,
            "digital_source_type": SOURCE_TYPE,
        }


def marked(data: bytes, kind: str, provenance: Provenance) -> bytes:
    """Return a file with the tags of its provenance.

    Args:
        data: the file, or its beginning: all that comes before the sound, and any amount of that.
        kind: ``mp3``, ``wav`` or ``flac``; any other is returned as it is, for it has no place for tags.
        provenance: what the tags say.

    Returns:
        The same sound. An mp3 keeps the tags it had, behind these; a wav must be whole.
    """
    tags = provenance.tags()
    if kind == "mp3":
        return _id3(tags) + data
    if kind == "wav" and data[:4] == b"RIFF" and data[8:16] == b"WAVEfmt ":
        return _wav(data, _info(tags))
    if kind == "flac" and data[:4] == b"fLaC":
        return _flac(data, _vorbis_comment(tags))
    return data


def _id3(tags: Mapping[str, str]) -> bytes:
    frames = b"".join(_id3_frame(name, text.encode()) for name, text in tags.items())
    return b"ID3\x04\x00\x00" + _syncsafe(len(frames)) + frames


def _id3_frame(name: str, text: bytes) -> bytes:
    frame = _ID3_FRAMES.get(name, b"TXXX")
    before = {b"COMM": b"eng\0", b"TXXX": name.encode() + b"\0"}.get(frame, b"")
    body = _UTF8 + before + text
    return frame + _syncsafe(len(body)) + b"\0\0" + body


def _syncsafe(size: int) -> bytes:
    """Return a size as ID3 writes it: seven bits a byte, so that no decoder takes it for the start of a frame."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def _info(tags: Mapping[str, str]) -> bytes:
    shown = dict(tags) | {"date": tags["date"][:10]}  # INFO knows days alone; the comment has the time
    chunks = b"".join(_chunk(chunk, shown[name].encode() + b"\0") for name, chunk in _INFO_CHUNKS.items())
    return _chunk(b"LIST", b"INFO" + chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def _wav(data: bytes, info: bytes) -> bytes:
    size, format_size = struct.unpack("<I", data[4:8])[0], struct.unpack("<I", data[16:20])[0]
    at = 20 + format_size + (format_size & 1)
    return b"RIFF" + struct.pack("<I", size + len(info)) + data[8:at] + info + data[at:]


def _vorbis_comment(tags: Mapping[str, str]) -> bytes:
    said = [f"{_VORBIS_NAMES.get(name, name.upper())}={text}".encode() for name, text in tags.items()]
    vendor = tags["encoder"].encode()
    fields = b"".join(struct.pack("<I", len(each)) + each for each in said)
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(said)) + fields


def _flac(data: bytes, comment: bytes) -> bytes:
    """Return a flac whose comments are these: a file may have but one block of them."""
    at, last, blocks = 4, False, []
    while not last and at + 4 <= len(data):
        kind, size = data[at] & ~_LAST_BLOCK, int.from_bytes(data[at + 1 : at + 4], "big")
        last = bool(data[at] & _LAST_BLOCK)
        if kind != _VORBIS_BLOCK:
            blocks.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    blocks.insert(1, (_VORBIS_BLOCK, comment))  # the first one must stay the first
    ends = [0] * (len(blocks) - 1) + [_LAST_BLOCK]
    heads = (bytes([kind | end]) + len(body).to_bytes(3, "big") for (kind, body), end in zip(blocks, ends, strict=True))
    return b"fLaC" + b"".join(head + body for head, (_, body) in zip(heads, blocks, strict=True)) + data[at:]
