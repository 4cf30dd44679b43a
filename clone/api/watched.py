"""What an operator sees of a process that serves: every request has an id, and what is counted can be read."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from clone.core import watch
from clone.core.signed_urls import App, Scope

_TEXT = "%(asctime)s %(name)s %(levelname)s [%(request)s] %(message)s"


class Watched:
    """ASGI middleware that gives each request an id, or takes the one that a proxy gave, and tells it in the answer.

    Args:
        app: everything behind.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Let the application answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        header = watch.HEADER.encode()
        others = [each for each in scope["headers"] if each[0] != header]
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == header), None)
        with watch.request(given) as request_id:
            told = header, request_id.encode()

            async def answer(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), told]}
                await send(message)

            await self._app({**scope, "headers": [*others, told]}, receive, answer)


def log_to_stderr(*, as_json: bool) -> None:
    """Write a line for everything that is logged from now on, with the id of the request it belongs to."""
    handler = logging.StreamHandler()
    handler.addFilter(watch.RequestIds())
    handler.setFormatter(watch.JsonLines() if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
