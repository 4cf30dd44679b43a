"""Whose voices a visitor sees: a random token in the visitor's browser, or the one owner of this machine."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from clone.errors import TimbreError
from clone.settings import Settings
from clone.store import make_home
from clone.ui import words

LOCAL_OWNER = "local"
STORAGE_KEY = "timbre-visitor"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_FORWARDED = re.compile(
    r"(x-forwarded(-.*)?|forwarded|via|x-real-ip|x-original-.*|true-client-ip|cf-.*|x-amzn-.*)", re.I
)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address, without a port, is this machine's own."""
    name = host.strip().strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_local_visit(server_name: str, public_url: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether a request surely comes from the person who runs the app, on the same machine.

    A tunnel ends on loopback too and a page elsewhere may point its name at loopback, so the address bound is
    not enough: there must be no public address, exactly one Host that is loopback, and no trace of a proxy.

    Args:
        server_name: the address the app is bound to.
        public_url: the address given out; "" when there is none.
        headers: names and values of the request's headers, repeated ones repeated.
    """
    if public_url or not is_loopback(server_name):
        return False
    hosts = []
    for name, value in headers:
        if _FORWARDED.fullmatch(name):
            return False
        if name.lower() == "host":
            hosts.append(value)
    return len(hosts) == 1 and is_loopback(_without_port(hosts[0]))


def new_token() -> str:
    """Return 32 random bytes as text."""
    return secrets.token_urlsafe(32)


def is_token(token: object) -> bool:
    """Tell whether something a browser sent has the form of a token."""
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def owner_of(token: object, headers: Iterable[tuple[str, str]], settings: Settings) -> str:
    """Return the owner a request speaks for; a token's owner is its digest, so owners can't be guessed or named.

    Raises:
        TimbreError: ``no_visitor``, when there is no proper token and the visit is not local.
    """
    if is_local_visit(settings.server_name, settings.public_url, headers):
        return LOCAL_OWNER
    if not is_token(token):
        raise TimbreError(words.NO_VISITOR, code="no_visitor", advice=words.NO_VISITOR_ADVICE)
    return "visitor-" + hashlib.sha256(str(token).encode()).hexdigest()[:40]


def browser_secret(home: Path) -> str:
    """Return the text that scrambles the token in the browser, the same after every restart.

    Kept in ``page_secret`` in the home folder, mode 600, made once.
    """
    path = home / "page_secret"
    make_home(home)
    draft = home / f".page_secret.{secrets.token_hex(8)}"
    if not path.is_file():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(16))
        try:
            os.link(draft, path)  # whole or not at all, and the first of two processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def header_pairs(headers: object) -> list[tuple[str, str]]:
    """Return headers as pairs, whatever the framework keeps them in; repeated ones stay repeated."""
    if hasattr(headers, "items"):
        return [(str(name), str(value)) for name, value in headers.items()]
    return list(headers) if isinstance(headers, Iterable) and not isinstance(headers, Mapping) else []


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
