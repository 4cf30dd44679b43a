"""What stands in front of the page: the link that makes a browser the owner's, and no page of another site."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, RedirectResponse

from clone.ui import strings
from clone.ui.asgi_cache import App, Receive, Scope, Send
from clone.ui.visitors import COOKIE_LIFETIME, COOKIE_PATH, Owners

log = logging.getLogger(__name__)

_QUIET = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class Link:
    """The address that makes a browser the owner's, once; then another takes its place, and is logged.

    Args:
        owners: tells who is one.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._secret = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The address to open next; "" where nobody is the owner."""
        return f"http://{self._owners.hosts[0]}/?owner={self._secret}" if self._owners.hosts else ""

    def take(self, given: str) -> bool:
        """Tell whether this is the secret, which is then good for nothing any more."""
        if not secrets.compare_digest(given.encode(), self._secret.encode()):
            return False
        self._secret = secrets.token_urlsafe(32)
        log.info("A browser is the owner's now. For another one: %s", self.address)
        return True


class Door:
    """ASGI middleware that gives the owner's cookie for the link, and refuses what a page of another site asks for.

    It has to stand before Gradio's own CORS, which admits every page where the Host is spelled unusually.

    Args:
        app: everything behind.
        owners: tells who is one.
        link: what is taken for the cookie.
        is_open: tells of a request for what anybody may ask from anywhere, as it takes a key.
    """

    def __init__(self, app: App, owners: Owners, link: Link, is_open: Callable[[Scope], bool]) -> None:
        self._app = app
        self._owners = owners
        self._link = link
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application do it."""
        app: App = self._app
        if scope["type"] == "http" and not self._is_open(scope):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            given = _secret(scope)
            if self._owners.is_foreign(headers):
                app = JSONResponse({"detail": strings.FOREIGN}, 403)
            elif given and self._owners.is_direct(headers):
                app = self._let_in(given)
        await app(scope, receive, send)

    def _let_in(self, given: str) -> RedirectResponse:
        answer = RedirectResponse("/", 303, _QUIET)
        if self._link.take(given):
            lifetime_s = int(COOKIE_LIFETIME.total_seconds())
            name, value = self._owners.cookie, self._owners.new_cookie()
            answer.set_cookie(name, value, lifetime_s, path=COOKIE_PATH, httponly=True, samesite="strict")
        return answer


def _secret(scope: Scope) -> str:
    if scope["method"] != "GET" or scope["path"] != "/":
        return ""
    return str(parse_qs(scope["query_string"].decode("latin-1")).get("owner", [""])[0])
