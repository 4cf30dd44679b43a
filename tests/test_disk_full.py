"""A full disk is told as a full disk, and nothing is half there afterwards; what was there stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from clone.core.errors import DiskFull, disk_full
from clone.core.workspace import Workspace
from clone.storage.files import PARTIAL, Store
from clone.storage.tasks import Tasks
from clone.storage.voices import Library
from tests.studios import files_in, fit_for_a_person
from tests.voices import FILES, Clock, make_voice, open_library


@pytest.fixture
def library(home: Path) -> Library:
    library = open_library(home, Clock())
    library.add(make_voice(), FILES)
    return library


def full_after(n_files: int, monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> None:
    """Let the disk take so many files yet."""
    fsync, left = os.fsync, iter(range(n_files))

    def write(handle: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{handle}") and next(left, None) is None:
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", write)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    store = Store(str(tmp_path))
    store.put("k", b"old")
    full_after(0, monkeypatch, number)
    with pytest.raises(DiskFull) as told:
        store.put("k", b"new")
    assert (told.value.code, told.value.status) == ("disk_full", 507)
    fit_for_a_person(told.value)
    assert store.get("k") == b"old"
    assert list((tmp_path / PARTIAL).iterdir()) == []


@pytest.mark.parametrize("n_files", range(4))
def test_a_voice_is_there_whole_or_not_at_all(
    library: Library, home: Path, monkeypatch: pytest.MonkeyPatch, n_files: int
) -> None:
    before = files_in(home / "audio")
    with monkeypatch.context() as patch:
        full_after(n_files, patch)
        with pytest.raises(DiskFull):
            library.add(make_voice("second"), FILES)
    assert files_in(home / "audio") == before
    assert [voice.voice_id for voice in library.voices("ada")] == ["voice-1"]
    assert library.reconcile() == 0
    assert library.add(make_voice("second"), FILES)


def test_a_change_of_a_voice_is_made_whole_or_not_at_all(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    before = library.get("voice-1", "ada")
    with monkeypatch.context() as patch:
        full_after(0, patch)
        for change in (
            lambda: library.keep("voice-1", "ada"),
            lambda: library.describe("voice-1", "ada", name="Bea"),
            lambda: library.update_files("voice-1", "ada", {"profile.npz": b"new"}),
        ):
            with pytest.raises(DiskFull):
                change()
    assert library.get("voice-1", "ada") == before
    assert library.read(before, "profile.npz") == FILES["profile.npz"]


def test_a_database_without_room_is_a_full_disk(library: Library, home: Path) -> None:
    before = files_in(home / "audio")

    def no_page_more(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")

    library.database.dispose()
    event.listen(library.database, "connect", no_page_more)
    with pytest.raises(DiskFull):
        library.add(make_voice("second", note="long" * 100, settings={"text": "long" * 20_000}), FILES)
    assert files_in(home / "audio") == before
    with library.database.begin() as db:
        assert db.execute(text("SELECT COUNT(*) FROM voices")).scalar_one() == 1
    with pytest.raises(DiskFull):
        Tasks(library.database, library.store).add("ada", "speech-02-hd", "long" * 20_000)
    library.forget("voice-1", "ada")
    assert files_in(home / "audio" / "voices") == []


def break_off(workspace: Workspace, number: int) -> None:
    with workspace.folder() as folder:
        (folder / "half").write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(folder))


def test_work_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    for number, told in ((errno.ENOSPC, DiskFull), (errno.EACCES, PermissionError)):
        with pytest.raises(told):
            break_off(workspace, number)
    assert list((tmp_path / "work").iterdir()) == []
    assert disk_full(FileNotFoundError(errno.ENOENT, "no")) is None
