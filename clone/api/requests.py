"""A request on its way in: its body, bounded and read as JSON, and the work it asks for, followed until it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from pydantic import BaseModel
from pydantic_core import from_json

from clone.contract.cloning import parse
from clone.core.errors import CancelledError, Refused, TimbreError

MAX_BODY_BYTES = 1_000_000
"""The longest text there is, every character written as an escape, takes less."""

BODY_WITHIN_S = 30.0
AT_ONCE = 64
"""Requests that may wait in a thread at once; the studio's queue refuses more long before."""

LOOK_AGAIN_S = 1.0

Asked = TypeVar("Asked", bound=BaseModel)
_END = object()


async def read_body(request: Request, body: type[Asked]) -> Asked:
    """Return a request's body as a model of the contract.

    Raises:
        Refused: too big, not JSON, or not what the contract describes.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("The Content-Type is not application/json.", code="content_type", field="Content-Type")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > MAX_BODY_BYTES:
        raise _too_big()
    data = await _bytes(request)
    try:
        values = from_json(data, allow_inf_nan=False)
    except ValueError:
        raise Refused("The body is not JSON.", code="not_json", advice="Send one JSON object in UTF-8.") from None
    if not isinstance(values, dict):
        raise Refused("The body is not a JSON object.", code="not_json", advice="Send one JSON object.")
    return parse(body, values)


async def _bytes(request: Request) -> bytes:
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                read += chunk
                if len(read) > MAX_BODY_BYTES:
                    raise _too_big()
    except TimeoutError:
        raise Refused(
            f"The body was not here within {BODY_WITHIN_S:.0f} s.", code="body_late", limit=BODY_WITHIN_S
        ) from None
    return bytes(read)


def _too_big() -> Refused:
    return Refused(
        f"The body is bigger than {MAX_BODY_BYTES:,} bytes.",
        code="body_too_big",
        limit=MAX_BODY_BYTES,
        advice="Send a shorter text; recordings are given by their URL.",
    )


class Follower:
    """Does the studio's work in threads of its own, and drops it as soon as nobody waits for it."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None

    async def events(self, request: Request, work: Iterator[Any]) -> AsyncIterator[Any]:
        """Yield what a generator of the studio yields.

        Raises:
            CancelledError: the asker has gone; the work is asked to stop.
            TimbreError: what the work raises.
        """
        limiter = self._limiter = self._limiter or CapacityLimiter(AT_ONCE)
        try:
            while (event := await to_thread.run_sync(next, work, _END, limiter=limiter)) is not _END:
                if await request.is_disconnected():
                    raise CancelledError("The asker has gone.", code="cancelled")
                yield event
        finally:
            cast(Generator[Any, None, None], work).close()

    async def result(self, request: Request, work: Iterator[Any]) -> Any:
        """Return the last thing that a generator of the studio yields; raises as ``events``."""
        last = None
        async with self.following(request, work) as events:
            async for event in events:
                last = event
        return last

    @asynccontextmanager
    async def following(self, request: Request, work: Iterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
        """Lend ``events``; the work has stopped, or been asked to, on the way out."""
        async with aclosing(cast(Any, self.events(request, work))) as events:
            yield events


class Health:
    """One look for all who ask at once, and again for those who ask a second later: anybody may, without a key.

    Args:
        look: raises a TimbreError where something is not as it should be.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._looked_at = -LOOK_AGAIN_S
        self._error: TimbreError | None = None

    async def check(self) -> None:
        """Raise what the look raises."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._looked_at <= asked_at - LOOK_AGAIN_S:
                self._error = await to_thread.run_sync(self._seen)
                self._looked_at = time.monotonic()
            error = self._error
        if error:
            raise error

    def _seen(self) -> TimbreError | None:
        try:
            self._look()
        except TimbreError as error:
            return error
        return None


def retry_after_s(error: TimbreError) -> int | None:
    """Return after how many seconds to ask again, where that helps."""
    if error.status in (429, 503):
        return int(getattr(error, "retry_after_s", 30))
    return None
