"""Speech that is fetched by a link: asked for later (a task), or there already (a take). Kept a day, then gone.

A task is a row first and gets its file when it has been spoken; a take is both at once. Files lie at
``speech/<task_id>/speech.<suffix>``: written before the row says so, removed after the row is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from clone.contract.speech import LINK_LIFETIME, TASK_STATUSES
from clone.core.errors import BusyError, TaskError
from clone.storage.database import TASKS, Kept, used_bytes
from clone.storage.voice import sayable

QUEUED, PROCESSING, SUCCEED, FAILED = TASK_STATUSES
MAX_WAITING = 100
MAX_WAITING_PER_OWNER = 10
MAX_OWNER_BYTES = 1_000_000_000
"""Disk that one owner's takes may take."""

_N_TASKS = select(func.count()).select_from(TASKS)
_ROOT = "speech"
_RETRY_AFTER_S = 60


@dataclass(frozen=True)
class Task:
    """One row; ``file`` is "" until it is spoken, ``reason`` says why a failed one failed."""

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


class Tasks(Kept):
    """All speech that is fetched by a link."""

    def add(self, owner: str, model: str, request: str) -> Task:
        """Note what is to be spoken later.

        Raises:
            BusyError: too much waits already, the owner's or everybody's.
        """
        waiting = _N_TASKS.where(TASKS.c.status.in_([QUEUED, PROCESSING]))
        with self._reading.begin() as db:
            everybodys = db.execute(waiting).scalar_one()
            owners = db.execute(waiting.filter_by(owner=owner)).scalar_one()
        if everybodys >= MAX_WAITING:
            raise _too_much(f"{everybodys} tasks are waiting", "queue_full", everybodys, MAX_WAITING)
        if owners >= MAX_WAITING_PER_OWNER:
            raise _too_much(f"{owners} of your tasks are waiting", "quota_work", owners, MAX_WAITING_PER_OWNER)
        return self._insert(self._new(owner, model, request, QUEUED))

    def keep(self, owner: str, model: str, data: bytes, suffix: str) -> Task:
        """Keep speech that is there already, to be fetched by its link.

        Raises:
            BusyError: ``quota_disk``.
        """
        self._check_disk(owner, len(data))
        task = self._new(owner, model, "", SUCCEED, file=f"speech.{suffix}", n_bytes=len(data))
        self._store.put(_key(task.task_id, task.file), data)
        return self._insert(task)

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

    def next(self) -> Task | None:
        """Take the task that has waited longest, to speak it; None when none waits."""
        with self._writing.begin() as db:
            row = db.execute(select(TASKS).filter_by(status=QUEUED).order_by(TASKS.c.created_at).limit(1)).first()
            if row:
                _set(db, row.task_id, status=PROCESSING)
        return Task(**row._asdict()) if row else None

    def finish(self, task: Task, data: bytes, suffix: str) -> None:
        """Keep what a task asked for; its time begins now."""
        name = f"speech.{suffix}"
        self._store.put(_key(task.task_id, name), data)
        until = self._now() + LINK_LIFETIME
        with self._writing.begin() as db:
            _set(db, task.task_id, status=SUCCEED, file=name, n_bytes=len(data), request="", expires_at=until)

    def fail(self, task: Task, reason: str) -> None:
        """Note why a task can't be done."""
        with self._writing.begin() as db:
            _set(db, task.task_id, status=FAILED, reason=reason, request="")

    def put_back(self, task: Task) -> None:
        """Let a task wait again that was taken and could not be begun or gone on with."""
        with self._writing.begin() as db:
            _set(db, task.task_id, status=QUEUED)

    def forget(self, owner: str) -> int:
        """Remove all speech of an owner, spoken or not; return how much."""
        return self._delete(TASKS.c.owner == owner)

    def resume(self) -> int:
        """Put back what was being spoken when the process ended; tidy up. For the start; return how many wait."""
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
            gone = db.execute(select(TASKS.c.task_id).where(which)).scalars().all()
            db.execute(delete(TASKS).where(which))
        for task_id in gone:
            self._store.delete(f"{_ROOT}/{task_id}")
        return len(gone)

    def _find(self, task_id: str) -> Task | None:
        if not sayable(task_id):
            return None
        with self._reading.begin() as db:
            row = db.execute(select(TASKS).where(TASKS.c.task_id == task_id, TASKS.c.expires_at > self._now())).first()
        return Task(**row._asdict()) if row else None

    def _check_disk(self, owner: str, n_bytes: int) -> None:
        with self._reading.begin() as db:
            used = used_bytes(db, TASKS, owner) + n_bytes
        if used > MAX_OWNER_BYTES:
            raise BusyError(
                f"Your speech would take {used / 1e6:.0f} MB; at most {MAX_OWNER_BYTES / 1e6:.0f} MB are kept for you.",
                code="quota_disk",
                measured=used,
                limit=MAX_OWNER_BYTES,
                advice="Ask for hex instead of url, or wait until older speech is gone.",
                retry_after_s=3600,
            )

    def _new(self, owner: str, model: str, request: str, status: str, *, file: str = "", n_bytes: int = 0) -> Task:
        now = self._now()
        task_id = str(uuid.uuid4())
        return Task(task_id, owner, model, request, status, "", now, now + LINK_LIFETIME, file, n_bytes)

    def _insert(self, task: Task) -> Task:
        with self._writing.begin() as db:
            db.execute(insert(TASKS), vars(task))
        return task


def _set(db: Connection, task_id: str, **columns: object) -> None:
    db.execute(update(TASKS).filter_by(task_id=task_id).values(columns))


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
