"""A preview is held against its text, and both recordings are brought to one loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clone.audio.enhance import integrated_loudness
from clone.audio.reader import read
from clone.audio.writer import wav_bytes
from clone.contract.cloning import CloneOptions
from clone.core.errors import VoiceError
from clone.engine.backend import LocalBackend
from clone.studio.evaluation import OUTLINE_COLUMNS, compare, outlines
from clone.studio.facade import Studio
from tests.studios import PROMPT, last, order


def test_the_words_that_are_not_heard_are_told(backend: LocalBackend, clip: Path) -> None:
    assert all(heard for _, heard in compare(backend, clip, PROMPT).words)
    wrong = compare(backend, clip, f"Bananas. {PROMPT}", "en")
    assert [word for word, heard in wrong.words if not heard] == ["Bananas."]
    assert wrong.score < 1.0


def test_the_louder_one_is_turned_down(clip: Path, tmp_path: Path) -> None:
    recording = read(clip)
    quiet = tmp_path / "quiet.wav"
    quiet.write_bytes(wav_bytes(recording.samples * np.float32(0.25), recording.sample_rate))
    for original, clone in ((clip, quiet), (quiet, clip)):
        found = outlines(original, clone)
        levels = [
            integrated_loudness(read(path).samples, recording.sample_rate) + each.quieter_db
            for path, each in zip((original, clone), found, strict=True)
        ]
        assert levels[0] == pytest.approx(levels[1], abs=0.3)
        assert max(each.quieter_db for each in found) == 0.0


def test_a_recording_is_drawn_as_it_is(clip: Path, tmp_path: Path) -> None:
    recording = read(clip)
    half = tmp_path / "half.wav"
    samples = np.concatenate([np.zeros(len(recording.samples), np.float32), recording.samples])
    half.write_bytes(wav_bytes(samples, recording.sample_rate))
    (drawn,) = outlines(half)
    assert drawn.duration_s == pytest.approx(2 * recording.duration_s, abs=0.01)
    heights = [abs(float(point.split(",")[1]) - 50) for point in drawn.points.split()]
    assert len(heights) == 2 * OUTLINE_COLUMNS
    assert max(heights[: OUTLINE_COLUMNS // 2]) < 1 < max(heights[OUTLINE_COLUMNS // 2 : OUTLINE_COLUMNS])


def test_a_voice_without_a_preview_has_nothing_to_compare(studio: Studio, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[0], options=CloneOptions()))).voice
    with pytest.raises(VoiceError):
        studio.compare(voice.voice_id, voice.owner)
