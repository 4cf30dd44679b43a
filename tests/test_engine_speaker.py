"""Whose voice, and how high."""

from __future__ import annotations

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine.backend import Heard, LocalBackend
from clone.engine.speaker import SAMPLE_RATE, SpeakerEncoder, halves_likeness, mean_direction, median_pitch_hz, pitch_hz
from tests.sounds import noise, silence, speechlike, tone


@pytest.fixture(scope="module")
def encoder(backend: LocalBackend) -> SpeakerEncoder:
    return backend._get(SpeakerEncoder)


@pytest.fixture(scope="module")
def voices(heard: dict[str, Heard]) -> dict[str, np.ndarray]:
    return {name: resample(each.samples, each.sample_rate, SAMPLE_RATE) for name, each in heard.items()}


def test_one_speaker_is_like_himself_and_unlike_others(encoder: SpeakerEncoder, voices: dict[str, np.ndarray]) -> None:
    halves = {name: (voice[: len(voice) // 2], voice[len(voice) // 2 :]) for name, voice in voices.items()}
    first = {name: encoder.embed(half) for name, (half, _) in halves.items()}
    second = {name: encoder.embed(half) for name, (_, half) in halves.items()}
    for name in voices:
        likeness = {other: float(first[name] @ second[other]) for other in voices}
        assert max(likeness, key=lambda other: likeness[other]) == name
        assert likeness[name] > 0.9
        assert np.linalg.norm(first[name]) == pytest.approx(1.0, abs=1e-5)
        assert halves_likeness(encoder.windows(voices[name])) > 0.9


def test_a_window_every_0_4_s_and_one_at_least(encoder: SpeakerEncoder, voices: dict[str, np.ndarray]) -> None:
    assert encoder.windows(voices["ada"][: 10 * SAMPLE_RATE]).shape == (23, 256)
    assert encoder.windows(voices["ada"][:100]).shape == (1, 256)
    assert np.isfinite(encoder.windows(silence(1.0, SAMPLE_RATE))).all()


def test_fewer_windows_are_spread_over_all_of_it(encoder: SpeakerEncoder, voices: dict[str, np.ndarray]) -> None:
    samples = voices["ada"][: 20 * SAMPLE_RATE]
    assert encoder.windows(samples, at_most=12).shape == (12, 256)
    assert encoder.windows(samples[: 4 * SAMPLE_RATE], at_most=12).shape == (8, 256)  # there are no more
    assert encoder.windows(samples, at_most=1).shape == (1, 256)
    assert mean_direction(encoder.windows(samples, at_most=12)) @ encoder.embed(samples) > 0.95
    two = np.concatenate([samples, voices["ben"][: 20 * SAMPLE_RATE]])
    assert mean_direction(encoder.windows(two, at_most=12)) @ encoder.embed(two) > 0.95


def test_a_stop_is_obeyed(encoder: SpeakerEncoder, voices: dict[str, np.ndarray]) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        encoder.windows(voices["ada"], stop)


def test_the_mean_direction_has_unit_length() -> None:
    assert mean_direction(np.eye(4, dtype=np.float32)) == pytest.approx(np.full(4, 0.5))


@pytest.mark.parametrize("f0_hz", [85.0, 120.0, 210.0, 330.0])
def test_pitch_of_a_steady_voice(f0_hz: float) -> None:
    sound = sum(tone(2.0, SAMPLE_RATE, k * f0_hz, 0.3 / k) for k in range(1, 12))
    assert median_pitch_hz(np.asarray(sound, np.float32)) == pytest.approx(f0_hz, rel=0.02)


def test_pitch_of_a_gliding_voice() -> None:
    assert median_pitch_hz(speechlike(8.0, SAMPLE_RATE, 120.0)) == pytest.approx(120.0, rel=0.12)


@pytest.mark.parametrize(
    "sound",
    [silence(1.0, SAMPLE_RATE), noise(1.0, SAMPLE_RATE), np.zeros(0, np.float32), np.ones(20, np.float32)],
    ids=["silence", "noise", "nothing", "a click"],
)
def test_what_is_not_voiced_has_no_pitch(sound: np.ndarray) -> None:
    assert len(pitch_hz(sound)) <= 0.1 * len(sound) / 160
    if len(sound) < SAMPLE_RATE or not sound.any():
        assert median_pitch_hz(sound) == 0.0
