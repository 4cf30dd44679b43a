"""What is lost is kept and found again, what is over goes by itself, and a clock that is wrong deletes nothing."""

from __future__ import annotations

import logging
import shutil
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from clone.contract.cloning import RETENTION
from clone.core.errors import LibraryError, VoiceError
from clone.core.settings import Settings
from clone.storage import doctor
from clone.storage.files import Store
from clone.storage.retention import PUT_OFF_S, TRASH_KEPT_FOR, Retention
from clone.storage.voice import from_record, to_record
from clone.storage.voices import Library, utc_now
from tests.studios import files_in, wait_until_empty
from tests.voices import FILES, START, Clock, filled, lose_database, make_voice, open_library, opened, refusal

AHEAD = timedelta(days=9)


@pytest.fixture(params=["folder", "remote"])
def settings(request: pytest.FixtureRequest, home: Path) -> Settings:
    settings = Settings.at(home)
    return settings if request.param == "folder" else replace(settings, store_url=f"memory://{uuid4().hex}")


# the record


def test_a_record_is_private_and_tells_all_of_the_row(home: Path, clock: Clock) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(backend="novita", note="–"), FILES)
    path = home / "audio" / "voices" / "voice-1" / "voice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert from_record(path.read_bytes(), "voice-1") == voice
    for change in (
        lambda: library.describe("voice-1", "ada", name="Bea"),
        lambda: library.keep("voice-1", "ada"),
        lambda: library.update_files("voice-1", "ada", {"profile.npz": b"new"}, engine_version="3"),
    ):
        changed = change()
        assert from_record(path.read_bytes(), "voice-1") == changed
    assert changed.n_bytes == library.used_bytes("ada") == sum(map(len, FILES.values())) - len("numbers") + len("new")
    library.forget("voice-1", "ada", 20.0)
    assert not path.exists()
    library.restore("voice-1", "ada")
    assert from_record(path.read_bytes(), "voice-1") == changed
    library.forget("voice-1", "ada")
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\xff",
        b"[]",
        b"{}",
        b"null",
        to_record(make_voice("another", expires_at=START)),
        to_record(make_voice(expires_at=START, permanent_at=START)),
        to_record(make_voice(expires_at=START)).replace(b"+00:00", b"").replace(b"Z", b""),
        to_record(make_voice(expires_at=START)).replace(b'"files": []', b'"files": 7'),
        b"[" * 100_000,
    ],
)
def test_what_is_no_record_of_the_folder_is_none(data: bytes) -> None:
    assert from_record(data, "voice-1") is None


