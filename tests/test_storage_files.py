"""Files are whole, private, under safe keys, and the same in a folder and at a remote URL."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from clone.storage.files import PARTIAL, Store


@pytest.fixture(params=["folder", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "audio"))
    return Store(f"memory://{uuid4().hex}")


def test_what_is_put_is_got_listed_and_measured(store: Store) -> None:
    store.put("voices/a/reference.mp3", b"sound")
    store.put("voices/a/profile.npz", b"123")
    store.put("voices/ab/reference.mp3", b"other")
    assert store.get("voices/a/reference.mp3") == b"sound"
    assert store.path("voices/a/reference.mp3").read_bytes() == b"sound"
    assert store.keys() == ["voices/a/profile.npz", "voices/a/reference.mp3", "voices/ab/reference.mp3"]
    assert store.keys("voices/a") == ["voices/a/profile.npz", "voices/a/reference.mp3"]
    assert store.folders("voices") == ["a", "ab"]
    assert (store.size("voices/a"), store.size("voices/a/profile.npz"), store.size("voices/none")) == (8, 3, 0)


def test_put_replaces(store: Store) -> None:
    store.put("k", b"a longer first version")
    store.put("k", b"second")
    assert (store.get("k"), store.size("k"), store.path("k").read_bytes()) == (b"second", 6, b"second")


def test_delete_takes_a_folder_and_not_its_namesakes(store: Store) -> None:
    for key in ("voices/a/x", "voices/a/y", "voices/ab/x", "voices/b"):
        store.put(key, b"1")
    copy = store.path("voices/a/x")
    store.delete("voices/a")
    assert store.keys() == ["voices/ab/x", "voices/b"]
    assert not copy.exists()
    store.delete("voices/b")
    store.delete("voices/never")
    assert store.keys() == ["voices/ab/x"]


def test_what_is_not_there_is_not_found(store: Store) -> None:
    for read in (store.get, store.path):
        with pytest.raises(FileNotFoundError):
            read("voices/none/reference.mp3")
    assert store.keys("voices") == store.folders("voices") == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//b",
        "a/",
        ".hidden",
        "a/.partial",
        "a\\b",
        "C:x",
        "a\0b",
        "ü",
        "a b",
    ],
)
def test_a_key_that_could_lead_elsewhere_is_refused(store: Store, key: str) -> None:
    for use in (store.get, store.path, store.delete, store.size, store.folders, lambda k: store.put(k, b"")):
        with pytest.raises(ValueError, match="not a key"):
            use(key)
    if key:
        with pytest.raises(ValueError, match="not a key"):
            store.keys(key)


def test_only_the_owner_can_read_a_folder_and_its_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(str(tmp_path / "new" / "audio"))
        store.put("voices/a/reference.mp3", b"sound")
    finally:
        os.umask(before)
    for path in (tmp_path / "new").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_failed_put_leaves_the_old_file_and_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    store.put("k", b"old")

    def full_disk(_handle: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.put("k", b"new")
    monkeypatch.undo()
    assert store.get("k") == b"old"
    assert list((tmp_path / PARTIAL).iterdir()) == []


def test_a_put_that_is_killed_leaves_the_whole_old_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put("voices/a/x", b"old")
    writer = "import sys; from clone.storage.files import Store; s = Store(sys.argv[1]); print(flush=True)\n"
    writer += "while True: s.put('voices/a/x', b'n' * 30_000_000)"
    process = subprocess.Popen([sys.executable, "-c", writer, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    deadline = time.monotonic() + 5
    while not list((tmp_path / PARTIAL).glob("*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert store.get("voices/a/x") in (b"old", b"n" * 30_000_000)
    assert store.keys() == ["voices/a/x"]
    store.sweep()
    assert list((tmp_path / PARTIAL).iterdir()) == []


def test_copies_of_a_remote_store_are_private_and_go_with_what_they_copy(tmp_path: Path) -> None:
    store = Store(f"memory://{uuid4().hex}", copies=tmp_path / "copies")
    store.put("voices/a/x", b"1")
    copy = store.path("voices/a/x")
    assert copy == tmp_path / "copies" / "voices" / "a" / "x"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    store.put("voices/a/x", b"2")
    assert store.path("voices/a/x").read_bytes() == b"2"
    store.delete("voices/a")
    assert not copy.exists()


def test_only_old_partial_copies_are_swept(tmp_path: Path) -> None:
    store = Store(f"memory://{uuid4().hex}", copies=tmp_path)
    (tmp_path / PARTIAL).mkdir()
    old, young = tmp_path / PARTIAL / "old", tmp_path / PARTIAL / "young"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    assert store.sweep() == 1
    assert young.exists()
    assert not old.exists()


def test_a_folder_that_is_removed_in_the_middle_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, removed = os.replace, list[str]()

    def late(source: str, target: str) -> None:
        if not removed:
            removed.append("documents/a")
            store.delete("documents/a")
        replace(source, target)

    store.put("documents/a/0.flac", b"said before")
    monkeypatch.setattr(os, "replace", late)
    store.put("documents/a/1.flac", b"said meanwhile")
    assert store.keys("documents") in (["documents/a/1.flac"], ["documents/a/0.flac", "documents/a/1.flac"])
    assert store.get("documents/a/1.flac") == b"said meanwhile"
    assert list((tmp_path / "audio" / PARTIAL).glob("*")) == []
