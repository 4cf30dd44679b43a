"""A PostgreSQL server, where hosts share a library: its connections, clock and errors; locks and counts of all hosts.

Its advisory locks tell who is alone with something. Each is held by a transaction of a connection of its own, so that
it ends with its process, however that ends, and goes through PgBouncer. Of a library that is a file these are of one
process alone: what its files need, the home's lock file guards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, ExceptionContext, NullPool, event, func, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
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


# locks

_LOOK_AGAIN_S = 0.1


class Locks:
    """Who is alone with something; of one library, safe to share between threads.

    Args:
        database: the library's.
    """

    def __init__(self, database: Engine) -> None:
        # A pool would run out of connections where everybody holds a lock and asks for one more, to work with.
        self._server = open_server(database.url, NullPool) if is_shared(database) else None
        self._held: set[tuple[str, ...]] = set()
        self._guard = threading.Lock()

    @contextmanager
    def held(self, *what: str, within_s: float = 0.0, wait: Callable[[float], object] = time.sleep) -> Iterator[bool]:
        """Hold a lock, and say whether it could be had.

        Args:
            what: is to be done by one alone.
            within_s: how long to wait for whoever has it.
            wait: called with seconds between two looks; what it raises ends the waiting.
        """
        with self._trying(what) as had:
            end = time.monotonic() + within_s
            while not (ours := had()) and time.monotonic() < end:
                wait(_LOOK_AGAIN_S)
            yield ours

    @contextmanager
    def one_of(self, n: int, *what: str) -> Iterator[bool]:
        """Hold one of so many places, and say whether one was free; one is, where the library is a file."""
        if self._server is None:
            yield True
            return
        db = self._server.connect()
        try:
            yield any(_had(db, (*what, str(place))) for place in range(n))
        finally:
            _let_go(db)

    @contextmanager
    def _trying(self, what: tuple[str, ...]) -> Iterator[Callable[[], bool]]:
        """Lend what tries to get a lock, and says whether it did; let go of it on the way out."""
        if self._server is None:
            ours: list[tuple[str, ...]] = []
            try:
                yield partial(self._had_here, what, ours)
            finally:
                with self._guard:
                    self._held.difference_update(ours)
            return
        db = self._server.connect()
        try:
            yield partial(_had, db, what)
        finally:
            _let_go(db)

    def _had_here(self, what: tuple[str, ...], ours: list[tuple[str, ...]]) -> bool:
        with self._guard:
            if what in self._held:
                return False
            self._held.add(what)
            ours.append(what)
            return True


def lock(db: Connection, *what: str) -> None:
    """Wait for a lock that is held until the transaction ends; where the library is a file, that is one anyway.

    Raises:
        LibraryError: ``library_busy``.
    """
    if db.dialect.name != "sqlite":
        db.execute(select(func.pg_advisory_xact_lock(_number(what))))


def _had(db: Connection, what: tuple[str, ...]) -> bool:
    return bool(db.execute(select(func.pg_try_advisory_xact_lock(_number(what)))).scalar())


def _number(what: tuple[str, ...]) -> int:
    return int.from_bytes(sha256("\0".join(what).encode()).digest()[:8], signed=True)


def _let_go(db: Connection) -> None:
    try:
        db.close()
    except (TimbreError, SQLAlchemyError):  # the server let go when it lost the connection
        db.invalidate()


# counts

_TAKE = text("""
    WITH t AS (SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS now)
    INSERT INTO calls AS c (name, at, last) SELECT :name, ARRAY[t.now], t.now FROM t
    ON CONFLICT (name) DO UPDATE SET last = excluded.last,
        at = ARRAY(SELECT x FROM unnest(c.at) AS x WHERE x > excluded.last - :within_s) || excluded.last
    WHERE (SELECT count(*) FROM unnest(c.at) AS x WHERE x > excluded.last - :within_s) < :n_calls
    RETURNING 1
""")
_OLDEST = text("""
    SELECT min(x) + :within_s - extract(epoch FROM clock_timestamp()) FROM calls, unnest(calls.at) AS x
    WHERE name = :name AND x > extract(epoch FROM clock_timestamp()) - :within_s
""")
_OLD = text("DELETE FROM calls WHERE last < extract(epoch FROM clock_timestamp()) - :within_s")
_KEPT_S = 3600.0


class Counts:
    """The times of each key's last calls, in one row; of one library, safe to share between threads.

    A call is one statement, whose row the server locks: it takes the call or it does not, by the clock of the database.

    Args:
        database: the library's, migrated.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    @property
    def are_shared(self) -> bool:
        """Whether there is anybody to count with; where the library is a file, everybody counts in memory."""
        return is_shared(self._database)

    def take(self, name: str, n_calls: int, within_s: float) -> float | None:
        """Count a call, if it is one of so many within a time.

        Args:
            name: whose calls, and of which kind.
            n_calls: how many are let through in any such time.
            within_s: the time.

        Returns:
            None when it was counted; otherwise the seconds until the next one will be.
        """
        asked = {"name": name, "n_calls": n_calls, "within_s": within_s}
        with self._database.begin() as db:
            if db.execute(_TAKE, asked).first():
                return None
            return max(0.0, float(db.execute(_OLDEST, asked).scalar() or 0.0))

    def purge(self) -> None:
        """Forget keys that nobody has used for long."""
        if self.are_shared:
            with self._database.begin() as db:
                db.execute(_OLD, {"within_s": _KEPT_S})
