"""Folders for files in passing: private, one a job, gone when the job is, swept when a process was killed.

Which process something belongs to is known by a name that it takes at its start, and by a lock that it holds on a file
of that name: the operating system lets go of it, however the process ends. A process number would not do: after a
restart in a container it is the same as before.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock

from clone.core.errors import TimbreError, disk_full
from clone.core.settings import Settings

_NAME = re.compile(r"[0-9a-f]{16}")


class Presence:
    """That this process lives, for the others of the same home to see; thread-safe. One per home: ``presence``."""

    def __init__(self, home: Path) -> None:
        self.name = secrets.token_hex(8)
        self._home = home
        self._root = home / "running"
        self._own = self._lock(self.name)
        self._claiming = threading.Lock()

    def claim(self) -> str:
        """Return this process's name, which is known to the others from now on."""
        with self._claiming:
            if not self._own.is_locked:
                make_home(self._home)
                self._root.mkdir(mode=0o700, exist_ok=True)
                self._own.acquire()
        return self.name

    def alive(self, name: str) -> bool:
        """Tell whether the process of a name lives; the file of one that does not goes."""
        if name == self.name or not _NAME.fullmatch(name) or not (self._root / name).exists():
            return name == self.name
        lock = self._lock(name)
        try:
            lock.acquire(timeout=0)
        except OSError:  # held, or somebody else's
            return True
        (self._root / name).unlink(missing_ok=True)
        lock.release()
        return False

    def sweep(self) -> None:
        """Remove the files of processes that are gone."""
        for path in self._root.glob("*"):
            self.alive(path.name)

    def _lock(self, name: str) -> FileLock:
        return FileLock(self._root / name, mode=0o600, thread_local=False)


@cache
def presence(home: Path) -> Presence:
    """Return this process's presence in a home."""
    return Presence(home)


class Workspace:
    """A folder of such folders, directly in the home; several processes may share it."""

    def __init__(self, root: Path) -> None:
        self._presence = presence(root.parent)
        self._presence.claim()
        root.mkdir(mode=0o700, exist_ok=True)
        self._root = root
        self._lent: set[str] = set()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Lend a folder that is removed, with everything in it, on the way out.

        Raises:
            DiskFull: there is no room for it, or for what is written into it.
        """
        prefix = f"{self._presence.claim()}-"
        try:
            with tempfile.TemporaryDirectory(prefix=prefix, dir=self._root, ignore_cleanup_errors=True) as folder:
                self._lent.add(folder)
                try:
                    yield Path(folder)
                finally:
                    self._lent.discard(folder)
        except OSError as error:
            raise disk_full(error) or error from None

    def close(self) -> None:
        """Remove what is still lent, for the process ends."""
        for folder in list(self._lent):
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what processes that are gone left behind."""
        sweep(self._root, self._presence)
        self._presence.sweep()


def sweep(root: Path, presence: Presence) -> None:
    """Remove what is in a folder and bears the name of a process that is gone, or of none."""
    for path in root.iterdir():
        if not presence.alive(path.name.partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if path.is_file() else None


_FOLDER_MODE = 0o700


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can open, and so every missing one above it; existing ones stay as they are."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    sync_folder(folder.parent)


def make_home(home: Path) -> None:
    """Make the home folder, or close it to others where it is open; to be called before anything is put there.

    Raises:
        TimbreError: ``bad_setting``, it is a folder that everybody may write into, such as /tmp.
    """
    make_private_folder(home)
    mode = home.stat().st_mode
    if mode & stat.S_ISVTX:
        raise TimbreError(
            "TIMBRE_HOME is a folder that everybody on this machine uses.",
            code="bad_setting",
            advice="Set it to a folder of its own in there.",
        )
    if mode & ~_FOLDER_MODE & 0o777:
        with suppress(PermissionError):  # a volume may belong to somebody else, who lets this group in
            home.chmod(_FOLDER_MODE)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def secret_for(settings: Settings, purpose: str) -> str:
    """Return the secret for one purpose: on every host the same where TIMBRE_SECRET is set, else kept in the home.

    Nobody learns another purpose's secret, nor TIMBRE_SECRET, from one.

    Raises:
        TimbreError: as ``Settings.check_secret``.
    """
    settings.check_secret()
    if settings.secret:
        return hmac.new(settings.secret.encode(), f"timbre {purpose}".encode(), hashlib.sha256).hexdigest()
    return kept_secret(settings.home / purpose)


def kept_secret(path: Path, prefix: str = "") -> str:
    """Return the secret in a file of mode 600; make file and secret where there is none yet."""
    make_home(path.parent)
    if not path.is_file():
        draft = _draft(path, f"{prefix}{secrets.token_urlsafe(32)}")
        try:
            os.link(draft, path)  # whole or not at all, and the first of two processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def keep_secret(path: Path, secret: str) -> None:
    """Write a secret that is known into a file of mode 600, for whoever runs this machine to read."""
    make_home(path.parent)
    if not path.is_file() or path.read_text().strip() != secret:
        _draft(path, secret).replace(path)


def _draft(path: Path, secret: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secret}\n")
    return draft
