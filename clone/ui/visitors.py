"""Whose voices a visitor sees: a random token in the visitor's browser, or the one owner of this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from clone.core.errors import TimbreError
from clone.core.settings import Settings
from clone.core.workspace import secret_for
from clone.ui import strings

LOCAL_OWNER = "local"
STORAGE_KEY = "timbre-visitor"
COOKIE_LIFETIME = timedelta(days=365)
COOKIE_PATH = "/gradio_api"
"""Where the page's events are asked for; the page itself needs no cookie, and so can be answered from memory."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_COOKIE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
_ORIGIN = re.compile(r"(https?)://([^/?#@\\\s]+)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_LOOPBACK = ("127.0.0.1", "localhost")
_FORWARDED = re.compile(
    r"(x-forwarded(-.*)?|forwarded|via|x-real-ip|x-original-.*|true-client-ip|cf-.*|x-amzn-.*)", re.I
)

Headers = Iterable[tuple[str, str]]
"""Names and values of a request's headers, repeated ones repeated."""


class Owners:
    """Tells the person who runs the app, in their own browsers on the same machine, from everybody else.

    A tunnel ends on loopback too, a careless proxy in front leaves no trace, any website can have a browser ask
    127.0.0.1, and a name elsewhere may point there. So the address bound must be loopback and no other given out, the
    Host one of a short list, the Origin equal to it, nothing forwarded; and the browser must hold a cookie, which it
    gets only by the link that is printed where the app was started.

    Args:
        settings: where the page is served.

    Attributes:
        hosts: the Hosts by which an owner may ask, the one to print first; none where nobody is the owner.
        cookie: the cookie's name; browsers keep those of all ports together.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = secret_for(settings, "owner_secret").encode()
        self.hosts = _hosts(settings)
        self.cookie = f"timbre_owner_{settings.server_port}"

    def of(self, token: object, headers: Headers) -> str:
        """Return the owner a request speaks for; a token's is its digest, so owners can't be guessed or named.

        Raises:
            TimbreError: ``no_visitor``, when there is no proper token and it is not the owner's request.
        """
        if self.is_owner(headers):
            return LOCAL_OWNER
        if not is_token(token):
            raise TimbreError(strings.NO_VISITOR, code="no_visitor", advice=strings.NO_VISITOR_ADVICE)
        return "visitor-" + hashlib.sha256(str(token).encode()).hexdigest()[:40]

    def is_owner(self, headers: Headers) -> bool:
        """Tell whether a request of the page is the owner's; it changes something, so its Origin must be sent."""
        headers = list(headers)
        if not self.is_direct(headers) or _values(headers, "origin") != [f"http://{_values(headers, 'host')[0]}"]:
            return False
        if not set(_values(headers, "sec-fetch-site")) <= {"same-origin", "none"}:
            return False
        return any(self._is_good(value) for name, value in _cookies(headers) if name == self.cookie)

    def is_direct(self, headers: Headers) -> bool:
        """Tell whether a request came by an address that the owner may use, with no trace of a proxy."""
        hosts = []
        for name, value in headers:
            if _FORWARDED.fullmatch(name):
                return False
            if name.lower() == "host":
                hosts.append(value)
        return len(hosts) == 1 and hosts[0] in self.hosts

    def is_foreign(self, headers: Headers) -> bool:
        """Tell whether a browser asks on behalf of a page that is not this one."""
        headers = list(headers)
        origins, hosts = _values(headers, "origin"), _values(headers, "host")
        if not origins:
            return False
        origin = _ORIGIN.fullmatch(origins[0])
        if len(origins) > 1 or len(hosts) != 1 or origin is None:
            return True
        scheme, place = origin[1], _place(*origin.groups())
        public = urlsplit(self._settings.public_url)
        is_public = (scheme, place) == (public.scheme, _place(public.scheme, public.netloc))
        return not is_public and place != _place(scheme, hosts[0])

    def new_cookie(self) -> str:
        """Return a cookie's value that makes a browser the owner's: when it ends, and that it came from here."""
        ends = str(int(time.time() + COOKIE_LIFETIME.total_seconds()))
        return f"{ends}.{self._signature(ends)}"

    def _is_good(self, value: str) -> bool:
        cookie = _COOKIE.fullmatch(value)
        if cookie is None or not hmac.compare_digest(cookie[2], self._signature(cookie[1])):
            return False
        return int(cookie[1]) > time.time()

    def _signature(self, ends: str) -> str:
        return hmac.new(self._key, f"{self.cookie}:{ends}".encode(), hashlib.sha256).hexdigest()


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address, without a port, is this machine's own."""
    name = host.strip().strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return 32 random bytes as text."""
    return secrets.token_urlsafe(32)


def is_token(token: object) -> bool:
    """Tell whether something a browser sent has the form of a token."""
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def header_pairs(headers: object) -> list[tuple[str, str]]:
    """Return headers as pairs, whatever the framework keeps them in; repeated ones stay repeated."""
    if hasattr(headers, "items"):
        return [(str(name), str(value)) for name, value in headers.items()]
    return list(headers) if isinstance(headers, Iterable) and not isinstance(headers, Mapping) else []


def _hosts(settings: Settings) -> tuple[str, ...]:
    name = settings.server_name.lower()
    if settings.public_url or not is_loopback(name):
        return ()
    names = _LOOPBACK if name in _LOOPBACK else (name,)
    port = "" if settings.server_port == 80 else f":{settings.server_port}"  # a browser leaves its default out
    return tuple(f"{each}{port}" for each in names)


def _values(headers: list[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in headers if name.lower() == wanted]


def _cookies(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    pairs = (each.partition("=") for value in _values(headers, "cookie") for each in value.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _place(scheme: str, host: str) -> str:
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
