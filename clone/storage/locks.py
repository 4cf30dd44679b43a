"""Who is alone with something among all hosts that share a library: advisory locks of its PostgreSQL server.

Each is held by a transaction of a connection of its own, so that it ends with its process, however that ends, and goes
through PgBouncer. Of a library that is a file these are of one process alone: what its files need, the home's lock file
guards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256

from sqlalchemy import Connection, Engine, NullPool, func, select
from sqlalchemy.exc import SQLAlchemyError

from clone.core.errors import TimbreError
from clone.storage.server import is_shared, open_server

_LOOK_AGAIN_S = 0.1


class Locks:
    """Of one library; safe to share between threads.

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
