"""What keeps the library in order: what is expired goes, what a kill left is put right, what is lost is kept and found.

Expired voices go each minute, forgotten ones as soon as they can't be brought back any more.

Recordings without a row are moved to the store's trash and stay there for 30 days, or for as long as their voice would
have lived: the database may have been lost, and a voice can be made again from the record beside its recordings.

A clock that is wrong must not delete anything: where more than half of what is kept for a while would go at once, and
the clock did not run evenly up to now, it waits for an hour, by the machine's own count of seconds since it started.

Where hosts share a library, one of them does this for all, a host's clock is held against the database's, and no bucket
is ever listed: rows say what is nobody's. So recordings without a row are left where they are, for there they come of a
lost database alone, and only the doctor looks for them, whom a person asks. There is no trash.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select

from clone.storage import leftovers
from clone.storage.database import EXPIRED, VOICES, check_integrity
from clone.storage.files import Store
from clone.storage.server import busy, seconds
from clone.storage.shelf import RECORD, ROOT, Shelf, record_in, with_files
from clone.storage.voice import Voice, folder_of, from_row, to_record

log = logging.getLogger(__name__)

PURGE_EVERY_S = 60.0
_AT_LEAST_S = 0.5
"""Between two purges, so that one which fails is not tried again without a pause."""

EXPIRED_KNOWN_FOR = timedelta(days=90)
"""How long a purged voice's id and owner, nothing else, are remembered, to say that it expired."""

TRASH = "trash"
TRASH_KEPT_FOR = timedelta(days=30)
PUT_OFF_S = 3600.0
UNEVEN_S = 600.0
"""How far a clock may get from the count of seconds before it is not trusted."""

REFERENCE = "reference."
"""What the name of a voice's reference begins with. Every other file can be made again from it."""

_GOES_AT = "%Y%m%dT%H%M%SZ"
_TRUSTED, _WAITING = "clock_trusted", "purge_waiting"


@dataclass(frozen=True)
class Lost:
    """Recordings without a row: where they lie, and what their record tells; ``goes_at`` is set in the trash."""

    place: str
    folder: str
    voice: Voice | None
    goes_at: datetime | None = None

    @property
    def restorable(self) -> bool:
        """Whether a row can be made again: the record is there, and with it what the voice needs."""
        return self.voice is not None and (self.voice.backend != "local" or _has_reference(self.voice))


