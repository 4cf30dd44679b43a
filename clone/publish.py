"""From a file to a URL: the hosted service fetches recordings itself, so for one call a recording gets an address.

One of three ways, chosen by what there is: this app's own public address, through a signed link; a bucket, through a
presigned one; or the URL that the person gave, which needs none of this. The address is good for one file, for minutes
at most, and is dead when the call has ended.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clone.errors import PublishError
from clone.links import App, Signer, link_route
from clone.settings import Settings
from clone.store import Store

log = logging.getLogger(__name__)

LENT_S = 900
"""Longer than any call takes, waiting for its turn included."""

MOUNT = "/lent"
"""Where the app serves what is lent, apart from other signed links."""

PASSING = "passing"
"""Folder of a bucket where lent recordings lie."""

_LEFTOVER_S = 2 * LENT_S


class Publisher:
    """Lends files out, one call each.

    Args:
        settings: public_url is used.
        store: lends by presigned links, where its file system can sign.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._base_url = settings.public_url
        self._store = store
        self._signer = Signer(secrets.token_bytes(32))
        self._lent: dict[str, Path] = {}
        self._lock = threading.Lock()

    @property
    def route(self) -> App:
        """What answers the links that were lent out at this app's own address; to be mounted at ``MOUNT``."""
        return link_route(self._signer, self._find)

    def way(self, is_url: bool = False) -> str:
        """Say how a recording gets to the hosted service; "" when there is no way.

        Args:
            is_url: the person gave a URL.
        """
        if is_url:
            return "The service downloads the recording from the link you gave."
        if self._base_url:
            return "The service downloads the recording from this page, by a link that only it gets."
        if self._store.signs:
            return "The service downloads the recording from the storage bucket, by a link that only it gets."
        return ""

    def check(self) -> None:
        """Raise unless a file can be lent.

        Raises:
            PublishError: ``no_public_address``.
        """
        if not self.way():
            raise PublishError(
                "The hosted service downloads the recording by itself, and a file here has no address for it.",
                code="no_public_address",
                field="audio",
                advice="There are three ways: set TIMBRE_PUBLIC_URL to the address at which this app can be reached "
                "from outside, set TIMBRE_STORE_URL to an S3 bucket (s3://…), or give a link to the recording.",
            )

    @contextmanager
    def lend(self, data: bytes, suffix: str, folder: Path) -> Iterator[str]:
        """Give a file an address while the block runs.

        Args:
            data: the file.
            suffix: its format, without a dot.
            folder: a folder of the caller's own, for a copy.

        Yields:
            The URL.

        Raises:
            PublishError: as ``check``; ``store_failed`` when the bucket does not take it.
        """
        self.check()
        name = f"{int(time.time())}-{secrets.token_hex(16)}.{suffix}"
        with self._by_route(name, data, folder) if self._base_url else self._by_bucket(name, data) as url:
            yield url

    def sweep(self) -> int:
        """Remove what a kill left in the bucket; return how many files."""
        if not self._store.signs:
            return 0
        oldest = time.time() - _LEFTOVER_S
        old = [key for key in self._store.keys(PASSING) if _lent_at(key) < oldest]
        for key in old:
            self._store.delete(key)
        return len(old)

    @contextmanager
    def _by_route(self, name: str, data: bytes, folder: Path) -> Iterator[str]:
        path = folder / name
        path.write_bytes(data)
        with self._lock:
            self._lent[name] = path
        try:
            yield self._signer.link(self._base_url + MOUNT, name, LENT_S)
        finally:
            with self._lock:
                del self._lent[name]
            path.unlink(missing_ok=True)

    @contextmanager
    def _by_bucket(self, name: str, data: bytes) -> Iterator[str]:
        key = f"{PASSING}/{name}"
        try:
            self._store.put(key, data)
            url = self._store.sign(key, LENT_S)
        except Exception as error:  # noqa: BLE001  each kind of bucket has exceptions of its own
            log.error("The bucket did not take a recording: %s", type(error).__name__)
            self._take_back(key)
            raise PublishError(
                "The storage bucket did not take the recording, so the service can't fetch it from there.",
                code="store_failed",
                field="audio",
                advice="Check TIMBRE_STORE_URL and the bucket's credentials, or give a link to the recording.",
            ) from None
        try:
            yield url
        finally:
            self._take_back(key)

    def _take_back(self, key: str) -> None:
        try:
            self._store.delete(key)
        except Exception as error:  # noqa: BLE001  what was paid for goes on; the link ends by itself, the file at a sweep
            log.error("A lent recording could not be removed from the bucket: %s", type(error).__name__)

    def _find(self, key: str) -> Path | None:
        with self._lock:
            return self._lent.get(key)


def _lent_at(key: str) -> float:
    seconds = key.rpartition("/")[2].partition("-")[0]
    return float(seconds) if seconds.isdecimal() else 0.0
