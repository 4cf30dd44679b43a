"""Where voices are kept: one lock, one database and one store that belong together, and what is done to all three.

A row and its files agree, whatever is killed when. Every change happens under one lock file in the home folder, which
the operating system releases when its holder dies. Adding writes the files first and then the row; removing takes the
row first and then the files. While that goes on the folder is noted as unsettled, so that a kill leaves at most files
that are known to be nobody's: they go at the next ``clear()``. Files without a row of which nothing is noted are never
deleted so: something else happened to the database.

Where hosts share a library there is no lock for all of it: rows are locked while they are changed, a voice that is
being added has its files noted with a lease, and what keeps the library in order is done by one host at a time.

Database and store carry one id. A database meets no store but its own, or the recordings of one library would be taken
for what another has lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from filelock import FileLock, Timeout
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from clone.core.errors import LibraryError
from clone.core.settings import Settings
from clone.core.workspace import make_home
from clone.storage import leftovers
from clone.storage.database import ABOUT, UNSETTLED, VOICES, migrate, open_database, truncate_log
from clone.storage.files import Store
from clone.storage.server import BUSY_WITHIN_S, Locks, busy, lock
from clone.storage.voice import Voice, folder_of, from_record, from_row, to_record

ROOT = "voices"
RECORD = "voice.json"
"""What lies beside a voice's recordings, so that its row can be made again; none of the voice's own files."""

_ID_KEY = "library_id"
_ROW, _FOLDER = VOICES.c.voice_id == bindparam("id"), UNSETTLED.c.folder == bindparam("id")
_INSERT, _UPDATE, _DELETE = insert(VOICES), update(VOICES).where(_ROW), delete(VOICES).where(_ROW)
_DELETE_SHARED = _DELETE.returning(VOICES.c.files)
_UNSETTLE, _SETTLE = insert(UNSETTLED).values(holder="", leased_until=0.0), delete(UNSETTLED).where(_FOLDER)
"""Made once, as every new voice takes them."""


class Shelf:
    """Safe to share between threads, and between processes with the same home.

    Args:
        settings: home and database_url are used.
        store: where the files lie.
        now: the clock.

    Raises:
        LibraryError: the database can't be had, is damaged or newer, or the store is not the one that belongs to it.
    """

    def __init__(self, settings: Settings, store: Store, now: Callable[[], datetime]) -> None:
        settings.check_secret()
        make_home(settings.home)
        self.store = store
        self.now = now
        self.shared = settings.is_shared
        self._lock = FileLock(settings.home / "library.lock", mode=0o600, poll_interval=0.01)
        self.reading = open_database(settings.database_url)
        self._writing = self.reading.execution_options(writes=True)
        self.locks = Locks(self.reading)
        try:
            with self.changing() as db:
                lock(db, "migrate")
                migrate(db)
                self._bind(db)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        self.reading.dispose()

    @contextmanager
    def locked(self, within_s: float = BUSY_WITHIN_S) -> Iterator[None]:
        """Hold the lock; nothing where the library is shared.

        Raises:
            LibraryError: ``library_busy``, another program does for so long.
        """
        if self.shared:
            yield
            return
        try:
            self._lock.acquire(timeout=within_s)
        except Timeout:
            raise busy() from None
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def leading(self) -> Iterator[bool]:
        """Hold the lock to keep the library in order, and say whether to do so: not where another host does already."""
        with self.locked(), self.locks.held("upkeep") as leads:
            yield leads

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """The lock, and in it one transaction: all of what happens in it, or nothing."""
        with self.locked(), self._writing.begin() as db:
            yield db

    def check(self, within_s: float) -> None:
        """Raise unless lock and database can be had within a time each."""
        with self.locked(within_s), self._writing.execution_options(within_s=within_s).begin() as db:
            if self.shared:
                db.execute(select(1))

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write files into a voice's folder."""
        for name, data in files.items():
            self.store.put(f"{ROOT}/{folder}/{name}", data)

    def insert(self, db: Connection, voice: Voice) -> None:
        """Write a voice's row; its files and its record are there."""
        db.execute(_INSERT, vars(voice))

    def update(self, db: Connection, voice: Voice) -> Voice:
        """Write a voice's row anew, and its record."""
        db.execute(_UPDATE, {**vars(voice), "id": voice.voice_id})
        self.put(folder_of(voice.voice_id), {RECORD: to_record(voice)})
        return voice

    def name_alone(self, db: Connection, voice_id: str) -> None:
        """See to it that until the transaction ends nobody else begins to add a voice of this id, or ends it.

        A row that is not there yet can't be locked; between a look for it and the lease it could come.
        """
        lock(db, "voice", voice_id)

    def begin(self, db: Connection, voice_id: str, names: Iterable[str]) -> str:
        """Note that a voice's folder is being filled, whatever was there before; return the lease.

        Raises:
            LibraryError: ``library_busy``, another host fills it.
        """
        self.delete(db, [voice_id])
        return leftovers.hold(db, self._keys(voice_id, names)) if self.shared else ""

    def end(self, db: Connection, voice_id: str, lease: str) -> None:
        """Note that what was put into a folder belongs to its row now.

        Raises:
            LibraryError: ``library_busy``, it took longer than the lease.
        """
        if self.shared:
            leftovers.settle(db, lease)
        else:
            self.settle(db, folder_of(voice_id))

    def break_off(self, voice_id: str, lease: str) -> None:
        """Delete what was put into a folder that has no row now."""
        if self.shared:
            with self.changing() as db:
                leftovers.let_go(db, lease)
        self.clear(voice_id)

    def delete(self, db: Connection, voice_ids: Iterable[str]) -> int:
        """Delete rows, and note that their folders are to go; return how many."""
        gone = list(voice_ids)
        for voice_id in gone:
            if self.shared:
                names = db.execute(_DELETE_SHARED, {"id": voice_id}).scalar()
                leftovers.doom(db, self._keys(voice_id, names) if names is not None else ())
            else:
                db.execute(_DELETE, {"id": voice_id})
                self.unsettle(db, folder_of(voice_id))
        return len(gone)

    def _keys(self, voice_id: str, names: Iterable[str]) -> list[str]:
        return [f"{ROOT}/{folder_of(voice_id)}/{name}" for name in (*names, RECORD)]

    def unsettle(self, db: Connection, folder: str) -> None:
        """Note that what is in a folder is nobody's, until it is settled."""
        self.settle(db, folder)
        db.execute(_UNSETTLE, {"folder": folder})

    def settle(self, db: Connection, folder: str) -> None:
        """Note that a folder belongs to its row, or is gone."""
        db.execute(_SETTLE, {"id": folder})

    def clear(self, voice_id: str = "") -> int:
        """Delete every folder that is unsettled; return how many. The lock must be held, or an add would lose its own.

        Of a shared library, files whose lease is over: one voice's, if it is named.

        Deleted rows stand in SQLite's log until it is emptied, so it is.
        """
        if self.shared:
            return leftovers.clear(self._writing, self.store, f"{ROOT}/{folder_of(voice_id)}" if voice_id else "")
        with self.reading.begin() as db:
            folders = self.unsettled(db)
        for folder in folders:
            self.store.delete(f"{ROOT}/{folder}")
        if folders:
            with self.changing() as db:
                for folder in folders:
                    self.settle(db, folder)
            truncate_log(self.reading)
        return len(folders)

    def unsettled(self, db: Connection) -> set[str]:
        """Return the folders that are nobody's."""
        noted = db.execute(select(UNSETTLED.c.folder)).scalars()
        return {key.split("/")[1] if "/" in key else key for key in noted}

    def folders(self, db: Connection) -> dict[str, Voice]:
        """Return every voice by its folder, forgotten and expired ones too."""
        return {folder_of(row.voice_id): from_row(row) for row in db.execute(select(VOICES))}

    def note(self, db: Connection, name: str, value: str | None) -> None:
        """Write down something about the library; None takes it away."""
        db.execute(delete(ABOUT).filter_by(name=name))
        if value is not None:
            db.execute(insert(ABOUT), {"name": name, "value": value})

    def noted(self, db: Connection, name: str) -> str | None:
        """Return what was written down, or None."""
        return db.execute(select(ABOUT.c.value).filter_by(name=name)).scalar()

    def _bind(self, db: Connection) -> None:
        """See to it that database and store are one library's."""
        ours, theirs = self.noted(db, _ID_KEY), self._id_in_store()
        if ours and theirs and ours != theirs:
            raise not_ours("The recordings in the store are those of another library")
        if ours and theirs:
            return
        if not self._has_some(db):
            raise not_ours("The store has none of this library's recordings")
        library_id = ours or theirs or uuid.uuid4().hex
        if not theirs:
            self.store.put(_ID_KEY, library_id.encode())
        self.note(db, _ID_KEY, library_id)

    def _id_in_store(self) -> str | None:
        try:
            return self.store.get(_ID_KEY).decode("ascii", "replace").strip() or None
        except FileNotFoundError:
            return None

    def _has_some(self, db: Connection) -> bool:
        """Whether some voice's files are there; it is so where no voice has any."""
        with_files = [folder for folder, voice in self.folders(db).items() if voice.files]
        return not with_files or not set(self.store.folders(ROOT)).isdisjoint(with_files)


def record_in(store: Store, place: str, folder: str) -> Voice | None:
    """Return the voice that a folder's record tells of; None where it tells of none.

    Args:
        store: where it lies.
        place: of the folder, a key.
        folder: what it is called among voices.
    """
    try:
        return from_record(store.get(f"{place}/{RECORD}"), folder)
    except FileNotFoundError:
        return None


def with_files(store: Store, voice: Voice, place: str) -> Voice:
    """Return a voice with those of its files that are in a folder."""
    sizes = {name: store.size_of(f"{place}/{name}") for name in voice.files}
    there = {name: n_bytes for name, n_bytes in sizes.items() if n_bytes is not None}
    return replace(voice, files=tuple(there), n_bytes=sum(there.values()))


def not_ours(what: str) -> LibraryError:
    """What is said of a store that is not the database's."""
    return LibraryError(
        f"{what}; nothing was changed.",
        code="library_other",
        advice="Is its disk there, and TIMBRE_STORE_URL right? To begin anew, set TIMBRE_HOME to another folder.",
    )
