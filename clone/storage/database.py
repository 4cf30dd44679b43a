"""The library's database: its schema, how it is opened, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, ExceptionContext, event

from clone.core.errors import DiskFull, LibraryError, TimbreError, disk_full
from clone.core.workspace import make_private_folder
from clone.storage.files import Store
from clone.storage.server import BUSY_WITHIN_S, busy, is_shared, open_server

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


class Time(sa.TypeDecorator[datetime]):
    """An aware time, as text of one width, so that text order is time order in every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        """Return it as it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        """Return it as it was."""
        return None if value is None else datetime.fromisoformat(value)


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(200), primary_key=True)


SCHEMA = sa.MetaData()

VOICES = sa.Table(
    "voices",
    SCHEMA,
    _id("voice_id"),
    *_columns(sa.String(200), "owner", "backend", "reference_sha256", "request_key"),
    *_columns(sa.Text, "name", "note", "consent_by", "engine_version"),
    *_columns(sa.Text, "model", nullable=True),
    *_columns(sa.JSON, "settings", "files", "tags"),
    *_columns(sa.BigInteger, "n_bytes"),
    *_columns(Time, "consent_at", "created_at"),
    *_columns(Time, "expires_at", "permanent_at", "forgotten_until", nullable=True),
    *_columns(sa.Double, "likeness", "ceiling", "typical_stock", nullable=True),
    *_columns(sa.Integer, "n_stock_beaten", "n_stock", "n_pieces_reached", "n_pieces", nullable=True),
    sa.CheckConstraint("(expires_at IS NULL) = (permanent_at IS NOT NULL)"),
    sa.Index("voices_by_owner", "owner", "created_at"),
    sa.Index("voices_by_request", "owner", "request_key"),
    sa.Index("voices_by_expiry", "expires_at"),
    sa.Index("voices_by_forgetting", "forgotten_until"),
)
"""The fields of ``Voice``; ``forgotten_until`` says until when one that nobody sees any more may be brought back."""

EXPIRED = sa.Table(
    "expired_voices", SCHEMA, _id("voice_id"), *_columns(sa.String(200), "owner"), *_columns(Time, "expired_at")
)
"""Of a purged voice that it was there, and of nobody else's business more than that."""

TASKS = sa.Table(
    "tasks",
    SCHEMA,
    _id("task_id"),
    *_columns(sa.String(200), "owner", "model", "status", "file"),
    *_columns(sa.Text, "request", "reason"),
    *_columns(Time, "created_at", "expires_at"),
    *_columns(sa.BigInteger, "n_bytes"),
    *_columns(sa.String(200), "holder"),
    *_columns(sa.Double, "leased_until"),
    *_columns(sa.Integer, "done_percent"),
    sa.Index("tasks_by_status", "status", "created_at"),
    sa.Index("tasks_by_owner", "owner"),
)
"""Speech asked for by its link, or for later: what is to be said until it is said, then its file for a while.

Who speaks one of a shared library holds it until ``leased_until``, in seconds since 1970 by the database's clock.
"""

PAID = sa.Table(
    "paid_requests",
    SCHEMA,
    _id("entry_id"),
    *_columns(sa.String(200), "owner", "kind", "state", "voice_id"),
    *_columns(sa.Text, "preview_url"),
    *_columns(sa.Text, "voice", nullable=True),
    *_columns(Time, "created_at"),
    *_columns(sa.BigInteger, "n_bytes"),
    *_columns(sa.JSON, "files"),
    sa.Index("paid_requests_by_owner", "owner", "created_at"),
)
"""What was sent to be paid for, until its end is known; its id is a hash of the request, so each is there once."""

DOCUMENTS = sa.Table(
    "documents",
    SCHEMA,
    _id("document_id"),
    *_columns(sa.String(200), "owner", "voice_id", "model", "request_key"),
    *_columns(sa.Text, "name", "text"),
    *_columns(sa.JSON, "settings", "speakers"),
    *_columns(Time, "created_at", "changed_at"),
    sa.Index("documents_by_owner", "owner", "created_at"),
    sa.Index("documents_by_voice", "voice_id"),
)
SENTENCES = sa.Table(
    "sentences",
    SCHEMA,
    sa.Column("document_id", sa.ForeignKey(DOCUMENTS.c.document_id, ondelete="CASCADE"), primary_key=True),
    sa.Column("sentence_id", sa.Integer, primary_key=True, autoincrement=False),
    *_columns(sa.Integer, "position", "ends_paragraph", "heading"),
    *_columns(sa.Text, "text"),
    *_columns(sa.Double, "pause_s"),
    *_columns(sa.String(200), "voice_id", nullable=True),
    *_columns(sa.Integer, "take", nullable=True),
)
TAKES = sa.Table(
    "sentence_takes",
    SCHEMA,
    sa.Column("document_id", sa.String(200), primary_key=True),
    *(sa.Column(name, sa.Integer, primary_key=True, autoincrement=False) for name in ("sentence_id", "take")),
    *_columns(sa.Integer, "variant"),
    *_columns(sa.Text, "text"),
    *_columns(sa.String(200), "voice_id"),
    *_columns(sa.Double, "duration_s", nullable=True),
    *_columns(sa.BigInteger, "n_bytes"),
    sa.ForeignKeyConstraint(
        ["document_id", "sentence_id"], [SENTENCES.c.document_id, SENTENCES.c.sentence_id], ondelete="CASCADE"
    ),
)
"""What was said with a voice, by sentence, and each sentence's last takes; one without a duration is being written."""

