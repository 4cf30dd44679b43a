"""A request on its way in: its body, bounded and read as JSON, and the work it asks for, followed until it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from clone.contract.cloning import REFERENCE_MAX_BYTES, parse
from clone.core.errors import BusyError, CancelledError, Refused, TimbreError

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
    return b"".join([chunk async for chunk in _bounded(request, MAX_BODY_BYTES, BODY_WITHIN_S)])


async def _bounded(request: Request, most_bytes: int, within_s: float) -> AsyncGenerator[bytes, None]:
    n_bytes = 0
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                n_bytes += len(chunk)
                if n_bytes > most_bytes:
                    raise _too_big(most_bytes)
                yield chunk
    except TimeoutError:
        raise Refused(f"The body was not here within {within_s:.0f} s.", code="body_late", limit=within_s) from None


def _too_big(most_bytes: int = MAX_BODY_BYTES) -> Refused:
    return Refused(
        f"The body is bigger than {most_bytes:,} bytes.",
        code="body_too_big",
        limit=most_bytes,
        advice="Send a shorter text; recordings are given by their URL.",
    )


FORM_MAX_BYTES = REFERENCE_MAX_BYTES + MAX_BODY_BYTES
FORM_WITHIN_S = 120.0
FORMS_AT_ONCE = 8
FIELDS_MAX = 30
_forms_read: list[None] = []


@dataclass(frozen=True)
class Sent:
    """A file in a form: its sender's word for it, and its bytes."""

    name: str
    file: BinaryIO


@asynccontextmanager
async def read_form(request: Request, body: type[Asked], files: tuple[str, ...]) -> AsyncIterator[tuple[Asked, Sent]]:
    """Lend a form's fields as a model, and its one file.

    Args:
        request: brings multipart/form-data.
        body: the model; fields come as text.
        files: names that the file may come under.

    Raises:
        Refused: too big, no form, no file or more than one, or not what the model describes.
        BusyError: too many are being read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refused("The Content-Type is not multipart/form-data.", code="content_type", field="Content-Type")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > FORM_MAX_BYTES:
        raise _too_big(FORM_MAX_BYTES)
    if len(_forms_read) >= FORMS_AT_ONCE:
        raise BusyError("Many files are being sent.", code="busy", advice="Try again in a moment.")
    _forms_read.append(None)
    try:
        stream = _bounded(request, FORM_MAX_BYTES, FORM_WITHIN_S)
        parser = MultiPartParser(
            request.headers, stream, max_files=2, max_fields=FIELDS_MAX, max_part_size=MAX_BODY_BYTES
        )
        async with aclosing(cast(Any, stream)):
            form = await parser.parse()
    except TimbreError:
        raise
    except (MultiPartException, ValueError, KeyError):
        raise Refused("The body is not a form that can be read.", code="not_form", advice=_FORM) from None
    finally:
        _forms_read.pop()
    try:
        yield parse(body, _fields(form)), _file(form, files)
    finally:
        await form.close()


_FORM = "Send multipart/form-data with one file."


def _fields(form: FormData) -> dict[str, Any]:
    return {name: value for name, value in form.multi_items() if isinstance(value, str) and value != ""}


def _file(form: FormData, names: tuple[str, ...]) -> Sent:
    found = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if len(found) != 1 or found[0][0] not in names:
        what = (
            "has no file" if not found else "has more than one file" if len(found) > 1 else "names its file otherwise"
        )
        raise Refused(f"The form {what}; {names[0]} is one file.", code="one_file", field=names[0], advice=_FORM)
    return Sent(found[0][1].filename or "", found[0][1].file)


class Asker(Protocol):
    """Whoever waits for work: a request, or a socket."""

    async def is_disconnected(self) -> bool:
        """Tell whether they have gone."""


class Follower:
    """Does the studio's work in threads of its own, and drops it as soon as nobody waits for it."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None

    async def events(self, request: Asker, work: Iterator[Any]) -> AsyncIterator[Any]:
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

    async def result(self, request: Asker, work: Iterator[Any]) -> Any:
        """Return the last thing that a generator of the studio yields; raises as ``events``."""
        last = None
        async with self.following(request, work) as events:
            async for event in events:
                last = event
        return last

    @asynccontextmanager
    async def following(self, request: Asker, work: Iterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
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
