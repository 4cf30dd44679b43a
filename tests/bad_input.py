"""Files that no recording should look like, as people and programs send them; for every entrance the same ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tests import sounds

RATE = 24_000
LONG_NAME = "a voice\nof mine\r\n" + "ü" * 100 + "x" * 30

REFUSED = {
    "empty.mp3": "not_audio",
    "one-byte.mp3": "not_audio",
    "picture.mp3": "not_audio",
    "cut.mp3": "damaged",
    "lying-size.wav": "damaged",
    "lying-rate.wav": "damaged",
    "film.m4a": "no_audio",
    "six-hours.ogg": "too_long_to_read",
    "nan.wav": "damaged",
    "infinite.wav": "damaged",
}
"""File → the error that says what is the matter with it."""

TAKEN = ("eight-channels.wav", f"{LONG_NAME}.wav")
"""What is unusual and right."""


def write_all(folder: Path) -> None:
    """Write every file into a folder."""
    speech = sounds.speechlike(12.0, RATE)
    mp3, wav = sounds.encode(speech, RATE, "mp3"), bytearray(sounds.encode(speech, RATE, "wav"))
    (folder / "empty.mp3").touch()
    (folder / "one-byte.mp3").write_bytes(b"I")
    sounds.picture_file(folder / "picture.mp3")
    (folder / "cut.mp3").write_bytes(mp3[: len(mp3) // 2])
    sounds.video_file(folder / "film.m4a")
    (folder / "six-hours.ogg").write_bytes(sounds.ogg_of_silence(6))
    at = wav.index(b"data") + 4
    (folder / "lying-size.wav").write_bytes(wav[:at] + struct.pack("<I", RATE) + wav[at + 4 :])
    (folder / "lying-rate.wav").write_bytes(wav[:24] + struct.pack("<I", 22_050) + wav[28:])
    for name, value in (("nan", np.nan), ("infinite", np.inf)):
        broken = speech.copy()
        broken[RATE : RATE + 10] = value
        (folder / f"{name}.wav").write_bytes(sounds.encode(broken, RATE, "wav", codec="pcm_f32le"))
    eight = np.stack([sounds.speechlike(12.0, 192_000)] * 8)
    (folder / "eight-channels.wav").write_bytes(sounds.encode(eight, 192_000, "wav"))
    (folder / f"{LONG_NAME}.wav").write_bytes(wav)