ABOUT = sa.Table("about", SCHEMA, _id("name"), *_columns(sa.Text, "value"))
"""What is known of the library itself."""
UNSETTLED = sa.Table(
    "unsettled",
    SCHEMA,
    sa.Column("folder", sa.String(400), primary_key=True),
    *_columns(sa.String(200), "holder"),
    *_columns(sa.Double, "leased_until"),
)
"""Folders of voices being filled or emptied: without a row they are nobody's.

Of a shared library, files by their keys: nobody's once ``leased_until`` is over; see leftovers.py.
"""

CALLS = sa.Table(
    "calls",
    SCHEMA,
    _id("name"),
    sa.Column("at", sa.JSON().with_variant(sa.ARRAY(sa.Double), "postgresql"), nullable=False),
    *_columns(sa.Double, "last"),
    sa.Index("calls_by_last", "last"),
)
"""When each key's last calls were, where several hosts count them together."""

_VERSION = sa.Table("schema_version", SCHEMA, *_columns(sa.Integer, "version"))
FIRST_VERSION = 100
"""What was written by a lower one is from before the first release."""


def _takes(db: Connection) -> None:
    """Give documents names and speakers, and sentences takes: what was said of each is its first one."""
    for column in ("name TEXT DEFAULT ''", "speakers JSON DEFAULT '[]'", "changed_at VARCHAR(32) DEFAULT ''"):
        db.execute(sa.text(f"ALTER TABLE documents ADD COLUMN {column} NOT NULL"))
    db.execute(sa.text("UPDATE documents SET changed_at = created_at, request_key = ''"))
    db.execute(sa.text("ALTER TABLE documents DROP COLUMN n_sentences"))
    db.execute(sa.text("ALTER TABLE sentences RENAME TO sentences_before"))
    SCHEMA.create_all(db, [SENTENCES, TAKES])
    db.execute(
        sa.text(
            "INSERT INTO sentences SELECT document_id, position, position, 0, 0, text, 0.35, NULL, 0"
            " FROM sentences_before"
        )
    )
    db.execute(
        sa.text(
            "INSERT INTO sentence_takes SELECT s.document_id, s.position, 0, 0, s.text, d.voice_id, s.duration_s,"
            " s.n_bytes FROM sentences_before s JOIN documents d ON d.document_id = s.document_id"
        )
    )
    db.execute(sa.text("DROP TABLE sentences_before"))


def _tags(db: Connection) -> None:
    """Give voices tags: those that are there have none."""
    db.execute(sa.text("ALTER TABLE voices ADD COLUMN tags JSON DEFAULT '[]' NOT NULL"))


def _leases(db: Connection) -> None:
    """Let several hosts share a library: who holds what, and until when; what was called when, and which files are."""
    lease = "holder VARCHAR(200) DEFAULT '' NOT NULL", "leased_until DOUBLE PRECISION DEFAULT 0 NOT NULL"
    added = {
        TASKS.name: (*lease, "done_percent INTEGER DEFAULT 0 NOT NULL"),
        UNSETTLED.name: lease,
        PAID.name: ("files JSON DEFAULT '[]' NOT NULL",),
    }
    for table, column in ((table, column) for table, columns in added.items() for column in columns):
        db.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {column}"))
    if db.dialect.name != "sqlite":  # there a length is no limit
        db.execute(sa.text(f"ALTER TABLE {UNSETTLED.name} ALTER COLUMN folder TYPE VARCHAR(400)"))
    SCHEMA.create_all(db, [CALLS])


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_takes, _tags, _leases)
"""What brings a database of the first version to the one above, in order; one more than the last for each."""


class Repository:
    """Something kept in rows, with files in the store; every owner's, and safe to share between threads.

    Args:
        database: the library's, migrated.
        store: where the files lie.
        now: the clock.
    """

    def __init__(self, database: Engine, store: Store, now: Callable[[], datetime] = utc_now) -> None:
        self._reading = database
        self._writing = database.execution_options(writes=True)
        self._store = store
        self._now = now
        self._shared = is_shared(database)


