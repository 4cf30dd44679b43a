"""Faults of a known amount, and whether they are found; a voice is a synthesised one of the examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import faults
from clone.audio import preflight, quality, turns
from clone.audio.preflight import predicted
from clone.audio.reader import Recording, read, resample
from clone.engine import speaker
from clone.engine.asr import speech_spans

RATE = faults.RATE
RANDOM_SEED = 3


@pytest.fixture(scope="module")
def ada() -> np.ndarray:
    recording = read(Path(__file__).parent.parent / "assets" / "examples" / "ada.m4a")
    return resample(recording.samples, recording.sample_rate, RATE)[: 20 * RATE]


def codes(samples: np.ndarray) -> set[str]:
    """Return what is said against a recording."""
    samples = samples.astype(np.float32)
    report = preflight.check(Recording(samples, RATE, "wav", 1, ""), 1, speech_spans(samples))
    return {finding.code for finding in report.findings if finding.severity == "warn"}


def test_a_clean_recording_has_no_fault(ada: np.ndarray) -> None:
    assert codes(ada) == set()


@pytest.mark.parametrize("name", faults.FAULTS)
def test_each_fault_is_found(ada: np.ndarray, name: str) -> None:
    code, fault = faults.FAULTS[name]
    assert code in codes(fault(ada, np.random.default_rng(RANDOM_SEED)))


@pytest.mark.parametrize("below_db", [10.0, 20.0, 30.0])
def test_the_ratio_of_voice_to_noise(ada: np.ndarray, below_db: float) -> None:
    noisy = faults.noise(below_db)(ada, np.random.default_rng(RANDOM_SEED)).astype(np.float32)
    found = quality.snr_db(noisy, RATE, speech_spans(ada))
    assert found == pytest.approx(below_db, abs=3.0)


@pytest.mark.parametrize(("hz", "below_db"), [(50.0, 10.0), (60.0, 10.0), (60.0, 20.0)])
def test_the_level_of_the_hum(ada: np.ndarray, hz: float, below_db: float) -> None:
    humming = faults.hum(hz, below_db)(ada, np.random.default_rng(RANDOM_SEED)).astype(np.float32)
    found = quality.hum(humming, RATE)
    assert found is not None
    assert found[0] == hz
    assert found[1] == pytest.approx(-below_db, abs=3.0)


def test_where_it_is_clipped(ada: np.ndarray) -> None:
    loud = ada.copy()
    part = slice(8 * RATE, 10 * RATE)
    loud[part] = np.clip(loud[part] * 20, -1.0, 1.0)
    spans = quality.clipped_spans(loud, RATE)
    assert spans
    assert 7.9 < spans[0][0] < 10.0 > spans[-1][1] - 0.1
    assert quality.clipped_spans(ada, RATE) == [] or preflight.speech_s(quality.clipped_spans(ada, RATE)) < 0.2


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_the_bandwidth_is_what_was_left(ada: np.ndarray, rate: int) -> None:
    assert quality.bandwidth_hz(resample(ada, RATE, rate), rate) == pytest.approx(min(rate / 2, RATE / 2), rel=0.06)


def test_measures_of_next_to_nothing_are_none() -> None:
    nothing = np.zeros(10, np.float32)
    assert quality.clipped_spans(nothing, RATE) == []
    assert quality.hum(nothing, RATE) is None
    assert quality.echo_s(nothing, RATE) is None
    assert quality.snr_db(nothing, RATE, []) is None
    assert quality.edges_s([], 3.0) == (3.0, 3.0)


def test_two_people_and_one() -> None:
    random = np.random.default_rng(RANDOM_SEED)
    one, other = random.standard_normal((2, 256))
    near = 0.5 * random.standard_normal((60, 256))
    at_s = 0.4 * np.arange(60)
    assert turns.who_speaks(_unit(one * 1.5 + near), at_s).n_persons == 1
    both = turns.who_speaks(_unit(np.concatenate([one * 1.5 + near[:40], other * 1.5 + near[40:]])), at_s)
    assert both.person.tolist() == [0] * 40 + [1] * 20
    assert both.alike < turns.SAME_SPEAKER
    assert [span for span in both.changes_s() if span[0] <= 16.2 <= span[1]] == both.changes_s() != []
    short = turns.who_speaks(_unit(np.concatenate([one + near[:5], other + near[5:8]])), at_s[:8])
    assert (short.n_persons, short.alike) == (1, 1.0)
    assert turns.who_speaks(np.zeros((0, 256), np.float32), at_s[:0]).n_persons == 0
    assert turns.WINDOW_S == speaker.WINDOW_FRAMES * speaker.N_HOP / speaker.SAMPLE_RATE


def test_three_people_take_turns() -> None:
    random = np.random.default_rng(RANDOM_SEED)
    people = random.standard_normal((3, 256))
    said = [0] * 20 + [1] * 8 + [2] * 11 + [0] * 9 + [2] * 7 + [1] * 10
    windows = _unit(people[said] * 1.5 + 0.5 * random.standard_normal((len(said), 256)))
    found = turns.who_speaks(windows, 0.4 * np.arange(len(said)))
    assert found.n_persons == 3
    assert found.during(0.0, 8.0)[0] == 0  # who speaks most
    assert len(set(zip(said, found.person.tolist(), strict=True))) == 3


def test_what_the_service_would_answer() -> None:
    assert predicted("too_short") == "2037 INVALID_AUDIO_FILE"
    assert predicted("no_speech") == ""


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
