from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from clone.audio.reader import Recording, read
from clone.audio.writer import accepted, mp3_bytes, wav_bytes
from clone.contract.cloning import AUDIO_FORMATS, REFERENCE_MAX_BYTES, REFERENCE_MAX_S
from tests import sounds

RATE = 24_000
SPEECH = sounds.speechlike(12.0, RATE)


def put(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "sound"
    path.write_bytes(data)
    return path


def test_wav_is_16_bit_mono_and_comes_back_as_it_was(tmp_path: Path) -> None:
    data = wav_bytes(SPEECH, RATE)
    with wave.open(io.BytesIO(data)) as file:
        assert file.getparams()[:4] == (1, 2, RATE, len(SPEECH))
    recording = read(put(tmp_path, data))
    assert recording.sample_rate == RATE
    np.testing.assert_allclose(recording.samples, SPEECH, atol=0.51 / 32768)


def test_wav_clips_instead_of_wrapping_round(tmp_path: Path) -> None:
    recording = read(put(tmp_path, wav_bytes(np.array([0.0, 1.0, 1.7, -1.0, -3.0] * 100, np.float32), RATE)))
    np.testing.assert_allclose(recording.samples[:5], [0.0, 1.0, 1.0, -1.0, -1.0], atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_a_bug_of_ours(value: float) -> None:
    broken = np.array([0.0, value], np.float32)
    with pytest.raises(AssertionError):
        wav_bytes(broken, RATE)
    with pytest.raises(AssertionError):
        mp3_bytes(broken, RATE)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_mp3_comes_back_with_every_sample(tmp_path: Path, rate: int) -> None:
    sound = sounds.speechlike(3.3, rate)
    recording = read(put(tmp_path, mp3_bytes(sound, rate)))
    assert (recording.format, recording.sample_rate, len(recording.samples)) == ("mp3", rate, len(sound))
    assert np.corrcoef(recording.samples, sound)[0, 1] > 0.98  # in step, too: the encoder's delay is taken off


@pytest.mark.parametrize(("rate", "becomes"), [(96_000, 48_000), (192_000, 48_000), (37_800, 44_100), (9_000, 11_025)])
def test_mp3_of_a_rate_it_does_not_know(tmp_path: Path, rate: int, becomes: int) -> None:
    recording = read(put(tmp_path, mp3_bytes(sounds.tone(2.0, rate), rate)))
    assert recording.sample_rate == becomes
    assert recording.duration_s == pytest.approx(2.0, abs=0.001)


def test_mp3_has_the_bit_rate_asked_for() -> None:
    low, usual = mp3_bytes(SPEECH, RATE, 64_000), mp3_bytes(SPEECH, RATE)
    assert len(low) * 8 / 12.0 == pytest.approx(64_000, rel=0.05)
    assert len(usual) * 8 / 12.0 == pytest.approx(128_000, rel=0.05)


def test_mp3_of_almost_nothing(tmp_path: Path) -> None:
    recording = read(put(tmp_path, mp3_bytes(sounds.tone(0.2, RATE), RATE)))
    assert recording.duration_s == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_an_accepted_file_stays_untouched(tmp_path: Path, fmt: str) -> None:
    data = sounds.encode(SPEECH, RATE, fmt)
    path = put(tmp_path, data)
    assert accepted(read(path), path) == (data, fmt)
    assert accepted(read(path), data) == (data, fmt)


@pytest.mark.parametrize("fmt", ["webm", "ogg", "flac"])
def test_what_browsers_record_becomes_an_mp3(tmp_path: Path, fmt: str) -> None:
    path = put(tmp_path, sounds.encode(SPEECH, RATE, fmt))
    data, becomes = accepted(read(path), path)
    assert becomes == "mp3"
    again = read(put(tmp_path, data))
    assert (again.format, again.duration_s) == ("mp3", pytest.approx(12.0, abs=0.01))


def test_the_sound_of_a_film_becomes_an_mp3(tmp_path: Path) -> None:
    path = sounds.video_file(tmp_path / "film.m4a", sound=SPEECH, rate=RATE)
    assert accepted(read(path), path)[1] == "mp3"


def test_a_wav_in_an_encoding_of_telephones_becomes_an_mp3(tmp_path: Path) -> None:
    path = put(tmp_path, sounds.encode(SPEECH, RATE, "wav", codec="adpcm_ima_wav"))
    assert accepted(read(path), path)[1] == "mp3"


def test_a_wav_as_long_as_is_allowed_fits_the_contract_as_mp3(tmp_path: Path) -> None:
    sound = np.tile(sounds.speechlike(30.0, 44_100), round(REFERENCE_MAX_S / 30))
    original = wav_bytes(sound, 44_100)
    assert len(original) > REFERENCE_MAX_BYTES
    path = put(tmp_path, original)
    data, fmt = accepted(read(path), path)
    assert fmt == "mp3"
    assert len(data) < REFERENCE_MAX_BYTES
    assert read(put(tmp_path, data)).duration_s == pytest.approx(REFERENCE_MAX_S, abs=0.01)


@pytest.mark.parametrize("fmt", ["mp3", "m4a"])
def test_an_mp3_over_the_limit_stays_what_it_is(fmt: str) -> None:
    recording = Recording(SPEECH, RATE, fmt, REFERENCE_MAX_BYTES + 1, "")
    assert accepted(recording, b"the file") == (b"the file", fmt)
