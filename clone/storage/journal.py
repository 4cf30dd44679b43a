"""What is sent to be paid for, written down before it leaves, so that a kill loses nothing and nothing is sent twice.

An entry is made just before its request leaves, and ends when its outcome is known: refused, or kept in the library.
One that nobody works on may have been paid, so the same request is refused until a person has said whether it was.
An entry's id is a hash of the request, and the database takes it once. Who works on one holds its lock, which the
operating system releases when the holder dies, so two processes with one home never send the same request together.
Where hosts share a library its database does that. Should a host lose its lock there, its row still stands in the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from clone.contract.cloning import RETENTION
from clone.contract.speech import SpeechSettings
from clone.core.errors import BusyError, MaybeDone, TimbreError
from clone.core.workspace import make_private_folder
from clone.storage import leftovers
from clone.storage.database import PAID, Repository, truncate_log
from clone.storage.files import Store
from clone.storage.server import Locks
from clone.storage.voice import Voice, record, to_record

CLONE, KEEP, SPEECH = "clone", "keep", "speech"
SENT, ANSWERED, KEPT = "sent", "answered", "kept"
"""Its end is not known; its voice is known, and not in the library yet; there, and its preview still to be fetched."""

LOOKED_AT_FOR_S = 0.3
"""Longer than somebody holds an entry who only looks whether anybody works on it."""

_ROOT = "paid"
_ENTRY_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request that costs money.

    Attributes:
        kind: CLONE, KEEP or SPEECH.
        state: SENT, ANSWERED or KEPT.
        voice_id: of the voice; "" where that is not known yet.
        voice: of a clone, the voice as it is to be kept, with the recordings beside it in the store.
        preview_url: where its preview is, for a while; "" without one.
        n_bytes: the size of the recordings.
        files: their names.
    """

    entry_id: str
    owner: str
    kind: str
    created_at: datetime
    state: str = SENT
    voice_id: str = ""
    voice: Voice | None = None
    preview_url: str = ""
    n_bytes: int = 0
    files: tuple[str, ...] = ()

    @property
    def expires_at(self) -> datetime:
        """When it goes by itself: a voice that was made then is gone at the service, too."""
        return self.created_at + RETENTION


