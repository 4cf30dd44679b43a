"""The voices kept, as their owners use them: rows by SQLAlchemy Core (SQLite by default), files in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, select, update

from clone.contract.cloning import RETENTION
from clone.core.errors import VoiceError
from clone.core.likeness import Likeness
from clone.core.settings import LOCAL, Settings
from clone.storage import leftovers
from clone.storage.database import EXPIRED, VOICES, used_bytes, utc_now
from clone.storage.files import Store
from clone.storage.retention import REFERENCE, Upkeep, uptime
from clone.storage.server import busy
from clone.storage.shelf import RECORD, ROOT, Shelf, with_files
from clone.storage.voice import (
    Voice,
    check_name,
    check_note,
    check_tags,
    expired,
    few_tags,
    folder_of,
    from_row,
    given_id,
    not_restorable,
    sayable,
    taken,
    to_record,
    unknown,
)

__all__ = ["Library", "Voice", "utc_now"]

ALONE_WITHIN_S = 1800.0
"""How long the same request waits for itself at another host, at most: longer than a clone takes."""

_UPDATABLE = {"name", "likeness", "ceiling", "engine_version"}
_BY_ID = select(VOICES).where(VOICES.c.voice_id == bindparam("id"))
_BY_ID_ALONE = _BY_ID.with_for_update()
_NOT_EXPIRED = delete(EXPIRED).where(EXPIRED.c.voice_id == bindparam("id"))
_OF_OWNER = VOICES.c.owner == bindparam("owner")
_LIVE = (
    select(VOICES)
    .where(
        VOICES.c.forgotten_until.is_(None),
        VOICES.c.expires_at.is_(None) | (VOICES.c.expires_at > bindparam("now")),
    )
    .order_by(VOICES.c.created_at.desc(), VOICES.c.voice_id)
)
_LIVE_OF_OWNER = _LIVE.where(_OF_OWNER)
_AGAIN_ALONE = _LIVE_OF_OWNER.where(VOICES.c.request_key == bindparam("key")).limit(1).with_for_update()
_AGAIN = _LIVE_OF_OWNER.where(VOICES.c.request_key == bindparam("key"))


class Library:
    """The voices of every owner; safe to share between threads, and between processes with the same home.

    Args:
        settings: home and database_url are used.
        store: where the files lie.
        now: the clock; tests bring their own.
        uptime: counts the machine's seconds, as ``retention.uptime``.

    Raises:
        LibraryError: as Shelf.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        now: Callable[[], datetime] = utc_now,
        uptime: Callable[[], tuple[str, float]] = uptime,
    ) -> None:
        self._store = store
        self._now = now
        self._shelf = Shelf(settings, store, now)
        self._reading = self._shelf.reading
        self._changing = self._shelf.changing
        self._hidden: set[str] = set()
        self.upkeep = Upkeep(self._shelf, uptime)

    @property
    def database(self) -> Engine:
        """The database, for what else is kept in it."""
        return self._reading

    @property
    def store(self) -> Store:
        """Where files lie."""
        return self._store

    def close(self) -> None:
        """Let go of the database."""
        self._shelf.close()

    def add(self, voice: Voice, files: Mapping[str, bytes], within: Callable[[Connection], Any] | None = None) -> Voice:
        """Keep a new voice: temporary for the contract's retention, unless ``permanent_at`` is set.

        ``within`` is called in the same transaction, for what must be true together with it.

        Raises:
            VoiceError: ``voice_exists``, the id is taken.
        """
        voice = replace(
            voice,
            expires_at=None if voice.permanent else voice.created_at + RETENTION,
            files=tuple(sorted(files)),
            n_bytes=sum(map(len, files.values())),
        )
        if not sayable(voice.voice_id):
            raise ValueError(f"not a voice_id: {voice.voice_id!r}")
        folder = folder_of(voice.voice_id)
        with self._shelf.locked():
            with self._changing() as db:
                self._shelf.name_alone(db, voice.voice_id)
                there = _row(db, voice.voice_id)
                if there and not (there.forgotten_until and there.owner == voice.owner):
                    raise taken()
                lease = self._shelf.begin(db, voice.voice_id, files)
            try:
                if not self._shelf.shared:
                    self._store.delete(f"{ROOT}/{folder}")
                self._shelf.put(folder, {**files, RECORD: to_record(voice)})
                with self._changing() as db:
                    self._shelf.name_alone(db, voice.voice_id)
                    self._shelf.insert(db, voice)
                    self._shelf.end(db, voice.voice_id, lease)
                    db.execute(_NOT_EXPIRED, {"id": voice.voice_id})
                    if within:
                        within(db)
            except BaseException:
                with suppress(Exception):  # the next purge tries again
                    self._shelf.break_off(voice.voice_id, lease)
                raise
        return voice

    def get(self, voice_id: str, owner: str) -> Voice:
        """Return an owner's voice.

        Raises:
            VoiceError: ``expired_voice`` when its time is over, purged or not; ``unknown_voice`` when there is none or
                it belongs to somebody else.
        """
        with self._reading.begin() as db:
            return self._live(db, voice_id, owner)

    def find(self, word: str, owner: str) -> Voice:
        """Return an owner's voice by its voice_id, by the one they chose, or else by its name; raises as ``get``."""
        errors = []
        for voice_id in (word, given_id(owner, word)):
            try:
                return self.get(voice_id, owner)
            except VoiceError as error:
                errors.append(error)
        sought = word.strip().casefold()
        named = (voice for voice in self.voices(owner) if voice.name.casefold() == sought)
        if sought and (found := next(named, None)):
            return found
        raise next((error for error in errors if error.code == "expired_voice"), errors[0])

    def again(self, request_key: str, owner: str) -> Voice | None:
        """Return the newest living voice that came of the same request, if there is one, to answer with it again.

        A temporary voice of this machine lives for the contract's retention from now; a hosted one keeps its deadline.
        """
        asked = {"key": request_key, "owner": owner}
        with self._reading.begin() as db:
            row = db.execute(_AGAIN, asked | {"now": self._now()}).first()
        if row is None or row.permanent_at or row.backend != LOCAL:
            return from_row(row) if row else None
        with self._changing() as db:
            row = db.execute(_AGAIN_ALONE, asked | {"now": self._now()}).first()
            return self._shelf.update(db, replace(from_row(row), expires_at=self._now() + RETENTION)) if row else None

    def voices(self, owner: str | None) -> list[Voice]:
        """Return an owner's living voices, or everybody's, newest first."""
        query = _LIVE if owner is None else _LIVE_OF_OWNER
        with self._reading.begin() as db:
            rows = db.execute(query, {"owner": owner, "now": self._now()}).all()
        return [from_row(row) for row in rows]

    def used_bytes(self, owner: str) -> int:
        """Return how much of the store an owner's voices take."""
        with self._reading.begin() as db:
            return used_bytes(db, VOICES, owner)

    def keep(self, voice_id: str, owner: str) -> Voice:
        """Make a voice permanent; one that is already stays as it is.

        Raises:
            VoiceError: as ``get``.
        """
        with self._changing() as db:
            voice = self._live(db, voice_id, owner)
            if voice.permanent:
                return voice
            return self._shelf.update(db, replace(voice, permanent_at=self._now(), expires_at=None))

    def describe(
        self, voice_id: str, owner: str, *, name: str | None = None, note: str | None = None, tags: str | None = None
    ) -> Voice:
        """Give a voice another name, note or tags, which commas part; None leaves what it has.

        Raises:
            TextError: as check_name, check_note and check_tags.
            VoiceError: as ``get``.
        """
        given = (("name", check_name, name), ("note", check_note, note), ("tags", check_tags, tags))
        words: dict[str, Any] = {what: check(said) for what, check, said in given if said is not None}
        with self._changing() as db:
            return self._shelf.update(db, replace(self._live(db, voice_id, owner), **words))

    def tag(self, voice_ids: Iterable[str], owner: str, *, add: str = "", remove: str = "") -> list[Voice]:
        """Give tags to voices, and take tags from them, all or none.

        Raises:
            TextError: as check_tags, one voice would have too many.
            VoiceError: as ``get``.
        """
        new, gone = check_tags(add), {each.casefold() for each in check_tags(remove)}
        changed = []
        with self._changing() as db:
            for voice in [self._live(db, voice_id, owner) for voice_id in dict.fromkeys(voice_ids)]:
                kept = tuple(each for each in voice.tags if each.casefold() not in gone)
                there = {each.casefold() for each in kept}
                tags = kept + tuple(each for each in new if each.casefold() not in there)
                changed.append(replace(voice, tags=few_tags(tags, f"“{voice.name}”" if voice.name else "A voice")))
            return [self._shelf.update(db, voice) for voice in changed]

    def compared(self, voice_id: str, owner: str, alike: Likeness) -> Voice:
        """Write down how alike a voice and its original are.

        Raises:
            VoiceError: as ``get``.
        """
        with self._changing() as db:
            return self._shelf.update(db, self._live(db, voice_id, owner).measured(alike))

    def forget(self, voice_id: str, owner: str, undo_s: float = 0.0) -> None:
        """Delete a voice, expired or not: its row, then its files.

        Args:
            voice_id: which.
            owner: whose.
            undo_s: hide a voice that has not expired for so long first; ``restore`` brings it back, ``purge`` deletes.

        Raises:
            VoiceError: as ``get``, when there is nothing left to delete or to hide.
        """
        if undo_s > 0:
            with self._changing() as db:
                self._live(db, voice_id, owner)
                _hide(db, voice_id, self._now() + timedelta(seconds=undo_s))
                self._store.remove(f"{_key(voice_id)}/{RECORD}")  # should the database be lost, it stays forgotten
            self._hidden.add(voice_id)
            return
        with self._shelf.locked():
            with self._changing() as db:
                row = _row(db, voice_id)
                missing = None if row and row.owner == owner else self._missing(db, voice_id, owner)
                if missing is None:
                    self._shelf.delete(db, [voice_id])
            self._shelf.clear(voice_id)
            known = self._shelf.shared and row is not None  # somebody else's
            if missing and (known or not (sayable(voice_id) and self.upkeep.forget_lost(owner, folder_of(voice_id)))):
                raise missing

    def forget_all(self, owner: str) -> int:
        """Delete all of an owner's voices, expired, forgotten and lost ones too, and their traces; count them."""
        with self._shelf.locked():
            with self._changing() as db:
                own = db.execute(select(VOICES.c.voice_id).filter_by(owner=owner)).scalars().all()
                n_gone = self._shelf.delete(db, own)
                db.execute(delete(EXPIRED).filter_by(owner=owner))
            self._shelf.clear()
            return n_gone + self.upkeep.forget_lost(owner)

    def restore(self, voice_id: str, owner: str) -> Voice:
        """Bring back a voice that was forgotten a moment ago; one that was not stays as it is.

        Raises:
            VoiceError: ``undo_over``, it is too late, or there was no such voice; ``expired_voice``.
        """
        with self._changing() as db:
            row = _row(db, voice_id)
            if not row or row.owner != owner or (row.forgotten_until and row.forgotten_until <= self._now()):
                raise not_restorable()
            if row.expires_at and row.expires_at <= self._now():
                raise expired(row.expires_at)
            _hide(db, voice_id, None)
            self._shelf.update(db, from_row(row))
        self._hidden.discard(voice_id)
        return from_row(row)

    def forget_now(self) -> int:
        """Delete what was forgotten through this library and can still be brought back; return how many."""
        hidden, self._hidden = self._hidden, set()
        if not hidden:
            return 0
        still = VOICES.c.voice_id.in_(hidden) & VOICES.c.forgotten_until.is_not(None)
        with self._changing() as db:
            db.execute(update(VOICES).where(still).values(forgotten_until=self._now()))
        return self.purge()

    def next_purge_s(self, at_most_s: float) -> float:
        """Return in how many seconds a forgotten voice is to be deleted; ``at_most_s`` when none is."""
        with self._reading.begin() as db:
            first = db.execute(select(func.min(VOICES.c.forgotten_until))).scalar()
        return min(at_most_s, (first - self._now()).total_seconds()) if first else at_most_s

    def update_files(self, voice_id: str, owner: str, files: Mapping[str, bytes], **columns: Any) -> Voice:
        """Replace or add files other than the reference, and with them name, likeness, ceiling or engine_version.

        A kill in the middle can leave some of the files new and the row old: what must match a file belongs in it.

        Raises:
            VoiceError: as ``get``.
        """
        if any(name.startswith(REFERENCE) for name in files) or not columns.keys() <= _UPDATABLE:
            raise ValueError(f"not to be changed: {sorted(files)} {sorted(columns)}")
        lease = ""
        if self._shelf.shared:
            with self._changing() as db:
                new = files.keys() - {*self._live(db, voice_id, owner).files}
                lease = leftovers.hold(db, [f"{_key(voice_id)}/{name}" for name in new]) if new else ""
        with self._changing() as db:
            voice = self._live(db, voice_id, owner)
            self._shelf.put(folder_of(voice_id), files)
            if lease:
                leftovers.settle(db, lease)
            named = replace(voice, **columns, files=tuple(sorted({*voice.files, *files})))
            return self._shelf.update(db, with_files(self._store, named, _key(voice_id)))

    def read(self, voice: Voice, name: str) -> bytes:
        """Return the bytes of one of a voice's files.

        Raises:
            VoiceError: ``unknown_voice``, it has gone meanwhile; ``no_file``, it has none of that name.
        """
        with self._file_of(voice, name) as key:
            return self._store.get(key)

    def path(self, voice: Voice, name: str) -> Path:
        """Return a local file to read one of a voice's files from; not to be changed, nor kept.

        Raises:
            VoiceError: as ``read``.
        """
        with self._file_of(voice, name) as key:
            return self._store.path(key)

    @contextmanager
    def alone(self, *what: str, wait: Callable[[float], object]) -> Iterator[None]:
        """Do something alone among all hosts that share the library; where it is a file, in this process.

        Args:
            what: it is.
            wait: called with seconds while somebody else does it; what it raises ends the waiting.

        Raises:
            LibraryError: ``library_busy``, somebody else does it for too long.
        """
        with self._shelf.locks.held(*what, within_s=ALONE_WITHIN_S, wait=wait) as ours:
            if not ours:
                raise busy()
            yield

    def place(self, n: int, *what: str) -> AbstractContextManager[bool]:
        """Hold one of so many places among all hosts that share the library, and say whether one was free."""
        return self._shelf.locks.one_of(n, *what)

    def pass_by(self, key: str, for_s: float) -> None:
        """Note that a file will lie in a shared store for so many seconds, and that it goes then, whatever happens."""
        with self._changing() as db:
            leftovers.hold(db, [key], for_s)

    def passed(self, key: str) -> None:
        """Note that such a file is gone."""
        with self._changing() as db:
            leftovers.claim(db, key)

    def led(self, what: str, work: Callable[[], object]) -> None:
        """Do work for all hosts that share the library, unless another does it just now."""
        with self._shelf.locks.held(what) as leads:
            if leads:
                work()

    def purge(self) -> int:
        """Delete what is expired or forgotten; see Upkeep.purge."""
        return self.upkeep.purge()

    def reconcile(self) -> int:
        """Put right at start what a kill left behind; see Upkeep.reconcile."""
        return self.upkeep.reconcile()

    def check(self, within_s: float) -> None:
        """Raise unless the library can be had within a time, to be changed.

        Raises:
            LibraryError: ``library_busy`` above all.
        """
        self._shelf.check(within_s)

    @contextmanager
    def _file_of(self, voice: Voice, name: str) -> Iterator[str]:
        if name not in voice.files:
            raise VoiceError("This voice has no such file.", code="no_file", field="voice_id", measured=name)
        try:
            yield f"{_key(voice.voice_id)}/{name}"
        except FileNotFoundError:
            raise unknown() from None

    def _live(self, db: Connection, voice_id: str, owner: str) -> Voice:
        row = _row(db, voice_id)
        if not row or row.owner != owner:
            raise self._missing(db, voice_id, owner)
        if row.forgotten_until:
            raise unknown()
        voice = from_row(row)
        if voice.expires_at and voice.expires_at <= self._now():
            raise expired(voice.expires_at)
        return voice

    def _missing(self, db: Connection, voice_id: str, owner: str) -> VoiceError:
        if not sayable(voice_id):
            return unknown()
        expired_at = db.execute(select(EXPIRED.c.expired_at).filter_by(voice_id=voice_id, owner=owner)).scalar()
        return expired(expired_at) if expired_at else unknown()


def _row(db: Connection, voice_id: str) -> Row[Any] | None:
    """Return the row of a voice, which nobody else changes then where this transaction is to."""
    query = _BY_ID_ALONE if db.get_execution_options().get("writes") else _BY_ID
    return db.execute(query, {"id": voice_id}).first() if sayable(voice_id) else None


def _hide(db: Connection, voice_id: str, until: datetime | None) -> None:
    db.execute(update(VOICES).filter_by(voice_id=voice_id).values(forgotten_until=until))


def _key(voice_id: str) -> str:
    return f"{ROOT}/{folder_of(voice_id)}"
