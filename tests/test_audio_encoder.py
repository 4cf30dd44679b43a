"""Speech as a file of the asked kind, piece by piece; and peaks held back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clone.audio.encoder import Encoder
from clone.audio.enhance import limited
from clone.contract.speech import AudioSetting
from tests.serving import decoded

RATE = 24_000


def tone(seconds: float, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def encoded(sound: np.ndarray, n_pieces: int, **setting: Any) -> tuple[bytes, Encoder]:
    asked = AudioSetting(**setting)
    encoder = Encoder(asked)
    pieces = [encoder.add(piece, RATE) for piece in np.array_split(sound, n_pieces)]
    return encoder.file([*pieces, encoder.end()]), encoder


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac"])
@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("channel", [1, 2])
def test_a_tone_comes_back(kind: str, rate: int, channel: int) -> None:
    data, encoder = encoded(tone(2.0), 7, format=kind, sample_rate=rate, channel=channel)
    sound, found, n_channels = decoded(data)
    assert (found, n_channels) == (rate, channel)
    assert encoder.duration_s == pytest.approx(2.0, abs=0.001)
    assert len(sound) / rate == pytest.approx(2.0, abs=0.2 if kind == "mp3" else 0.001)
    spectrum = np.abs(np.fft.rfft(sound[rate // 2 : rate // 2 + rate]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", ["wav", "flac", "pcm"])
def test_pieces_leave_no_trace(kind: str) -> None:
    sound = np.random.default_rng(3).standard_normal(RATE).astype(np.float32) * 0.1
    one, many = (encoded(sound, n, format=kind, sample_rate=44100)[0] for n in (1, 13))
    if kind == "flac":
        assert np.array_equal(decoded(one)[0], decoded(many)[0])
    else:
        assert one == many


def test_bitrate_is_the_asked_one() -> None:
    small, large = (len(encoded(tone(4.0), 3, sample_rate=32000, bitrate=each)[0]) for each in (32000, 128000))
    assert large / small == pytest.approx(4, rel=0.1)


def test_peaks_are_held_back_and_the_rest_is_not_touched() -> None:
    sound = np.concatenate([tone(0.5, level=0.2), tone(0.5, level=0.9) * 3, tone(0.5, level=0.2)])
    held = limited(sound, RATE, 0.97)
    assert np.abs(held).max() <= 0.97
    assert np.abs(held[RATE // 2 + 600 : RATE - 600]).max() == pytest.approx(0.97, abs=0.01)
    assert np.array_equal(held[: RATE // 2 - 400], sound[: RATE // 2 - 400])
    # no clipping: the loud tone is still a tone
    loud = held[RATE // 2 + 600 : RATE - 600] * np.hanning(RATE // 2 - 1200)
    spectrum = np.abs(np.fft.rfft(loud)) ** 2
    at = spectrum.argmax()
    assert spectrum[at - 5 : at + 6].sum() / spectrum.sum() > 0.999
    assert np.array_equal(limited(tone(0.1), RATE, 0.97), tone(0.1))
