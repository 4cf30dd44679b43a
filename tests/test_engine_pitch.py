"""A pitch curve moved to a voice."""

from __future__ import annotations

import numpy as np
import pytest

from clone.engine.prosody import AS_PREDICTED, HEARD_ABOVE, SPAN_MAX, SPAN_MIN, VOICED_HZ, Pitch, fitted

CURVE = np.array([[3.0, 150.0, 200.0, 240.0, -1.0, 180.0, 0.0]], np.float32)


def semitones(hz: np.ndarray) -> np.ndarray:
    return np.asarray(12 * np.log2(hz))


def test_left_alone_it_stays_and_a_factor_moves_what_is_voiced() -> None:
    assert np.array_equal(AS_PREDICTED.moved(CURVE), CURVE)
    higher = AS_PREDICTED.moved(CURVE, 1.5)
    voiced = CURVE > VOICED_HZ
    assert higher[voiced] == pytest.approx(1.5 * CURVE[voiced])
    assert np.array_equal(higher[~voiced], CURVE[~voiced])


def test_a_curve_comes_to_the_height_and_half_of_the_way_to_the_span_of_a_voice() -> None:
    random = np.random.default_rng(0)
    own = 200.0 * 2.0 ** (random.standard_normal(400) * 4 / 12)
    voice = 110.0 * 2.0 ** (random.standard_normal(300) * 2 / 12)
    moved = fitted(own, voice).moved(own)
    assert np.exp(np.log(moved).mean()) * HEARD_ABOVE == pytest.approx(np.exp(np.log(voice).mean()), rel=0.01)
    assert semitones(moved).std() == pytest.approx(np.sqrt(4 * 2), rel=0.1)


def test_the_span_is_bounded() -> None:
    usual = 200.0 * 2.0 ** np.linspace(-0.3, 0.3, 100)
    assert fitted(usual, np.full(100, 120.0)).span == SPAN_MIN
    assert fitted(np.full(100, 200.0), usual).span == SPAN_MAX


def test_with_too_little_voice_nothing_is_moved() -> None:
    assert fitted(np.full(100, 200.0), np.zeros(0)) == AS_PREDICTED
    assert fitted(np.zeros(0), np.full(100, 200.0)) == AS_PREDICTED


def test_no_voiced_frame_falls_silent() -> None:
    deep = Pitch(centre_hz=200.0, wanted_hz=60.0, span=1.5).moved(CURVE, 0.5)
    assert (deep[CURVE > VOICED_HZ] >= VOICED_HZ).all()
