"""What made speech says of itself, as an ordinary reader finds it, and that its sound is what it was."""

from __future__ import annotations

import io
import wave
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clone.audio.encoder import Encoder
from clone.audio.reader import read
from clone.audio.writer import SOURCE_TYPE, Provenance, file_bytes, marked
from clone.contract.speech import AudioSetting
from tests import sounds

RATE = 24_000
SPEECH = sounds.speechlike(2.0, RATE)
AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
MADE = Provenance("voice_1", "speech-2.8-hd", AT)
KINDS = ("mp3", "wav", "flac")


def told(data: bytes) -> dict[str, str]:
    """The tags as FFmpeg reads them, names in lower case."""
    with av.open(io.BytesIO(data)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


def frames(data: bytes) -> dict[bytes, bytes]:
    """An ID3v2.4 tag's frames, taken apart by hand; of many with one name, the last."""
    assert data[:6] == b"ID3\x04\x00\x00"
    size = int.from_bytes(bytes(data[6:10]), "big")
    assert size & 0x80808080 == 0
    at, end, found = 10, 10 + unsyncsafe(data[6:10]), {}
    while at < end:
        n = unsyncsafe(data[at + 4 : at + 8])
        found[data[at : at + 4]] = data[at + 10 : at + 10 + n]
        at += 10 + n
    assert at == end
    return found


def unsyncsafe(size: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))


def streamed(kind: str, provenance: Provenance | None, **setting: Any) -> bytes:
    asked = AudioSetting(format=kind, **setting)  # type: ignore[arg-type]
    encoder = Encoder(asked, provenance)
    pieces = [encoder.add(piece, RATE) for piece in np.array_split(SPEECH, 5)]
    return encoder.file([*pieces, encoder.end()])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", [True, False], ids=["file", "stream"])
def test_a_file_says_what_it_is(kind: str, written: bool) -> None:
    data = file_bytes(SPEECH, RATE, f".{kind}", MADE) if written else streamed(kind, MADE)
    tags = told(data)
    assert tags["title"] == "AI-generated speech"
    assert tags["artist"].startswith("Timbre")
    assert tags["encoder"].startswith("Timbre ")
    assert tags["date"].startswith("2026-03-01")
    comment = tags.get("comment") or tags.get("description") or ""
    for said in ("AI-generated", "Timbre", "speech-2.8-hd", "2026-03-01 at 12:30 UTC", "voice_1"):
        assert said in comment


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", [True, False], ids=["file", "stream"])
def test_the_sound_stays_what_it_was(kind: str, written: bool, tmp_path: Path) -> None:
    if written:
        plain, tagged = (file_bytes(SPEECH, RATE, f".{kind}", each) for each in (None, MADE))
    else:
        plain, tagged = streamed(kind, None), streamed(kind, MADE)
    assert len(tagged) > len(plain)
    heard = []
    for data in (plain, tagged):
        (tmp_path / kind).write_bytes(data)
        heard.append(read(tmp_path / kind))  # which refuses what is damaged
    assert np.array_equal(heard[0].samples, heard[1].samples)
    if written:
        assert len(heard[1].samples) == len(SPEECH)


def test_an_mp3_has_the_frames_that_players_show_and_programs_look_for() -> None:
    data = file_bytes(SPEECH, RATE, ".MP3", MADE)
    found = frames(data)
    assert found[b"TIT2"] == b"\x03AI-generated speech"
    assert found[b"COMM"].startswith(b"\x03eng\0AI-generated")
    assert found[b"TDRC"] == b"\x032026-03-01T12:30:05"
    tags = told(data)
    assert (tags["voice_id"], tags["model"]) == ("voice_1", "speech-2.8-hd")
    assert tags["digital_source_type"] == SOURCE_TYPE
    assert data.endswith(file_bytes(SPEECH, RATE, ".mp3"))


def test_a_wav_is_still_one_to_who_knows_no_tags() -> None:
    with wave.open(io.BytesIO(file_bytes(SPEECH, RATE, ".wav", MADE))) as file:
        assert file.getparams()[:4] == (1, 2, RATE, len(SPEECH))
    data = streamed("wav", MADE, channel=2)
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert data.index(b"INFO") < data.index(b"data")


def test_a_flac_has_one_block_of_comments_and_every_sample() -> None:
    data = file_bytes(SPEECH, RATE, ".flac", MADE)
    at, kinds = 4, []
    while not kinds or kinds[-1] < 128:
        kinds.append(data[at])
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    assert [kind & 127 for kind in kinds].count(4) == 1
    assert kinds[0] & 127 == 0
    assert data[at : at + 1] == b"\xff"  # where the sound begins
    assert told(data)["digital_source_type"] == SOURCE_TYPE


def test_raw_samples_have_no_place_for_tags() -> None:
    assert streamed("pcm", MADE) == streamed("pcm", None)


def test_tags_that_were_there_stay_behind_ours() -> None:
    plain = file_bytes(SPEECH, RATE, ".mp3")
    theirs = marked(plain, "mp3", Provenance("theirs", "speech-02-hd", AT))
    assert marked(theirs, "mp3", MADE).endswith(theirs)
    assert b"voice_1" in marked(theirs, "mp3", MADE)[:2000]


@pytest.mark.parametrize("kind", ["ogg", "m4a", "wav", "flac"])
def test_what_has_no_place_we_know_is_left_alone(kind: str) -> None:
    assert marked(b"RIFX????WAVE or something else", kind, MADE) == b"RIFX????WAVE or something else"


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_of_another_service_may_have_any_letters(kind: str) -> None:
    tags = told(file_bytes(SPEECH, RATE, f".{kind}", Provenance("Stimme_Zoë/✓", "speech-2.8-hd", AT, "novita")))
    comment = tags.get("comment") or tags["description"]
    assert "Stimme_Zoë/✓" in comment
    assert "Made by Novita, through Timbre" in comment


def test_times_are_told_in_utc() -> None:
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert Provenance("voice_1", "speech-2.8-hd", east).tags() == MADE.tags()
