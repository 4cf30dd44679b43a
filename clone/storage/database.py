"""The library's database: how it is opened, what its errors mean, and its schema as ordered migrations."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, QueuePool, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError

from clone.core.errors import DiskFull, LibraryError, TimbreError, disk_full
from clone.core.workspace import make_private_folder

BUSY_WITHIN_S = 10.0
"""How long whoever wants to change the library waits for those who do so at the moment."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def open_database(url: str) -> Engine:
    """Return an engine on a database; an SQLite file is made with mode 600, in write-ahead mode.

    Transactions of an engine with the execution option ``writes=True`` take SQLite's write lock at their start; with
    ``within_s`` they wait for it no longer than that. What goes wrong is raised as LibraryError or DiskFull.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "handle_error", _told)
        return engine
    path = database_file(url)
    if path:
        _make_private_file(path)
    # A database in memory is its connection, so there is exactly one, and threads take turns. Of others there are as
    # many as are asked for: while somebody holds the database, whoever writes waits, and whoever reads need not.
    in_memory = parsed.database in (None, "", ":memory:")
    pool: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if in_memory else {"max_overflow": -1}
    engine = create_engine(url, poolclass=QueuePool, connect_args={"check_same_thread": False}, **pool)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _told)
    return engine


def database_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None where it is in memory, or no SQLite."""
    parsed = make_url(url)
    named = str(parsed.database or "")
    plain = parsed.get_backend_name() == "sqlite" and named not in ("", ":memory:") and not named.startswith("file:")
    return Path(named) if plain else None


def set_aside(path: Path) -> None:
    """Give a damaged database, and the logs beside it, other names, so that a new one can be made."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.damaged-{time.time_ns() // 10**9}{suffix}"))


def check_whole(db: Connection) -> None:
    """Read an SQLite database through.

    Raises:
        LibraryError: ``library_broken``.
    """
    if db.dialect.name == "sqlite" and db.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
        raise broken()


def busy() -> LibraryError:
    """What is said when others hold the library for too long."""
    return LibraryError(
        f"The library is busy: another program has held it for {BUSY_WITHIN_S:.0f} seconds.",
        code="library_busy",
        limit=BUSY_WITHIN_S,
        advice="Try again in a minute. If it stays so, end what else uses the library: a backup, or a second Timbre.",
    )


def broken() -> LibraryError:
    """What is said of a database that can't be read."""
    return LibraryError(
        "The library's database is damaged; nothing was changed.",
        code="library_broken",
        advice="Stop Timbre and run: python -m clone doctor. It tells which voices can be restored.",
    )


def _told(context: ExceptionContext) -> BaseException | None:
    """Return what a database's error is raised as; None leaves it as it is."""
    error = context.original_exception
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    passes = context.is_disconnect or isinstance(context.sqlalchemy_exception, OperationalError)
    return busy() if passes else None


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


