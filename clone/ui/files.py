"""Audio files on their way through the page: below the home folder, per visit, never for long, and not without end."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clone.core import workspace
from clone.core.errors import BusyError, DiskFull
from clone.core.workspace import make_private_folder, presence

KEPT_FOR_S = 3600
"""Age after which a file of a visit is removed even though the visitor is still there."""
BROKEN_OFF_S = 600
"""Age after which an upload that was broken off is removed."""
ROOM_BYTES = 4_000_000_000
"""What the files of all visits may take together."""
UPLOADS_BYTES = 3_000_000_000
"""Where uploads end: what the page makes has room even then."""
SPARE_BYTES = 500_000_000
"""What stays free on the disk for everything else."""
FILE_MIN_BYTES = 64_000
"""What the smallest file counts as: tiny ones take folders, and time to look at."""
UPLOAD_MAX_FILES = 8
SEVERAL = "-several"
"""What a file is about that holds several voices: it goes with the first of them that goes."""

_MEASURED_FOR_S = 2.0
_VISITS_LIMIT = 10_000
_SECRET_CHARS = 32


class NoRoom(BusyError):
    """The files of all visits take all the room there is."""

    status = 507


class Room:
    """What is left for files of visits; measured on the disk, so it is known after a crash too.

    Args:
        folder: the temporary folder.
        limit_bytes: what its files may take together.
    """

    def __init__(self, folder: Path, limit_bytes: int = ROOM_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._used_bytes = 0
        self._measured_s = -_MEASURED_FOR_S

    def check(self) -> None:
        """Refuse a file when there is no room for any.

        Raises:
            NoRoom: ``no_room``.
            DiskFull: so little is left on the disk that the rest needs it.
        """
        with self._lock:
            if time.monotonic() - self._measured_s > _MEASURED_FOR_S:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._used_bytes = sum(max(each.st_size, FILE_MIN_BYTES) for _, each in _files(self._folder))
                if shutil.disk_usage(self._folder).free < SPARE_BYTES:
                    raise DiskFull
                self._measured_s = time.monotonic()
        self.add(0)

    def add(self, n_bytes: int) -> None:
        """Count what has just come.

        Raises:
            NoRoom: ``no_room``.
        """
        self._used_bytes += n_bytes
        if self._used_bytes >= self._limit_bytes:
            raise NoRoom(
                "There is no room left for more files here.",
                code="no_room",
                limit=self._limit_bytes,
                advice="Files are removed after an hour: try again later.",
                retry_after_s=BROKEN_OFF_S,
            )


def sweep(folder: Path, now_s: float | None = None) -> None:
    """Remove what is too old, whoever left it, and the folders that held it; ``now_s`` is in seconds since 1970."""
    now_s = time.time() if now_s is None else now_s
    for path, stat in list(_files(folder)):
        # Uploads lie beside the folders until they are whole.
        kept_for_s = BROKEN_OFF_S if path.parent == folder else KEPT_FOR_S
        if now_s - max(stat.st_mtime, stat.st_ctime) > kept_for_s:
            path.unlink(missing_ok=True)
    for each in list(folder.iterdir()) if folder.is_dir() else []:
        try:
            if each.is_dir() and now_s - each.stat().st_mtime > KEPT_FOR_S:
                each.rmdir()
        except OSError:  # there is something in it
            continue


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what lies in a folder and below; what goes meanwhile is gone."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                yield path, path.lstat()
            except OSError:
                continue


def temporary_folder(home: Path) -> Path:
    """Return this process's folder for files on their way through the page; nothing is made yet."""
    return home / "page" / presence(home).name


def make_temporary_folder(home: Path) -> None:
    """Make this process's folder, and remove those of processes that are gone: what they left belongs to nobody."""
    presence(home).claim()
    folder = temporary_folder(home)
    make_private_folder(folder)
    workspace.sweep(folder.parent, presence(home))


def wipe(folder: Path) -> None:
    """Remove the folder with all that is in it: the process ends."""
    shutil.rmtree(folder, ignore_errors=True)