def migrate(db: Connection) -> None:
    """Bring a database to the newest schema, within the caller's transaction.

    Raises:
        LibraryError: ``library_newer``, a later version of Timbre has written it; ``library_older``, one from before
            the first release.
    """
    newest = FIRST_VERSION + len(MIGRATIONS)
    version = db.execute(sa.select(_VERSION.c.version)).scalar() if sa.inspect(db).has_table(_VERSION.name) else None
    if version is None:
        SCHEMA.create_all(db)
        db.execute(sa.insert(_VERSION), {"version": newest})
        return
    if not FIRST_VERSION <= version <= newest:
        raise _older(version) if version < FIRST_VERSION else _newer(version, newest)
    for migration in MIGRATIONS[version - FIRST_VERSION :]:
        migration(db)
    if version < newest:
        db.execute(sa.update(_VERSION), {"version": newest})


def _older(version: int) -> LibraryError:
    return LibraryError(
        f"The library is of an early version of Timbre, with schema {version}; nothing was changed.",
        code="library_older",
        measured=version,
        limit=FIRST_VERSION,
        advice="Stop Timbre and run: python -m clone doctor --restore. It sets the old database aside and takes the "
        "voices over, nothing else.",
    )


def _newer(version: int, newest: int) -> LibraryError:
    return LibraryError(
        f"The library has schema {version}; this version of Timbre knows {newest} at most.",
        code="library_newer",
        measured=version,
        limit=newest,
        advice="Update Timbre, or set TIMBRE_HOME to another folder.",
    )


def open_database(url: str) -> Engine:
    """Return an engine on a database; an SQLite file is made with mode 600, in write-ahead mode.

    Transactions of an engine with the execution option ``writes=True`` take SQLite's write lock at their start; with
    ``within_s`` they wait for it no longer than that. What goes wrong is raised as LibraryError or DiskFull.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return open_server(parsed)
    path = database_file(url)
    if path:
        _make_private_file(path)
    # A database in memory is its connection, so there is exactly one, and threads take turns. Of others there are as
    # many as are asked for: while somebody holds the database, whoever writes waits, and whoever reads need not.
    in_memory = parsed.database in (None, "", ":memory:")
    pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if in_memory else {"max_overflow": -1}
    pool |= {"poolclass": sa.QueuePool, "connect_args": {"check_same_thread": False}}
    engine = sa.create_engine(url, hide_parameters=True, **pool)  # an error in the log tells of nobody
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _translated)
    return engine


def database_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None where it is in memory, or no SQLite."""
    parsed = sa.make_url(url)
    named = str(parsed.database or "")
    plain = parsed.get_backend_name() == "sqlite" and named not in ("", ":memory:") and not named.startswith("file:")
    return Path(named) if plain else None


def set_aside(path: Path) -> Path:
    """Give a database, and the logs beside it, other names, so that a new one can be made; return where it is now."""
    aside = path.with_name(f"{path.name}.aside-{time.time_ns() // 10**9}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def check_integrity(db: Connection) -> None:
    """Read an SQLite database through.

    Raises:
        LibraryError: ``library_broken``.
    """
    if db.dialect.name == "sqlite" and db.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
        raise broken()


def broken() -> LibraryError:
    """What is said of a database that can't be read."""
    return LibraryError(
        "The library's database is damaged; nothing was changed.",
        code="library_broken",
        advice="Stop Timbre and run: python -m clone doctor. It tells which voices can be restored.",
    )


def _translated(context: ExceptionContext) -> BaseException | None:
    """Return what a database's error is raised as; None leaves it as it is."""
    error = context.original_exception
    return _of_sqlite(error) if isinstance(error, sqlite3.Error) else None


def _of_sqlite(error: sqlite3.Error) -> TimbreError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it says more than is needed
    if code in _BUSY:
        return busy()
    if code in _BROKEN:
        return broken()
    return DiskFull() if code == sqlite3.SQLITE_FULL else None


def _make_private_file(path: Path) -> None:
    """SQLite gives its -wal and -shm files the mode of the database itself."""
    try:
        make_private_folder(path.absolute().parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise disk_full(error) or error from None
    path.chmod(0o600)


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    try:
        _set(connection)
    except sqlite3.Error as error:
        raise _of_sqlite(error) or error from None


def _set(connection: Any) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_WITHIN_S * 1000:.0f}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten, not only unlinked
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(db: Connection) -> None:
    within_s = db.get_execution_options().get("within_s", BUSY_WITHIN_S)
    db.exec_driver_sql(f"PRAGMA busy_timeout = {within_s * 1000:.0f}")
    db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("writes") else "BEGIN")


def used_bytes(db: Connection, table: sa.Table, owner: str) -> int:
    """Return how much of the store an owner's rows of a table take."""
    used = sa.select(sa.func.coalesce(sa.func.sum(table.c.n_bytes), 0)).where(table.c.owner == owner)
    return int(db.execute(used).scalar_one())


def truncate_log(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which still holds deleted rows; left for later where a reader is in it."""
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        known = _of_sqlite(error) or error
        if getattr(known, "code", "") != "library_busy":
            raise known from None
    finally:
        connection.close()
