"""The way of speaking of a language."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.contract.speech import LANGUAGES
from clone.engine import prosody, styles
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer, speech_spans
from clone.engine.backend import USUAL, LocalBackend
from clone.engine.prosody import (
    AS_PREDICTED,
    HEARD_ABOVE,
    LETTERS,
    MOVED_MAX,
    SPAN_MAX,
    SPAN_MIN,
    TIMBRE_SHARE,
    TIMBRE_SHARES,
    VOICED_HZ,
    Pitch,
    fitted,
    in_language,
)
from clone.engine.styles import PROSODY, TIMBRE, table
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo


def test_every_language_that_is_spoken_has_voices() -> None:
    assert set(LETTERS) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_of_the_timbre_stays_and_the_prosody_is_of_the_languages_own_voices(language: str) -> None:
    stock = table()
    style = stock.styles[0]
    spoken, _ = in_language(style, 150.0, language)
    own = np.array([name[0] in LETTERS[language] for name in stock.names])
    kept = 1 - TIMBRE_SHARES.get(language, TIMBRE_SHARE)
    left = spoken[:, TIMBRE] - kept * style[:, TIMBRE]
    others = stock.styles[own][:, :, TIMBRE] * (1 - kept)
    assert (left >= others.min(axis=0) - 1e-4).all()
    assert (left <= others.max(axis=0) + 1e-4).all()
    among = stock.styles[own][:, :, PROSODY]
    assert (spoken[:, PROSODY] >= among.min(axis=0) - 1e-4).all()
    assert (spoken[:, PROSODY] <= among.max(axis=0) + 1e-4).all()


def test_what_no_voice_reaches_is_left_to_be_moved() -> None:
    stock = table()
    only = float(stock.pitch_hz[[name[0] == "f" for name in stock.names]][0])
    style = stock.styles[0]
    assert in_language(style, only / 1.5, "fr")[1] == pytest.approx(1 / 1.5, rel=1e-3)
    assert in_language(style, only / 4, "fr")[1] == pytest.approx(1 / MOVED_MAX)
    assert in_language(style, 0.0, "fr")[1] == 1.0
    assert in_language(style, 150.0, "zh")[1] == 1.0


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


@cache
def spoken(backend: LocalBackend, voice: int, pace: float) -> np.ndarray:
    """Two sentences by a stock voice, 16 kHz, without their pauses."""
    hd, turbo = backend._networks.get(Hd), backend._networks.get(Turbo)
    pieces = [piece for line in backend.script(USUAL) for piece in line.phonemes]
    style = styles.table().styles[voice]
    rows = [styles.row_for(style, len(piece)) for piece in pieces]
    said = [hd.speak(turbo.tokens(piece), row, pace) for piece, row in zip(pieces, rows, strict=True)]
    samples = resample(np.concatenate(said), SAMPLE_RATE, HEARD_RATE)
    return np.concatenate([samples[int(a * HEARD_RATE) : int(b * HEARD_RATE)] for a, b in speech_spans(samples)])


@pytest.mark.parametrize("voice", [3, 20])
def test_a_rate_is_told_from_what_is_heard(backend: LocalBackend, voice: int) -> None:
    n_phonemes, recognizer = 104, backend._networks.get(Recognizer)
    for pace in (0.8, 1.2):
        samples = spoken(backend, voice, pace)
        told = prosody.phonemes_per_s(recognizer.features(samples))
        assert told == pytest.approx(n_phonemes / (len(samples) / HEARD_RATE), rel=0.1)


def test_it_is_the_same_in_noise_and_however_loud(backend: LocalBackend) -> None:
    samples = spoken(backend, 3, 1.2)
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    recognizer = backend._networks.get(Recognizer)
    clean = prosody.phonemes_per_s(recognizer.features(samples))
    for changed in (0.05 * samples, samples + 0.1 * samples.std() * noise):
        assert prosody.phonemes_per_s(recognizer.features(changed)) == pytest.approx(clean, rel=0.06)


def test_nothing_heard_leaves_the_pace() -> None:
    assert prosody.phonemes_per_s(np.zeros((2, 512), np.float32)) == 0.0
    assert prosody.pace(0.0) == 1.0


def test_a_pace_stays_within_what_can_be_said() -> None:
    assert prosody.pace(prosody.PHONEMES_PER_S) == 1.0
    assert prosody.pace(2.0) == prosody.HD_SLOWEST
    assert prosody.pace(2.0, prosody.TURBO_SLOWEST) == prosody.TURBO_SLOWEST
    assert prosody.pace(40.0) == prosody.PACE_MAX


def test_who_pauses_long_has_a_clone_that_does() -> None:
    def pausing(gap_s: float, n_pauses: int) -> float:
        return prosody.pause_s([(i * (2.0 + gap_s), i * (2.0 + gap_s) + 2.0) for i in range(n_pauses + 1)])

    assert prosody.pause_s([]) == prosody.pause_s([(0.0, 9.0)]) == pytest.approx(prosody.PAUSE_S)
    assert pausing(0.35, 10) < pausing(0.35, 2) < prosody.PAUSE_S < pausing(1.2, 2) < pausing(1.2, 10) < 1.2
    assert pausing(0.1, 10) == pausing(30.0, 10) == pytest.approx(prosody.PAUSE_S)  # within a sentence; not there
