"""Bearer keys of the served API: whose request it is, told in constant time; and secrets made at first start."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from clone.core.errors import ApiKeyError
from clone.core.settings import Settings
from clone.core.workspace import kept_secret

KEY_FILE = "api_key"
_OWNER_DIGITS = 40


class Keys:
    """The keys that are let in.

    Args:
        keys: at least one.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        # Digests have one length, so that a comparison tells nothing about a key's.
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._owners = [fingerprint(digest) for digest in self._digests]

    def owner(self, authorization: str | None) -> str:
        """Return the owner that a request's Authorization header speaks for.

        Raises:
            ApiKeyError: ``missing_key`` (400) or ``bad_key`` (403).
        """
        scheme, _, given = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            error = ApiKeyError(
                "No API key is given.", code="missing_key", advice="Send the header Authorization: Bearer YOUR_KEY."
            )
            error.reason, error.status = "MISSING_API_KEY", 400
            raise error
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        # Every key is compared with, whichever it is.
        found = [owner for ours, owner in zip(self._digests, self._owners, strict=True) if _same(ours, digest)]
        if not found:
            raise ApiKeyError("This API key is not known here.", code="bad_key", advice="Check the key.")
        return found[0]


def fingerprint(digest: bytes) -> str:
    """Return the owner of a key's SHA-256 digest; the key can't be told from it."""
    return f"key-{digest.hex()[:_OWNER_DIGITS]}"


def load_keys(settings: Settings) -> tuple[Keys, Path | None]:
    """Return the keys that are set, or the one that is made at first start, with the file it lies in."""
    if settings.api_keys:
        return Keys(settings.api_keys), None
    path = settings.home / KEY_FILE
    return Keys([kept_secret(path, "timbre_")]), path


def _same(ours: bytes, given: bytes) -> bool:
    return hmac.compare_digest(ours, given)
