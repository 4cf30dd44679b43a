"""Audio files on their way through the page: below the home folder, per visit, and never for long."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils
from gradio.route_utils import GradioMultiPartParser
from gradio.state_holder import SessionState
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from clone.errors import disk_full
from clone.store import make_private_folder
from clone.ui import words
from clone.workspace import presence, sweep

KEPT_FOR_S = 3600
"""Age after which a file of a visit is removed even though the visitor is still there."""
LOOKED_AT_EVERY_S = 300
_VISITS_LIMIT = 10_000


def temporary_folder(home: Path) -> Path:
    """Return this process's folder for files on their way through the page; nothing is made yet."""
    return home / "page" / presence(home).name


def make_temporary_folder(home: Path) -> None:
    """Make this process's folder, and remove those of processes that are gone: what they left belongs to nobody."""
    presence(home).claim()
    folder = temporary_folder(home)
    make_private_folder(folder)
    sweep(folder.parent, presence(home))


_parse = GradioMultiPartParser.parse


async def _whole(parser: GradioMultiPartParser) -> FormData:
    try:
        return await _parse(parser)
    except BaseException as error:
        for file in parser._files_to_close_on_error:
            with suppress(OSError):
                file.close()
            Path(file.name).unlink(missing_ok=True)
        full = disk_full(error)
        if full is None:
            raise
        raise HTTPException(full.status, str(full)) from None


def drop_half_uploads() -> None:
    """Have Gradio remove what it wrote of an upload that fails or breaks off, and say so where the disk is full."""
    GradioMultiPartParser.parse = _whole  # type: ignore[method-assign, assignment]


def refuse_downloads() -> None:
    """Keep Gradio from fetching what somebody names as the path of an upload; links are for clone/fetch.py alone.

    Gradio would do so for any input of any event, before a handler is asked, and without a limit of bytes.
    """

    async def refuse(*_: object, **__: object) -> str:
        raise gr.Error("A link is not an uploaded file.", print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
    processing_utils.async_ssrf_protected_get = refuse  # type: ignore[assignment]


def forget_inputs() -> None:
    """Keep Gradio from remembering, per session, what was typed, a key and the visitor's token too.

    It does so only for links to a page as it is filled in, which it writes to disk for whoever names the session; and
    it writes all of it into the log where something is missing, as from a page that was open when this was upgraded.
    """

    def check_number(_: gr.Blocks, event: Any, inputs: list[Any]) -> None:
        if len(inputs) < len(event.inputs):
            raise gr.Error(words.OLD_PAGE, print_exception=False)

    SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]
    gr.Blocks.validate_inputs = check_number  # type: ignore[method-assign, assignment]


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
