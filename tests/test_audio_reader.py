from __future__ import annotations

import hashlib
import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clone.audio import decoder, segment
from clone.audio.decoder import MAX_CHANNELS, MAX_INTAKE_S
from clone.audio.reader import MAX_INTAKE_BYTES, read, read_here, resample
from clone.core.errors import AudioError
from tests import sounds

RATE = 24_000
SPEECH = sounds.speechlike(6.0, RATE)

OUTCOMES = {
    "read",
    "damaged",
    "not_audio",
    "no_audio",
    "bad_sample_rate",
    "too_many_channels",
    "too_long_to_read",
}

Given = Callable[[bytes], Path]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Put bytes in a file whose name says something wrong."""

    def put(data: bytes) -> Path:
        path = tmp_path / "recording.txt"
        path.write_bytes(data)
        return path

    return put


def refused(path: Path) -> AudioError:
    with pytest.raises(AudioError) as caught:
        read(path)
    error = caught.value
    assert error.field == "audio"
    assert error.advice
    assert str(path.parent) not in str(error)
    return error


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Best correlation of two recordings of one rate over a shift of up to 0.1 s."""
    shift = np.fft.irfft(np.fft.rfft(a, 2 * len(a)).conj() * np.fft.rfft(b, 2 * len(a)))
    near = np.r_[shift[:2400], shift[-2400:]]
    return float(near.max() / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize("fmt", ["mp3", "m4a", "wav", "webm", "ogg", "flac"])
def test_reads_every_format_by_its_content(given: Given, fmt: str) -> None:
    data = sounds.encode(SPEECH, RATE, fmt)
    recording = read(given(data))
    assert recording.format == fmt
    assert recording.samples.dtype == np.float32
    assert recording.samples.ndim == 1
    assert recording.sample_rate == (48_000 if fmt in {"webm", "ogg"} else RATE)
    assert recording.duration_s == pytest.approx(6.0, abs=0.05)
    assert recording.n_bytes == len(data)
    assert recording.sha256 == hashlib.sha256(data).hexdigest()
    assert likeness(SPEECH, resample(recording.samples, recording.sample_rate, RATE)) > 0.95


@pytest.mark.parametrize(
    ("fmt", "options", "codec"),
    [
        ("m4a", {"movflags": "faststart"}, None),
        ("m4a", {"movflags": "frag_keyframe+empty_moov"}, None),  # as Safari's and Chrome's recorders write
        ("mp3", {"write_xing": "0"}, None),
        ("ogg", {}, "vorbis"),
        ("wav", {}, "pcm_f32le"),
        ("wav", {}, "pcm_s24le"),
        ("wav", {}, "pcm_u8"),
        ("wav", {"rf64": "always"}, None),
        ("webm", {"live": "1"}, None),  # cluster and segment sizes unknown, no duration
    ],
)
def test_reads_the_variants_of_a_format(given: Given, fmt: str, options: dict[str, str], codec: str | None) -> None:
    recording = read(given(sounds.encode(SPEECH, RATE, fmt, options=options, codec=codec)))
    assert recording.format == fmt
    assert recording.duration_s == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("fmt", ["mp3", "m4a"])
def test_cover_art_does_not_matter(given: Given, fmt: str) -> None:
    recording = read(given(sounds.encode(SPEECH, RATE, fmt, cover=True)))
    assert (recording.format, recording.duration_s) == (fmt, pytest.approx(6.0, abs=0.05))


def test_tags_of_any_encoding_do_not_matter(given: Given) -> None:
    frame = b"TIT2" + struct.pack(">IH", 6, 0) + b"\x03\xff\xfe\xfa\x80\x81"
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    trailing = b"TAG" + b"\xe9" * 125
    mp3 = sounds.encode(SPEECH, RATE, "mp3", options={"id3v2_version": "0"})
    assert read(given(tag + mp3 + trailing)).duration_s == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("fmt", ["wav", "flac", "m4a", "ogg"])
def test_reads_eight_channels(given: Given, fmt: str) -> None:
    data = sounds.encode(np.stack([SPEECH] * 8), 48_000, fmt)
    recording = read(given(data))
    assert recording.duration_s == pytest.approx(3.0, abs=0.05)
    assert recording.samples.shape == (len(recording.samples),)


def test_192_khz_in_eight_channels_are_kept_at_48(given: Given) -> None:
    sound = np.stack([sounds.tone(0.5, 192_000)] * 8)
    recording = read(given(sounds.encode(sound, 192_000, "wav", codec="pcm_f32le")))
    assert (recording.sample_rate, len(recording.samples), recording.duration_s) == (48_000, 24_000, 0.5)
    inside = slice(2_400, -2_400)
    np.testing.assert_allclose(recording.samples[inside], sounds.tone(0.5, 48_000)[inside], atol=1e-4)


@pytest.mark.parametrize("rate", [24_000, 96_000])
def test_a_part_is_kept_of_a_whole_that_was_read(given: Given, rate: int) -> None:
    path = given(sounds.encode(sounds.speechlike(6.0, rate), rate, "flac"))
    whole, part = read(path), read(path, begins_s=2.0, most_s=1.5)
    kept_rate = min(rate, 48_000)
    assert (part.sample_rate, len(part.samples)) == (kept_rate, round(1.5 * kept_rate))
    assert (part.begins_s, part.duration_s, part.sha256) == (2.0, 6.0, whole.sha256)
    same = whole.samples[2 * kept_rate :][: len(part.samples)]
    inside = slice(500, -500)  # at its edges a filter knows less
    np.testing.assert_allclose(part.samples[inside], same[inside], atol=1e-3)
    cut_of_part, cut_of_whole = (segment.cut(each, 2.5, 3.0) for each in (part, whole))
    assert (cut_of_part.sha256, cut_of_part.duration_s) == (cut_of_whole.sha256, cut_of_whole.duration_s)
    np.testing.assert_allclose(cut_of_part.samples, cut_of_whole.samples, atol=1e-3)


def test_channels_that_cancel_are_not_mixed(given: Given) -> None:
    recording = read(given(sounds.encode(np.stack([SPEECH, -SPEECH]), RATE, "wav")))
    assert np.abs(recording.samples).max() == pytest.approx(0.5, abs=0.01)


def test_a_float_wav_over_full_scale_is_turned_down(given: Given) -> None:
    recording = read(given(sounds.encode(SPEECH * 8, RATE, "wav", codec="pcm_f32le")))
    np.testing.assert_allclose(recording.samples, SPEECH * 2, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(given: Given, value: float) -> None:
    sound = SPEECH.copy()
    sound[3 * RATE] = value
    error = refused(given(sounds.encode(sound, RATE, "wav", codec="pcm_f32le")))
    assert error.code == "damaged"
    assert error.measured == pytest.approx(3.0, abs=0.5)


# --- never a part for the whole ---


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("mp3", {}),
        ("mp3", {"write_xing": "0"}),
        ("m4a", {}),
        ("m4a", {"movflags": "faststart"}),
        ("m4a", {"movflags": "frag_keyframe+empty_moov"}),
        ("wav", {}),
        ("flac", {}),
        ("ogg", {}),
        ("webm", {}),
        ("webm", {"live": "1"}),
    ],
)
def test_a_cut_file_is_refused(given: Given, fmt: str, options: dict[str, str], share: float) -> None:
    data = sounds.encode(SPEECH, RATE, fmt, options=options)
    error = refused(given(data[: int(len(data) * share)]))
    assert error.code == "damaged"
    assert isinstance(error.measured, float)
    assert error.measured <= 6.05
    assert error.limit is None or (isinstance(error.limit, float) and error.limit >= error.measured)