class VisitFiles:
    """Which files belong to which visit, so that they go when the visitor goes.

    Args:
        folder: the temporary folder; nothing outside is ever removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._room = Room(self._folder)
        self._lock = threading.Lock()
        self._files: dict[str, set[Path]] = {}
        self._fetched: dict[str, tuple[str, Path]] = {}

    @property
    def folder(self) -> Path:
        """Where they all lie."""
        return self._folder

    def remember(self, visit: str | None, *paths: str | Path | None) -> None:
        """Note files a visit brought in or was given."""
        inside = {Path(path) for path in paths if path and self._is_ours(Path(path))}
        if not visit or not inside:
            return
        with self._lock:
            if visit not in self._files and len(self._files) >= _VISITS_LIMIT:
                self._files.pop(next(iter(self._files)))
            self._files.setdefault(visit, set()).update(inside)

    def forget(self, visit: str | None, about: str = "") -> None:
        """Remove a visit's files, or those about one voice or several; not what another visit holds too."""
        about = _in_one_piece(about)
        with self._lock:
            if not about:
                self._fetched.pop(visit or "", None)
            own = self._files.pop(visit or "", set())
            named = {path: f"{path.parent.name}/{path.name}" for path in own}
            gone = {path for path, name in named.items() if about in name or SEVERAL in path.parent.name}
            if own - gone:
                self._files[visit or ""] = own - gone
            held = set().union(*self._files.values()) if self._files else set()
        for path in gone - held:
            path.unlink(missing_ok=True)

    def has(self, path: str) -> bool:
        """Tell whether a path, named by anybody, is a file in the temporary folder."""
        try:
            return self._is_ours(Path(path)) and Path(path).is_file()
        except (ValueError, OSError):  # what no file can be called
            return False

    def copy(self, visit: str | None, source: Path, name: str, about: str = "") -> Path:
        """Copy a file into the temporary folder, as new() makes room for it; a voice's once for a visit."""
        with self._lock:
            known = list(self._files.get(visit or "", ())) if about else []
        wanted = _in_one_piece(about), _in_one_piece(name)
        for path in known:
            if (path.parent.name[_SECRET_CHARS:], path.name) == wanted and path.is_file():
                path.touch()
                return path
        path = self.new(visit, name, about)
        shutil.copyfile(source, path)
        return path

    def new(self, visit: str | None, name: str, about: str = "") -> Path:
        """Return a path for a new file, in a folder of its own that nobody can guess.

        Args:
            visit: whose.
            name: what it is saved under, by whoever gets it.
            about: the voice it goes with, where its name does not say so.

        Raises:
            NoRoom: there is none for it.
        """
        path = self._new_folder(about) / _in_one_piece(name)
        self.remember(visit, path)
        return path

    def fetched(self, visit: str | None, url: str, download: Callable[[Path], Path], *, anew: bool = False) -> Path:
        """Return the file behind a URL: the one this visit has seen already, so that what is cloned is what was shown.

        Args:
            visit: whose.
            url: the address.
            download: gets it into a folder and returns its path.
            anew: download it whatever is known.
        """
        known = None if anew else self.known(visit, url)
        if known is not None:
            return known
        path = download(self._new_folder())
        self.remember(visit, path)
        if visit:
            with self._lock:
                if len(self._fetched) >= _VISITS_LIMIT:
                    self._fetched.pop(next(iter(self._fetched)))
                self._fetched[visit] = (url, path)
        return path

    def known(self, visit: str | None, url: str) -> Path | None:
        """Return the file behind a URL that this visit has seen, if it is still there."""
        known_url, known = self._fetched.get(visit or "", ("", None))
        return known if known_url == url and known is not None and known.is_file() else None

    def _new_folder(self, about: str = "") -> Path:
        self._room.check()
        folder = self._folder / f"{secrets.token_hex(_SECRET_CHARS // 2)}{_in_one_piece(about)}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def _is_ours(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)


def _in_one_piece(name: str) -> str:
    """Return a file's name of what may have a slash in it: a hosted voice_id may."""
    return name.replace("/", "-")
