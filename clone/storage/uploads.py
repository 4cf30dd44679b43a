"""Recordings that a program sends before it says what for: its owner's alone, few, and kept for half an hour."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clone.contract.cloning import REFERENCE_MAX_BYTES, check_size
from clone.core.errors import AudioError, BusyError
from clone.core.workspace import Workspace

KEPT_S = 1800.0
MAX_PER_OWNER, MAX_IN_ALL = 20, 60
"""Each has at most the contract's size of a recording, so that all of them are bounded too."""

_IDS = 10**14, 9 * 10**15
"""Numbers of one length that every JSON reader keeps exactly."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Upload:
    """A file that was sent; ``name`` is its sender's word for it and no part of the path, ``at`` seconds since 1970."""

    file_id: int
    owner: str
    purpose: str
    name: str
    n_bytes: int
    path: Path
    at: float


class Uploads:
    """One per process, gone with it; thread-safe.

    Args:
        workspace: lends the folder, and removes it whatever happens.
        now: the clock, seconds since 1970.
    """

    def __init__(self, workspace: Workspace, now: Callable[[], float] = time.time) -> None:
        self._workspace = workspace
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[int, Upload] = {}
        self._folder: Path | None = None
        self._lent = ExitStack()

    def add(self, owner: str, purpose: str, name: str, file: BinaryIO) -> Upload:
        """Keep a file for a while.

        Raises:
            BusyError: ``quota_files``, too many are kept.
            AudioError: it is bigger than any recording may be.
        """
        self.purge()
        with self._lock:
            self._check_room(owner)
            if self._folder is None:
                self._folder = self._lent.enter_context(self._workspace.folder())
            file_id = _IDS[0] + secrets.randbelow(_IDS[1] - _IDS[0])
            upload = Upload(file_id, owner, purpose, name, 0, self._folder / str(file_id), self._now())
            self._kept[file_id] = upload  # its place is taken while it is written
        try:
            n_bytes = _written(file, upload.path)
        except BaseException:
            self._drop([upload])
            raise
        upload = Upload(file_id, owner, purpose, name, n_bytes, upload.path, upload.at)
        with self._lock:
            self._kept[file_id] = upload
        return upload

    def get(self, file_id: int, owner: str) -> Upload:
        """Return an owner's file.

        Raises:
            AudioError: ``unknown_file``; somebody else's, and one whose time is over, look so too.
        """
        with self._lock:
            upload = self._kept.get(file_id)
        if upload is None or upload.owner != owner or not upload.n_bytes or upload.at + KEPT_S < self._now():
            raise AudioError(
                "There is no file with this file_id.",
                code="unknown_file",
                field="file_id",
                advice=f"Upload it again; files are kept for {KEPT_S / 60:.0f} minutes.",
            )
        return upload

    def purge(self) -> int:
        """Remove what has been kept for long enough; return how many."""
        return self._drop([each for each in list(self._kept.values()) if each.at + KEPT_S < self._now()])

    def forget(self, owner: str) -> int:
        """Remove all that an owner sent; return how many."""
        return self._drop([each for each in list(self._kept.values()) if each.owner == owner])

    def _drop(self, uploads: list[Upload]) -> int:
        for upload in uploads:
            with self._lock:
                self._kept.pop(upload.file_id, None)
            upload.path.unlink(missing_ok=True)
        return len(uploads)

    def _check_room(self, owner: str) -> None:
        own = sum(each.owner == owner for each in self._kept.values())
        for n, limit in ((own, MAX_PER_OWNER), (len(self._kept), MAX_IN_ALL)):
            if n >= limit:
                raise BusyError(
                    f"{n} uploaded files are kept; at most {limit} are.",
                    code="quota_files",
                    measured=n,
                    limit=limit,
                    advice="Try again when they are gone.",
                    retry_after_s=60,
                )


def _written(file: BinaryIO, path: Path) -> int:
    n_bytes = 0
    path.touch(0o600)
    with path.open("wb") as to:
        while chunk := file.read(_CHUNK_BYTES):
            n_bytes += len(chunk)
            check_size(n_bytes)
            to.write(chunk)
    if not n_bytes:
        raise AudioError("The file is empty.", code="empty", field="file", measured=0, limit=REFERENCE_MAX_BYTES)
    return n_bytes