def uptime() -> tuple[str, float]:
    """Return which start of the machine this is, as far as it tells, and the seconds since, sleep included."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    seconds = time.monotonic() if clock is None else time.clock_gettime(clock)
    return (boot.read_text().strip() if boot.is_file() else "", seconds)


class Upkeep:
    """Thread-safe as the shelf is.

    Args:
        shelf: what is kept in order.
        uptime: counts the machine's seconds; tests bring their own.
    """

    def __init__(self, shelf: Shelf, uptime: Callable[[], tuple[str, float]] = uptime) -> None:
        self._shelf = shelf
        self._uptime = self._servers_time if shelf.shared else uptime
        self._logged = False

    def purge(self) -> int:
        """Delete every voice whose time is over, or that was forgotten, with all its files; return how many.

        So goes what has been in the trash for long enough.
        """
        if self._shelf.shared:
            self._shelf.store.sweep(shared=True)
        now = self._shelf.now()
        with self._shelf.leading() as leads:
            if not leads:
                return 0
            trash = [] if self._shelf.shared else list(_trash(self._shelf.store))
            with self._shelf.changing() as db:
                gone = self._shelf.delete(db, _ids(db, VOICES.c.forgotten_until <= now))
                due = _ids(db, VOICES.c.expires_at <= now)
                over = [lost for lost in trash if lost.goes_at and lost.goes_at <= now]
                if self._waits(db, len(due) + len(over), len(trash)):
                    due, over = [], []
                if due:
                    _remember(db, now)
                gone += self._shelf.delete(db, due)
                db.execute(delete(EXPIRED).where(EXPIRED.c.expired_at <= now - EXPIRED_KNOWN_FOR))
            for lost in over:
                self._shelf.store.delete(lost.place)
            self._shelf.clear()
        return gone

    def reconcile(self) -> int:
        """Put right at start what a kill, or somebody in the folders, left behind; return how many things.

        Half-written files go. Folders without a row go to the trash, as does a voice of this machine without its
        reference. A hosted voice stays, for this row is the only record of it. Where another file is missing the voice
        lives on without it: the engine makes its own again, a preview is simply no longer there.

        Raises:
            LibraryError: ``library_broken``.
        """
        if self._shelf.shared:  # a purge clears what a kill has left, and a row says of everything whose it is
            return self._shelf.store.sweep(shared=True)
        with self._shelf.locked():
            self.check_integrity()
            changed = self._shelf.store.sweep() + self._shelf.clear()
            present: dict[str, set[str]] = {}
            for key in self._shelf.store.keys(ROOT):
                folder, _, name = key.removeprefix(f"{ROOT}/").rpartition("/")
                present.setdefault(folder, set()).add(name)
            with self._shelf.changing() as db:
                for row in db.execute(select(VOICES)).all():
                    changed += self._match_files(db, from_row(row), bool(row.forgotten_until), present)
            n_lost = self._keep_lost()
        if n_lost:
            log.warning(
                "Recordings of %d voices have no entry in the database. They are kept in the trash for up to %d days;"
                " python -m clone doctor tells what can be restored.",
                n_lost,
                TRASH_KEPT_FOR.days,
            )
        return changed + n_lost

    def check_integrity(self) -> None:
        """Read the database through; raises LibraryError ``library_broken``."""
        with self._shelf.reading.begin() as db:
            check_integrity(db)

    def lost(self, folder: str | None = None) -> list[Lost]:
        """Return all recordings without a row, or those of one folder; in the trash or still among the others."""
        with self._shelf.reading.begin() as db:
            known = self._shelf.folders(db).keys() | self._shelf.unsettled(db)
        return lost_in(self._shelf.store, known, folder)

    def restore(self) -> list[Voice]:
        """Make again the rows of what is lost and can be restored; return the voices."""
        restored: dict[str, Voice] = {}
        with self._shelf.leading() as leads:
            if not leads:
                raise busy()
            if not self._shelf.shared:
                self._keep_lost()
            lost = self.lost()
            with self._shelf.changing() as db:  # should it break off, what has come back is lost again, and found again
                for each in reversed(lost):  # of two with one name, the one that would have stayed longer
                    if each.voice and each.restorable and each.folder not in restored:
                        self._shelf.insert(db, each.voice)
                        if each.place != f"{ROOT}/{each.folder}":
                            self._shelf.store.move(each.place, f"{ROOT}/{each.folder}")
                        restored[each.folder] = each.voice
                for voice in self._kept_after_all(db):
                    restored[folder_of(voice.voice_id)] = self._shelf.update(db, voice)
        return list(restored.values())

    def forget_lost(self, owner: str, folder: str | None = None) -> int:
        """Delete an owner's lost recordings, or those of one folder; return of how many voices."""
        if self._shelf.shared:
            return 0 if folder is None else self._forget_lost(owner, folder)
        with self._shelf.locked():
            own = [lost for lost in self.lost(folder) if lost.voice and lost.voice.owner == owner]
            for lost in own:
                self._shelf.store.delete(lost.place)
        return len(own)

    def _forget_lost(self, owner: str, folder: str) -> int:
        """Delete a folder without a row where its record says that it is the owner's; the bucket is not listed."""
        voice = record_in(self._shelf.store, f"{ROOT}/{folder}", folder)
        if voice is None or voice.owner != owner:
            return 0
        keys = [f"{ROOT}/{folder}/{name}" for name in (*voice.files, RECORD)]
        with self._shelf.changing() as db:
            self._shelf.name_alone(db, voice.voice_id)
            if _ids(db, VOICES.c.voice_id == voice.voice_id):  # it has come meanwhile
                return 0
            leftovers.hold(db, keys, for_s=0)
        return min(1, self._shelf.clear(voice.voice_id))

    def _servers_time(self) -> tuple[str, float]:
        """Return the database's clock as the count of seconds that every host's is held against."""
        with self._shelf.reading.begin() as db:
            return "database", float(db.execute(select(seconds(db))).scalar_one())

    def purge_waits_s(self) -> float | None:
        """Return for how long yet nothing expired is deleted, because the clock may be wrong; None when it need not."""
        with self._shelf.reading.begin() as db:
            noted = self._shelf.noted(db, _WAITING)
        return None if noted is None else max(0.0, PUT_OFF_S - self._waited_s(json.loads(noted)))

    def voices(self) -> dict[str, Voice]:
        """Return every voice by its folder, expired and forgotten ones too."""
        with self._shelf.reading.begin() as db:
            return self._shelf.folders(db)

    def short(self) -> list[Voice]:
        """Return the voices some of whose files are missing, with those that are there."""
        voices = self.voices()
        there = ((voice, with_files(self._shelf.store, voice, f"{ROOT}/{folder}")) for folder, voice in voices.items())
        return [left for voice, left in there if left.files != voice.files]

    def kept_after_all(self) -> list[Voice]:
        """Return the voices that are temporary by their rows, and were kept for good by the records beside them."""
        with self._shelf.reading.begin() as db:
            return self._kept_after_all(db)

    def _kept_after_all(self, db: Connection) -> list[Voice]:
        kept = []
        for folder, voice in self._shelf.folders(db).items():
            recorded = None if voice.permanent else record_in(self._shelf.store, f"{ROOT}/{folder}", folder)
            if recorded and recorded.permanent and recorded.owner == voice.owner:
                kept.append(replace(voice, permanent_at=recorded.permanent_at, expires_at=None))
        return kept

    def _waits(self, db: Connection, n_due: int, n_trash: int) -> bool:
        """Whether so much is not to go yet; see the module."""
        n_kept = n_trash + db.execute(select(func.count(VOICES.c.expires_at))).scalar_one()
        boot, seconds = self._uptime()
        noted = self._shelf.noted(db, _WAITING)
        even = self._is_even(db, boot, seconds)
        if 2 * n_due > n_kept and not even:
            waited_s = self._waited_s(json.loads(noted)) if noted else 0.0
            if waited_s < PUT_OFF_S:
                waiting = {"boot": boot, "at": seconds, "waited_s": waited_s}
                self._shelf.note(db, _WAITING, json.dumps(waiting))
                self._tell(n_due, n_kept)
                return True
        self._logged = False
        if noted:
            self._shelf.note(db, _WAITING, None)
        if not even:
            trusted = {"boot": boot, "at": seconds, "now": self._shelf.now().timestamp()}
            self._shelf.note(db, _TRUSTED, json.dumps(trusted))
        return False

    def _is_even(self, db: Connection, boot: str, seconds: float) -> bool:
        """Whether the clock went as far as the seconds did since it was last trusted; never over a restart."""
        then = json.loads(self._shelf.noted(db, _TRUSTED) or "{}")
        if then.get("boot") != boot or seconds < then["at"]:
            return False
        ahead_s = self._shelf.now().timestamp() - float(then["now"]) - (seconds - float(then["at"]))
        return abs(ahead_s) <= UNEVEN_S

    def _waited_s(self, waiting: Mapping[str, float | str]) -> float:
        """Return how long a purge has waited, by the machine's uptime; time between two starts is not known."""
        boot, seconds = self._uptime()
        before_s, at = float(waiting["waited_s"]), float(waiting["at"])
        return before_s + (max(0.0, seconds - at) if waiting["boot"] == boot else 0.0)

    def _tell(self, n_due: int, n_kept: int) -> None:
        if not self._logged:
            log.warning(
                "By the clock %d of %d temporary voices are to be deleted at once. In case it is wrong, that waits for"
                " an hour.",
                n_due,
                n_kept,
            )
        self._logged = True

    def _match_files(self, db: Connection, voice: Voice, forgotten: bool, present: Mapping[str, set[str]]) -> int:
        folder = folder_of(voice.voice_id)
        there = present.get(folder, set())
        unnamed = there - {*voice.files, RECORD}  # an update was killed
        for name in unnamed:
            self._shelf.store.delete(f"{ROOT}/{folder}/{name}")
        if {*voice.files} <= there:
            if RECORD not in there and not forgotten:
                self._shelf.put(folder, {RECORD: to_record(voice)})
            return bool(unnamed)
        left = with_files(self._shelf.store, voice, f"{ROOT}/{folder}")
        if voice.backend == "local" and not _has_reference(left):
            db.execute(delete(VOICES).filter_by(voice_id=voice.voice_id))
        else:
            self._shelf.update(db, left)
        return 1

    def _keep_lost(self) -> int:
        """Move what has no row to the trash; return how many folders."""
        lost = [each for each in self.lost() if not each.goes_at]
        there = set(self._shelf.store.folders(TRASH))
        for each in lost:
            until = self._shelf.now() + TRASH_KEPT_FOR
            if each.voice and each.voice.expires_at:
                until = min(until, each.voice.expires_at)
            while (name := f"{until.astimezone(UTC):{_GOES_AT}}.{each.folder}") in there:
                until += timedelta(seconds=1)
            self._shelf.store.move(each.place, f"{TRASH}/{name}")
        return len(lost)


