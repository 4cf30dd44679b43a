"""Audio files on their way through the page: below the home folder, per visit, and never for long."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import gradio as gr
from gradio import processing_utils

KEPT_FOR_S = 3600
"""Age after which a file of a visit is removed even though the visitor is still there."""
LOOKED_AT_EVERY_S = 300
_VISITS_LIMIT = 10_000


def temporary_folder(home: Path) -> Path:
    """Return the folder for files on their way through the page."""
    return home / "page"


def wipe(folder: Path) -> None:
    """Empty the folder: what an earlier run left belongs to nobody."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def refuse_downloads() -> None:
    """Keep Gradio from fetching what somebody names as the path of an upload; links are for clone/fetch.py alone.

    Gradio would do so for any input of any event, before a handler is asked, and without a limit of bytes.
    """

    async def refuse(*_: object, **__: object) -> str:
        raise gr.Error("A link is not an uploaded file.", print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
    processing_utils.async_ssrf_protected_get = refuse  # type: ignore[assignment]


class VisitFiles:
    """Which files belong to which visit, so that they go when the visitor goes.

    Args:
        folder: the temporary folder; nothing outside is ever removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self._files: dict[str, set[Path]] = {}
        self._fetched: dict[str, tuple[str, Path]] = {}

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
        """Remove a visit's files, or those about one voice; not what another visit holds too."""
        about = _in_one_piece(about)
        with self._lock:
            if not about:
                self._fetched.pop(visit or "", None)
            own = self._files.pop(visit or "", set())
            gone = {path for path in own if about in f"{path.parent.name}/{path.name}"}
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
        """Copy a file into the temporary folder, as new() makes room for it."""
        path = self.new(visit, name, about)
        shutil.copyfile(source, path)
        return path

    def new(self, visit: str | None, name: str, about: str = "") -> Path:
        """Return a path for a new file, in a folder of its own that nobody can guess.

        Args:
            visit: whose.
            name: what it is saved under, by whoever gets it.
            about: the voice it goes with, where its name does not say so.
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
        folder = self._folder / f"{secrets.token_hex(16)}{_in_one_piece(about)}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def _is_ours(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)


def _in_one_piece(name: str) -> str:
    """Return a file's name of what may have a slash in it: a hosted voice_id may."""
    return name.replace("/", "-")
