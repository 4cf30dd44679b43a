"""Conversion: the reference's spectrum, the base speech's words, nothing broken at the edges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
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
from clone.engine.conversion import N_BANDS, SAMPLE_RATE, Frames, Target, analyse, attended, convert, nearest
from clone.engine.profile import Profile
from clone.engine.tts import Turbo
from tests.sounds import silence

Matching = Callable[[Frames, Frames], Target]

HEAR = """
import sys
import numpy as np
from clone.engine import conversion, speaker
noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
conversion.analyse(noise, np.ones((50, 512), np.float32))
print(speaker.colour(noise).shape, {"librosa.core", "numba"} & {*sys.modules})
"""


BOTH = pytest.mark.parametrize("match", [nearest, attended])


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
@BOTH
def test_the_spectrum_comes_nearer_to_the_reference(
    backend: LocalBackend, base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], name: str, match: Matching
) -> None:
    samples, features = base
    frames = profiles[name].frames
    converted = convert(samples, features, frames, match)
    target = frames.envelopes.mean(axis=0)
    before = np.abs(mean_envelope(samples, features) - target).mean()
    after = np.abs(mean_envelope(converted, features_of(backend, converted)) - target).mean()
    assert after < before


@pytest.mark.parametrize("name", ["ada", "ben"])
@BOTH
def test_a_sentence_s_average_comes_close_to_the_reference_s(
    backend: LocalBackend, base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], name: str, match: Matching
) -> None:
    samples, features = base
    frames = profiles[name].frames
    converted = convert(samples, features, frames, match)
    after = analyse(converted, features_of(backend, converted), frames.n_bands)[0]
    apart = after.envelopes.mean(axis=0) - frames.envelopes.mean(axis=0)
    assert np.abs(apart[: frames.n_bands - 3]).mean() < 3.0


@BOTH
def test_one_spoken_instant_is_not_bent_like_a_sentence(
    base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], match: Matching
) -> None:
    short = np.zeros(SAMPLE_RATE // 5, np.float32)
    middle = len(base[0]) // 2
    short[: SAMPLE_RATE // 25] = base[0][middle : middle + SAMPLE_RATE // 25]
    converted = convert(short, base[1][: len(short) // 480], profiles["ben"].frames, match)
    assert converted.shape == short.shape
    assert np.isfinite(converted).all()


@BOTH
def test_length_and_loudness_stay(
    base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], match: Matching
) -> None:
    samples, features = base
    converted = convert(samples, features, profiles["ben"].frames, match)
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


@BOTH
def test_a_telephone_s_bandwidth_is_noticed_and_nothing_is_made_up_above_it(
    backend: LocalBackend, heard: dict[str, Heard], base: tuple[np.ndarray, np.ndarray], match: Matching
) -> None:
    speech = resample(heard["ada"].samples, heard["ada"].sample_rate, SAMPLE_RATE)[: 5 * SAMPLE_RATE]
    narrow = sosfiltfilt(butter(12, 3400, fs=SAMPLE_RATE, output="sos"), speech).astype(np.float32)
    frames, _ = analyse(narrow, features_of(backend, narrow))
    assert frames.n_bands < analyse(speech, features_of(backend, speech))[0].n_bands <= N_BANDS
    converted = convert(*base, frames, match)
    high = np.abs(np.fft.rfft(converted))[-len(converted) // 6 :].mean()
    assert high > 0.02 * np.abs(np.fft.rfft(base[0]))[-len(converted) // 6 :].mean()


@BOTH
def test_a_reference_without_frames_changes_nothing(base: tuple[np.ndarray, np.ndarray], match: Matching) -> None:
    frames = analyse(*base)[0]
    none = replace(frames, features=frames.features[:0], envelopes=frames.envelopes[:0], levels=frames.levels[:0])
    assert np.array_equal(convert(*base, none, match), base[0])


@BOTH
def test_one_frame_is_a_reference_too(
    base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], match: Matching
) -> None:
    frames = profiles["ada"].frames
    one = replace(frames, features=frames.features[:1], envelopes=frames.envelopes[:1], levels=frames.levels[:1])
    assert np.isfinite(convert(*base, one, match)).all()


def test_bands_are_those_of_the_field_s_library() -> None:
    ours, theirs = conversion._mel_basis(), {"sr": SAMPLE_RATE, "n_fft": conversion.N_FFT, "n_mels": N_BANDS}
    assert ours == pytest.approx(librosa.filters.mel(**theirs, htk=True, norm=None), abs=1e-6)
    theirs = {"sr": speaker.SAMPLE_RATE, "n_fft": speaker.N_FFT, "n_mels": speaker.N_MELS}
    assert speaker._mel_basis() == pytest.approx(librosa.filters.mel(**theirs), abs=1e-8)


def test_hearing_a_voice_brings_no_compiler_into_memory() -> None:
    heard = subprocess.run([sys.executable, "-c", HEAR], capture_output=True, text=True, check=True)
    assert heard.stdout.strip() == "(40,) set()"


@pytest.fixture(scope="module")
def halves(backend: LocalBackend, heard: dict[str, Heard]) -> tuple[Frames, Frames, np.ndarray]:
    """What a person says first, what they say then as a higher voice would, and the second half's true envelopes."""
    speech = resample(heard["ben"].samples, heard["ben"].sample_rate, SAMPLE_RATE)[: 10 * SAMPLE_RATE]
    first, second = np.split(speech, 2)
    higher = resample(second, round(1.15 * SAMPLE_RATE), SAMPLE_RATE)
    reference, _ = analyse(first, features_of(backend, first))
    asked, spoken = analyse(higher, features_of(backend, higher), reference.n_bands)
    true, true_spoken = analyse(second, features_of(backend, second), reference.n_bands)
    every = np.full((len(true_spoken), N_BANDS), np.nan, np.float32)
    every[true_spoken] = true.envelopes
    at = np.minimum((np.flatnonzero(spoken) * 1.15).round().astype(int), len(every) - 1)
    return reference, asked, every[at]