class Expiring(Protocol):
    """What retention asks of the library, which is made of what stands above."""

    def purge(self) -> int: ...  # noqa: D102

    def forget(self, voice_id: str, owner: str, undo_s: float = 0.0) -> None: ...  # noqa: D102

    def forget_now(self) -> int: ...  # noqa: D102

    def next_purge_s(self, at_most_s: float) -> float: ...  # noqa: D102


class Retention:
    """A thread beside everything else; one per process.

    Args:
        library: what it keeps in order.
        sweep: takes back what was lent for a while.
        purges: delete what goes with voices that are gone, and what is kept for a while beside them.
    """

    def __init__(self, library: Expiring, sweep: Callable[[], object], *purges: Callable[[], object]) -> None:
        self._library = library
        self._purges = purges
        self._sweep = sweep
        self._news = threading.Event()
        self._closed = False

    def start(self) -> None:
        """Begin, with what an earlier process left for later."""
        threading.Thread(target=self._keep_on, name="timbre-purge", daemon=True).start()

    def forget(self, voice_id: str, owner: str, undo_s: float) -> None:
        """Forget a voice, and be there in time to delete it; see Library.forget."""
        self._library.forget(voice_id, owner, undo_s)
        self._news.set()

    def close(self) -> None:
        """End, and delete what this process would have deleted later."""
        self._closed = True
        self._news.set()
        try:
            self._library.forget_now()
            self._purge_others()
        except Exception:  # the next start comes to it
            log.exception("Forgotten voices could not be deleted just now")

    def _keep_on(self) -> None:
        wait_s = 0.0
        while not self._closed:
            self._news.wait(wait_s)
            self._news.clear()
            if self._closed:
                return
            _tried(self._sweep)
            wait_s = _tried(self._purge) or PURGE_EVERY_S

    def _purge_others(self) -> None:
        for purge in self._purges:
            purge()

    def _purge(self) -> float:
        """Return how many seconds later it is due again."""
        self._library.purge()
        self._purge_others()
        return max(_AT_LEAST_S, self._library.next_purge_s(PURGE_EVERY_S))


