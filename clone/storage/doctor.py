"""What is the matter with a library, and putting it right: its database, its store, and what of both belongs together.

Looking changes nothing: no home is made, and no database. A database that can't be read, or is from before the first
release, is set aside under another name, never deleted, and a new one is filled from the records that lie beside the
recordings. Voices of an old database that have no record yet get theirs from it before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import inspect, select

from clone.core.errors import LibraryError
from clone.core.settings import Settings
from clone.storage.database import UNSETTLED, VOICES, database_file, open_database, set_aside
from clone.storage.files import Store
from clone.storage.retention import Lost, lost_in
from clone.storage.shelf import RECORD, ROOT, not_ours, record_in, with_files
from clone.storage.voice import Voice, folder_of, to_record
from clone.storage.voices import Library

OK, MISSING = "ok", "missing"
BROKEN, OLDER = "library_broken", "library_older"


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
        aside: the name of the file that the database has now, which was in the way just now; "" where none was.
        purge_waits_s: for how long yet nothing expired is deleted, because the clock may be wrong; None: it need not.
        problem: what keeps the library from being used.
    """

    database: str = OK
    n_voices: int = 0
    short: list[Voice] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    temporary: list[Voice] = field(default_factory=list)
    restored: list[Voice] = field(default_factory=list)
    aside: str = ""
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
        known = _of_older(settings) if error.code == OLDER else {}
        forgotten = [folder for folder, voice in known.items() if voice is None]
        lost = lost_in(store, forgotten) if error.code in (BROKEN, OLDER) else []
        return Findings(error.code, lost=[_known(store, each, known) for each in lost], problem=error)


def restore(settings: Settings) -> Findings:
    """Make a library whole again as far as can be, and return what is the matter then, and what was restored.

    Raises:
        LibraryError: what can't be put right from here.
    """
    found = look(settings)
    path = database_file(settings.database_url)
    store = Store(settings.store_url, settings.home / "copies")
    aside = ""
    if found.problem:
        if path is None or found.database not in (BROKEN, OLDER):
            raise found.problem
        if found.database == OLDER:
            _write_records(store, _of_older(settings))
        aside = set_aside(path).name
    library = Library(settings, store)
    try:
        restored = library.upkeep.restore()
        library.reconcile()
        found = _seen(library)
    finally:
        library.close()
    found.restored, found.aside = restored, aside
    return found


def _of_older(settings: Settings) -> dict[str, Voice | None]:
    """Return the voices of a database from before the first release, by folder; None for what was deleted."""
    voices: dict[str, Voice | None] = {}
    engine = open_database(settings.database_url)
    try:
        with engine.begin() as db:
            names = {each["name"] for each in inspect(db).get_columns(VOICES.name)}
            for row in db.execute(select(*(column for column in VOICES.c if column.name in names))).mappings().all():
                values = {**row, "files": tuple(row["files"])}
                forgotten = values.pop("forgotten_until", None)
                voices[folder_of(row["voice_id"])] = None if forgotten else Voice(**values)
            if inspect(db).has_table(UNSETTLED.name):
                voices |= dict.fromkeys(db.execute(select(UNSETTLED.c.folder)).scalars())
    except LibraryError as error:
        if error.code != BROKEN:  # damaged, too, it tells less
            raise
    finally:
        engine.dispose()
    return voices


def _known(store: Store, lost: Lost, known: Mapping[str, Voice | None]) -> Lost:
    """Return it with the voice that an old database knows, where there is no record."""
    voice = lost.voice or known.get(lost.folder)
    return replace(lost, voice=voice and with_files(store, voice, lost.place))


def _write_records(store: Store, known: Mapping[str, Voice | None]) -> None:
    """Write the records that are missing, and delete what is to go, while the old database can still tell."""
    if any(voice and voice.files for voice in known.values()) and known.keys().isdisjoint(store.folders(ROOT)):
        raise not_ours("The store has none of this library's recordings")
    for folder, voice in known.items():
        if voice is None:
            store.delete(f"{ROOT}/{folder}")
        elif record_in(store, f"{ROOT}/{folder}", folder) is None:
            store.put(f"{ROOT}/{folder}/{RECORD}", to_record(voice))


def _seen(library: Library) -> Findings:
    upkeep = library.upkeep
    upkeep.check_integrity()
    n_voices = len(upkeep.voices())
    waits_s = upkeep.purge_waits_s()
    return Findings(OK, n_voices, upkeep.short(), upkeep.lost(), upkeep.kept_after_all(), purge_waits_s=waits_s)
