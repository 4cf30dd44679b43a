"""Writing a recording: wav, mp3 and flac, and the file that a voice is cloned from."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np

from clone.audio.reader import Recording, resample
from clone.audio.tags import Provenance, marked
from clone.contract.cloning import AUDIO_FORMATS, REFERENCE_MAX_BYTES
from clone.core.jobs import Stop

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
