"""What lies on the disk: private, deleted when deleted, and in agreement with the rows whatever is killed when."""

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from clone.contract.cloning import RETENTION
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voices import Library
from tests.voices import FILES, START, Clock, make_voice, open_library, opened, refusal


def everything_in(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


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
    library = opened(settings, clock)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: library.add(make_voice(f"v{n}"), FILES), range(12)))
    assert len(library.voices("ada")) == 12
    assert library.reconcile() == 0


# What a kill leaves behind


def test_reconcile_takes_away_what_has_no_row(home: Path, clock: Clock) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(), FILES)
    store = Store(str(home / "audio"))
    store.put("voices/orphan/reference.mp3", b"1")
    (home / "audio" / "voices" / "empty").mkdir()
    (home / "audio" / ".partial" / "tmpx").write_bytes(b"half")
    store.put("voices/voice-1/unnamed.npz", b"1")
    assert library.reconcile() == 4
    assert store.folders("voices") == ["voice-1"]
    assert store.keys("voices") == [f"voices/voice-1/{name}" for name in (*voice.files, "voice.json")]
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
    assert Store(str(home / "audio")).keys("voices") == []
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
from clone.storage.voices import Library, Voice, utc_now
from clone.core.settings import Settings
from clone.storage.files import Store

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
    kept = ("reference.wav", "profile.npz", "voice.json")
    store = Store(str(home / "audio"))
    assert set(store.keys()) == {"library_id", *(f"voices/{row['voice_id']}/{name}" for row in rows for name in kept)}
    assert set(store.folders("voices")) == {row["voice_id"] for row in rows}
    assert not list((home / "audio" / ".partial").iterdir())