@pytest.mark.parametrize("fmt", ["mp3", "m4a", "wav", "flac", "ogg", "webm"])
@pytest.mark.parametrize("n_bytes", [1, 100])
def test_a_few_missing_bytes_are_noticed(given: Given, fmt: str, n_bytes: int) -> None:
    assert refused(given(sounds.encode(SPEECH, RATE, fmt)[:-n_bytes])).code == "damaged"


def test_the_refusal_says_how_much_is_there(given: Given) -> None:
    data = sounds.encode(SPEECH, RATE, "wav")
    error = refused(given(data[: 44 + RATE * 2 * 2]))
    assert (error.measured, error.limit) == (pytest.approx(2.0, abs=0.02), pytest.approx(6.0, abs=0.02))
    assert "2.0 s" in error.message
    assert "6.0 s" in error.message


def test_an_mp3_cut_between_two_frames_is_known_by_its_header(given: Given) -> None:
    data = sounds.encode(SPEECH, RATE, "mp3")
    syncs = [m.start() for m in re.finditer(rb"\xff\xf3", data)]
    error = refused(given(data[: syncs[len(syncs) // 2]]))
    assert error.code == "damaged"
    assert error.limit == pytest.approx(6.0, abs=0.1)


def test_an_m4a_that_promises_more_than_it_holds(given: Given) -> None:
    data = bytearray(sounds.encode(SPEECH, RATE, "m4a", options={"movflags": "faststart"}))
    mdat = data.index(b"mdat") - 4
    del data[mdat + (len(data) - mdat) // 2 :]
    data[mdat : mdat + 4] = struct.pack(">I", len(data) - mdat)  # every box is whole, only the sound is not
    error = refused(given(bytes(data)))
    assert error.code == "damaged"
    assert (error.measured, error.limit) == (pytest.approx(3.0, abs=0.5), pytest.approx(6.0, abs=0.1))


def test_ogg_pages_lost_in_the_middle_are_noticed(given: Given) -> None:
    data = sounds.encode(SPEECH, RATE, "ogg")
    pages = [m.start() for m in re.finditer(b"OggS", data)]
    assert len(pages) > 6
    assert refused(given(data[: pages[3]] + data[pages[4] :])).code == "damaged"


def test_a_hole_in_an_mp3_is_noticed(given: Given) -> None:
    data = bytearray(sounds.encode(SPEECH, RATE, "mp3", options={"write_xing": "0"}))
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    assert refused(given(bytes(data))).code == "damaged"


def wav_with_sizes(riff: int, data: int) -> bytes:
    whole = bytearray(sounds.encode(SPEECH, RATE, "wav", options={"bitexact": "1", "fflags": "bitexact"}))
    at = whole.index(b"data")
    whole[4:8], whole[at + 4 : at + 8] = struct.pack("<I", riff), struct.pack("<I", data)
    return bytes(whole)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFFF - 44, 0x7FFFF000])
def test_a_streamed_wav_without_a_size_is_whole(given: Given, size: int) -> None:
    assert read(given(wav_with_sizes(size, size))).duration_s == pytest.approx(6.0, abs=0.001)


def test_a_wav_header_that_promises_less_than_is_there(given: Given) -> None:
    error = refused(given(wav_with_sizes(36 + RATE, RATE)))
    assert error.code == "damaged"
    assert error.measured == pytest.approx(6.0, abs=0.01)
    assert error.limit == pytest.approx(0.5, abs=0.01)


def test_a_wav_header_that_contradicts_itself_about_the_rate(given: Given) -> None:
    data = bytearray(sounds.encode(SPEECH, RATE, "wav"))
    data[24:28] = struct.pack("<I", 22_050)
    error = refused(given(bytes(data)))
    assert error.code == "damaged"
    assert "22,050 Hz" in error.message


def test_chunks_behind_the_sound_are_no_damage(given: Given) -> None:
    data = sounds.encode(SPEECH, RATE, "wav") + b"LIST" + struct.pack("<I", 20_000) + b"INFO" + bytes(19_996)
    assert read(given(data)).duration_s == pytest.approx(6.0)


# --- what is no recording ---


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"R", b"RIFF", b"hello\n" * 2000, b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n", b"\xff" * 5000, bytes(5000)],
)
def test_what_is_no_sound_is_said_to_be_none(given: Given, data: bytes) -> None:
    assert refused(given(data)).code == "not_audio"


def test_a_picture_named_mp3(tmp_path: Path) -> None:
    assert refused(sounds.picture_file(tmp_path / "voice.mp3")).code == "not_audio"


def test_a_film_without_sound(tmp_path: Path) -> None:
    assert refused(sounds.video_file(tmp_path / "voice.m4a")).code == "no_audio"


def test_a_film_with_sound_is_not_taken_for_an_m4a(tmp_path: Path) -> None:
    recording = read(sounds.video_file(tmp_path / "voice.m4a", sound=SPEECH, rate=RATE))
    assert (recording.format, recording.duration_s) == ("mp4", pytest.approx(6.0, abs=0.1))


def test_a_wav_without_a_sample(given: Given) -> None:
    assert refused(given(sounds.encode(SPEECH, RATE, "wav")[:44].replace(b"LIST", b"data"))).code in {
        "no_audio",
        "damaged",
    }


def test_an_encoding_that_is_not_read(given: Given) -> None:
    assert refused(given(sounds.encode(np.stack([SPEECH] * 2), 48_000, "matroska", codec="ac3"))).code == "not_audio"


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.mp3").code == "no_file"
    assert refused(tmp_path).code == "no_file"


def test_the_field_is_the_callers(given: Given) -> None:
    with pytest.raises(AudioError) as caught:
        read(given(b"text"), field="prompt_audio")
    assert caught.value.field == "prompt_audio"


@pytest.mark.parametrize("fmt", ["mp3", "m4a", "wav", "webm", "ogg", "flac"])
def test_whatever_is_broken_is_one_of_our_errors(given: Given, fmt: str) -> None:
    whole = sounds.encode(sounds.speechlike(1.0, RATE), RATE, fmt)
    rng = np.random.default_rng(7)
    for _ in range(40):
        data = bytearray(whole)
        for at in rng.integers(0, len(data) if rng.random() < 0.5 else 200, 20):
            data[at] = rng.integers(0, 256)
        outcome = "read"
        try:
            read(given(bytes(data)))
        except AudioError as e:
            outcome = e.code
        assert outcome in OUTCOMES


# --- bounds ---


def test_a_file_too_big_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(MAX_INTAKE_BYTES + 1)
    path.chmod(0)
    error = refused(path)
    assert (error.code, error.measured, error.limit) == ("too_big_to_read", MAX_INTAKE_BYTES + 1, MAX_INTAKE_BYTES)


def test_six_hours_in_a_small_file_are_refused_by_their_length(given: Given) -> None:
    data = sounds.ogg_of_silence(6)
    assert len(data) < 1_000_000
    error = refused(given(data))
    assert error.code == "too_long_to_read"
    assert error.measured == pytest.approx(6 * 3600, abs=60)
    assert error.limit == MAX_INTAKE_S


def test_the_length_is_bounded_while_decoding_when_the_header_lies(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(sounds.encode(SPEECH, RATE, "flac"))
    total = int.from_bytes(data[21:26], "big")
    data[21:26] = (total >> 36 << 36 | RATE).to_bytes(5, "big")  # streaminfo says one second
    monkeypatch.setattr(decoder, "MAX_INTAKE_S", 2.0)
    with pytest.raises(AudioError) as caught:
        read_here(given(bytes(data)), (0.0, 60.0))
    assert caught.value.code == "too_long_to_read"
    assert caught.value.measured == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("rate", [4_000, 384_000])
def test_sample_rates_out_of_range(given: Given, rate: int) -> None:
    error = refused(given(sounds.encode(sounds.tone(1.0, rate), rate, "wav")))
    assert (error.code, error.measured) == ("bad_sample_rate", rate)


def test_too_many_channels(tmp_path: Path) -> None:
    path = tmp_path / "many.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(MAX_CHANNELS + 1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(2 * (MAX_CHANNELS + 1) * 8_000))
    error = refused(path)
    assert (error.code, error.measured, error.limit) == ("too_many_channels", MAX_CHANNELS + 1, MAX_CHANNELS)


def test_resample_keeps_pitch_and_length() -> None:
    sound = resample(sounds.tone(2.0, 44_100, hz=1000.0), 44_100, 24_000)
    assert sound.dtype == np.float32
    assert len(sound) == 48_000
    assert np.argmax(np.abs(np.fft.rfft(sound))) / 2 == pytest.approx(1000.0, abs=1.0)
    assert resample(sound, 24_000, 24_000) is sound
