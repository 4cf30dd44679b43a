"""Files in a shared store that are nobody's: still being put, or to be deleted. Rows say which.

So no host ever has to list a bucket, whatever is killed when: a file's key stands in a row until something else that
is kept says whose it is. While the row's lease runs somebody puts the file; once it is over, whoever comes deletes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from clone.storage.database import UNSETTLED
from clone.storage.files import Store
from clone.storage.server import busy, seconds

PUT_WITHIN_S = 600.0
"""How long somebody may take to put files, and say whose they are."""

_AT_ONCE = 500
_key, _until = UNSETTLED.c.folder, UNSETTLED.c.leased_until


def hold(db: Connection, keys: Iterable[str], for_s: float = PUT_WITHIN_S) -> str:
    """Note files before they are put; return the lease by which they are settled.

    Raises:
        LibraryError: ``library_busy``, somebody else puts one of them.
    """
    lease, sought = secrets.token_hex(8), sorted(set(keys))
    db.execute(delete(UNSETTLED).where(_key.in_(sought), _until <= seconds(db)))
    until = db.execute(select(seconds(db) + for_s)).scalar_one()
    try:
        rows = [{"folder": key, "holder": lease, "leased_until": until} for key in sought]
        db.execute(insert(UNSETTLED).values(rows))  # one statement: the driver warns of many, where one is refused
    except IntegrityError:
        raise busy() from None
    return lease


def settle(db: Connection, lease: str) -> None:
    """Note that the files of a lease are somebody's now, in the transaction by which they are.

    Raises:
        LibraryError: ``library_busy``: it took so long that they may be deleted already.
    """
    if not db.execute(delete(UNSETTLED).filter_by(holder=lease)).rowcount:
        raise busy()


def claim(db: Connection, key: str) -> None:
    """Note that a file that will be put is somebody's, and none that is still to be deleted."""
    db.execute(delete(UNSETTLED).where(_key.in_([key])))


def let_go(db: Connection, lease: str) -> None:
    """Note that the files of a lease can be deleted now."""
    db.execute(update(UNSETTLED).filter_by(holder=lease).values(leased_until=0.0))


def doom(db: Connection, keys: Iterable[str]) -> None:
    """Note that files are to be deleted, in the transaction by which they are nobody's any more."""
    doomed = sorted(set(keys))
    if doomed:
        db.execute(delete(UNSETTLED).where(_key.in_(doomed)))
        db.execute(insert(UNSETTLED), [{"folder": key, "holder": "", "leased_until": 0.0} for key in doomed])


def clear(database: Engine, store: Store, within: str = "") -> int:
    """Delete what is nobody's and has no lease any more, all of it or below one place; return how many files.

    A row is locked until its file is gone, so that nobody puts the file again meanwhile.
    """
    n_gone = 0
    over = select(_key).order_by(_key).limit(_AT_ONCE).with_for_update(skip_locked=True)
    if within:
        over = over.where(_key.startswith(f"{within}/", autoescape=True))
    while True:
        with database.begin() as db:
            gone = db.execute(over.where(_until <= seconds(db))).scalars().all()
            store.remove(*gone)
            db.execute(delete(UNSETTLED).where(_key.in_(gone)))
        n_gone += len(gone)
        if len(gone) < _AT_ONCE:
            return n_gone
