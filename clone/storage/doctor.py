"""What is the matter with a library, and putting it right: its database, its store, and what of both belongs together.

Looking changes nothing: no home is made, and no database. A database that can't be read is set aside under another
name, never deleted, and a new one is filled from the records that lie beside the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clone.core.errors import LibraryError
from clone.core.settings import Settings
from clone.storage.database import database_file, set_aside
from clone.storage.files import Store
from clone.storage.upkeep import Lost, lost_in
from clone.storage.voice import Voice
from clone.storage.voices import Library

OK, MISSING = "ok", "missing"
BROKEN = "library_broken"


@dataclass
class Findings:
    """What the doctor found.

    Attributes:
        database: ``ok``, ``missing``, or the code of what keeps it from being used.
        n_voices: with a row.
        short: voices some of whose files are missing, with those that are there.
        lost: recordings without a row.
        temporary: voices whose record says that they were kept for good, and whose row does not.
        restored: made again just now, or kept again.
        purge_waits_s: for how long yet nothing expired is deleted, because the clock may be wrong; None: it need not.
        problem: what keeps the library from being used.
    """

    database: str = OK
    n_voices: int = 0
    short: list[Voice] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    temporary: list[Voice] = field(default_factory=list)
    restored: list[Voice] = field(default_factory=list)
    purge_waits_s: float | None = None
    problem: LibraryError | None = None

    @property
    def n_restorable(self) -> int:
        """How many voices ``restore`` would put right."""
        return sum(lost.restorable for lost in self.lost) + len(self.temporary)


def look(settings: Settings) -> Findings:
    """Return what is the matter, and change nothing.

    Raises:
        LibraryError: ``library_busy``.
    """
    store = Store(settings.store_url, settings.home / "copies")
    path = database_file(settings.database_url)
    if path and not (path.is_file() and path.stat().st_size):
        return Findings(MISSING, lost=lost_in(store))
    try:
        library = Library(settings, store)
        try:
            return _seen(library)
        finally:
            library.close()
    except LibraryError as error:
        if error.code == "library_busy":
            raise
        return Findings(error.code, lost=lost_in(store) if error.code == BROKEN else [], problem=error)


def restore(settings: Settings) -> Findings:
    """Make a library whole again as far as can be, and return what is the matter then, and what was restored.

    Raises:
        LibraryError: what can't be put right from here.
    """
    found = look(settings)
    if found.problem and found.problem.code != BROKEN:
        raise found.problem
    path = database_file(settings.database_url)
    if found.problem:
        if path is None:
            raise found.problem
        set_aside(path)
    library = Library(settings, Store(settings.store_url, settings.home / "copies"))
    try:
        restored = library.upkeep.restore()
        library.reconcile()
        found = _seen(library)
    finally:
        library.close()
    found.restored = restored
    return found


def _seen(library: Library) -> Findings:
    upkeep = library.upkeep
    upkeep.check_whole()
    n_voices = len(upkeep.voices())
    waits_s = upkeep.purge_waits_s()
    return Findings(OK, n_voices, upkeep.short(), upkeep.lost(), upkeep.kept_after_all(), purge_waits_s=waits_s)
