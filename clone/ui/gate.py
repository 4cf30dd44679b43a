"""What stands in front of the page, in the order of a request: Door, Gate and PageCache.

Door makes a browser the owner's by its link, and refuses what pages of other sites ask for. Gate knows which of the
framework's routes there are, and how much may be sent. PageCache has the page in memory, the same for everybody.

The framework brings some seventy routes; a few of them fetch links for whoever asks, and all of them share the page's
origin. What is not listed here is not there. tests/attacks/test_gate.py holds the list against the framework's own.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from clone.core.errors import BusyError, TimbreError
from clone.core.signed_urls import MEDIA, App, Message, Receive, Scope, Send
from clone.ui import strings
from clone.ui.bodies import JSON_MAX_BYTES, UPLOAD_MAX_BYTES, Gone, Reader, again, check_json, check_size, too_much
from clone.ui.files import FILE_MIN_BYTES, UPLOAD_MAX_FILES, UPLOADS_BYTES, Room
from clone.ui.visitors import COOKIE_LIFETIME, COOKIE_PATH, Owners

log = logging.getLogger(__name__)

_QUIET = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class OwnerLink:
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

    def __init__(self, app: App, owners: Owners, link: OwnerLink, is_open: Callable[[Scope], bool]) -> None:
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


FILE = "/gradio_api/file="

BIG_BYTES = 256_000
BIG_AT_ONCE = 16
"""Bodies of more than so many bytes that are read at one time."""
QUERY_MAX_BYTES = 2_048
HEARTBEATS_AT_ONCE = 300
"""Visits whose end is noticed at once; those beyond are ended by their age."""

_JSON, _UPLOAD, _HEARTBEAT = "json", "upload", "heartbeat"
_NAME = r"[A-Za-z0-9_.~-]{1,64}"


@dataclass(frozen=True)
class Route:
    """A route that may be asked: methods, the whole path as a pattern, what it takes, and whether it asks for a key."""

    methods: tuple[str, ...]
    path: str
    takes: str = ""
    keyed: bool = False
    """It does nothing without a bearer key, which no other site has: so it need not matter who asks."""


_READ = ("GET", "HEAD")
ROUTES = (
    Route(_READ, "/"),
    Route(_READ, r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)"),
    Route(_READ, r"/(assets|static)/(?!.*\.\.)[\w./@+-]+"),
    Route(_READ, r"/gradio_api/(info|app_id|theme\.css|startup-events|queue/data|upload_progress)"),
    Route(_READ, rf"/gradio_api/heartbeat/{_NAME}", _HEARTBEAT),
    Route(_READ, f"{FILE}.+"),
    Route(("POST",), r"/gradio_api/(queue/join|cancel|reset)", _JSON),
    Route(("POST",), "/gradio_api/upload", _UPLOAD),
    Route(("POST",), "/gradio_api/call/(check|clone|speak|voices)", _JSON, keyed=True),
    Route(_READ, rf"/gradio_api/call/(check|clone|speak|voices)/{_NAME}", keyed=True),
    Route(("POST",), "/gradio_api/mcp/?", _JSON, keyed=True),
    Route(_READ, "/gradio_api/mcp/schema", keyed=True),
)
"""What the page uses, and what programs are promised in README."""


class NoRoute(TimbreError):
    """There is no such route, or it does not take this method."""

    status = 404


class Foreign(TimbreError):
    """A browser asks for another site's page."""

    status = 403


def policy(on_space: bool) -> str:
    """Return the Content-Security-Policy of everything the page's origin serves.

    The framework puts its configuration into an inline script and makes functions of texts, so both stay allowed; what
    is kept out is everything from and to other hosts, and being framed by a page of theirs.
    """
    framed_by = "'self' https://huggingface.co https://*.hf.space" if on_space else "'self'"
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        f"form-action 'self'; frame-ancestors {framed_by}"
    )


