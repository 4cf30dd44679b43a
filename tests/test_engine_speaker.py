"""Whose voice, and how high."""

from __future__ import annotations

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine import styles
from clone.engine.backend import Heard, LocalBackend
from clone.engine.speaker import (
    DRIFT,
    PIECE_MAX,
    PIECE_MIN,
    SAMPLE_RATE,
    SpeakerEncoder,
    halves_likeness,
    mean_direction,
    measure,
    median_pitch_hz,
    pitch_hz,
)
from tests.sounds import noise, silence, speechlike, tone


@pytest.fixture(scope="module")
def encoder(backend: LocalBackend) -> SpeakerEncoder:
    return backend._networks.get(SpeakerEncoder)


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


N = 256


def person(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(N)


def speech(who: np.ndarray, n_windows: int, seed: int) -> np.ndarray:
    """Windows of a person who sounds a little different in each."""
    windows = who + np.random.default_rng(seed).standard_normal((n_windows, N))
    return (windows / np.linalg.norm(windows, axis=1, keepdims=True)).astype(np.float32)


def other_day(who: np.ndarray, seed: int) -> np.ndarray:
    """A piece whose every 5 s are further from the person by DRIFT, as a share of what is missing to 1."""
    piece = speech(who, PIECE_MAX, 1000 + seed).mean(axis=0)
    piece, whole = piece / np.linalg.norm(piece), who / np.linalg.norm(who)
    away = piece - (piece @ whole) * whole
    cosine = 1 - DRIFT * (1 - piece @ whole)
    moved = cosine * whole + np.sqrt(1 - cosine**2) * away / np.linalg.norm(away)
    return np.repeat(moved[None].astype(np.float32), PIECE_MAX, axis=0)


@pytest.mark.parametrize("n_said", [PIECE_MIN, PIECE_MAX, 3 * PIECE_MAX])
def test_what_is_as_much_the_person_as_the_pieces_are_reaches_most_of_them(n_said: int) -> None:
    found = [measure(speech(person(i), 75, i), speech(person(i), n_said, 1000 + i)) for i in range(60)]
    reached = [each.n_pieces_reached / each.n_pieces for each in found]
    assert 0.5 < np.mean(reached) <= 1.0
    assert {each.n_stock_beaten for each in found} == {len(styles.table().names)}
    assert 1.0 < np.mean([each.standing for each in found]) < 1.2


def test_what_is_as_far_as_another_days_recording_reaches_half_of_them() -> None:
    found = [measure(speech(person(i), 75, i), other_day(person(i), i)) for i in range(60)]
    assert np.mean([each.n_pieces_reached / each.n_pieces for each in found]) == pytest.approx(0.5, abs=0.2)
    assert np.mean([each.standing for each in found]) == pytest.approx(1.0, abs=0.03)


def test_another_person_reaches_none() -> None:
    found = measure(speech(person(1), 75, 1), speech(person(2), 12, 2))
    assert (found.n_pieces_reached, found.n_pieces) == (0, 75 // PIECE_MAX)
    assert found.standing < 0.3


def test_a_stock_voice_is_no_closer_than_itself() -> None:
    stock = styles.table().embeddings
    reference = speech(stock[0] * 30, 75, 1)
    nearness = np.sort(stock @ (reference.mean(axis=0) / np.linalg.norm(reference.mean(axis=0))))
    found = measure(reference, np.repeat(stock[10][None], 12, axis=0))
    assert 0 <= found.n_stock_beaten < len(stock) - 1
    assert found.typical_stock == pytest.approx(float(np.median(nearness)), abs=1e-4)


@pytest.mark.parametrize(
    ("n_windows", "n_pieces"), [(3 * PIECE_MIN, 3), (3 * PIECE_MIN - 1, None), (2, None), (1, None)]
)
def test_of_a_short_recording_no_share_is_told(n_windows: int, n_pieces: int | None) -> None:
    found = measure(speech(person(1), n_windows, 1), speech(person(1), 10, 2))
    assert found.n_pieces == n_pieces
    assert (found.n_pieces_reached is None) == (n_pieces is None)
    assert found.n_stock_beaten == 54
    assert found.ceiling is not None


def test_a_word_is_enough_to_measure() -> None:
    assert measure(speech(person(1), 75, 1), speech(person(1), 1, 2)).n_pieces == 75 // PIECE_MIN


def test_real_recordings_are_told_apart(backend: LocalBackend, heard: dict[str, Heard]) -> None:
    for name, whole in heard.items():
        middle = len(whole.samples) / whole.sample_rate * 0.7
        first = Heard(whole.samples, whole.sample_rate, [s for s in whole.spans if s[1] <= middle])
        second = Heard(whole.samples, whole.sample_rate, [s for s in whole.spans if s[0] >= middle])
        own = backend.compare(first, second)
        assert own.n_stock_beaten == own.n_stock, name
        for other in set(heard) - {name}:
            found = backend.compare(first, heard[other])
            assert not found.n_pieces_reached
            assert found.cosine < own.cosine