def truncate_log(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which still holds deleted rows; left for later where a reader is in it."""
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        told = _of_sqlite(error) or error
        if getattr(told, "code", "") != "library_busy":
            raise told from None
    finally:
        connection.close()


def migrate(db: Connection) -> None:
    """Bring a database to the newest schema, within the caller's transaction.

    Raises:
        LibraryError: ``library_newer``, a later version of Timbre has written it.
    """
    db.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    version = db.execute(text("SELECT version FROM schema_version")).scalar()
    if version is None:
        version = 0
        db.execute(text("INSERT INTO schema_version (version) VALUES (0)"))
    if version > len(MIGRATIONS):
        raise LibraryError(
            f"The library has schema {version}; this version of Timbre knows {len(MIGRATIONS)} at most.",
            code="library_newer",
            measured=version,
            limit=len(MIGRATIONS),
            advice="Update Timbre, or set TIMBRE_HOME to another folder.",
        )
    for migration in MIGRATIONS[version:]:
        migration(db)
    db.execute(text("UPDATE schema_version SET version = :version"), {"version": len(MIGRATIONS)})


def _m001_voices(db: Connection) -> None:
    db.execute(
        text("""
        CREATE TABLE voices (
            voice_id VARCHAR(200) PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            name TEXT NOT NULL,
            backend VARCHAR(20) NOT NULL,
            model VARCHAR(100),
            settings TEXT NOT NULL,
            reference_sha256 VARCHAR(64) NOT NULL,
            request_key VARCHAR(200) NOT NULL,
            consent_at VARCHAR(32) NOT NULL,
            consent_by TEXT NOT NULL,
            created_at VARCHAR(32) NOT NULL,
            expires_at VARCHAR(32),
            permanent_at VARCHAR(32),
            likeness DOUBLE PRECISION,
            ceiling DOUBLE PRECISION,
            engine_version TEXT NOT NULL,
            files TEXT NOT NULL,
            n_bytes BIGINT NOT NULL,
            CHECK ((expires_at IS NULL) = (permanent_at IS NOT NULL))
        )""")
    )
    db.execute(text("CREATE INDEX voices_by_owner ON voices (owner, created_at)"))
    db.execute(text("CREATE INDEX voices_by_request ON voices (owner, request_key)"))
    db.execute(text("CREATE INDEX voices_by_expiry ON voices (expires_at)"))


def _m002_expired_voices(db: Connection) -> None:
    """Remember of a purged voice that it was there, and of nobody else's business more than that."""
    db.execute(
        text("""
        CREATE TABLE expired_voices (
            voice_id VARCHAR(200) PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            expired_at VARCHAR(32) NOT NULL
        )""")
    )


def _m003_tasks(db: Connection) -> None:
    """Speech asked for by its link, or for later: what is to be said until it is said, then its file for a while."""
    db.execute(
        text("""
        CREATE TABLE tasks (
            task_id VARCHAR(100) PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            model VARCHAR(100) NOT NULL,
            request TEXT NOT NULL,
            status VARCHAR(40) NOT NULL,
            reason TEXT NOT NULL,
            created_at VARCHAR(32) NOT NULL,
            expires_at VARCHAR(32) NOT NULL,
            file VARCHAR(40) NOT NULL,
            n_bytes BIGINT NOT NULL
        )""")
    )
    db.execute(text("CREATE INDEX tasks_by_status ON tasks (status, created_at)"))
    db.execute(text("CREATE INDEX tasks_by_owner ON tasks (owner)"))


def _m004_notes_and_undo(db: Connection) -> None:
    """A note on a voice; and until when a forgotten one, which nobody sees any more, may be brought back."""
    db.execute(text("ALTER TABLE voices ADD COLUMN note VARCHAR(500) NOT NULL DEFAULT ''"))
    db.execute(text("ALTER TABLE voices ADD COLUMN forgotten_until VARCHAR(32)"))
    db.execute(text("CREATE INDEX voices_by_forgetting ON voices (forgotten_until)"))


def _m005_calibrated_likeness(db: Connection) -> None:
    """What a likeness is to be read against; unknown of the voices that are there already."""
    db.execute(text("ALTER TABLE voices ADD COLUMN typical_stock DOUBLE PRECISION"))
    for name in ("n_stock_beaten", "n_stock", "n_pieces_reached", "n_pieces"):
        db.execute(text(f"ALTER TABLE voices ADD COLUMN {name} INTEGER"))


def _m006_paid_requests(db: Connection) -> None:
    """What was sent to be paid for, until its end is known; its id is a hash of the request, so each is there once."""
    db.execute(
        text("""
        CREATE TABLE paid_requests (
            entry_id VARCHAR(64) PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            kind VARCHAR(20) NOT NULL,
            state VARCHAR(20) NOT NULL,
            created_at VARCHAR(32) NOT NULL,
            voice_id VARCHAR(200) NOT NULL,
            voice TEXT NOT NULL,
            preview_url TEXT NOT NULL,
            n_bytes BIGINT NOT NULL
        )""")
    )
    db.execute(text("CREATE INDEX paid_requests_by_owner ON paid_requests (owner, created_at)"))


def _m008_documents(db: Connection) -> None:
    """What was said with a voice, by sentence."""
    db.execute(
        text("""
        CREATE TABLE documents (
            document_id VARCHAR(40) PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            voice_id VARCHAR(200) NOT NULL,
            text TEXT NOT NULL,
            model VARCHAR(100) NOT NULL,
            settings TEXT NOT NULL,
            request_key VARCHAR(64) NOT NULL,
            created_at VARCHAR(32) NOT NULL,
            n_sentences INTEGER NOT NULL
        )""")
    )
    db.execute(text("CREATE INDEX documents_by_owner ON documents (owner, created_at)"))
    db.execute(text("CREATE INDEX documents_by_voice ON documents (voice_id)"))
    db.execute(
        text("""
        CREATE TABLE sentences (
            document_id VARCHAR(40) NOT NULL,
            position INTEGER NOT NULL,
            text TEXT NOT NULL,
            duration_s DOUBLE PRECISION NOT NULL,
            n_bytes BIGINT NOT NULL,
            PRIMARY KEY (document_id, position)
        )""")
    )


def _m007_about(db: Connection) -> None:
    """What is known of the library itself; and folders being filled or emptied: without a row they are nobody's."""
    db.execute(text("CREATE TABLE about (name VARCHAR(40) PRIMARY KEY, value TEXT NOT NULL)"))
    db.execute(text("CREATE TABLE unsettled (folder VARCHAR(200) PRIMARY KEY)"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _m001_voices,
    _m002_expired_voices,
    _m003_tasks,
    _m004_notes_and_undo,
    _m005_calibrated_likeness,
    _m006_paid_requests,
    _m007_about,
    _m008_documents,
)
