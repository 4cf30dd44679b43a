"""From a file to a URL: the hosted service fetches recordings itself, so for one call a recording gets an address.

One of three ways, chosen by what there is: this app's own public address, through a signed link; a bucket, through a
presigned one; or the URL that the person gave, which needs none of this. The address is good for one file, for minutes
at most, and is dead when the call has ended. Only a program that somebody takes away gets one that lives for an hour.

Where hosts share a library, whoever fetches it may come to any of them: then it lies in the store, not at one host.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from clone.core.errors import BusyError, FetchError, PublishError
from clone.core.settings import Settings
from clone.core.signed_urls import ROUTE, App, Signer, link_route, signed
from clone.core.workspace import make_private_folder, presence, secret_for
from clone.storage.files import Store

log = logging.getLogger(__name__)

LENT_S = 900
"""Longer than any call takes, waiting for its turn included."""

TAKEN_AWAY_S = 3600
"""How long the link in a program lives that somebody takes away."""

MAX_LENT_BYTES = 1_000_000_000
"""Disk, or room in the bucket, that copies which are lent for longer than a call may take together."""

MOUNT = "/lent"
"""Where the app serves what is lent, apart from other signed links."""

PASSING = "passing"
"""Folder of a bucket where lent recordings lie."""

_N_RECENT = 20
"""Addresses of this app that are known for the links of ended copies, which get an answer of their own."""

_LIST_EVERY_S = 600
"""Between two looks for what others left in a bucket, where each look is a request."""


@dataclass(frozen=True)
class Link:
    """An address; ``expires_at`` is None where it is not ours to end."""

    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class _Lent:
    """A file while it is lent: its place, a path or a key of the bucket; until when, since 1970; where it is served."""

    place: Path | str
    ends: int
    base_url: str = ""
    n_bytes: int = 0


class Passing(Protocol):
    """Notes, where hosts share a library, which files lie in its store for a while; see Library."""

    def pass_by(self, key: str, for_s: float) -> None: ...  # noqa: D102

    def passed(self, key: str) -> None: ...  # noqa: D102


class Publisher:
    """Lends files out: for one call each, or for an hour.

    Args:
        settings: home, public_url and the address served are used.
        store: lends by presigned links, where its file system can sign.
        now: the clock, in seconds since 1970.
        passing: of a library that hosts share; None where there is one host.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        now: Callable[[], float] = time.time,
        passing: Passing | None = None,
    ) -> None:
        self._passing = passing if settings.is_shared else None
        self._base_url = settings.public_url
        self._own = {self._base_url, *(f"http://{host}:{settings.server_port}" for host in ("127.0.0.1", "localhost"))}
        self._recent: deque[str] = deque(maxlen=_N_RECENT)
        self._copies = settings.home / "lent"
        self._presence = presence(settings.home)
        self._store = store
        self._now = now
        key = secret_for(settings, "lent_secret").encode() if self._passing else secrets.token_bytes(32)
        self._signer = Signer(key, now)
        self._lent: dict[str, _Lent] = {}
        self._lock = threading.Lock()
        self._list_at = 0.0

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
        name, ends = self._name(suffix, LENT_S)
        if self._base_url and not (self._passing and self._store.signs):
            place = f"{PASSING}/{name}" if self._passing else folder / name
            url = self._by_route(name, data, _Lent(place, ends, self._base_url))
        else:
            url = self._by_bucket(name, data, _Lent(f"{PASSING}/{name}", ends))
        try:
            yield url
        finally:
            self._take_back(name)

    def lend_for(self, data: bytes, suffix: str, for_s: int = TAKEN_AWAY_S, *, at: str = "") -> Link:
        """Give a copy of a file an address for a while; then, or when the app ends, link and copy are gone.

        Args:
            data: the file.
            suffix: its format, without a dot.
            for_s: seconds.
            at: the address by which the one who asks reaches this app, for a link that only this app's own API must
                be able to read; "" for one that the hosted service can.

        Raises:
            PublishError: as ``lend``.
            BusyError: ``lent_full`` (bytes).
        """
        if not at:
            self.check()
        self._check_room(len(data))
        name, ends = self._name(suffix, for_s)
        base_url = at if self._passing and self._store.signs else at or self._base_url
        if base_url:
            place: Path | str = f"{PASSING}/{name}"
            if not self._passing:
                make_private_folder(self._copies)
                place = self._copies / f"{self._presence.claim()}-{name}"
            url = self._by_route(name, data, _Lent(place, ends, base_url, len(data)))
        else:
            url = self._by_bucket(name, data, _Lent(f"{PASSING}/{name}", ends, n_bytes=len(data)))
        return Link(url, datetime.fromtimestamp(ends, UTC))

    def copy(self, url: str, folder: Path, field: str = "audio_url") -> Path | None:
        """Copy the file of a link that this app lent out, without asking itself over the network; None for others.

        No address is opened by it: what counts is that the link begins as those given out do, and has our signature.

        Args:
            url: given by somebody we need not trust.
            folder: a folder of the caller's own.
            field: the input it was given in.

        Raises:
            FetchError: ``link_expired``, it is one of ours, and dead.
        """
        base_url, mounted, rest = url.strip().partition(MOUNT + ROUTE)
        with self._lock:
            ours = self._own.union(self._recent, (lent.base_url for lent in self._lent.values()))
        key, _, query = rest.partition("?")
        is_good = bool(mounted) and signed(unquote(key), query, self._signer)
        # Another host knows its own address; a good signature is as much as a known one.
        if not mounted or not base_url or not (base_url in ours or (self._passing and is_good)):
            return None
        path = self._find(unquote(key)) if is_good else None
        try:
            if path is not None:
                return Path(shutil.copyfile(path, folder / f"lent-{secrets.token_hex(8)}"))
        except FileNotFoundError:  # its time ended just now
            pass
        raise FetchError(
            "This link to a recording has ended.",
            code="link_expired",
            field=field,
            advice=f"Such links live for {TAKEN_AWAY_S // 60} minutes at most. Take the code from the page again.",
        )

    def sweep(self) -> int:
        """Remove every copy whose time is over, and what a kill left; return how many."""
        now = self._now()
        with self._lock:
            over = [name for name, lent in self._lent.items() if lent.ends <= now]
        for name in over:
            self._take_back(name)
        return len(over) + self._sweep_copies(now) + self._sweep_bucket(now)

    def close(self) -> None:
        """Take everything back."""
        with self._lock:
            names = list(self._lent)
        for name in names:
            self._take_back(name)

    def _name(self, suffix: str, for_s: int) -> tuple[str, int]:
        ends = int(self._now()) + for_s
        return f"{ends}-{secrets.token_hex(16)}.{suffix}", ends

    def _check_room(self, n_bytes: int) -> None:
        with self._lock:
            used = sum(lent.n_bytes for lent in self._lent.values()) + n_bytes
        if used > MAX_LENT_BYTES:
            raise BusyError(
                f"The recordings lent out would take {used / 1e6:.0f} MB; at most {MAX_LENT_BYTES / 1e6:.0f} MB are.",
                code="lent_full",
                measured=used,
                limit=MAX_LENT_BYTES,
                retry_after_s=_LIST_EVERY_S,
                advice="Try again later, or give a link to the recording.",
            )

    def _by_route(self, name: str, data: bytes, lent: _Lent) -> str:
        with self._lock:
            self._lent[name] = lent
            if lent.base_url not in self._recent:
                self._recent.append(lent.base_url)
        try:
            if isinstance(lent.place, str):
                self._put(lent.place, data, lent.ends)
            else:
                with os.fdopen(os.open(lent.place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(data)
        except OSError:
            self._take_back(name)
            raise
        return self._signer.link(lent.base_url + MOUNT, name, lent.ends - int(self._now()))

    def _put(self, key: str, data: bytes, ends: int) -> None:
        if self._passing:
            self._passing.pass_by(key, ends - self._now())
        self._store.put(key, data)

    def _by_bucket(self, name: str, data: bytes, lent: _Lent) -> str:
        key = str(lent.place)
        with self._lock:
            self._lent[name] = lent
        try:
            self._put(key, data, lent.ends)
            return self._store.sign(key, lent.ends - int(self._now()))
        except Exception as error:  # noqa: BLE001  each kind of bucket has exceptions of its own
            log.error("The bucket did not take a recording: %s", type(error).__name__)
            self._take_back(name)
            raise PublishError(
                "The storage bucket did not take the recording, so the service can't fetch it from there.",
                code="store_failed",
                field="audio",
                advice="Check TIMBRE_STORE_URL and the bucket's credentials, or give a link to the recording.",
            ) from None

    def _take_back(self, name: str) -> None:
        with self._lock:
            lent = self._lent.pop(name, None)
        if lent is None:
            return
        try:
            if isinstance(lent.place, Path):
                lent.place.unlink(missing_ok=True)
            else:
                self._store.remove(lent.place)
                if self._passing:
                    self._passing.passed(lent.place)
        except Exception as error:  # noqa: BLE001  what was paid for goes on; the link ends by itself, the file at a sweep
            log.error("A lent recording could not be removed: %s", type(error).__name__)

    def _sweep_copies(self, now: float) -> int:
        """Remove copies of processes that are gone, and those that nobody took back in time."""
        with self._lock:
            held = {lent.place for lent in self._lent.values()}
            found = list(self._copies.glob("*-*-*"))
        left = [path for path in found if path not in held and self._is_left(path.name, now)]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _is_left(self, name: str, now: float) -> bool:
        whose, _, rest = name.partition("-")
        return whose == self._presence.name or not self._presence.alive(whose) or _ends(rest) <= now

    def _sweep_bucket(self, now: float) -> int:
        if self._passing or not self._store.signs or now < self._list_at:  # of shared ones rows know when they end
            return 0
        self._list_at = now + _LIST_EVERY_S
        left = [key for key in self._store.keys(PASSING) if _ends(key.rpartition("/")[2]) <= now]
        for key in left:
            self._store.remove(key)
        return len(left)

    def _find(self, key: str, _method: str = "") -> Path | None:
        if self._passing:
            try:
                return self._store.path(f"{PASSING}/{key}")
            except (FileNotFoundError, ValueError):
                return None
        with self._lock:
            lent = self._lent.get(key)
        return lent.place if lent and isinstance(lent.place, Path) else None


def _ends(name: str) -> float:
    seconds = name.partition("-")[0]
    return float(seconds) if seconds.isdecimal() else 0.0