def lost_in(store: Store, known: Container[str] = (), folder: str | None = None) -> list[Lost]:
    """Return the recordings in a store that are of no known folder, or those of one; in the trash or not."""
    among = [(f"{ROOT}/{each}", each, None) for each in store.folders(ROOT) if each not in known]
    places = [*among, *((lost.place, lost.folder, lost.goes_at) for lost in _trash(store))]
    return [_found(store, *place) for place in places if folder in (None, place[1])]


def _found(store: Store, place: str, folder: str, goes_at: datetime | None) -> Lost:
    voice = record_in(store, place, folder)
    return Lost(place, folder, voice and with_files(store, voice, place), goes_at)


def _trash(store: Store) -> Iterator[Lost]:
    for name in store.folders(TRASH):
        goes_at, _, folder = name.partition(".")
        try:
            at = datetime.strptime(goes_at, _GOES_AT).replace(tzinfo=UTC)
        except ValueError:  # somebody else put it there
            continue
        yield Lost(f"{TRASH}/{name}", folder, None, at)


def _ids(db: Connection, which: ColumnElement[bool]) -> list[str]:
    """Return which voices are so, and stay so until the transaction ends."""
    return list(db.execute(select(VOICES.c.voice_id).where(which).with_for_update()).scalars())


def _remember(db: Connection, now: datetime) -> None:
    """Note which voices expire now, and whose they were, but for those that were forgotten."""
    those = select(VOICES.c.voice_id, VOICES.c.owner, VOICES.c.expires_at)
    those = those.where(VOICES.c.expires_at <= now, VOICES.c.forgotten_until.is_(None))
    those = those.where(~exists(EXPIRED.c.voice_id).where(EXPIRED.c.voice_id == VOICES.c.voice_id))
    db.execute(insert(EXPIRED).from_select(list(EXPIRED.c), those))


def _has_reference(voice: Voice) -> bool:
    return any(name.startswith(REFERENCE) for name in voice.files)


def _tried(work: Callable[[], Any]) -> Any:
    """Do it; None where it fails: a full disk or a locked database passes, and retention must go on after it."""
    try:
        return work()
    except Exception:
        log.exception("What has expired could not be deleted just now")
        return None
