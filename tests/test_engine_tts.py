"""Base speech of both networks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine.backend import LocalBackend
from clone.engine.prosody import fitted
from clone.engine.speaker import SAMPLE_RATE as HEARD_RATE
from clone.engine.speaker import median_pitch_hz
from clone.engine.styles import row_for, table
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo

TEXT = "The people by the harbour walk slowly home."


@pytest.fixture(scope="module")
def turbo(backend: LocalBackend) -> Turbo:
    return backend._networks.get(Turbo)


@pytest.fixture(scope="module")
def hd(backend: LocalBackend) -> Hd:
    return backend._networks.get(Hd)


def heard_pitch(samples: np.ndarray) -> float:
    return median_pitch_hz(resample(samples, SAMPLE_RATE, HEARD_RATE))


@pytest.mark.parametrize("pitch_hz", [90.0, 130.0, 190.0, 260.0])
def test_turbo_speaks_at_the_pitch_asked_for(turbo: Turbo, pitch_hz: float) -> None:
    samples = turbo.speak(turbo.phonemes(TEXT)[0], pitch_hz, 1.0)
    assert heard_pitch(samples) == pytest.approx(pitch_hz, rel=0.1)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()


def test_turbo_says_the_same_every_time(turbo: Turbo) -> None:
    phonemes = turbo.phonemes(TEXT)[0]
    assert np.array_equal(turbo.speak(phonemes, 150.0, 1.0), turbo.speak(phonemes, 150.0, 1.0))


@pytest.fixture(scope="module")
def lengths(turbo: Turbo, hd: Hd) -> Callable[[float], tuple[int, int]]:
    """How many samples a text has at a pace, by turbo and by hd."""
    phonemes = turbo.phonemes(TEXT)[0]
    row = row_for(table().styles[0], len(phonemes))
    return cache(lambda pace: (len(turbo.speak(phonemes, 0.0, pace)), len(hd.speak(turbo.tokens(phonemes), row, pace))))


@pytest.mark.parametrize("pace", [0.5, 0.8, 1.1, 1.25, 1.5, 1.75])
def test_speech_is_as_much_shorter_as_its_pace_is_faster(
    lengths: Callable[[float], tuple[int, int]], pace: float
) -> None:
    for usual, faster in zip(lengths(1.0), lengths(pace), strict=True):
        assert usual / faster == pytest.approx(pace, rel=0.07)


def test_tokens_are_padded_and_nothing_is_unknown(turbo: Turbo) -> None:
    phonemes = turbo.phonemes(TEXT)[0]
    tokens = turbo.tokens(phonemes)
    assert tokens.shape == (1, len(phonemes) + 2)
    assert tokens[0, 0] == tokens[0, -1] == 0
    assert (tokens[0, 1:-1] > 0).all()


def test_hd_speaks_in_a_style_and_at_a_pace(turbo: Turbo, hd: Hd) -> None:
    phonemes = turbo.phonemes("Walk slowly home.")[0]
    tokens = turbo.tokens(phonemes)
    lowest, highest = np.argsort(table().pitch_hz)[[3, -4]]
    low, high = (row_for(table().styles[i], len(phonemes)) for i in (lowest, highest))
    deep, bright, quick = hd.speak(tokens, low, 1.0), hd.speak(tokens, high, 1.0), hd.speak(tokens, high, 1.25)
    assert heard_pitch(deep) < 0.8 * heard_pitch(bright)
    assert len(quick) < len(bright)
    assert np.isfinite(deep).all()
    assert 0.01 < np.abs(deep).max() < 1.5


@pytest.mark.parametrize("wanted_hz", [110.0, 190.0])
def test_hd_speaks_at_the_pitch_of_a_voice(turbo: Turbo, hd: Hd, wanted_hz: float) -> None:
    phonemes = turbo.phonemes(TEXT)[0]
    tokens, row = turbo.tokens(phonemes), row_for(table().styles[list(table().names).index("af_heart")], len(phonemes))
    voice_hz = wanted_hz * 2.0 ** np.linspace(-0.2, 0.2, 100)
    pitch = fitted(hd.voiced_hz(tokens, row), voice_hz)
    samples = hd.speak(tokens, row, 1.0, pitch=pitch)
    assert heard_pitch(samples) == pytest.approx(wanted_hz, rel=0.06)
    higher = hd.speak(tokens, row, 1.0, moved=1.25, pitch=pitch)
    assert len(higher) == len(samples)
    assert heard_pitch(higher) == pytest.approx(1.25 * wanted_hz, rel=0.08)


def test_a_stop_interrupts_a_run(turbo: Turbo, hd: Hd) -> None:
    phonemes = turbo.phonemes(" ".join([TEXT[:-1]] * 9))[0][:400]
    tokens = turbo.tokens(phonemes)
    style = row_for(table().styles[0], len(phonemes))
    stop = Stop()
    timer = threading.Timer(0.5, stop.ask)
    timer.start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        hd.speak(tokens, style, 1.0, stop)
    stopped_s = time.monotonic() - began
    began = time.monotonic()
    hd.speak(tokens[:, :60], style, 1.0)  # a seventh of it
    assert stopped_s < 0.5 + 3.5 * (time.monotonic() - began)
    with pytest.raises(CancelledError):
        turbo.speak(phonemes, 150.0, 1.0, stop)
