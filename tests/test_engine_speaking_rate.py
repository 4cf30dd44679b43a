"""How fast somebody speaks: told without words, and what a network is asked for so that it speaks as fast."""

from __future__ import annotations

import numpy as np
import pytest

from clone.audio.reader import resample
from clone.engine import prosody, styles
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer, speech_spans
from clone.engine.backend import USUAL, LocalBackend
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo


def spoken(backend: LocalBackend, voice: int, pace: float) -> np.ndarray:
    """Two sentences by a stock voice, 16 kHz, without their pauses."""
    hd, turbo = backend._get(Hd), backend._get(Turbo)
    pieces = [piece for line in backend.script(USUAL) for piece in line.phonemes]
    style = styles.table().styles[voice]
    rows = [styles.row_for(style, len(piece)) for piece in pieces]
    said = [hd.speak(turbo.tokens(piece), row, pace) for piece, row in zip(pieces, rows, strict=True)]
    samples = resample(np.concatenate(said), SAMPLE_RATE, HEARD_RATE)
    return np.concatenate([samples[int(a * HEARD_RATE) : int(b * HEARD_RATE)] for a, b in speech_spans(samples)])


@pytest.mark.parametrize("voice", [3, 20])
def test_a_rate_is_told_from_what_is_heard(backend: LocalBackend, voice: int) -> None:
    n_phonemes, recognizer = 104, backend._get(Recognizer)
    for pace in (0.8, 1.2):
        samples = spoken(backend, voice, pace)
        told = prosody.phonemes_per_s(recognizer.features(samples))
        assert told == pytest.approx(n_phonemes / (len(samples) / HEARD_RATE), rel=0.1)


def test_it_is_the_same_in_noise_and_however_loud(backend: LocalBackend) -> None:
    samples = spoken(backend, 3, 1.0)
    noise = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    recognizer = backend._get(Recognizer)
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
