"""What is sent to the page, bounded: how much, how slowly, and how much memory it may take once it is read."""

from __future__ import annotations

import asyncio
import json

from starlette.datastructures import Headers

from clone.core.errors import Refused
from clone.core.signed_urls import Message, Receive

UPLOAD_MAX_BYTES = 210_000_000
"""A file of UPLOAD_LIMIT in app.py, and what is wrapped around it."""
JSON_MAX_BYTES = 4_500_000
"""A recording of 3 MB as a data: URI, and everything that is sent with it."""
JSON_MAX_PARTS = 100_000
"""Values, lists and objects in it: an empty list takes thirty times the memory of its two characters."""
BODY_GRACE_S = 20.0
BODY_MIN_BYTES_PER_S = 20_000
"""A body may take the grace and, for all that has come of it, the time it takes at this speed."""
SESSION_MAX_CHARS = 64


class TooMuch(Refused):
    """What is sent is too big."""

    status = 413


class TooSlow(Refused):
    """What is sent does not come."""

    status = 408


class Gone(Exception):
    """Who asked has left."""


class Reader:
    """Reads a body, chunk by chunk, and no slower than a person's line allows."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._begun_s = asyncio.get_running_loop().time()
        self.n_bytes = 0
        self.ended = False

    async def next(self) -> bytes:
        """Return what came next; nothing at the end.

        Raises:
            TooSlow: nothing came.
            Gone: who asked has left.
        """
        while not self.ended:
            until_s = self._begun_s + BODY_GRACE_S + self.n_bytes / BODY_MIN_BYTES_PER_S
            try:
                async with asyncio.timeout_at(until_s):
                    message = await self._receive()
            except TimeoutError:
                raise TooSlow("What you send does not arrive.", code="body_late", advice="Try again.") from None
            if message["type"] != "http.request":
                raise Gone
            self.ended = not message.get("more_body", False)
            body = bytes(message.get("body", b""))
            self.n_bytes += len(body)
            if body:
                return body
        return b""


def check_size(headers: Headers, limit_bytes: int) -> None:
    """Refuse a body by the length it is said to have, before any of it is read.

    Raises:
        TooMuch: it is too long, or its length is no number.
    """
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()) or int(declared[:20]) > limit_bytes:
        raise too_much(limit_bytes)


def check_json(body: bytes) -> bytes:
    """Refuse a body that would take far more memory than bytes, or names a visit by a text of any length.

    Raises:
        TooMuch: it does.
        Refused: it is no JSON.
    """
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > JSON_MAX_PARTS:
        raise too_much(JSON_MAX_PARTS, "parts")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("This is not JSON.", code="not_json") from None
    visit = asked.get("session_hash") if isinstance(asked, dict) else None
    if visit is not None and not (isinstance(visit, str) and len(visit) <= SESSION_MAX_CHARS):
        raise too_much(SESSION_MAX_CHARS, "characters of session_hash")
    return body


def again(body: bytes, receive: Receive) -> Receive:
    """Return what hands on a body that was read, and then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again


def too_much(limit: int, of: str = "bytes") -> TooMuch:
    """Return the refusal of what has more than so many bytes, or whatever is counted."""
    return TooMuch(f"This is too big: at most {limit:,} {of} are accepted.", code="body_too_big", limit=limit)
