"""Conversion: the reference's spectrum, the base speech's words, nothing broken at the edges."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import librosa
import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from clone.audio.reader import resample
from clone.engine import conversion, speaker
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer
from clone.engine.backend import Heard, LocalBackend
from clone.engine.conversion import N_BANDS, SAMPLE_RATE, analyse, convert
from clone.engine.profile import Profile
from clone.engine.tts import Turbo
from tests.sounds import silence

HEAR = """
import sys
import numpy as np
from clone.engine import conversion, speaker
noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
conversion.analyse(noise, np.ones((50, 512), np.float32))
print(speaker.colour(noise).shape, {"librosa.core", "numba"} & {*sys.modules})
"""


@pytest.fixture(scope="module")
def base(backend: LocalBackend) -> tuple[np.ndarray, np.ndarray]:
    """Base speech and the encoder's view of it."""
    turbo = backend._networks.get(Turbo)
    samples = turbo.speak(turbo.phonemes("The people by the harbour walk slowly home.")[0], 0.0, 1.0)
    return samples, features_of(backend, samples)


def features_of(backend: LocalBackend, samples: np.ndarray) -> np.ndarray:
    return backend._networks.get(Recognizer).features(resample(samples, SAMPLE_RATE, HEARD_RATE))


def mean_envelope(samples: np.ndarray, features: np.ndarray) -> np.ndarray:
    return np.asarray(analyse(samples, features)[0].envelopes.mean(axis=0))


@pytest.mark.parametrize("name", ["ada", "ben", "cleo"])
def test_the_spectrum_comes_nearer_to_the_reference(
    backend: LocalBackend, base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], name: str
) -> None:
    samples, features = base
    frames = profiles[name].frames
    converted = convert(samples, features, frames)
    target = frames.envelopes.mean(axis=0)
    before = np.abs(mean_envelope(samples, features) - target).mean()
    after = np.abs(mean_envelope(converted, features_of(backend, converted)) - target).mean()
    assert after < before


@pytest.mark.parametrize("name", ["ada", "ben"])
def test_a_sentence_s_average_comes_close_to_the_reference_s(
    backend: LocalBackend, base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], name: str
) -> None:
    samples, features = base
    frames = profiles[name].frames
    converted = convert(samples, features, frames)
    after = analyse(converted, features_of(backend, converted), frames.n_bands)[0]
    apart = after.envelopes.mean(axis=0) - frames.envelopes.mean(axis=0)
    assert np.abs(apart[: frames.n_bands - 3]).mean() < 3.0


def test_one_spoken_instant_is_not_bent_like_a_sentence(
    base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile]
) -> None:
    short = np.zeros(SAMPLE_RATE // 5, np.float32)
    middle = len(base[0]) // 2
    short[: SAMPLE_RATE // 25] = base[0][middle : middle + SAMPLE_RATE // 25]
    converted = convert(short, base[1][: len(short) // 480], profiles["ben"].frames)
    assert converted.shape == short.shape
    assert np.isfinite(converted).all()


def test_length_and_loudness_stay(base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile]) -> None:
    samples, features = base
    converted = convert(samples, features, profiles["ben"].frames)
    assert converted.shape == samples.shape
    assert converted.dtype == np.float32
    assert np.isfinite(converted).all()
    assert np.sqrt((converted**2).mean()) == pytest.approx(np.sqrt((samples**2).mean()), rel=0.01)


def test_pauses_are_no_frames_of_a_voice(backend: LocalBackend, heard: dict[str, Heard]) -> None:
    speech = resample(heard["ben"].samples, heard["ben"].sample_rate, SAMPLE_RATE)[: 3 * SAMPLE_RATE]
    padded = np.concatenate([silence(1.0, SAMPLE_RATE), speech, silence(1.0, SAMPLE_RATE)])
    frames, spoken = analyse(padded, features_of(backend, padded))
    assert not spoken[:45].any()
    assert not spoken[-45:].any()
    assert len(frames.features) == len(frames.envelopes) == spoken.sum()
    assert np.linalg.norm(frames.features, axis=1) == pytest.approx(np.ones(spoken.sum()), abs=1e-4)


def test_a_telephone_s_bandwidth_is_noticed_and_nothing_is_made_up_above_it(
    backend: LocalBackend, heard: dict[str, Heard], base: tuple[np.ndarray, np.ndarray]
) -> None:
    speech = resample(heard["ada"].samples, heard["ada"].sample_rate, SAMPLE_RATE)[: 5 * SAMPLE_RATE]
    narrow = sosfiltfilt(butter(12, 3400, fs=SAMPLE_RATE, output="sos"), speech).astype(np.float32)
    frames, _ = analyse(narrow, features_of(backend, narrow))
    assert frames.n_bands < analyse(speech, features_of(backend, speech))[0].n_bands <= N_BANDS
    converted = convert(*base, frames)
    high = np.abs(np.fft.rfft(converted))[-len(converted) // 6 :].mean()
    assert high > 0.02 * np.abs(np.fft.rfft(base[0]))[-len(converted) // 6 :].mean()


def test_a_reference_without_frames_changes_nothing(base: tuple[np.ndarray, np.ndarray]) -> None:
    frames = analyse(*base)[0]
    none = replace(frames, features=frames.features[:0], envelopes=frames.envelopes[:0], levels=frames.levels[:0])
    assert np.array_equal(convert(*base, none), base[0])


def test_one_frame_is_a_reference_too(base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile]) -> None:
    frames = profiles["ada"].frames
    one = replace(frames, features=frames.features[:1], envelopes=frames.envelopes[:1], levels=frames.levels[:1])
    assert np.isfinite(convert(*base, one)).all()


def test_bands_are_those_of_the_field_s_library() -> None:
    ours, theirs = conversion._mel_basis(), {"sr": SAMPLE_RATE, "n_fft": conversion.N_FFT, "n_mels": N_BANDS}
    assert ours == pytest.approx(librosa.filters.mel(**theirs, htk=True, norm=None), abs=1e-6)
    theirs = {"sr": speaker.SAMPLE_RATE, "n_fft": speaker.N_FFT, "n_mels": speaker.N_MELS}
    assert speaker._mel_basis() == pytest.approx(librosa.filters.mel(**theirs), abs=1e-8)


def test_hearing_a_voice_brings_no_compiler_into_memory() -> None:
    heard = subprocess.run([sys.executable, "-c", HEAR], capture_output=True, text=True, check=True)
    assert heard.stdout.strip() == "(40,) set()"
