"""Bearer keys of the served API: whose request it is, compared in constant time, and how often each key may ask."""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from clone.core.errors import ApiKeyError, BusyError
from clone.core.settings import Settings
from clone.core.workspace import keep_secret, kept_secret, secret_for
from clone.storage.server import Counts

KEY_FILE = "api_key"
_KEY_PREFIX = "timbre_"
_OWNER_DIGITS = 40


class Keys:
    """The keys that are let in.

    Args:
        keys: at least one.
        is_house: whether it is the one that lies in TIMBRE_HOME, which only who runs this machine can read.

    Attributes:
        house: the owner that this one speaks for; "" where there is no such key.
    """

    def __init__(self, keys: Iterable[str], *, is_house: bool = False) -> None:
        # Digests have one length, so that a comparison tells nothing about a key's.
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._owners = [fingerprint(digest) for digest in self._digests]
        self.house = self._owners[0] if is_house else ""

    def owner(self, authorization: str | None) -> str:
        """Return the owner that a request's Authorization header speaks for.

        Raises:
            ApiKeyError: ``missing_key`` (400), ``bad_scheme`` (401) or ``bad_key`` (403).
        """
        scheme, _, given = (authorization or "").strip().partition(" ")
        if not scheme or (scheme.lower() == "bearer" and not given.strip()):
            raise _no_key("No API key is given.", "missing_key", "MISSING_API_KEY", 400)
        if scheme.lower() != "bearer":
            raise _no_key("The Authorization header is no bearer key.", "bad_scheme", "FAILED_TO_AUTH", 401)
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        # Every key is compared with, whichever it is.
        found = [owner for ours, owner in zip(self._digests, self._owners, strict=True) if _same(ours, digest)]
        if not found:
            raise ApiKeyError("This API key is not known here.", code="bad_key", advice="Check the key.")
        return found[0]


def _no_key(message: str, code: str, reason: str, status: int) -> ApiKeyError:
    error = ApiKeyError(message, code=code, advice="Send the header Authorization: Bearer YOUR_KEY.")
    error.reason, error.status = reason, status
    return error


def fingerprint(digest: bytes) -> str:
    """Return the owner of a key's SHA-256 digest; the key can't be derived from it."""
    return f"key-{digest.hex()[:_OWNER_DIGITS]}"


def load_keys(settings: Settings) -> tuple[Keys, Path | None]:
    """Return the keys that are set, or the one that is made at first start, with the file it lies in."""
    if settings.api_keys:
        return Keys(settings.api_keys), None
    path = settings.home / KEY_FILE
    if not settings.secret:
        return Keys([kept_secret(path, _KEY_PREFIX)], is_house=True), path
    key = _KEY_PREFIX + secret_for(settings, KEY_FILE)
    keep_secret(path, key)
    return Keys([key], is_house=True), path


def _same(ours: bytes, given: bytes) -> bool:
    return hmac.compare_digest(ours, given)


CALLS_PER_MINUTE = 60
"""For cloning, and as many for speech. Source: the hosted service's own limit."""
_WINDOW_S = 60.0


class RateLimit:
    """Counts calls of each owner over a sliding minute.

    Args:
        n_calls: how many are let through in any minute.
        now: the clock, in seconds.
        counted: counts a call of an owner for all hosts that share a library, as ``Counts.take``; None counts here.
    """

    def __init__(
        self,
        n_calls: int = CALLS_PER_MINUTE,
        now: Callable[[], float] = time.monotonic,
        counted: Callable[[str, int, float], float | None] | None = None,
    ) -> None:
        self.counted = counted
        self._n_calls = n_calls
        self._now = now
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}

    def take(self, owner: str) -> None:
        """Count a call.

        Raises:
            BusyError: ``rate_limit``; it is not counted, and ``retry_after_s`` says when the next one will be.
        """
        wait_s = self.counted(owner, self._n_calls, _WINDOW_S) if self.counted else self._counted(owner)
        if wait_s is None:
            return
        wait_s = max(1, math.ceil(wait_s))
        raise BusyError(
            f"This key has made {self._n_calls} calls in the last minute; at most {self._n_calls} are taken.",
            code="rate_limit",
            measured=self._n_calls,
            limit=self._n_calls,
            advice=f"Try again in {wait_s} s.",
            retry_after_s=wait_s,
        )

    def _counted(self, owner: str) -> float | None:
        now = self._now()
        with self._lock:
            calls = self._calls.setdefault(owner, deque())
            while calls and calls[0] <= now - _WINDOW_S:
                calls.popleft()
            if len(calls) < self._n_calls:
                calls.append(now)
                return None
            return calls[0] + _WINDOW_S - now


@dataclass(frozen=True)
class RateLimits:
    """How often a key may have each kind of work done: one for all ways in, so that it is counted together."""

    check: RateLimit = field(default_factory=RateLimit)
    clone: RateLimit = field(default_factory=RateLimit)
    speak: RateLimit = field(default_factory=RateLimit)


def limits_of(counts: Counts) -> RateLimits:
    """Return the limits of a process, counted together with all that share its library."""
    if not counts.are_shared:
        return RateLimits()

    def limit(work: str) -> RateLimit:
        return RateLimit(counted=lambda owner, *most: counts.take(f"{work} {owner}", *most))

    return RateLimits(*map(limit, ("check", "clone", "speak")))