def test_what_is_said_is_found_again_in_a_voice_of_another_pitch(halves: tuple[Frames, Frames, np.ndarray]) -> None:
    reference, asked, true = halves

    def error(match: Matching) -> float:
        apart = (match(asked, reference).envelopes - true)[:, : reference.n_bands]
        return float(np.nanmean((apart - np.nanmean(apart, axis=0)) ** 2))

    nobody = replace(reference, features=reference.features[::-1])  # other frames say it
    assert error(attended) < error(nearest)
    for match in (nearest, attended):
        apart = (match(asked, nobody).envelopes - true)[:, : reference.n_bands]
        assert error(match) < 0.8 * float(np.nanmean((apart - np.nanmean(apart, axis=0)) ** 2))


def test_weights_of_what_is_attended_to_are_shares(halves: tuple[Frames, Frames, np.ndarray]) -> None:
    reference, asked, _ = halves
    weights = conversion._attention(asked.features, reference.features)
    assert weights.min() >= 0
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)), abs=1e-4)
    moves = attended(asked, reference).envelopes.std(axis=0) / reference.envelopes.std(axis=0)
    assert 0.9 < np.median(moves[: reference.n_bands]) < 1.1  # averaging takes no movement from them


@BOTH
def test_the_order_of_the_reference_s_frames_does_not_matter(
    base: tuple[np.ndarray, np.ndarray], profiles: dict[str, Profile], match: Matching
) -> None:
    frames = profiles["ada"].frames
    turned = replace(
        frames, features=frames.features[::-1], envelopes=frames.envelopes[::-1], levels=frames.levels[::-1]
    )
    assert convert(*base, turned, match) == pytest.approx(convert(*base, frames, match), abs=1e-4)
