"""One library, several hosts: rows in PostgreSQL, files in S3, and nothing that one of them knows alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import Connection

from clone.core.errors import FetchError, LibraryError, TimbreError, VoiceError
from clone.core.settings import Settings
from clone.core.workspace import secret_for
from clone.hosted.lending import Publisher
from clone.storage import doctor, leftovers
from clone.storage.files import Store
from clone.storage.tasks import Tasks
from clone.storage.voices import Library, utc_now
from tests.scale.servers import SECRET, Bucket, Cluster, Postgres, shared
from tests.voices import FILES, Clock, make_voice


def opened(home: Path, postgres: Postgres, bucket: Bucket, clock: Clock) -> Library:
    settings = shared(home, postgres, bucket.url)
    library = Library(settings, Store(settings.store_url, home / "copies"), clock)
    library.purge()
    return library


@pytest.fixture
def two(homes: Path, postgres: Postgres, bucket: Bucket, clock: Clock) -> Iterator[tuple[Library, Library]]:
    libraries = opened(homes / "a", postgres, bucket, clock), opened(homes / "b", postgres, bucket, clock)
    yield libraries
    for library in libraries:
        library.close()


@pytest.mark.parametrize("secret", ["", "too short"])
def test_a_shared_library_needs_a_secret(homes: Path, postgres: Postgres, bucket: Bucket, secret: str) -> None:
    with pytest.raises(TimbreError) as refused:
        Library(shared(homes, postgres, bucket.url, secret=secret), Store(bucket.url, homes / "copies"))
    assert refused.value.code == "bad_setting"
    assert "TIMBRE_SECRET" in str(refused.value)
    assert "openssl rand" in refused.value.advice


def test_secrets_are_the_same_at_every_host_and_each_for_one_purpose(homes: Path) -> None:
    a, b = (shared(homes / name, "postgresql+psycopg://x:hidden@y/z", "s3://b") for name in "ab")
    assert secret_for(a, "link_secret") == secret_for(b, "link_secret") != secret_for(a, "page_secret")
    assert SECRET not in secret_for(a, "link_secret")
    assert SECRET not in repr(a)
    assert "hidden" not in repr(a)
    alone = Settings.at(homes / "c"), Settings.at(homes / "d")
    assert secret_for(alone[0], "link_secret") != secret_for(alone[1], "link_secret")


def test_what_one_host_does_the_other_sees_and_no_bucket_is_listed(
    two: tuple[Library, Library], bucket: Bucket, clock: Clock
) -> None:
    a, b = two
    a.add(make_voice(), FILES)
    voice = b.get("voice-1", "ada")
    assert b.read(voice, "reference.mp3") == FILES["reference.mp3"]
    longer = b.update_files("voice-1", "ada", {"profile.npz": b"other numbers", "extra.wav": b"new"})
    assert a.get("voice-1", "ada") == longer
    assert longer.n_bytes == sum(len(b.read(longer, name)) for name in longer.files)
    assert a.again("request", "ada") == longer
    a.forget("voice-1", "ada", undo_s=60)
    assert b.restore("voice-1", "ada") == longer
    assert b.keep("voice-1", "ada").permanent
    a.add(make_voice("voice-2"), FILES)
    clock.time += timedelta(hours=169)
    assert b.purge() + a.purge() == 0  # the clocks ran ahead of the database's: it waits
    assert len(bucket.files()) == 1 + 5 + 4
    b.forget("voice-1", "ada")
    b.forget("voice-2", "ada")
    with pytest.raises(VoiceError):
        a.forget("voice-2", "ada")
    assert a.forget_all("ada") == 0
    assert bucket.files() == ["library_id"]
    assert not bucket.listings(), "\n".join(bucket.listings())


def test_what_a_kill_left_half_added_goes_once_its_lease_is_over(
    two: tuple[Library, Library], bucket: Bucket, postgres: Postgres
) -> None:
    a, b = two
    key = "voices/voice-1/reference.mp3"
    with a._shelf.changing() as db:
        leftovers.hold(db, [key, "voices/voice-1/voice.json"])
    a.store.put(key, b"half of it")
    b.purge()
    assert key in bucket.files()
    with pytest.raises(LibraryError):  # somebody fills this folder
        b.add(make_voice(), FILES)
    postgres.rows("UPDATE unsettled SET leased_until = 0")
    b.purge()
    assert bucket.files() == ["library_id"]
    b.add(make_voice(), FILES)
    assert postgres.rows("SELECT * FROM unsettled") == []


def test_a_voice_that_comes_between_a_look_and_a_lease_stays(
    two: tuple[Library, Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    begin, added = b._shelf.begin, threading.Event()

    def later(db: Connection, voice_id: str, names: Iterable[str]) -> str:
        added.wait(1)  # nobody else can end to add it now
        return begin(db, voice_id, names)

    monkeypatch.setattr(b._shelf, "begin", later)
    put = a._shelf.put

    def meanwhile(folder: str, files: dict[str, bytes]) -> None:
        put(folder, files)
        other.start()
        time.sleep(0.3)

    def try_to_add() -> None:
        with pytest.raises(TimbreError) as refused:
            b.add(make_voice(), FILES | {"reference.mp3": b"another"})
        codes.append(refused.value.code)

    codes: list[str] = []
    other = threading.Thread(target=try_to_add)
    monkeypatch.setattr(a._shelf, "put", meanwhile)
    voice = a.add(make_voice(), FILES)
    added.set()
    other.join(20)
    assert codes in (["library_busy"], ["voice_exists"])
    assert {name: a.read(voice, name) for name in voice.files} == FILES


def test_a_voice_that_took_longer_than_its_lease_is_not_there_by_halves(
    two: tuple[Library, Library], bucket: Bucket, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    put = a._shelf.put

    def slow(folder: str, files: dict[str, bytes]) -> None:
        put(folder, files)
        postgres.rows("UPDATE unsettled SET leased_until = 0")
        b.purge()

    monkeypatch.setattr(a._shelf, "put", slow)
    with pytest.raises(LibraryError):
        a.add(make_voice(), FILES)
    assert a.voices("ada") == []
    assert bucket.files() == ["library_id"]


def test_a_task_is_ended_by_its_holder_alone(two: tuple[Library, Library], bucket: Bucket) -> None:
    a, b = (Tasks(each.database, each.store, lease_s=lease_s) for each, lease_s in zip(two, (0.0, 60.0), strict=True))
    asked = a.add("ada", "m", "{}")
    first = a.next()
    assert first
    second = b.next()  # the first one's lease was over at once
    assert second
    assert first.task_id == second.task_id == asked.task_id
    assert a.next() is None
    assert not a.renew(first, 10)
    assert b.renew(second, 20)
    assert a.get(asked.task_id, "ada").done_percent == 20
    assert not a.finish(first, b"first", "mp3")
    a.fail(first, "no")
    a.put_back(first)
    assert b.finish(second, b"second", "mp3")
    assert a.get(asked.task_id, "ada").status == "TASK_STATUS_SUCCEED"
    assert [key for key in bucket.files() if key.startswith("speech/")] == [f"speech/{asked.task_id}/speech.mp3"]
    assert b.forget("ada") == 1
    assert bucket.files() == ["library_id"]
    assert not bucket.listings(), "\n".join(bucket.listings())


def test_what_is_lent_at_one_host_is_found_at_the_other_and_goes_by_itself(
    two: tuple[Library, Library], homes: Path, postgres: Postgres, bucket: Bucket
) -> None:
    def publisher(library: Library, name: str) -> Publisher:
        settings = shared(homes / name, postgres, bucket.url, public_url="https://timbre.example")
        return Publisher(settings, library.store, passing=library)

    a, b = (publisher(library, name) for library, name in zip(two, "ab", strict=True))
    with a.lend(b"a recording", "mp3", homes) as url:  # to the hosted service
        assert url.startswith(bucket.environment["AWS_ENDPOINT_URL"])
        assert requests.get(url, timeout=10).content == b"a recording"
    assert requests.get(url, timeout=10).status_code == 404
    link = a.lend_for(b"a recording", "mp3", at="http://127.0.0.1:1")  # to this app's own API
    found = b.copy(link.url, homes)
    assert found is not None
    assert found.read_bytes() == b"a recording"
    assert b.copy(link.url.replace("signature=", "signature=0"), homes) is None
    postgres.rows("UPDATE unsettled SET leased_until = 0")  # its hour is over, and A was killed
    b.sweep()
    two[1].purge()
    with pytest.raises(FetchError):
        a.copy(link.url, homes)
    assert bucket.files() == ["library_id"]
    assert not bucket.listings()


def test_a_doctor_finds_what_a_lost_database_left_in_the_bucket(
    homes: Path, postgres: Postgres, bucket: Bucket
) -> None:
    settings = shared(homes, postgres, bucket.url)
    library = Library(settings, Store(settings.store_url, homes / "copies"))
    voice = library.add(make_voice(created_at=utc_now()), FILES)
    library.add(make_voice("voice-2", created_at=utc_now()), FILES)
    postgres.rows("DELETE FROM voices WHERE voice_id = 'voice-1'")
    library.purge()
    library.reconcile()
    assert len(bucket.files()) == 9
    library.close()
    assert [lost.folder for lost in doctor.look(settings).lost] == ["voice-1"]
    assert doctor.restore(settings).restored == [voice]
    assert doctor.look(settings).lost == []


def test_a_lost_database_is_told_and_found_again(
    postgresql: Cluster, homes: Path, postgres: Postgres, bucket: Bucket, clock: Clock
) -> None:
    library = opened(homes, postgres, bucket, clock)
    library.add(make_voice(), FILES)
    postgresql.stop()
    try:
        for call in (lambda: library.get("voice-1", "ada"), lambda: library.check(1.0), library.purge):
            with pytest.raises(LibraryError) as lost:
                call()
            assert (lost.value.code, lost.value.status) == ("library_unreachable", 503)
            assert "psycopg" not in str(lost.value)
    finally:
        postgresql.start()
    assert library.get("voice-1", "ada").voice_id == "voice-1"
    library.close()
