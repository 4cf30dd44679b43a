"""Zip files: what comes from anywhere is unpacked within bounds, what is handed out has names that any system takes."""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from clone.core.errors import Refused

NAME_MAX_CHARS = 80
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES, _COMMENT_MAX_BYTES = 22, 1 << 16
_ENTRY_BYTES = 200
"""Of the directory, for an entry: more than any that is read here has, with its name."""
_ENCRYPTED = 1
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


class Archive:
    """A zip file that comes from anywhere, read within bounds; nothing of it is written anywhere.

    Args:
        path: the file.
        what: what it is called, in what is said of it.
        max_bytes: of the file.
        max_entries: of the files in it.
        max_unpacked_bytes: of all that is read of it.

    Raises:
        Refused: ``file_too_big`` (bytes), ``too_many_entries``, ``damaged_file``.
    """

    def __init__(self, path: Path, what: str, *, max_bytes: int, max_entries: int, max_unpacked_bytes: int) -> None:
        self._what = what
        self._left = self._max = max_unpacked_bytes
        check_size(path, what, max_bytes)
        try:
            with path.open("rb") as file:
                n_bytes = _directory_bytes(file)
            too_many = n_bytes > max_entries * _ENTRY_BYTES
            found = None if too_many else ZipFile(path)
        except (BadZipFile, OSError, ValueError, struct.error, NotImplementedError):
            raise damaged(what) from None
        if found is None or len(found.infolist()) > max_entries:
            raise Refused(
                f"{what} has more than {max_entries:,} files in it.",
                code="too_many_entries",
                field="file",
                limit=max_entries,
                advice="Give a smaller one.",
            )
        self._zip = found
        self.names = frozenset(self._zip.namelist())

    def __enter__(self) -> Archive:
        """Return it; it is closed at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self._zip.close()

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return the bytes of a file in it, at most so many where that is said.

        Raises:
            Refused: ``damaged_file``, it is not there or not as its checksum says; ``encrypted_file``;
                ``unpacks_too_big`` (bytes), whatever its directory promises.
        """
        if name not in self.names:
            raise damaged(self._what)
        info = self._zip.getinfo(name)
        if info.flag_bits & _ENCRYPTED:
            raise encrypted(self._what)
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise damaged(self._what)
        try:
            with self._zip.open(info) as file:
                limit = self._left if max_bytes is None else min(max_bytes, self._left)
                data = file.read(limit + 1)
        except (BadZipFile, OSError, ValueError, EOFError, zlib.error, NotImplementedError):
            raise damaged(self._what) from None
        self._left -= len(data)
        if len(data) > limit:
            raise Refused(
                f"{self._what} unpacks to more than it may: {self._max / 1e6:.0f} MB, and less of some parts.",
                code="unpacks_too_big",
                field="file",
                limit=self._max,
                advice="Give a smaller one.",
            )
        return data


def check_size(path: Path, what: str, max_bytes: int) -> None:
    """Refuse a file that is not there, or too big.

    Raises:
        Refused: ``no_file``; ``file_too_big``, measured and limit in bytes.
    """
    try:
        n_bytes = path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):  # a name that no file can have
        n_bytes = -1
    if n_bytes < 0:
        raise Refused("There is no such file.", code="no_file", field="file", advice="Choose it again.")
    if n_bytes > max_bytes:
        raise Refused(
            f"{what} has {n_bytes / 1e6:.1f} MB; at most {max_bytes / 1e6:.0f} MB are read.",
            code="file_too_big",
            field="file",
            measured=n_bytes,
            limit=max_bytes,
            advice="Give a smaller one, or a part of it.",
        )


def damaged(what: str) -> Refused:
    """What is said of a file that is not what it should be."""
    return Refused(
        f"{what} is damaged, or no such file at all.",
        code="damaged_file",
        field="file",
        advice="Get it again from where it came.",
    )


def encrypted(what: str) -> Refused:
    """What is said of a file that can't be read without a key."""
    return Refused(
        f"{what} is encrypted.", code="encrypted_file", field="file", advice="Give one without copy protection."
    )


def safe_name(words: str, otherwise: str) -> str:
    """Return words as a file's name, without a suffix, that every system takes and that leads nowhere else.

    Args:
        words: anything.
        otherwise: the name where nothing of them is left.
    """
    known = unicodedata.normalize("NFC", words)
    letters = "".join(c if c.isalnum() or c in " -_'’." else " " for c in known if unicodedata.category(c) != "Cs")
    name = " ".join(letters.split())[:NAME_MAX_CHARS].strip(" .-'’")
    return otherwise if not name else f"_{name}" if _RESERVED.match(name) else name


def _directory_bytes(file: BinaryIO) -> int:
    """Return how long a zip's directory says it is: all of it would be read into memory at once.

    Raises:
        BadZipFile: there is none, or it is of the kind for what is larger than anything read here.
    """
    n_bytes = file.seek(0, 2)
    file.seek(max(0, n_bytes - _END_BYTES - _COMMENT_MAX_BYTES))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or _END_64 in tail[max(0, at - 20) : at]:
        raise BadZipFile
    return int(struct.unpack_from("<L", tail, at + 12)[0])
