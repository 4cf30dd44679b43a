"""Voices are kept for as long as was said, by whom they belong to, whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from clone import database
from clone.contract import RETENTION
from clone.errors import TimbreError, VoiceError
from clone.library import EXPIRED_KNOWN_FOR, Library, Voice
from clone.settings import Settings
from clone.store import Store
from clone.voice import folder_of

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
FILES = {"reference.mp3": b"reference sound", "preview.mp3": b"preview", "profile.npz": b"numbers"}
MOMENT = timedelta(microseconds=1)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


def make_voice(voice_id: str = "voice-1", owner: str = "ada", **changes: Any) -> Voice:
    voice = Voice(
        voice_id=voice_id,
        owner=owner,
        backend="local",
        reference_sha256="00" * 32,
        request_key="request",
        consent_at=START,
        consent_by="ticked by the owner",
        created_at=START,
        name="Grace – café 😀",
        model="speech-02-hd",
        settings={"text": "Hello, “you”.", "accuracy": 0.7, "prompt_text": None},
        likeness=0.8125,
        engine_version="1",
    )
    return replace(voice, **changes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["folder", "remote"])
def library(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Library]:
    settings = Settings.at(tmp_path / "home")
    if request.param == "remote":
        url = f"sqlite:///{tmp_path / 'elsewhere' / 'l.db'}"
        settings = replace(settings, database_url=url, store_url=f"memory://{uuid4().hex}")
    library = Library(settings, Store(settings.store_url), clock)
    yield library
    library.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def open_library(home: Path, clock: Clock) -> Library:
    settings = Settings.at(home)
    return Library(settings, Store(settings.store_url), clock)


def refusal(call: Any, *args: Any) -> VoiceError:
    with pytest.raises(VoiceError) as caught:
        call(*args)
    return caught.value


def everything_in(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


# What is kept


def test_a_voice_comes_back_as_it_was_given(library: Library) -> None:
    added = library.add(make_voice(), FILES)
    assert library.get("voice-1", "ada") == added
    assert added == make_voice(
        expires_at=START + RETENTION, files=("preview.mp3", "profile.npz", "reference.mp3"), n_bytes=29
    )
    assert library.read(added, "reference.mp3") == b"reference sound"
    assert library.path(added, "profile.npz").read_bytes() == b"numbers"


def test_voices_outlast_a_restart(home: Path, clock: Clock) -> None:
    first = open_library(home, clock)
    added = first.add(make_voice(), FILES)
    first.close()
    second = open_library(home, clock)
    assert second.reconcile() == 0
    assert second.voices("ada") == [added]


def test_times_come_back_as_utc(library: Library, clock: Clock) -> None:
    elsewhere = START.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    library.add(make_voice(created_at=elsewhere), FILES)
    got = library.get("voice-1", "ada")
    assert got.created_at == START
    assert got.created_at.utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="zone"):
        library.add(make_voice("naive", created_at=datetime(2026, 3, 1)), FILES)


def test_a_voice_is_listed_newest_first_for_its_owner_alone(library: Library) -> None:
    for number in (2, 1, 3):
        library.add(make_voice(f"v{number}", created_at=START + timedelta(seconds=number)), FILES)
    library.add(make_voice("b1", owner="bob"), FILES)
    assert [voice.voice_id for voice in library.voices("ada")] == ["v3", "v2", "v1"]
    assert [voice.voice_id for voice in library.voices("bob")] == ["b1"]
    assert library.voices("nobody") == []


def test_another_owners_voice_is_unknown_to_every_call(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    for call in (library.get, library.keep, library.forget, lambda v, o: library.update_files(v, o, {})):
        assert str(refusal(call, "voice-1", "bob")) == str(refusal(call, "no-such", "ada"))
        assert refusal(call, "voice-1", "bob").code == "unknown_voice"
    assert library.find("request", "bob") is None
    assert library.get("voice-1", "ada") == voice


@pytest.mark.parametrize("voice_id", ["", "\ud800", "a\0b", "x" * 5000, "' OR 1=1 --", "../../etc/passwd"])
def test_what_can_not_be_an_id_is_unknown(library: Library, voice_id: str) -> None:
    library.add(make_voice(), FILES)
    for call in (library.get, library.keep, library.forget):
        assert refusal(call, voice_id, "ada").code == "unknown_voice"
    assert len(library.voices("ada")) == 1


@pytest.mark.parametrize("voice_id", ["../../escape", "a/b", "UPPER", "Ünïcode", ".", "con trol", "x" * 200])
def test_a_hosted_id_can_be_anything(library: Library, voice_id: str) -> None:
    voice = library.add(make_voice(voice_id, backend="novita"), FILES)
    assert library.read(library.get(voice_id, "ada"), "preview.mp3") == b"preview"
    assert library.reconcile() == 0
    library.forget(voice_id, "ada")
    assert refusal(library.read, voice, "preview.mp3").code == "unknown_voice"


def test_ids_that_differ_never_share_a_folder() -> None:
    ids = ["a", "A", "a/b", "a.b", "sha256-a", folder_of("A"), "a."]
    assert len({folder_of(voice_id).lower() for voice_id in ids}) == len(ids)


def test_a_taken_id_is_refused_and_its_files_stay(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    error = refusal(library.add, make_voice(owner="bob"), {"reference.mp3": b"other"})
    assert error.code == "voice_exists"
    assert library.read(voice, "reference.mp3") == b"reference sound"


def test_the_same_request_finds_the_newest_living_voice(library: Library, clock: Clock) -> None:
    library.add(make_voice("old"), FILES)
    library.add(make_voice("new", created_at=START + MOMENT), FILES)
    library.add(make_voice("other", request_key="other"), FILES)
    found = library.find("request", "ada")
    assert found
    assert found.voice_id == "new"
    clock.time = START + RETENTION + MOMENT
    assert library.find("request", "ada") is None


def test_used_bytes_follow_what_is_there(library: Library) -> None:
    library.add(make_voice("v1"), FILES)
    library.add(make_voice("v2"), {"reference.mp3": bytes(100)})
    library.add(make_voice("b1", owner="bob"), {"reference.mp3": bytes(7)})
    assert (library.used_bytes("ada"), library.used_bytes("bob"), library.used_bytes("nobody")) == (129, 7, 0)
    library.update_files("v1", "ada", {"profile.npz": bytes(10)})
    assert library.used_bytes("ada") == 132
    library.forget("v2", "ada")
    assert library.used_bytes("ada") == 32


def test_derived_files_and_what_goes_with_them_are_replaced(library: Library) -> None:
    library.add(make_voice(), FILES)
    updated = library.update_files(
        "voice-1", "ada", {"profile.npz": b"new numbers", "more.npz": b"+"}, engine_version="2", likeness=0.9
    )
    assert library.get("voice-1", "ada") == updated
    assert (updated.engine_version, updated.likeness) == ("2", 0.9)
    assert updated.files == ("more.npz", "preview.mp3", "profile.npz", "reference.mp3")
    assert library.read(updated, "profile.npz") == b"new numbers"
    with pytest.raises(ValueError, match="not to be changed"):
        library.update_files("voice-1", "ada", {"reference.mp3": b"forged"})
    with pytest.raises(ValueError, match="not to be changed"):
        library.update_files("voice-1", "ada", {}, created_at=START)


def test_a_file_that_a_voice_has_not_is_refused(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    for name in ("none.wav", "../voice-2/reference.mp3"):
        assert refusal(library.read, voice, name).code == "no_file"
        assert refusal(library.path, voice, name).code == "no_file"


# How long


def test_a_voice_lives_for_the_retention_and_not_a_moment_longer(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION - MOMENT
    assert library.purge() == 0
    assert library.get("voice-1", "ada")
    clock.time = START + RETENTION
    assert library.voices("ada") == []
    for call in (library.get, library.keep, lambda v, o: library.update_files(v, o, {})):
        error = refusal(call, "voice-1", "ada")
        assert error.code == "expired_voice"
        assert "8 March 2026 at 12:30 UTC" in error.message


def test_a_purge_takes_row_and_files_and_still_says_expired(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.add(make_voice("young", created_at=START + timedelta(hours=1)), FILES)
    library.path(voice, "reference.mp3")
    clock.time = START + RETENTION
    assert library.purge() == 1
    assert library.purge() == 0
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"
    assert library.used_bytes("ada") == 29
    error = refusal(library.get, "voice-1", "ada")
    assert error.code == "expired_voice"
    assert "8 March 2026 at 12:30 UTC" in error.message
    assert refusal(library.get, "voice-1", "bob").code == "unknown_voice"
    assert library.get("young", "ada")


def test_that_a_voice_expired_is_forgotten_too_in_time(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION
    library.purge()
    clock.time += EXPIRED_KNOWN_FOR
    library.purge()
    assert refusal(library.get, "voice-1", "ada").code == "unknown_voice"


def test_an_id_may_come_again_after_it_expired(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION
    library.purge()
    again = library.add(make_voice(created_at=clock.time), FILES)
    assert library.get("voice-1", "ada") == again
    clock.time += RETENTION
    assert library.purge() == 1


def test_a_kept_voice_stays(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + timedelta(hours=1)
    kept = library.keep("voice-1", "ada")
    assert (kept.permanent, kept.permanent_at, kept.expires_at) == (True, clock.time, None)
    clock.time = START + 100 * RETENTION
    assert library.keep("voice-1", "ada") == kept
    assert library.purge() == 0
    assert library.get("voice-1", "ada") == kept
    assert library.voices("ada") == [kept]


def test_a_voice_may_be_added_as_permanent(library: Library, clock: Clock) -> None:
    assert library.add(make_voice(permanent_at=START), FILES).expires_at is None
    clock.time = START + 2 * RETENTION
    assert library.get("voice-1", "ada").permanent


def test_a_forgotten_voice_is_unknown_expired_or_not(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.add(make_voice("late"), FILES)
    library.forget("voice-1", "ada")
    assert refusal(library.get, "voice-1", "ada").code == "unknown_voice"
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"
    clock.time = START + RETENTION
    library.forget("late", "ada")
    assert refusal(library.get, "late", "ada").code == "unknown_voice"
    assert refusal(library.forget, "late", "ada").code == "unknown_voice"


# What lies on the disk


@pytest.mark.parametrize("how", ["forget", "purge"])
def test_nothing_of_a_deleted_voice_is_left_in_home(home: Path, clock: Clock, how: str) -> None:
    library = open_library(home, clock)
    secrets = [b"SECRET-NAME", b"SECRET-TEXT", b"SECRET-SOUND"]
    voice = make_voice(name="SECRET-NAME", settings={"text": "SECRET-TEXT"})
    library.add(voice, {"reference.wav": b"SECRET-SOUND"})
    assert all(secret in everything_in(home) for secret in secrets)
    if how == "forget":
        library.forget("voice-1", "ada")
    else:
        clock.time = START + RETENTION
        library.purge()
    assert not any(secret in everything_in(home) for secret in secrets)
    assert not (home / "audio" / "voices" / "voice-1").exists()


def test_home_and_database_are_private(home: Path, clock: Clock) -> None:
    before = os.umask(0)
    try:
        library = open_library(home, clock)
        library.add(make_voice(), FILES)
        for path in [home, *home.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


def test_a_database_in_memory_serves_threads(tmp_path: Path, clock: Clock) -> None:
    settings = Settings.at(tmp_path, database_url="sqlite://", store_url=f"memory://{uuid4().hex}")
    library = Library(settings, Store(settings.store_url), clock)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: library.add(make_voice(f"v{n}"), FILES), range(12)))
    assert len(library.voices("ada")) == 12
    assert library.reconcile() == 0


# The schema


def test_migrations_run_once_in_order(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(), FILES)
    library.close()
    ran: list[str] = []
    later = (lambda _db: ran.append("third"), lambda _db: ran.append("fourth"))
    monkeypatch.setattr(database, "MIGRATIONS", database.MIGRATIONS + later)
    for _ in range(2):
        library = open_library(home, clock)
        assert library.get("voice-1", "ada") == voice
        library.close()
    assert ran == ["third", "fourth"]


def test_a_migration_that_fails_changes_nothing(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    open_library(home, clock).close()

    def half(db: Any) -> None:
        db.execute(text("CREATE TABLE half (x TEXT)"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, half))
        with pytest.raises(RuntimeError, match="power cut"):
            open_library(home, clock)
    with sqlite3.connect(home / "library.db") as db:
        assert not db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall()
    open_library(home, clock)


def test_a_library_of_a_later_version_is_refused(home: Path, clock: Clock) -> None:
    open_library(home, clock).close()
    with sqlite3.connect(home / "library.db") as db:
        db.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(TimbreError, match="schema 99") as caught:
        open_library(home, clock)
    assert caught.value.code == "library_newer"


def test_lists_are_read_through_an_index(home: Path, clock: Clock) -> None:
    open_library(home, clock).close()
    with sqlite3.connect(home / "library.db") as db:
        query = "EXPLAIN QUERY PLAN SELECT * FROM voices WHERE owner = 'ada' ORDER BY created_at DESC"
        plan = " ".join(str(row) for row in db.execute(query))
    assert "USING INDEX voices_by_owner" in plan
    assert "TEMP B-TREE" not in plan


# What a kill leaves behind


def test_reconcile_removes_what_has_no_row(home: Path, clock: Clock) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(), FILES)
    store = Store(str(home / "audio"))
    store.put("voices/orphan/reference.mp3", b"1")
    (home / "audio" / "voices" / "empty").mkdir()
    (home / "audio" / ".partial" / "tmpx").write_bytes(b"half")
    store.put("voices/voice-1/unnamed.npz", b"1")
    assert library.reconcile() == 4
    assert store.folders("voices") == ["voice-1"]
    assert store.keys() == [f"voices/voice-1/{name}" for name in voice.files]
    assert not list((home / "audio" / ".partial").iterdir())
    assert library.reconcile() == 0


def test_reconcile_removes_a_voice_without_its_reference(library: Library) -> None:
    library.add(make_voice("whole"), FILES)
    library.add(make_voice("broken"), FILES)
    library._store.delete("voices/broken/reference.mp3")
    assert library.reconcile() == 2
    assert refusal(library.get, "broken", "ada").code == "unknown_voice"
    assert library._store.folders("voices") == ["whole"]


def test_a_voice_lives_on_without_a_derived_file(library: Library) -> None:
    library.add(make_voice(), FILES)
    library._store.delete("voices/voice-1/profile.npz")
    assert library.reconcile() == 1
    voice = library.get("voice-1", "ada")
    assert voice.files == ("preview.mp3", "reference.mp3")
    assert voice.n_bytes == library.used_bytes("ada") == 22


def test_a_hosted_voice_outlives_its_files(library: Library) -> None:
    library.add(make_voice(backend="novita"), FILES)
    library._store.delete("voices/voice-1")
    library.reconcile()
    assert library.get("voice-1", "ada").files == ()
    assert library.reconcile() == 0


def test_a_failed_add_leaves_no_row_and_its_files_go(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    library = open_library(home, clock)
    put, calls = Store.put, iter(range(9))

    def disk_full_at_the_second(store: Store, key: str, data: bytes) -> None:
        if next(calls):
            raise OSError("No space left on device")
        put(store, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", disk_full_at_the_second)
        with pytest.raises(OSError, match="No space"):
            library.add(make_voice(), FILES)
    assert library.voices("ada") == []
    library.purge()
    assert Store(str(home / "audio")).keys() == []
    assert library.add(make_voice(), FILES)


def test_reconcile_waits_for_an_add_in_progress(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    adding, other = open_library(home, clock), open_library(home, clock)
    put, reached, go_on = Store.put, threading.Event(), threading.Event()

    def slow(store: Store, key: str, data: bytes) -> None:
        put(store, key, data)
        reached.set()
        assert go_on.wait(10)

    monkeypatch.setattr(Store, "put", slow)
    with ThreadPoolExecutor(2) as pool:
        add = pool.submit(adding.add, make_voice(), FILES)
        assert reached.wait(10)
        reconcile = pool.submit(other.reconcile)
        time.sleep(0.1)
        assert not reconcile.done()
        go_on.set()
        voice = add.result(10)
        assert reconcile.result(10) == 0
    assert other.read(other.get("voice-1", "ada"), "reference.mp3") == b"reference sound"
    assert other.voices("ada") == [voice]


def test_many_threads_and_two_libraries_at_once(home: Path, clock: Clock) -> None:
    libraries = [open_library(home, clock) for _ in range(2)]

    def work(number: int) -> None:
        library, voice_id = libraries[number % 2], f"v{number}"
        library.add(make_voice(voice_id), FILES)
        assert len(library.voices("ada")) >= 1
        if number % 3 == 0:
            library.keep(voice_id, "ada")
        elif number % 3 == 1:
            library.forget(voice_id, "ada")
        else:
            libraries[1 - number % 2].reconcile()
        library.used_bytes("ada")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(36)))
    assert len(libraries[0].voices("ada")) == 24
    assert libraries[1].reconcile() == 0


WORKERS = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from clone.library import Library, Voice, utc_now
from clone.settings import Settings
from clone.store import Store

def work(seed):
    settings, now, number = Settings.at(Path(sys.argv[1])), utc_now(), 0
    library = Library(settings, Store(settings.store_url), lambda: now)
    library.reconcile()
    print(os.getpid(), flush=True)
    while True:
        number += 1
        voice_id = f"{seed}-{number}"
        born = now - timedelta(days=30 * (number % 4 == 3))
        voice = Voice(voice_id=voice_id, owner="ada", backend="local", reference_sha256="", request_key="",
                      consent_at=now, consent_by="ada", created_at=born)
        library.add(voice, {"reference.wav": bytes(200_000), "profile.npz": bytes(50_000)})
        if number % 4 == 1:
            library.update_files(voice_id, "ada", {"profile.npz": bytes(60_000)}, engine_version="2")
        if number % 4 == 2:
            library.forget(voice_id, "ada")
        if number % 4 == 3:
            library.purge()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:  # a fork each, so that importing is paid for once
    if not os.fork():
        work(line.strip())
"""