class Journal(Repository):
    """All entries; safe to share between processes with the same home, too.

    Args:
        home: where the locks lie.
        database: the library's, migrated.
        store: where recordings lie until the library has them.
        now: the clock.
    """

    def __init__(self, home: Path, database: Engine, store: Store, now: Callable[[], datetime]) -> None:
        self._locks = home / _ROOT
        make_private_folder(self._locks)
        super().__init__(database, store, now)
        self._of_hosts = Locks(database)

    def entry(self, owner: str, kind: str, *what: object, voice_id: str = "") -> Entry:
        """Return the entry of a request, not yet written down; the same request gives the same id.

        Args:
            owner: whose.
            kind: CLONE, KEEP or SPEECH.
            what: everything that makes it another request.
            voice_id: whose speech it is.
        """
        asked = json.dumps([owner, kind, *what], sort_keys=True, default=_as_json)
        entry_id = sha256(asked.encode()).hexdigest()[:24]
        return Entry(entry_id=entry_id, owner=owner, kind=kind, created_at=self._now(), voice_id=voice_id)

    @contextmanager
    def alone(self, entry_id: str, within_s: float = LOOKED_AT_FOR_S) -> Iterator[None]:
        """Work on an entry, alone among all threads and processes.

        Args:
            entry_id: which; a browser may have sent anything.
            within_s: how long to wait for somebody who has it.

        Raises:
            BusyError: ``same_request``, somebody works on it.
            TimbreError: ``unknown_request``, it can't be one.
        """
        if not _ENTRY_ID.fullmatch(entry_id):
            raise _unknown()
        if self._shared:
            with self._of_hosts.held("paid", entry_id, within_s=within_s) as ours:
                if not ours:
                    raise _same_request()
                yield
            return
        try:
            with FileLock(self._lock(entry_id), timeout=within_s, mode=0o600):
                yield
        except Timeout:
            raise _same_request() from None

    def find(self, entry_id: str) -> Entry | None:
        """Return what is written down of a request."""
        found = self._select(PAID.c.entry_id == entry_id)
        return found[0] if found else None

    def get(self, entry_id: str, owner: str) -> Entry:
        """Return an owner's entry.

        Raises:
            TimbreError: ``unknown_request``.
        """
        found = self._select(PAID.c.entry_id == entry_id, PAID.c.owner == owner)
        if not found:
            raise _unknown()
        return found[0]

    def left(self, owner: str) -> list[Entry]:
        """Return an owner's entries that may have been paid, and that nobody works on; newest first."""
        found = self._select(PAID.c.owner == owner, PAID.c.state != KEPT)
        return [entry for entry in found if self._is_idle(entry.entry_id)]

    def unfinished(self) -> list[Entry]:
        """Return everybody's entries that are known to be paid, and still to be finished."""
        return self._select(PAID.c.state != SENT)

    def used_bytes(self, owner: str) -> int:
        """Return how much of the store an owner's entries take."""
        return sum(entry.n_bytes for entry in self._select(PAID.c.owner == owner))

    def add(self, entry: Entry, files: Mapping[str, bytes]) -> None:
        """Write down what is about to be sent, and keep its recordings: the last thing before it leaves.

        Raises:
            MaybeDone: ``maybe_paid``, somebody else was first.
        """
        keys, lease = [_key(entry.entry_id, name) for name in files], ""
        if self._shared and files:
            with self._writing.begin() as db:
                lease = leftovers.hold(db, keys)
        for key, data in zip(keys, files.values(), strict=True):
            self._store.put(key, data)
        voice = entry.voice and to_record(entry.voice).decode()
        row = vars(entry) | {"voice": voice, "n_bytes": sum(map(len, files.values())), "files": sorted(files)}
        over = (PAID.c.entry_id == entry.entry_id) & (PAID.c.created_at <= self._now() - RETENTION)
        try:
            with self._writing.begin() as db:
                db.execute(delete(PAID).where(over))
                db.execute(insert(PAID), row)
                if lease:
                    leftovers.settle(db, lease)
        except Exception as error:
            there = self.find(entry.entry_id)
            if there is None and not self._shared:
                self._store.delete(f"{_ROOT}/{entry.entry_id}")
            if there and isinstance(error, IntegrityError):
                raise sent_before(there) from None
            raise

    def answered(self, entry_id: str, voice_id: str, preview_url: str) -> None:
        """Write down the voice that was made: the first thing after the answer."""
        change = update(PAID).filter_by(entry_id=entry_id)
        with self._writing.begin() as db:
            db.execute(change, {"state": ANSWERED, "voice_id": voice_id, "preview_url": preview_url})

    def kept(self, entry_id: str, db: Connection) -> None:
        """Write down that the library has the voice now, in the transaction by which it does."""
        db.execute(update(PAID).filter_by(entry_id=entry_id).values(state=KEPT, voice=None, n_bytes=0))

    def end(self, entry_id: str) -> None:
        """Forget an entry, with everything that was kept for it."""
        with self._writing.begin() as db:
            gone = db.execute(delete(PAID).filter_by(entry_id=entry_id).returning(PAID.c.files)).scalars().all()
            if self._shared:
                leftovers.doom(db, [_key(entry_id, name) for names in gone for name in names])
        if self._shared:
            leftovers.clear(self._writing, self._store, f"{_ROOT}/{entry_id}")
            return
        self._store.delete(f"{_ROOT}/{entry_id}")
        if gone:
            truncate_log(self._reading)

    def files(self, entry_id: str) -> dict[str, bytes]:
        """Return the recordings of an entry, by their names."""
        if self._shared:
            entry = self.find(entry_id)
            return {name: self._store.get(_key(entry_id, name)) for name in entry.files} if entry else {}
        keys = self._store.keys(f"{_ROOT}/{entry_id}")
        return {key.rpartition("/")[2]: self._store.get(key) for key in keys}

    def sweep(self, *, leftovers: bool = False) -> int:
        """Forget entries whose time is over, at start also the recordings a kill left without one; return how many."""
        known = self._select(expired=True)
        over = {entry.entry_id for entry in known if entry.expires_at <= self._now()}
        left = {path.stem for path in self._locks.glob("*.lock")}
        left |= set(self._store.folders(_ROOT)) if leftovers and not self._shared else set()
        return sum(self._swept(entry_id) for entry_id in over | left - {entry.entry_id for entry in known})

    def _swept(self, entry_id: str) -> bool:
        try:
            with self.alone(entry_id, 0):
                entry = self.find(entry_id)  # it may have come meanwhile
                if entry is None:
                    self.end(entry_id)
                    self._lock(entry_id).unlink(missing_ok=True)
                return entry is None
        except BusyError:
            return False

    def _is_idle(self, entry_id: str) -> bool:
        try:
            with self.alone(entry_id, 0):
                return self.find(entry_id) is not None
        except BusyError:
            return False

    def _select(self, *which: ColumnElement[bool], expired: bool = False) -> list[Entry]:
        query = select(PAID).where(*which).order_by(PAID.c.created_at.desc())
        with self._reading.begin() as db:
            entries = [_from_row(row) for row in db.execute(query)]
        return [entry for entry in entries if expired or entry.expires_at > self._now()]

    def _lock(self, entry_id: str) -> Path:
        return self._locks / f"{entry_id}.lock"


def sent_before(entry: Entry) -> MaybeDone:
    """What is said of a request that was sent before, and whose end is not known."""
    at = entry.created_at
    return MaybeDone(
        f"This was sent on {at.day} {at:%B %Y at %H:%M} UTC, and its end is not known: it may have been paid.",
        code="maybe_paid",
        advice="Look at voices and balance in the service's console, then keep or dismiss it among your voices. "
        "Until then it is not sent again.",
    )


def _same_request() -> BusyError:
    return BusyError(
        "This very request is being worked on already.",
        code="same_request",
        advice="Wait for its end; asking again then costs nothing.",
    )


def _unknown() -> TimbreError:
    return TimbreError(
        "There is no such request any more.",
        code="unknown_request",
        advice="It was kept or dismissed, or its time is over.",
    )


def _from_row(row: Row[Any]) -> Entry:
    voice = row.voice and record().validate_json(row.voice)
    return Entry(**row._asdict() | {"voice": voice, "files": tuple(row.files)})


def _as_json(value: object) -> dict[str, Any]:
    return value.changed() if isinstance(value, SpeechSettings) else vars(value)


def _key(entry_id: str, name: str) -> str:
    return f"{_ROOT}/{entry_id}/{name}"
