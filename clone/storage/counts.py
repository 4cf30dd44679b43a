"""Calls counted by all hosts of a shared library together: the times of each key's last ones, in one row.

A call is one statement, whose row PostgreSQL locks: it takes the call or it does not, by the clock of the database.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

from clone.storage.server import is_shared

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
    """Of one library; safe to share between threads.

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
