"""Speech that is fetched by a link: asked for later (a task), or there already (a take). Kept a day, then gone.

A task is a row first and gets its file when it has been spoken; a take is both at once. Files lie at
``speech/<task_id>/speech.<suffix>``: written before the row says so, removed after the row is.

Where hosts share the tasks each is held, while it is spoken, by who took it, and nobody else ends it. The lease is
renewed with every sentence, so that the task of a host that is gone is soon taken by another.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from clone.contract.speech import LINK_LIFETIME, TASK_STATUSES
from clone.core.errors import BusyError, TaskError
from clone.storage import leftovers
from clone.storage.database import TASKS, Repository, used_bytes, utc_now
from clone.storage.files import Store
from clone.storage.server import lock, seconds
from clone.storage.voice import sayable

QUEUED, PROCESSING, SUCCEED, FAILED = TASK_STATUSES
MAX_WAITING = 100
MAX_WAITING_PER_OWNER = 10
MAX_OWNER_BYTES = 1_000_000_000
"""Disk that one owner's takes may take."""

LEASE_S = 30.0
"""How long a task of a shared library waits for a host that is gone."""

LINKED_FOR_S = 3600
"""How long a link into a bucket is good, at most: it is given out anew whenever somebody asks."""

_N_TASKS = select(func.count()).select_from(TASKS)
_ROOT = "speech"
_RETRY_AFTER_S = 60


@dataclass(frozen=True)
class Task:
    """One row; ``file`` is "" until it is spoken, ``reason`` says why a failed one failed.

    ``holder`` is who speaks it, of a shared library until ``leased_until``; ``done_percent`` is how much is spoken.
    """

    task_id: str
    owner: str
    model: str
    request: str
    status: str
    reason: str
    created_at: datetime
    expires_at: datetime
    file: str
    n_bytes: int
    holder: str = ""
    leased_until: float = 0.0
    done_percent: int = 0


