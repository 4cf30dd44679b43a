"""Writing a recording: wav, mp3 and flac, and the file that a voice is cloned from.

What was made says so in its tags: that it is AI-generated, by what, when, and in which voice. They are put around a
finished file, as ordinary players show them; not a byte of the sound is touched.
"""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np

from clone.audio.reader import Recording, resample
from clone.contract.cloning import AUDIO_FORMATS, REFERENCE_MAX_BYTES
from clone.core import __version__
from clone.core.jobs import Stop
from clone.core.settings import LOCAL

# tags

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


# files

MP3_BIT_RATE = 128_000
MP3_SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""All that mp3 knows (MPEG 1, 2 and 2.5); other rates are resampled to the next higher one."""

_CHUNK = 1 << 16


def wav_bytes(samples: np.ndarray, sample_rate: int, provenance: Provenance | None = None) -> bytes:
    """Return a recording as a wav file.

    Args:
        samples: float32, shape (n_samples,), mono; clipped to [-1, 1].
        sample_rate: Hz.
        provenance: said in the file's tags; None for a recording that nobody made.

    Returns:
        16-bit PCM, mono.
    """
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(_pcm16(samples).tobytes())
    return _tagged(out, "wav", provenance)


def mp3_bytes(
    samples: np.ndarray,
    sample_rate: int,
    bit_rate: int = MP3_BIT_RATE,
    stop: Stop | None = None,
    provenance: Provenance | None = None,
) -> bytes:
    """Return a recording as an mp3 file.

    Args:
        samples: float32, shape (n_samples,), mono; clipped to [-1, 1].
        sample_rate: Hz; resampled to the next of MP3_SAMPLE_RATES if it is none of them.
        bit_rate: bits per second, lowered to what the rate allows.
        stop: obeyed while encoding.
        provenance: as for ``wav_bytes``.

    Returns:
        A constant-rate mono mp3. Its LAME header tells the exact length, so that decoders return as many
        samples as went in.
    """
    rate = next((r for r in MP3_SAMPLE_RATES if r >= sample_rate), MP3_SAMPLE_RATES[-1])
    sound = resample(samples, sample_rate, rate)
    out = io.BytesIO()
    with av.open(out, "w", format="mp3", options={"id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", format="s16p")
        stream.bit_rate = bit_rate
        for start in range(0, len(sound), _CHUNK):
            if stop is not None:
                stop.check()
            part = _pcm16(sound[start : start + _CHUNK])
            frame = av.AudioFrame.from_ndarray(part[np.newaxis], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return _tagged(out, "mp3", provenance)


def flac_bytes(samples: np.ndarray, sample_rate: int, provenance: Provenance | None = None) -> bytes:
    """Return a recording as a flac file: what ``wav_bytes`` returns, in about half the space."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=sample_rate, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(_pcm16(samples)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = sample_rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return _tagged(out, "flac", provenance)


def file_bytes(samples: np.ndarray, sample_rate: int, suffix: str, provenance: Provenance | None = None) -> bytes:
    """Return a recording as the file that a name's suffix asks for: .mp3 or .flac, else wav."""
    if suffix.lower() == ".mp3":
        return mp3_bytes(samples, sample_rate, provenance=provenance)
    return (flac_bytes if suffix.lower() == ".flac" else wav_bytes)(samples, sample_rate, provenance)


def stays(recording: Recording) -> bool:
    """Tell whether ``accepted`` leaves a file as it is."""
    too_big_wav = recording.format == "wav" and recording.n_bytes > REFERENCE_MAX_BYTES
    return recording.format in AUDIO_FORMATS and not too_big_wav


def accepted(recording: Recording, original: bytes | Path, stop: Stop | None = None) -> tuple[bytes, str]:
    """Return the file to clone from, in a format of the contract.

    Args:
        recording: what ``read`` made of the file.
        original: the file itself.
        stop: obeyed while encoding.

    Returns:
        The file untouched, with its format, where the contract takes that format; a wav over the contract's
        size (a browser's take) and every other format become an mp3. The size of what comes back is still to
        be checked.
    """
    if stays(recording):
        return (original if isinstance(original, bytes) else original.read_bytes()), recording.format
    return mp3_bytes(recording.samples, recording.sample_rate, stop=stop), "mp3"


def _tagged(out: io.BytesIO, kind: str, provenance: Provenance | None) -> bytes:
    return out.getvalue() if provenance is None else marked(out.getvalue(), kind, provenance)


def _pcm16(samples: np.ndarray) -> np.ndarray:
    """Return samples as int16, clipped; the inverse of how ``read`` scales them."""
    assert samples.ndim == 1, "mono"
    assert np.isfinite(samples).all(), "read lets nothing else in, and nothing of ours makes it"
    return np.clip(np.round(samples * np.float32(32768.0)), -32768, 32767).astype(np.int16)
