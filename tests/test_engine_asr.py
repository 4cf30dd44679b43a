"""What is said and where."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from clone.audio.reader import resample
from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine import asr as recognizing
from clone.engine.asr import FRAME_S, SAMPLE_RATE, Recognizer, speech_spans
from clone.engine.backend import Heard, LocalBackend
from clone.engine.transcript import match
from tests.sounds import noise, silence, tone


@pytest.fixture(scope="module")
def recognizer(backend: LocalBackend) -> Recognizer:
    return backend._networks.get(Recognizer)


@pytest.fixture(scope="module")
def speech(heard: dict[str, Heard]) -> np.ndarray:
    return resample(heard["ada"].samples, heard["ada"].sample_rate, SAMPLE_RATE)


def test_it_understands_what_is_said(recognizer: Recognizer, speech: np.ndarray) -> None:
    said = "My grandmother kept bees behind the orchard, and every summer she let me lift the wooden frames."
    assert match(said, recognizer.transcribe(speech[: 6 * SAMPLE_RATE])) > 0.85


@pytest.mark.parametrize("duration_s", [0.05, 0.99, 9.99, 10.01, 20.02])
def test_there_is_a_frame_for_every_20_ms(recognizer: Recognizer, speech: np.ndarray, duration_s: float) -> None:
    features = recognizer.features(speech[: round(duration_s * SAMPLE_RATE)])
    assert features.shape == (int(np.ceil(round(duration_s / FRAME_S, 6))), 512)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_features_are_the_same_beside_another_run(recognizer: Recognizer, speech: np.ndarray) -> None:
    parts = [speech[i * 16_000 : (i + 3) * 16_000] for i in range(4)]
    alone = [recognizer.features(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(recognizer.features, parts))
    for a, b in zip(alone, together, strict=True):
        assert np.allclose(a, b, atol=1e-3)


def test_a_stop_is_obeyed_before_the_next_window(recognizer: Recognizer, speech: np.ndarray) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        recognizer.features(speech, stop)


def test_speech_is_found_where_it_is(speech: np.ndarray) -> None:
    quiet = silence(2.0, SAMPLE_RATE)
    spans = speech_spans(np.concatenate([quiet, speech[: 3 * SAMPLE_RATE], quiet]))
    assert spans[0][0] == pytest.approx(2.0, abs=0.4)
    assert spans[-1][1] == pytest.approx(5.0, abs=0.4)
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    "sound", [silence(3.0, SAMPLE_RATE), tone(3.0, SAMPLE_RATE), noise(3.0, SAMPLE_RATE)], ids=["none", "tone", "noise"]
)
def test_no_speech_is_found_where_there_is_none(sound: np.ndarray) -> None:
    assert sum(end - start for start, end in speech_spans(sound)) < 0.5


def test_speech_looked_for_in_parts_is_found_as_in_the_whole(
    speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, n_samples = speech_spans(speech), len(speech) // 512 * 512
    in_parts = get_vad_model()(speech[:n_samples].copy())
    monkeypatch.setattr(recognizing, "_VAD_WINDOWS", n_samples)
    assert np.array_equal(get_vad_model()(speech[:n_samples].copy()), in_parts)
    monkeypatch.setattr(recognizing, "_VAD_WINDOWS", 7)
    assert speech_spans(speech) == spans
