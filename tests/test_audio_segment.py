"""Which part of a recording is chosen: bad parts of a known place are left out, cuts lie in pauses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clone.audio import quality, segment, turns
from clone.audio.reader import Recording, read, resample
from clone.audio.writer import wav_bytes
from clone.contract import cloning
from clone.engine.asr import speech_spans

RATE = 16_000
SEED = 5


@pytest.fixture(scope="module")
def ada() -> np.ndarray:
    recording = read(Path(__file__).parent.parent / "assets" / "examples" / "ada.m4a")
    return resample(recording.samples, recording.sample_rate, RATE)


def chosen(samples: np.ndarray, own: list[bool] | None = None, at_most_s: float = 60.0) -> segment.Segment | None:
    """Return the best stretch; ``own`` says for each tenth of the recording whether the same person speaks."""
    samples = samples.astype(np.float32)
    at_s = np.arange(0.0, len(samples) / RATE - 0.8, 0.4)
    voices = np.zeros((len(at_s), 256), np.float32)
    tenth = np.minimum((at_s / (len(samples) / RATE) * 10).astype(int), 9)
    voices[np.arange(len(at_s)), [0 if own is None or own[i] else 1 for i in tenth]] = 1.0
    clipped = quality.clipped_spans(samples, RATE)
    who = turns.who_speaks(voices, at_s)
    return segment.best_segment(samples, RATE, speech_spans(samples), clipped, who, at_most_s=at_most_s)


def noise(like: np.ndarray, below_db: float) -> np.ndarray:
    level = np.sqrt(np.mean(like**2)) * 10 ** (-below_db / 20)
    return np.random.default_rng(SEED).standard_normal(len(like)) * level


def test_a_clean_recording_is_its_own_best_stretch(ada: np.ndarray) -> None:
    assert chosen(ada) is None


def test_noise_is_left_out(ada: np.ndarray) -> None:
    found = chosen(np.concatenate([ada + noise(ada, 5.0), ada, ada + noise(ada, 5.0)]))
    assert found is not None
    long_s = len(ada) / RATE
    assert long_s - 1.0 < found.start_s < found.end_s < 2 * long_s + 1.0
    assert any("cleaner than the rest" in reason for reason in found.reasons)


def test_clipping_is_left_out(ada: np.ndarray) -> None:
    loud = ada / np.abs(ada).max()
    found = chosen(np.concatenate([np.clip(loud * 15, -1, 1), loud]))
    assert found is not None
    assert found.start_s > len(ada) / RATE - 1.0
    assert "What is clipped is left out." in found.reasons


def test_silence_is_left_out(ada: np.ndarray) -> None:
    quiet = np.zeros(20 * RATE)
    found = chosen(np.concatenate([quiet, ada, quiet]))
    assert found is not None
    assert 19.5 < found.start_s < 21.0
    assert found.end_s < 20 + len(ada) / RATE + 0.5


def test_another_voice_is_left_out(ada: np.ndarray) -> None:
    found = chosen(np.concatenate([ada, ada]), own=[False] * 4 + [True] * 6)
    assert found is not None
    assert found.start_s > 0.36 * 2 * len(ada) / RATE
    assert "Other voices are left out." in found.reasons


def test_what_is_varied_goes_before_what_is_said_again_and_again(ada: np.ndarray) -> None:
    spans = speech_spans(ada.astype(np.float32))
    start_s = spans[0][0]
    phrase = ada[int(start_s * RATE) : int((start_s + 1.0) * RATE)]
    again = np.concatenate([np.concatenate([phrase, np.zeros(RATE // 2, np.float32)])] * 14)
    for first in (True, False):
        samples = np.concatenate([again, ada] if first else [ada, again])
        found = chosen(samples, at_most_s=12.0)
        assert found is not None
        middle_s = (found.start_s + found.end_s) / 2
        assert (middle_s > len(again) / RATE) if first else (middle_s < len(ada) / RATE)


@pytest.mark.parametrize("at_most_s", [12.0, 30.0, 60.0])
def test_it_is_no_longer_than_asked_and_cut_in_pauses(ada: np.ndarray, at_most_s: float) -> None:
    samples = np.concatenate([ada] * 4)
    found = chosen(samples, at_most_s=at_most_s)
    assert found is not None
    assert cloning.REFERENCE_MIN_S <= found.end_s - found.start_s <= at_most_s
    power = quality.frame_power(samples.astype(np.float32), RATE)
    for cut_s in (found.start_s, found.end_s):
        at = round(cut_s / quality.FRAME_S)
        assert power[max(0, at - 1) : at + 1].mean() < 0.2 * power.mean()


def test_nothing_to_choose() -> None:
    nothing = np.zeros(30 * RATE, np.float32)
    none = turns.who_speaks(np.zeros((0, 256), np.float32), np.zeros(0))
    assert segment.best_segment(nothing, RATE, [], [], none) is None
    assert segment.best_segment(nothing, RATE, [(1.0, 4.0)], [], none) is None
    assert segment.between_pauses(nothing, RATE, [], []) == []


def test_a_cut_is_a_recording_of_its_own(ada: np.ndarray) -> None:
    whole = Recording(ada, RATE, "m4a", 99, "a" * 64)
    part = segment.cut(whole, 1.0, 3.5)
    assert np.array_equal(part.samples, ada[RATE : round(3.5 * RATE)])
    assert (part.format, part.n_bytes) == ("wav", len(wav_bytes(part.samples, RATE)))
    assert part.sha256 == segment.cut(whole, 1.0, 3.5).sha256 != segment.cut(whole, 1.0, 3.6).sha256 != whole.sha256


def test_what_stands_between_pauses(ada: np.ndarray) -> None:
    spans = speech_spans(ada)
    found = segment.between_pauses(ada, RATE, spans, [])
    assert found
    for each in found:
        assert segment.SENTENCE_S[0] <= each[1] - each[0] < cloning.PROMPT_LIMIT_S
        assert all(not (start < cut_s < end) for cut_s in each for start, end in spans)
    assert found[0] not in segment.between_pauses(ada, RATE, spans, [found[0]])


def test_nobody_knows_what_was_said_before_and_after_a_recording(ada: np.ndarray) -> None:
    spans = speech_spans(ada)
    start_s, end_s = spans[0][0], spans[-1][1]
    cut = ada[int(start_s * RATE) : int(end_s * RATE)]
    inside = [(start - start_s, end - start_s) for start, end in spans]
    found = segment.between_pauses(cut, RATE, inside, [])
    assert found
    assert all(start > 0.5 and end < end_s - start_s - 0.5 for start, end in found)
