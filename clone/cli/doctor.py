"""``doctor``: what is the matter with the library, in words or as JSON; without the Studio, which might be refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clone.cli.terminal import print_json, shortened
from clone.core.settings import Settings
from clone.storage.doctor import MISSING, OK, Findings, look, restore
from clone.storage.retention import Lost
from clone.storage.voice import Voice

SHOWN = 10


def run(*, restores: bool, as_json: bool) -> None:
    """Look, or put right, and tell.

    Raises:
        LibraryError: the library can't be used; what could be found out is printed before.
    """
    settings = Settings.from_environment()
    found = Findings(MISSING)
    if settings.home.is_dir():
        found = restore(settings) if restores else look(settings)
    if as_json:
        print_json(_as_json(found))
    else:
        print(*_lines(found), sep="\n")
    if found.problem:
        raise found.problem


def _lines(found: Findings) -> Iterator[str]:
    if found.database == OK:
        yield f"The library has {found.n_voices} voice{'' if found.n_voices == 1 else 's'}."
    elif found.database == MISSING:
        yield "There is no database; one is made at the next start."
    else:
        yield "The library can't be used."
    if found.restored:
        yield f"Restored: {_ids(found.restored)}."
    if found.aside:
        yield f"The old database is now called {found.aside}; delete it once nothing is missed."
    if found.short:
        yield f"Files are missing of: {_ids(found.short)}."
    if found.temporary:
        yield f"Kept for good, and temporary by the database: {_ids(found.temporary)}."
    if found.lost:
        in_trash = [each for each in found.lost if each.goes_at]
        yield f"Recordings without an entry in the database: {len(found.lost)}, in the trash {len(in_trash)} of them."
        yield from (f"  {_line(each)}" for each in found.lost[:SHOWN])
        yield from [f"  and {len(found.lost) - SHOWN} more"] if len(found.lost) > SHOWN else []
    if found.purge_waits_s is not None:
        yield (
            "By the clock, more than half of the temporary voices have expired at once. In case it is wrong, nothing "
            f"expired is deleted for {found.purge_waits_s / 60:.0f} minutes yet."
        )
    if found.n_restorable:
        yield f"{found.n_restorable} can be restored: python -m clone doctor --restore"
    elif found.database == OK and not (found.lost or found.short):
        yield "Nothing is the matter."


def _line(lost: Lost) -> str:
    until = f", deleted on {lost.goes_at:%Y-%m-%d}" if lost.goes_at else ""
    if lost.voice is None:
        return f"{lost.folder}: nothing tells whose it is{until}"
    can = "can be restored" if lost.restorable else "its recording is missing"
    return f"{lost.voice.voice_id} of {lost.voice.owner}: {can}{until}"


def _ids(voices: Sequence[Voice]) -> str:
    return shortened([voice.voice_id for voice in voices], SHOWN)


def _as_json(found: Findings) -> dict[str, object]:
    return {
        "database": found.database,
        "n_voices": found.n_voices,
        "n_restorable": found.n_restorable,
        "lost": [
            {
                "voice_id": each.voice.voice_id if each.voice else None,
                "owner": each.voice.owner if each.voice else None,
                "restorable": each.restorable,
                "deleted_at": each.goes_at.isoformat() if each.goes_at else None,
            }
            for each in found.lost
        ],
        "missing_files": [voice.voice_id for voice in found.short],
        "temporary": [voice.voice_id for voice in found.temporary],
        "restored": [voice.voice_id for voice in found.restored],
        "purge_waits_s": found.purge_waits_s,
    }