class Tasks(Repository):
    """All speech that is fetched by a link.

    Args:
        database: the library's, migrated.
        store: where the files lie.
        now: the clock.
        lease_s: how long a shared task is held without a word from who speaks it; ``LEASE_S`` by default.
    """

    def __init__(
        self, database: Engine, store: Store, now: Callable[[], datetime] = utc_now, lease_s: float | None = None
    ) -> None:
        super().__init__(database, store, now)
        self.lease_s = (LEASE_S if lease_s is None else lease_s) if self._shared else 0.0

    def add(self, owner: str, model: str, request: str) -> Task:
        """Note what is to be spoken later.

        Raises:
            BusyError: too much waits already, the owner's or everybody's.
        """
        task = self._new(owner, model, request, QUEUED)
        waiting = _N_TASKS.where(TASKS.c.status.in_([QUEUED, PROCESSING]))
        with self._writing.begin() as db:
            lock(db, "tasks", owner)
            everybodys = db.execute(waiting).scalar_one()
            owners = db.execute(waiting.filter_by(owner=owner)).scalar_one()
            if everybodys >= MAX_WAITING:
                raise _too_much(f"{everybodys} tasks are waiting", "queue_full", everybodys, MAX_WAITING)
            if owners >= MAX_WAITING_PER_OWNER:
                raise _too_much(f"{owners} of your tasks are waiting", "quota_work", owners, MAX_WAITING_PER_OWNER)
            db.execute(insert(TASKS), vars(task))
        return task

    def keep(self, owner: str, model: str, data: bytes, suffix: str) -> Task:
        """Keep speech that is there already, to be fetched by its link.

        Raises:
            BusyError: ``quota_disk``.
        """
        task = self._new(owner, model, "", SUCCEED, file=f"speech.{suffix}", n_bytes=len(data))
        with self._writing.begin() as db:  # the row first: a kill leaves no file without one
            lock(db, "tasks", owner)
            _check_disk(used_bytes(db, TASKS, owner) + len(data))
            db.execute(insert(TASKS), vars(task))
        try:
            self._store.put(_key(task.task_id, task.file), data)
        except BaseException:
            self._delete(TASKS.c.task_id == task.task_id)
            raise
        return task

    def get(self, task_id: str, owner: str) -> Task:
        """Return an owner's task.

        Raises:
            TaskError: ``unknown_task``; somebody else's, and one whose time is over, look so too.
        """
        task = self._find(task_id)
        if task is None or task.owner != owner:
            hours = LINK_LIFETIME // timedelta(hours=1)
            raise TaskError(
                "There is no task with this task_id.",
                code="unknown_task",
                field="task_id",
                advice=f"Check the task_id; results are kept for {hours} hours.",
            )
        return task

    def path(self, task_id: str) -> Path | None:
        """Return the file of a task, to whoever has its link; None when there is none, or none any more."""
        task = self._find(task_id)
        try:
            return self._store.path(_key(task_id, task.file)) if task and task.file else None
        except FileNotFoundError:
            return None

    @property
    def are_in_bucket(self) -> bool:
        """Whether files are fetched from a bucket, by links of its own."""
        return self._store.signs

    def link(self, task_id: str, media: str, *, saved: bool, head: bool = False) -> str | None:
        """Return a link into the bucket where a task's file is, as Store.sign; None when there is no file any more."""
        task = self._find(task_id)
        if task is None or not task.file:
            return None
        for_s = min(LINKED_FOR_S, int((task.expires_at - self._now()).total_seconds()))
        return self._store.sign(_key(task_id, task.file), max(1, for_s), media=media, saved=saved, head=head)

    def next(self) -> Task | None:
        """Take the task that has waited longest, to speak it; None when none waits."""
        waits, holder = TASKS.c.status == QUEUED, uuid.uuid4().hex
        with self._writing.begin() as db:
            if self._shared:
                waits |= (TASKS.c.status == PROCESSING) & (TASKS.c.leased_until <= seconds(db))
            oldest = select(TASKS).where(waits).order_by(TASKS.c.created_at).limit(1)
            row = db.execute(oldest.with_for_update(skip_locked=True)).first()
            if row:
                until = seconds(db) + self.lease_s
                taken = {"holder": holder, "leased_until": until, "done_percent": 0}
                _set(db, TASKS.c.task_id == row.task_id, status=PROCESSING, **taken)
        return replace(Task(**row._asdict()), status=PROCESSING, holder=holder) if row else None

    def renew(self, task: Task, done_percent: int) -> bool:
        """Say that a task is still being spoken; return whether it is still this holder's to speak."""
        with self._writing.begin() as db:
            return _set(db, _held(task), leased_until=seconds(db) + self.lease_s, done_percent=done_percent)

    def finish(self, task: Task, data: bytes, suffix: str) -> bool:
        """Keep what a task asked for; its time begins now. Return False where it is somebody else's meanwhile."""
        name = f"speech.{suffix}"
        done = {"file": name, "n_bytes": len(data), "request": "", "expires_at": self._now() + LINK_LIFETIME}
        with self._writing.begin() as db:  # nobody else takes it, or deletes it, until file and row agree
            if not _set(db, _held(task), status=SUCCEED, done_percent=100, **done):
                return False
            self._store.put(_key(task.task_id, name), data)
        return True

    def fail(self, task: Task, reason: str) -> None:
        """Note why a task can't be done."""
        with self._writing.begin() as db:
            _set(db, _held(task), status=FAILED, reason=reason, request="")

    def put_back(self, task: Task) -> None:
        """Let a task wait again that was taken and could not be begun or gone on with."""
        with self._writing.begin() as db:
            _set(db, _held(task), status=QUEUED, holder="")

    def forget(self, owner: str) -> int:
        """Remove all speech of an owner, spoken or not; return how much."""
        return self._delete(TASKS.c.owner == owner)

    def resume(self) -> int:
        """Put back what was being spoken when the process ended; tidy up. For the start; return how many wait.

        Of a shared library nothing: others speak, and what is nobody's any more is taken when its lease is over.
        """
        if self._shared:
            with self._reading.begin() as db:
                return int(db.execute(_N_TASKS.filter_by(status=QUEUED)).scalar_one())
        with self._writing.begin() as db:
            db.execute(update(TASKS).filter_by(status=PROCESSING).values(status=QUEUED))
            n_waiting = db.execute(_N_TASKS.filter_by(status=QUEUED)).scalar_one()
            known = set(db.execute(select(TASKS.c.task_id)).scalars())
        for name in set(self._store.folders(_ROOT)) - known:  # a kill came between a file and its row
            self._store.delete(f"{_ROOT}/{name}")
        return n_waiting

    def purge(self) -> int:
        """Remove everything whose time is over; return how many."""
        return self._delete(TASKS.c.expires_at <= self._now())

    def _delete(self, which: ColumnElement[bool]) -> int:
        with self._writing.begin() as db:
            gone = db.execute(select(TASKS.c.task_id, TASKS.c.file).where(which).with_for_update()).all()
            if self._shared:
                leftovers.doom(db, [_key(*each) for each in gone if each.file])
            db.execute(delete(TASKS).where(TASKS.c.task_id.in_([each.task_id for each in gone])))
        if self._shared:
            leftovers.clear(self._writing, self._store, _ROOT)
        for task_id, _ in () if self._shared else gone:
            self._store.delete(f"{_ROOT}/{task_id}")
        return len(gone)

    def _find(self, task_id: str) -> Task | None:
        if not sayable(task_id):
            return None
        with self._reading.begin() as db:
            row = db.execute(select(TASKS).where(TASKS.c.task_id == task_id, TASKS.c.expires_at > self._now())).first()
        return Task(**row._asdict()) if row else None

    def _new(self, owner: str, model: str, request: str, status: str, *, file: str = "", n_bytes: int = 0) -> Task:
        now = self._now()
        task_id = str(uuid.uuid4())
        return Task(task_id, owner, model, request, status, "", now, now + LINK_LIFETIME, file, n_bytes)


def _held(task: Task) -> ColumnElement[bool]:
    """Whether a task is still spoken by who took it."""
    return (TASKS.c.task_id == task.task_id) & (TASKS.c.status == PROCESSING) & (TASKS.c.holder == task.holder)


def _set(db: Connection, which: ColumnElement[bool], **columns: object) -> bool:
    """Change tasks; return whether there was one."""
    return bool(db.execute(update(TASKS).where(which).values(columns)).rowcount)


def _check_disk(used: int) -> None:
    if used > MAX_OWNER_BYTES:
        raise BusyError(
            f"Your speech would take {used / 1e6:.0f} MB; at most {MAX_OWNER_BYTES / 1e6:.0f} MB are kept for you.",
            code="quota_disk",
            measured=used,
            limit=MAX_OWNER_BYTES,
            advice="Ask for hex instead of url, or wait until older speech is gone.",
            retry_after_s=3600,
        )


def _key(task_id: str, name: str) -> str:
    return f"{_ROOT}/{task_id}/{name}"


def _too_much(what: str, code: str, measured: int, limit: int) -> BusyError:
    return BusyError(
        f"{what}; at most {limit} may wait.",
        code=code,
        measured=measured,
        limit=limit,
        advice="Try again in a minute.",
        retry_after_s=_RETRY_AFTER_S,
    )
