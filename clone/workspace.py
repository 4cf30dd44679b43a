"""Folders for files in passing: private, one a job, gone when the job is, swept when a process was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clone.store import make_private_folder


class Workspace:
    """A folder of such folders; several processes may share it."""

    def __init__(self, root: Path) -> None:
        make_private_folder(root)
        self._root = root

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Lend a folder that is removed, with everything in it, on the way out."""
        with tempfile.TemporaryDirectory(
            prefix=f"{os.getpid()}-", dir=self._root, ignore_cleanup_errors=True
        ) as folder:  # a download that was ended just now may still write into it
            yield Path(folder)

    def sweep(self) -> None:
        """Remove what processes that are gone left behind."""
        for folder in self._root.iterdir():
            pid = folder.name.split("-")[0]
            if not (pid.isdigit() and alive(int(pid))):
                shutil.rmtree(folder, ignore_errors=True)


def alive(pid: int) -> bool:
    """Tell whether a process is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