def test_rows_and_files_agree_after_every_kill(home: Path) -> None:
    """kill -9 at twelve moments of two processes that add, update, forget and purge."""
    dice = random.Random(7)
    parent = subprocess.Popen(
        [sys.executable, "-c", WORKERS, str(home)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin
    assert parent.stdout
    settings = Settings.at(home)
    for run in range(6):
        parent.stdin.write(f"{run}a\n{run}b\n")
        parent.stdin.flush()
        for pid in [int(parent.stdout.readline()), int(parent.stdout.readline())]:
            time.sleep(dice.uniform(0, 0.2))
            os.kill(pid, signal.SIGKILL)
        library = Library(settings, Store(settings.store_url))
        library.reconcile()
        agrees(library, home)
        library.close()
    parent.communicate()
    with sqlite3.connect(home / "library.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def agrees(library: Library, home: Path) -> None:
    with library._reading.begin() as db:
        rows = db.execute(text("SELECT voice_id, files, n_bytes FROM voices")).mappings().all()
    named = {f"voices/{row['voice_id']}/{name}" for row in rows for name in ("reference.wav", "profile.npz")}
    store = Store(str(home / "audio"))
    assert set(store.keys()) == named
    assert set(store.folders("voices")) == {row["voice_id"] for row in rows}
    assert not list((home / "audio" / ".partial").iterdir())
