"""Where audio lies: files under keys such as ``voices/<id>/reference.mp3``, in a folder or at any fsspec URL.

In a local folder a file is there whole or not at all, also after a kill or a power cut, and only the
owner of the process can read it. Elsewhere the file system's own put is as whole as that service makes it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from clone.core.errors import TimbreError, disk_full
from clone.core.workspace import make_private_folder, sync_folder

PARTIAL = ".partial"
"""Folder of files that are still being written; what lies there after a kill is a leftover."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_COPY_TAKES_AT_MOST_S = 3600
_S3 = {"use_listings_cache": False, "config_kwargs": {"signature_version": "s3v4"}}
"""Links that are signed as before, which is the default of some regions, are refused by newer buckets."""
_DELETED_AT_ONCE = 1000
COPY_KEPT_S = 600
"""How long a local copy of a file in a shared store is of use to whoever asked for it."""


class Store:
    """Files under keys, at one URL.

    Args:
        url: a local folder (made with mode 700 if missing) or any fsspec URL, for example ``memory://`` or ``s3://…``.
        copies: folder for the local copies of a remote store's files; a temporary one of this object if None.

    Raises:
        TimbreError: ``bad_setting``, what this kind of URL needs is not installed.
    """

    def __init__(self, url: str, copies: Path | None = None) -> None:
        self.url = url
        self._fs: Any
        is_s3 = url.startswith(("s3://", "s3a://"))
        try:  # others put files there, too: what a listing said a moment ago may be wrong
            self._fs, root = fsspec.core.url_to_fs(url, **(_S3 if is_s3 else {}))
        except ImportError:
            raise TimbreError(
                f"TIMBRE_STORE_URL is a {url.partition(':')[0]} address, and what that needs is not installed.",
                code="bad_setting",
                advice="For S3, run: pip install -r requirements-s3.txt.",
            ) from None
        self._is_s3 = is_s3
        self._root = str(root).rstrip("/")
        self._local = Path(root) if isinstance(self._fs, LocalFileSystem) else None
        self._own_copies = None if self._local or copies else tempfile.TemporaryDirectory(prefix="timbre-")
        self._copies = Path(self._own_copies.name) if self._own_copies else copies

    def put(self, key: str, data: bytes) -> None:
        """Write a file whole, over what was there.

        Raises:
            DiskFull: there is no room for it.
        """
        place = self._place(key)
        if self._local:
            self._write(self._local, key, data)
            return
        if not self._is_s3:  # where there are no folders
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(place, data)

    def get(self, key: str) -> bytes:
        """Return a file's bytes.

        Raises:
            FileNotFoundError: there is none under this key.
        """
        # Read in one, or a size is asked for first, and of a file that is not there, a listing.
        data: bytes = self._fs.cat_file(self._place(key), **({"max_concurrency": 1} if self._is_s3 else {}))
        return data

    def path(self, key: str) -> Path:
        """Return a local file with a key's bytes: the file itself, or a fresh copy of a remote one.

        Raises:
            FileNotFoundError: there is none under this key.
        """
        if self._local:
            path = Path(self._place(key))
            if not path.is_file():
                raise FileNotFoundError(key)
            return path
        assert self._copies
        make_private_folder(self._copies)
        return self._write(self._copies, key, self.get(key))

    @property
    def signs(self) -> bool:
        """Whether links to its files can be given out, as those of a bucket can."""
        return type(self._fs).sign is not AbstractFileSystem.sign

    def sign(self, key: str, for_s: int, *, media: str = "", saved: bool = False, head: bool = False) -> str:
        """Return a link by which anybody can read a file, for so many seconds.

        Args:
            key: which file.
            for_s: how long it is good.
            media: what an S3 store is to answer as the file's kind.
            saved: whether whoever opens it in a browser is to save it.
            head: whether it is good for HEAD instead of GET.
        """
        more: dict[str, Any] = {}
        if self._is_s3:
            more |= {"ResponseContentType": media} if media else {}
            more |= {"ResponseContentDisposition": "attachment"} if saved else {}
            more |= {"client_method": "head_object"} if head else {}
        return str(self._fs.sign(self._place(key), expiration=for_s, **more))

    def remove(self, *keys: str) -> None:
        """Remove files and their local copies, without a look at what else there is; nothing there is no error."""
        places = [self._place(key) for key in keys]
        for key in keys:
            for root in filter(None, (self._local, self._copies)):
                (root / key).unlink(missing_ok=True)
                with suppress(OSError):  # something else is in it, or it is no folder of ours
                    (root / key).parent.rmdir()
        if self._is_s3:
            for at in range(0, len(places), _DELETED_AT_ONCE):
                self._remove_objects(places[at : at + _DELETED_AT_ONCE])
        elif not self._local:
            for place in places:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(place)

    def delete(self, prefix: str) -> None:
        """Remove a file, or a folder with all that is in it, and its local copies; nothing there is no error."""
        place = self._place(prefix)
        if self._copies:
            _remove_tree(self._copies / prefix)
        if self._local:
            _remove_tree(Path(place))
            return
        self._fs.invalidate_cache()
        if self._fs.exists(place):
            self._fs.rm(place, recursive=True)

    def move(self, prefix: str, to: str) -> None:
        """Move a folder to a place where nothing is; its local copies go, as does a folder without files."""
        files = self.keys(prefix)
        if files and self._local:
            target = Path(self._place(to))
            make_private_folder(target.parent)
            os.rename(self._place(prefix), target)
            sync_folder(target.parent)
        elif files:
            for key in files:
                self.put(to + key[len(prefix) :], self.get(key))
        self.delete(prefix)

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all files in a folder (everything by default), sorted."""
        self._fs.invalidate_cache()
        place = self._place(prefix) if prefix else self._root
        try:
            found = self._fs.find(place)
        except FileNotFoundError:
            return []
        keys = (str(path)[len(self._root) :].lstrip("/") for path in found)
        return sorted(key for key in keys if not key.startswith(PARTIAL))

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in one, empty ones and those of local copies too, sorted."""
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._place(prefix), detail=True)
        except FileNotFoundError:
            entries = []
        names = {str(e["name"]).rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory"}
        copies = self._copies / prefix if self._copies else None
        if copies and copies.is_dir():
            names |= {path.name for path in copies.iterdir() if path.is_dir()}
        return sorted(names)

    def _remove_objects(self, places: list[str]) -> None:
        bucket = self._fs.split_path(places[0])[0]
        objects = [{"Key": self._fs.split_path(place)[1]} for place in places]
        done = self._fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if failed := done.get("Errors"):  # the file system's own call would say nothing
            raise OSError(f"{len(failed)} files could not be deleted: {failed[0].get('Code')}")

    def size_of(self, key: str) -> int | None:
        """Return how many bytes a file takes; None if there is none."""
        place = self._place(key)
        try:
            if not self._is_s3:
                return int(self._fs.info(place)["size"])
            bucket, name, _ = self._fs.split_path(place)
            return int(self._fs.call_s3("head_object", Bucket=bucket, Key=name)["ContentLength"])
        except FileNotFoundError:
            return None

    def size(self, prefix: str) -> int:
        """Return how many bytes a file, or all files in a folder, take; 0 if there is none."""
        self._fs.invalidate_cache()
        place = self._place(prefix)
        if self._fs.isfile(place):
            return int(self._fs.size(place))
        return sum(int(self._fs.size(self._place(key))) for key in self.keys(prefix))

    def sweep(self, *, shared: bool = False) -> int:
        """Remove what a kill left half written; return how many. Call it only while nobody puts.

        Where the store is ``shared`` others put all the time, so only what is old goes; and so do old local copies, of
        what others may have deleted.
        """
        oldest = time.time() - _COPY_TAKES_AT_MOST_S
        leftovers = _older(self._local / PARTIAL, oldest if shared else math.inf) if self._local else []
        if self._copies:  # another process may be making a copy just now
            leftovers += _older(self._copies / PARTIAL, oldest)
            leftovers += _older(self._copies, time.time() - COPY_KEPT_S) if shared else []
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return len(leftovers)

    def _place(self, key: str) -> str:
        parts = key.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"not a key: {key!r}")
        return f"{self._root}/{key}"

    @staticmethod
    def _write(root: Path, key: str, data: bytes) -> Path:
        try:
            return _write_atomically(root, key, data)
        except OSError as error:
            raise disk_full(error) or error from None


def _write_atomically(root: Path, key: str, data: bytes) -> Path:
    """Write ``root/key`` by way of a partial file beside it, on the same disk, so that the rename is atomic."""
    target, partial = root / key, root / PARTIAL
    make_private_folder(partial)
    make_private_folder(target.parent)
    handle, name = tempfile.mkstemp(dir=partial)  # made with mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(name, target)
        except FileNotFoundError:  # somebody has removed the folder just now, with what was in it
            make_private_folder(target.parent)
            os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    with suppress(FileNotFoundError):  # what is gone again needs no sync
        sync_folder(target.parent)
    return target


def _older(folder: Path, than: float) -> list[Path]:
    """Return the files in a folder that were last written before a time, in seconds since 1970."""
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < than:
                found.append(path)
    return found


def _unless_gone(_function: Any, _path: str, error: Any) -> None:
    """Go on where somebody else removes the same folder."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def _remove_tree(place: Path) -> None:
    """Remove a file or a folder, or nothing."""
    if place.is_dir():
        shutil.rmtree(place, onerror=_unless_gone)
    else:
        place.unlink(missing_ok=True)
