"""A library in any state is told of in plain words, changed by nothing but a restore, and made whole by that."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from clone.core.errors import LibraryError
from clone.core.settings import Settings
from clone.storage import doctor
from tests.voices import FILES, Clock, filled, lose_database, make_older, open_library


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(bytes(range(256)) * 300)
    elif how == "text":
        path.write_text("This is a note to myself.\n" * 400)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        data = bytearray(path.read_bytes())
        data[4096:] = b"\x5a" * (len(data) - 4096)
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["gone", "empty", "garbage", "text", "truncated", "overwritten"])
def test_a_database_in_any_state_is_made_whole(home: Path, clock: Clock, how: str) -> None:
    settings = Settings.at(home)
    library = filled(settings, clock)
    before = library.voices("ada")
    library.close()
    damage(home / "library.db", how)
    data = (home / "library.db").read_bytes() if how != "gone" else None
    recordings = sorted(path for path in (home / "audio").rglob("*") if path.is_file())
    if how not in ("gone", "empty"):
        with pytest.raises(LibraryError) as refused:
            open_library(home, clock).reconcile()
        assert refused.value.code == "library_broken"
        assert "doctor" in refused.value.advice
    found = doctor.look(settings)
    assert (found.database != doctor.OK, found.n_restorable, found.restored) == (True, 4, [])
    assert sorted(path for path in (home / "audio").rglob("*") if path.is_file()) == recordings
    assert ((home / "library.db").read_bytes() if how != "gone" else None) == data
    assert (home / "library.db").exists() == (how != "gone")
    found = doctor.restore(settings)
    assert (found.database, found.n_voices, len(found.restored), found.lost) == (doctor.OK, 4, 4, [])
    assert open_library(home, clock).voices("ada") == before
    aside = list(home.glob("library.db.aside-*"))
    assert [path.read_bytes() for path in aside] == ([data] if how not in ("gone", "empty") else [])


def test_what_can_not_be_restored_is_told(home: Path, clock: Clock) -> None:
    settings = Settings.at(home)
    filled(settings, clock).close()
    lose_database(settings)
    voices = home / "audio" / "voices"
    (voices / "voice-1" / "voice.json").write_text("{}")
    (voices / "voice-2" / "reference.mp3").unlink()
    record = json.loads((voices / "voice-3" / "voice.json").read_text())
    (voices / "voice-3" / "voice.json").write_text(json.dumps(record | {"voice_id": "voice-0", "owner": "bob"}))
    found = doctor.restore(settings)
    assert [voice.voice_id for voice in found.restored] == ["voice-0"]
    assert sorted(lost.folder for lost in found.lost) == ["voice-1", "voice-2", "voice-3"]
    assert found.n_restorable == 0
    assert all(lost.goes_at for lost in found.lost)


def test_files_that_are_missing_are_told_and_nothing_is_changed(home: Path, clock: Clock) -> None:
    library = filled(Settings.at(home), clock)
    library.store.delete("voices/voice-2/preview.mp3")
    library.close()
    found = doctor.look(Settings.at(home))
    assert [(voice.voice_id, voice.files) for voice in found.short] == [("voice-2", ("profile.npz", "reference.mp3"))]
    assert open_library(home, clock).get("voice-2", "ada").files == tuple(sorted(FILES))


def test_a_library_of_a_later_version_is_refused_and_not_touched_by_the_doctor(home: Path, clock: Clock) -> None:
    filled(Settings.at(home), clock).close()
    with sqlite3.connect(home / "library.db") as db:
        db.execute("UPDATE schema_version SET version = 999")
    for use in (lambda: open_library(home, clock), lambda: doctor.restore(Settings.at(home))):
        with pytest.raises(LibraryError, match="schema 999") as refused:
            use()
        assert refused.value.code == doctor.look(Settings.at(home)).database == "library_newer"
    assert not list(home.glob("library.db.aside-*"))


# from before the first release


@pytest.mark.parametrize("version", [3, 4, 6, 8])
def test_a_library_of_an_early_version_is_refused_untouched_and_taken_over(
    home: Path, clock: Clock, version: int
) -> None:
    settings = Settings.at(home)
    library = filled(settings, clock)
    library.forget("voice-3", "ada", 20.0)
    before = library.voices("ada")
    library.close()
    data = make_older(home, version)
    with pytest.raises(LibraryError) as refused:
        open_library(home, clock)
    assert (refused.value.code, refused.value.measured) == ("library_older", version)
    assert "python -m clone doctor --restore" in refused.value.advice
    n_known = 4 if version < 4 else 3  # before the fourth, nothing could be forgotten for a while
    found = doctor.look(settings)
    assert (found.database, len(found.lost), found.n_restorable) == ("library_older", n_known, n_known)
    assert (home / "library.db").read_bytes() == data
    found = doctor.restore(settings)
    assert (found.database, len(found.restored), found.lost, found.n_restorable) == (doctor.OK, n_known, [], 0)
    assert (home / found.aside).read_bytes() == data
    assert [voice for voice in open_library(home, clock).voices("ada") if voice.voice_id != "voice-3"] == before
    assert doctor.restore(settings).aside == ""


def test_what_was_being_deleted_by_an_early_version_stays_deleted(home: Path, clock: Clock) -> None:
    filled(Settings.at(home), clock).close()
    make_older(home, 8)
    with sqlite3.connect(home / "library.db") as db:
        db.execute("DELETE FROM voices WHERE voice_id = 'voice-2'")
        db.executescript("CREATE TABLE unsettled (folder TEXT PRIMARY KEY); INSERT INTO unsettled VALUES ('voice-2')")
    found = doctor.restore(Settings.at(home))
    assert sorted(voice.voice_id for voice in found.restored) == ["voice-0", "voice-1", "voice-3"]
    assert not list((home / "audio").rglob("voice-2"))


def test_an_early_library_without_its_store_or_damaged_keeps_what_there_is(home: Path, clock: Clock) -> None:
    settings = Settings.at(home)
    filled(settings, clock).close()
    data = make_older(home, 8)
    (home / "audio").rename(home / "away")
    with pytest.raises(LibraryError) as refused:
        doctor.restore(settings)
    assert (refused.value.code, (home / "library.db").read_bytes()) == ("library_other", data)
    (home / "away").rename(home / "audio")
    with sqlite3.connect(home / "library.db") as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'voices'").fetchone()[0]
    size = int.from_bytes(data[16:18], "big")
    (home / "library.db").write_bytes(data[: (page - 1) * size] + b"\x5a" * size + data[page * size :])
    assert doctor.look(settings).n_restorable == len(doctor.restore(settings).restored) == 4
