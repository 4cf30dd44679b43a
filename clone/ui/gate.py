"""The gate in front of the page: which of the framework's routes there are, who may ask, and how much they may send.

The framework brings some seventy routes; a few of them fetch links for whoever asks, and all of them share the page's
origin. What is not listed here is not there. tests/attacks/test_gate.py holds the list against the framework's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from clone.core.errors import BusyError, TimbreError
from clone.core.signed_urls import MEDIA
from clone.ui.asgi_cache import App, Message, Receive, Scope, Send
from clone.ui.bodies import JSON_MAX_BYTES, UPLOAD_MAX_BYTES, Gone, Reader, again, check_json, check_size, too_much
from clone.ui.files import FILE_MIN_BYTES, UPLOAD_MAX_FILES, UPLOADS_BYTES, Room

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
    Route(("POST",), "/gradio_api/call/(check|clone|speak)", _JSON, keyed=True),
    Route(_READ, rf"/gradio_api/call/(check|clone|speak)/{_NAME}", keyed=True),
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
        public_url: by which the page is known; "" when there is none.
        on_space: whether the page stands in a frame of huggingface.co.
    """

    def __init__(
        self,
        app: App,
        *,
        folder: Path,
        beside: tuple[str, ...] = (),
        own: tuple[str, ...] = (),
        public_url: str = "",
        on_space: bool = False,
    ) -> None:
        self._app = app
        self._folder = folder.resolve()
        self._beside, self._own = beside, own
        self._public_host = urlsplit(public_url).netloc.lower()
        self._policy = policy(on_space)
        self._room = Room(folder, UPLOADS_BYTES)
        self._n_big = self._n_hearts = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, self._dressed(scope, send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        route: Route | None = None
        try:
            if _lies_in(scope["path"], self._own):
                self._check_origin(scope, headers)
            if _lies_in(scope["path"], (*self._beside, *self._own)):
                await self._app(scope, receive, send)
                return
            route = find(scope)
            if not route.keyed:
                self._check_origin(scope, headers)
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

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Refuse what a page of another site makes a browser ask for, but for being opened by a link.

        Raises:
            Foreign: it is that. Programs send none of these headers.
        """
        site = headers.get("sec-fetch-site")
        if site in ("same-origin", "none"):
            return
        if site is None:  # a program, or a browser of before 2023
            origin = headers.get("origin")
            forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
            hosts = {headers.get("host", "").lower(), forwarded.lower(), self._public_host} - {""}
            if origin is None or urlsplit(origin).netloc.lower() in hosts:
                return
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in ("document", "iframe")
        if not (opened and scope["method"] in _READ):
            raise Foreign("This can't be loaded from another site.", code="foreign", advice="Open the page itself.")

    def _file(self, given: str) -> Response:
        """Serve a file that lies in a folder of its own in the temporary folder, and none beside.

        Their folders' names are random or salted hashes, so who can name one was handed it. There is no other bond to
        a visit: programs fetch what they were answered without a cookie, and in a frame browsers may withhold it.
        """
        try:
            path = Path(given).resolve()
            inside = Path(given).is_absolute() and path.is_relative_to(self._folder) and path.is_file()
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