def test_a_record_that_is_missing_is_written_at_the_next_start(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    for number in range(4):
        library.store.delete(f"voices/voice-{number}/voice.json")
    library.reconcile()
    assert {key.count("/") for key in library.store.keys("voices") if key.endswith("voice.json")} == {2}
    assert not library.upkeep.short()


# a lost database


def test_recordings_without_a_row_are_kept_and_restored(settings: Settings, clock: Clock) -> None:
    before = filled(settings, clock).voices("ada")
    lose_database(settings)
    library = opened(settings, clock)
    assert library.reconcile() == 4
    assert library.reconcile() == 0
    assert library.voices("ada") == []
    assert library.store.folders("voices") == []
    assert len(library.store.folders("trash")) == 4
    assert {voice.voice_id for voice in library.upkeep.restore()} == {voice.voice_id for voice in before}
    assert library.voices("ada") == before
    assert library.store.folders("trash") == []
    assert library.read(before[0], "reference.mp3") == b"reference sound"
    assert library.reconcile() == 0


def test_the_trash_is_emptied_and_no_voice_outlives_its_time_there(settings: Settings, clock: Clock) -> None:
    filled(settings, clock).store.put("voices/nobodys/reference.mp3", b"sound")
    lose_database(settings)
    library = opened(settings, clock)
    library.reconcile()
    for after, n_left in ((RETENTION - timedelta(1), 5), (RETENTION, 2), (TRASH_KEPT_FOR, 0)):
        clock.time = START + after + timedelta(seconds=1)
        library.purge()
        assert len(library.store.folders("trash")) == n_left
    assert library.store.keys() == ["library_id"]


def test_nothing_that_was_deleted_comes_back(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    library.forget("voice-1", "ada")
    library.forget("voice-2", "ada", 20.0)
    lose_database(settings)
    library = opened(settings, clock)
    assert {voice.voice_id for voice in library.upkeep.restore()} == {"voice-0", "voice-3"}
    assert refusal(library.get, "voice-2", "ada").code == "unknown_voice"


def test_an_owner_can_forget_what_lies_in_the_trash(settings: Settings, clock: Clock) -> None:
    filled(settings, clock)
    lose_database(settings)
    library = opened(settings, clock)
    library.reconcile()
    assert refusal(library.forget, "voice-1", "bob").code == "unknown_voice"
    library.forget("voice-1", "ada")
    assert refusal(library.forget, "voice-1", "ada").code == "unknown_voice"
    assert len(library.store.folders("trash")) == 3
    assert library.forget_all("bob") == 0
    assert library.forget_all("ada") == 3
    assert library.store.keys() == ["library_id"]


def test_an_older_copy_of_the_database_loses_nothing(home: Path, clock: Clock, tmp_path: Path) -> None:
    library = open_library(home, clock)
    for name in ("old", "kept-since", "forgotten-since"):
        library.add(make_voice(name), FILES)
    library.close()
    shutil.copy(home / "library.db", tmp_path / "older")
    library = open_library(home, clock)
    library.add(make_voice("new"), FILES)
    library.keep("kept-since", "ada")
    library.forget("forgotten-since", "ada")
    library.close()
    shutil.copy(tmp_path / "older", home / "library.db")
    library = open_library(home, clock)
    library.reconcile()
    assert {voice.voice_id for voice in library.voices("ada")} == {"old", "kept-since"}
    assert {voice.voice_id for voice in library.upkeep.restore()} == {"new", "kept-since"}
    assert library.get("kept-since", "ada").permanent
    assert {voice.voice_id for voice in library.voices("ada")} == {"old", "kept-since", "new"}


def test_recordings_that_come_back_twice_are_both_kept(home: Path, clock: Clock, tmp_path: Path) -> None:
    open_library(home, clock).add(make_voice(), FILES)
    shutil.copytree(home / "audio" / "voices", tmp_path / "copy")
    for _ in range(3):
        lose_database(Settings.at(home))
        open_library(home, clock).reconcile()
        shutil.copytree(tmp_path / "copy", home / "audio" / "voices", dirs_exist_ok=True)
    library = open_library(home, clock)
    library.reconcile()
    assert len(library.store.folders("trash")) == 4
    assert [voice.voice_id for voice in library.upkeep.restore()] == ["voice-1"]
    assert len(library.store.folders("trash")) == 3


# whose store it is


@pytest.mark.parametrize("how", ["moved away", "another library's", "emptied"])
def test_a_store_that_is_not_the_librarys_is_left_alone(home: Path, clock: Clock, tmp_path: Path, how: str) -> None:
    filled(Settings.at(home), clock).close()
    other = tmp_path / "other"
    filled(Settings.at(other), clock).close()
    shutil.move(home / "audio", tmp_path / "away")
    if how == "another library's":
        shutil.copytree(other / "audio", home / "audio")
    elif how == "emptied":
        (home / "audio").mkdir()
    before = sorted((home / "audio").rglob("*"))
    data = (home / "library.db").read_bytes()
    for open_it in (lambda: open_library(home, clock), lambda: doctor.restore(Settings.at(home))):
        with pytest.raises(LibraryError) as refused:
            open_it()
        assert refused.value.code == "library_other"
        assert str(home) not in str(refused.value)
    assert sorted((home / "audio").rglob("*")) == before
    assert (home / "library.db").read_bytes() == data
    shutil.rmtree(home / "audio", ignore_errors=True)
    shutil.move(tmp_path / "away", home / "audio")
    assert len(open_library(home, clock).voices("ada")) == 4


def test_a_store_copied_without_its_id_is_known_by_its_recordings(home: Path, clock: Clock) -> None:
    filled(Settings.at(home), clock).close()
    (home / "audio" / "library_id").unlink()
    assert open_library(home, clock).reconcile() == 0
    assert (home / "audio" / "library_id").exists()


# a clock that is wrong


def test_a_clock_nine_days_ahead_deletes_nothing_at_once(
    settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    library = filled(settings, clock)
    clock.wrong = AHEAD
    for _ in range(3):
        assert library.purge() == 0
    assert caplog.text.count("waits for an hour") == 1
    assert library.upkeep.purge_waits_s() == PUT_OFF_S
    clock.time += timedelta(minutes=20)
    library.close()
    library = opened(settings, clock)
    assert library.upkeep.purge_waits_s() == PUT_OFF_S - 20 * 60
    clock.wrong = timedelta()
    assert library.purge() == 0
    assert library.upkeep.purge_waits_s() is None
    assert len(library.voices("ada")) == 4
    clock.wrong = AHEAD
    library.purge()
    assert library.upkeep.purge_waits_s() == PUT_OFF_S


def test_after_an_hour_the_clock_is_believed(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    clock.wrong = AHEAD
    library.purge()
    clock.time += timedelta(seconds=PUT_OFF_S - 1)
    assert library.purge() == 0
    clock.time += timedelta(seconds=1)
    assert library.purge() == 3
    assert library.store.folders("voices") == ["voice-0"]
    assert library.upkeep.purge_waits_s() is None


def test_a_clock_that_leaps_while_it_waits_makes_the_hour_no_shorter(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    for days in (9, 10, 400):
        clock.wrong = timedelta(days=days)
        clock.time += timedelta(minutes=10)
        assert library.purge() == 0
    assert library.upkeep.purge_waits_s() == PUT_OFF_S - 20 * 60


def test_the_wait_goes_on_after_a_restart_of_the_machine(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    clock.wrong = AHEAD
    library.purge()
    for boot in ("second", "third"):
        clock.time += timedelta(minutes=25)
        assert library.purge() == 0
        clock.boot = boot
        clock.time += timedelta(minutes=25)  # nobody knows for how long it was off
        assert library.purge() == 0
    assert library.upkeep.purge_waits_s() == PUT_OFF_S - 50 * 60
    clock.time += timedelta(minutes=10)
    assert library.purge() == 3


def test_what_expires_in_its_time_goes_at_once(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    clock.time = START + RETENTION
    assert library.purge() == 3
    assert library.upkeep.purge_waits_s() is None


def test_a_wrong_clock_does_not_empty_the_trash(settings: Settings, clock: Clock) -> None:
    filled(settings, clock)
    lose_database(settings)
    library = opened(settings, clock)
    library.reconcile()
    clock.wrong = timedelta(days=40)
    library.purge()
    assert len(library.store.folders("trash")) == 4
    clock.wrong = timedelta()
    assert len(library.upkeep.restore()) == 4


def test_a_forgotten_voice_goes_whatever_the_clock_says(settings: Settings, clock: Clock) -> None:
    library = filled(settings, clock)
    library.forget("voice-1", "ada", 20.0)
    clock.wrong = AHEAD
    assert library.purge() == 1
    assert library.store.folders("voices") == ["voice-0", "voice-2", "voice-3"]


# by itself


@pytest.fixture
def library(home: Path) -> Library:
    settings = Settings.at(home)
    library = Library(settings, Store(settings.store_url))
    library.add(make_voice(created_at=utc_now()), FILES)
    return library


def test_it_is_deleted_soon_after_its_time(library: Library, home: Path) -> None:
    retention = Retention(library, lambda: None)
    retention.start()
    retention.forget("voice-1", "ada", 0.2)
    assert files_in(home / "audio")
    wait_until_empty(home / "audio" / "voices", within_s=10.0)
    with pytest.raises(VoiceError, match="can't be brought back"):
        library.restore("voice-1", "ada")
    retention.close()


def test_it_is_deleted_when_the_process_ends(library: Library, home: Path) -> None:
    retention = Retention(library, lambda: None)
    retention.start()
    retention.forget("voice-1", "ada", 3600.0)
    retention.close()
    assert not files_in(home / "audio" / "voices")


def test_without_a_time_it_is_deleted_at_once(library: Library, home: Path) -> None:
    Retention(library, lambda: None).forget("voice-1", "ada", 0.0)
    assert not files_in(home / "audio" / "voices")
