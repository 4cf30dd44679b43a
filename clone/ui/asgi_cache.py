"""The page is the same for everybody at one address, so it is put together once per address and then handed out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

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
    told = tuple((name, value) for name, value in scope["headers"] if name in _ADDRESS_HEADERS)
    return scope["scheme"], scope.get("root_path", ""), scope.get("server"), told


def _is_keepable(page: list[Message]) -> bool:
    if not page or page[0].get("status") != 200 or page[-1].get("more_body"):
        return False
    if any(name.lower() == b"set-cookie" for name, _ in page[0]["headers"]):
        return False
    return sum(len(message.get("body", b"")) for message in page) <= _PAGE_LIMIT_BYTES
