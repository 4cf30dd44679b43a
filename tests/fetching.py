"""Fetching, refusals of it, and resolvers that say what a test wants, for the tests of fetch."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clone.core.errors import FetchError
from clone.core.fetching import fetch

CODES = {
    "bad_url",
    "url_port",
    "url_scheme",
    "url_credentials",
    "url_unresolved",
    "url_private",
    "url_unreachable",
    "url_tls",
    "url_timeout",
    "url_redirects",
    "url_refused",
    "url_too_big",
    "url_web_page",
    "url_empty",
    "url_broken",
}
PUBLIC = "93.184.215.14"
MAX_BYTES = 1_000_000


def get(url: str, folder: Path, **changes: Any) -> Path:
    return fetch(url, folder, **{"allow_private": True, "max_bytes": MAX_BYTES, "timeout_s": 10, **changes})


def refusal(url: str, folder: Path, **changes: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, folder, **changes)
    error = caught.value
    assert error.code in CODES
    assert error.field == changes.get("field", "audio_url")
    assert error.message.endswith(".")
    assert error.advice.endswith(".")
    assert not folder.exists() or not list(folder.iterdir())
    return error


def resolving(*answers: str) -> Callable[..., list[Any]]:
    """A resolver that gives each answer once, the last one for ever; ``calls`` keeps what it was asked."""
    left, calls = list(answers), []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        calls.append(host)
        addresses = (left.pop(0) if len(left) > 1 else left[0]).split()
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in kinds]

    resolve.calls = calls  # type: ignore[attr-defined]
    return resolve