class Gate:
    """ASGI middleware that lets through what ROUTES lists, within limits, and serves the page's files itself.

    Args:
        app: the application behind.
        folder: the page's temporary folder; files are served from nowhere else.
        beside: prefixes of paths that look after themselves; their answers only get headers.
        own: prefixes of paths beside that only this site's pages may load from.
        sockets: paths of WebSockets that look after themselves; there are no others.
        on_space: whether the page stands in a frame of huggingface.co.
    """

    def __init__(
        self,
        app: App,
        *,
        folder: Path,
        beside: tuple[str, ...] = (),
        own: tuple[str, ...] = (),
        sockets: tuple[str, ...] = (),
        on_space: bool = False,
    ) -> None:
        self._app = app
        self._folder = folder.resolve()
        self._beside, self._own, self._sockets = beside, own, sockets
        self._policy = policy(on_space)
        self._room = Room(folder, UPLOADS_BYTES)
        self._n_big = self._n_hearts = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, self._dressed(scope, send))
        elif scope["path"] in self._sockets:
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        route: Route | None = None
        try:
            if _lies_in(scope["path"], self._own):
                self._check_site(scope, headers)
            if _lies_in(scope["path"], (*self._beside, *self._own)):
                await self._app(scope, receive, send)
                return
            route = find(scope)
            if not route.keyed:
                self._check_site(scope, headers)
            await self._answer(route, scope, receive, send)
        except TimbreError as error:
            await _refusal(error, as_text=route is None or route.takes != _JSON)(scope, receive, send)
        except Gone:
            return

    async def _answer(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(FILE):
            await self._file(scope["path"].removeprefix(FILE))(scope, receive, send)
        elif route.takes == _JSON:
            body = await self._json(Headers(scope=scope), receive)
            await self._app(scope, again(body, receive), send)
        elif route.takes == _UPLOAD:
            await self._upload(scope, receive, send)
        elif route.takes == _HEARTBEAT:
            await self._heartbeat(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        """Refuse what a page of another site makes a browser ask for, but for being opened by a link.

        Origins are judged before this, by Door; a browser may leave them out where it only loads something.

        Raises:
            Foreign: it is that. Programs send none of these headers.
        """
        if headers.get("sec-fetch-site") in (None, "same-origin", "none"):
            return
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in ("document", "iframe")
        if not (opened and scope["method"] in _READ):
            raise Foreign("This can't be loaded from another site.", code="foreign", advice="Open the page itself.")

    def _file(self, given: str) -> Response:
        """Serve a file that lies in a folder of its own in the temporary folder, and none beside.

        It is named by its whole path, or by its place in that folder.

        Their folders' names are random or salted hashes, so who can name one was handed it. There is no other bond to
        a visit: programs fetch what they were answered without a cookie, and in a frame browsers may withhold it.
        """
        try:
            path = (self._folder / given).resolve()
            inside = path.is_relative_to(self._folder) and path.is_file()
        except (ValueError, OSError):  # what no file can be called
            inside = False
        if not inside or len(path.relative_to(self._folder).parts) < 2:
            raise NoRoute("There is no such file.", code="not_found")
        media = MEDIA.get(path.suffix.lower())
        how = "inline" if media else "attachment"
        kept = {"Cache-Control": "private, no-store"}
        media_type = media or "application/octet-stream"
        return FileResponse(path, media_type=media_type, filename=path.name, content_disposition_type=how, headers=kept)

    async def _json(self, headers: Headers, receive: Receive) -> bytes:
        """Read a whole body, so that whoever is slow holds nothing behind the gate.

        Raises:
            TooMuch, TooSlow, BusyError: as they say.
        """
        check_size(headers, JSON_MAX_BYTES)
        body, big = bytearray(), False
        reader = Reader(receive)
        try:
            while chunk := await reader.next():
                body += chunk
                if len(body) > JSON_MAX_BYTES:
                    raise too_much(JSON_MAX_BYTES)
                if len(body) > BIG_BYTES and not big:
                    if self._n_big >= BIG_AT_ONCE:
                        raise BusyError("Many recordings are being sent.", code="busy", advice="Try again in a moment.")
                    self._n_big, big = self._n_big + 1, True
            return check_json(bytes(body))
        finally:
            self._n_big -= big

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        check_size(Headers(scope=scope), UPLOAD_MAX_BYTES)
        await run_in_threadpool(self._room.check)
        self._room.add(UPLOAD_MAX_FILES * FILE_MIN_BYTES)
        reader, refused = Reader(receive), list[TimbreError]()

        async def counted() -> Message:
            if reader.ended or refused:
                return {"type": "http.disconnect"} if refused else await receive()
            try:
                chunk = await reader.next()
                self._room.add(len(chunk))
                if reader.n_bytes > UPLOAD_MAX_BYTES:
                    raise too_much(UPLOAD_MAX_BYTES)
                return {"type": "http.request", "body": chunk, "more_body": not reader.ended}
            except TimbreError as error:
                refused.append(error)
            except Gone:
                pass
            return {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        except Exception:
            if not refused:
                raise
        if refused:
            raise refused[0]

    async def _heartbeat(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._n_hearts >= HEARTBEATS_AT_ONCE:
            raise BusyError("Many visitors are here.", code="busy")
        self._n_hearts += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_hearts -= 1

    def _dressed(self, scope: Scope, send: Send) -> Send:
        """Return what sends every answer with the headers that it has to have."""
        beside = _lies_in(scope["path"], self._beside)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Content-Security-Policy", self._policy)
                if not beside:
                    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
                message = {**message, "headers": headers.raw}
            await send(message)

        return dressed


def find(scope: Scope) -> Route:
    """Return the route that a request is for.

    Raises:
        NoRoute, TooMuch: there is none, or it is asked with more than it can need.
    """
    if len(scope.get("query_string", b"")) > QUERY_MAX_BYTES:
        raise too_much(QUERY_MAX_BYTES)
    path = str(scope["path"])
    for route in ROUTES:
        if scope["method"] in route.methods and re.fullmatch(route.path, path):
            return route
    raise NoRoute("There is no such page.", code="not_found")


def _lies_in(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _refusal(error: TimbreError, as_text: bool) -> Response:
    """Return an error as the page's own script shows it; what is still being sent is not waited for."""
    headers = {"Connection": "close", "Cache-Control": "no-store"}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    if as_text:
        return PlainTextResponse(str(error), error.status, headers)
    return JSONResponse({"error": str(error), "detail": str(error)}, error.status, headers)


ADDRESSES_LIMIT = 32
_PAGE_LIMIT_BYTES = 2_000_000
_ADDRESS_HEADERS = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
_NEVER_WITH = {b"cookie", b"x-gradio-server"}


class PageCache:
    """ASGI middleware that answers ``GET /`` from memory.

    Only plain visits are answered so: no query, no cookie. What the framework builds the page's own address from
    (host, forwarded host and protocol, scheme, root path) is the key, so nobody is handed a page made for another.

    Args:
        app: the application behind.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._pages: OrderedDict[tuple[object, ...], list[Message]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or let the application answer and keep what it said."""
        if not _is_plain_visit(scope):
            await self._app(scope, receive, send)
            return
        key = _address(scope)
        page = self._pages.get(key, [])
        if not page:

            async def collect(message: Message) -> None:
                page.append(message)

            await self._app(scope, receive, collect)
            if not _is_keepable(page):
                await _send_all(page, send)
                return
            self._pages[key] = page
            if len(self._pages) > ADDRESSES_LIMIT:
                self._pages.popitem(last=False)
        await _send_all(page, send)


async def _send_all(page: list[Message], send: Send) -> None:
    for message in page:
        await send(dict(message))


def _is_plain_visit(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"] == "/"
        and not scope.get("query_string")
        and not any(name in _NEVER_WITH for name, _ in scope["headers"])
    )


def _address(scope: Scope) -> tuple[object, ...]:
    headers = tuple((name, value) for name, value in scope["headers"] if name in _ADDRESS_HEADERS)
    return scope["scheme"], scope.get("root_path", ""), scope.get("server"), headers


def _is_keepable(page: list[Message]) -> bool:
    if not page or page[0].get("status") != 200 or page[-1].get("more_body"):
        return False
    if any(name.lower() == b"set-cookie" for name, _ in page[0]["headers"]):
        return False
    return sum(len(message.get("body", b"")) for message in page) <= _PAGE_LIMIT_BYTES
