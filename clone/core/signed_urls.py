"""Links to one file: signed for a while and checked in constant time, and how every link to a file is answered."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ROUTE = "/links/"

MEDIA = {
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".mp4": "audio/mp4",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".webm": "audio/webm",
}
"""What is served to be played, and as what; any other file is only saved."""
OTHER_MEDIA = "application/octet-stream"
_HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
_SIGNED_HEADERS = {"X-Robots-Tag": "noindex", "Content-Security-Policy": "default-src 'none'; sandbox"}
"""For links that are handed to others."""


class Signer:
    """Signs keys until a time, and knows its own signatures again.

    Args:
        secret: at least 32 random bytes; links live no longer than it does.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        if len(secret) < 32:
            raise ValueError("a secret of at least 32 bytes is needed")
        self._secret = secret
        self._now = now

    def sign(self, key: str, expires: int) -> str:
        """Return the signature of a key until ``expires``, seconds since 1970, as hex."""
        return hmac.new(self._secret, f"{expires}\n{key}".encode(), hashlib.sha256).hexdigest()

    def verify(self, key: str, expires: str, signature: str) -> bool:
        """Tell whether a signature is ours and its time is not over; every answer takes as long as the others."""
        seconds = int(expires) if expires.isascii() and expires.isdecimal() and len(expires) <= 12 else 0
        ours = hmac.compare_digest(self.sign(key, seconds).encode(), signature.encode("utf-8", "replace"))
        return ours and self._now() < seconds

    def link(self, base_url: str, key: str, for_s: float) -> str:
        """Return the link to a key, good for so many seconds.

        Args:
            base_url: of this app, without a slash at the end.
            key: what ``find`` of the route knows the file by.
            for_s: seconds from now.
        """
        expires = int(self._now() + for_s)
        return f"{base_url}{ROUTE}{quote(key)}?expires={expires}&signature={self.sign(key, expires)}"


Find = Callable[[str, str], Path | str | None]
"""Gives the file of a key to a method: its path here, or another link to it, good for a while; None for none."""


def link_route(signer: Signer, find: Find) -> App:
    """Return an ASGI application that answers GET and HEAD of links, and Range; mount it at ``ROUTE``.

    Whatever is wrong with a link, the answer is the same 404.

    Args:
        signer: made the links.
        find: gives the file of a key.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        key = str(scope["path"]).partition(ROUTE)[2]
        query = scope.get("query_string", b"").decode("latin-1")
        found = None
        if signed(key, query, signer):
            found = await run_in_threadpool(find, key, scope["method"])
        if isinstance(found, str) and scope["method"] in ("GET", "HEAD"):
            await RedirectResponse(found, 307, _HEADERS | _SIGNED_HEADERS)(scope, receive, send)
            return
        path = found if isinstance(found, Path) else None
        await answer(scope["method"], path, more=_SIGNED_HEADERS)(scope, receive, send)

    return serve


def answer(
    method: str,
    path: Path | None,
    growing: AsyncIterator[bytes] | None = None,
    *,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Return the answer of a link to a file: GET and HEAD, Range too; what can't be played is saved, never shown.

    Args:
        method: asked with.
        path: the file; None, or one that is gone, is a 404.
        growing: its bytes, where somebody still writes it.
        more: headers beside those that every such answer has.
    """
    headers = _HEADERS | dict(more)
    if method not in ("GET", "HEAD"):
        return PlainTextResponse("Method Not Allowed", 405, {**headers, "Allow": "GET, HEAD"})
    if path is None or not path.is_file():
        return PlainTextResponse("Not Found", 404, headers)
    media = MEDIA.get(path.suffix)
    if growing is not None:
        return StreamingResponse(growing, headers=headers, media_type=media)
    saved = {} if media else {"Content-Disposition": "attachment"}
    return FileResponse(path, headers=headers | saved, media_type=media or OTHER_MEDIA)


def signed(key: str, query: str, signer: Signer) -> bool:
    """Tell whether a link was given out here, and its time is not over.

    Args:
        key: the link's path after ``ROUTE``, decoded.
        query: what stands after its question mark.
        signer: made the links.
    """
    asked = dict(parse_qsl(query))
    return signer.verify(key, asked.get("expires", ""), asked.get("signature", ""))
