"""A PostgreSQL server, where hosts share a library: how it is connected to, its clock, and what its errors mean."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from clone.core.errors import DiskFull, LibraryError, TimbreError

BUSY_WITHIN_S = 10.0
"""How long whoever wants to change the library waits for those who do so at the moment."""

SERVER = "postgresql+psycopg"
"""What a library is shared by."""
_POOL = {"pool_size": 10, "max_overflow": 5, "pool_timeout": BUSY_WITHIN_S}
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "prepare_threshold": None,  # behind PgBouncer, the next statement may go by another connection
}
"""A server that is gone without a word is noticed within seconds."""
_HELD = {"55P03", "40P01", "40001"}
"""Of PostgreSQL's states: a lock not had in time, a deadlock, a conflict. Each passes."""
_NO_ROOM = "53100"


class _Pool(sa.QueuePool):
    """Says of too few connections what is said of everything that is held for too long."""

    def connect(self) -> Any:
        try:
            return super().connect()
        except PoolTimeout:
            raise busy() from None


def open_server(url: sa.URL, pool: type[sa.Pool] | None = None) -> Engine:
    """Return an engine on a PostgreSQL server, which several hosts may share.

    Args:
        url: the server's, and the database's.
        pool: of connections; a bounded one by default.

    Raises:
        TimbreError: ``bad_setting``, it is no such server, or what that needs is not installed.
    """
    kept: dict[str, Any] = {"poolclass": pool} if pool else {"poolclass": _Pool, **_POOL}
    try:
        if url.drivername != SERVER:
            raise ModuleNotFoundError
        engine = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=_CONNECT, **kept)
    except ModuleNotFoundError:
        raise TimbreError(
            f"TIMBRE_DATABASE_URL must begin with {SERVER}:// where it is no SQLite, and what that needs be installed.",
            code="bad_setting",
            advice="Run: pip install -r requirements-scale.txt.",
        ) from None
    event.listen(engine, "connect", _prepare_server)
    event.listen(engine, "handle_error", of_server)
    return engine


def _prepare_server(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_WITHIN_S:.0f}s'")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")  # who holds a lock may work for long
    connection.commit()


def is_shared(database: Engine) -> bool:
    """Tell whether processes of other hosts may have the same database."""
    return database.dialect.name != "sqlite"


def seconds(db: Connection) -> sa.ColumnElement[float]:
    """Return the time, in seconds since 1970, by the clock that all have who share a database."""
    if db.dialect.name == "sqlite":
        return sa.literal(time.time())
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)


def busy() -> LibraryError:
    """What is said when others hold the library for too long."""
    return LibraryError(
        f"The library is busy: another program has held it for {BUSY_WITHIN_S:.0f} seconds.",
        code="library_busy",
        limit=BUSY_WITHIN_S,
        advice="Try again in a minute. If it stays so, end what else uses the library: a backup, or a second Timbre.",
    )


def unreachable() -> LibraryError:
    """What is said while a database server can't be reached."""
    return LibraryError(
        "The library's database can't be reached just now.",
        code="library_unreachable",
        advice="Try again in a minute. If it stays so, see whether the database server runs.",
    )


def of_server(context: ExceptionContext) -> BaseException | None:
    """Return what a server's error is raised as; None leaves it as it is."""
    error = context.original_exception
    if not isinstance(error, Exception):  # an interrupt ends the connection, but is what it is
        return None
    if context.is_pre_ping:  # a new connection is made
        return None
    if not context.is_disconnect and not isinstance(context.sqlalchemy_exception, OperationalError):
        return None
    state = getattr(error, "sqlstate", None)
    return DiskFull() if state == _NO_ROOM else busy() if state in _HELD else unreachable()
