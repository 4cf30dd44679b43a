"""The edge of a process that serves: its connections are bounded, every request has an id, and the log says it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import websockets  # noqa: F401  what uvicorn speaks with over them
from uvicorn import Server
from uvicorn.protocols.http.h11_impl import H11Protocol

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


# connections

HEAD_WITHIN_S = 10.0
"""How long a connection may be open with no request on it that has a whole head."""
TAKEN_WITHIN_S = 120.0
"""How long nothing of an answer may be taken. The kernel asks for more only when a third of what it holds has gone, up
to 1 MB: whoever reads 10 kB a second is waited for."""
CONNECTIONS_LIMIT = 800
"""Each takes a file descriptor, of which a process commonly has 1,024."""

MESSAGE_MAX_BYTES = 1_000_000
"""Of a WebSocket: as big as a body may be."""


def bound(served: Server) -> None:
    """Bound how many connections a server holds, and how long it waits on them for a request and with an answer.

    uvicorn itself waits for a head for ever, every byte ends its wait for the next one, and it waits for ever until
    what it answers is taken.
    """
    served.config.http = served.config.http_protocol_class = _Connection  # the one is read when it starts
    served.config.ws_max_size = MESSAGE_MAX_BYTES


class _Connection(H11Protocol):
    _asked_by_s: float
    _timer: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(0)  # whatever is left of an answer is waited for, not only 64 kB
        self._wait()
        if len(self.connections) > CONNECTIONS_LIMIT:
            idle = [each for each in self.connections if isinstance(each, _Connection) and each._is_idle()]
            min(idle, key=lambda each: each._asked_by_s).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)  # which resumes writing

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: Any) -> None:
        for timer in (self._timer, self._taking):  # it is another protocol's from now on
            if timer is not None:
                timer.cancel()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_until_taken()

    def resume_writing(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
        super().resume_writing()

    def _wait_until_taken(self, left_bytes: float = float("inf")) -> None:
        """Wait for as long as less and less of what was answered is left."""
        still_bytes = self.transport.get_write_buffer_size()
        if still_bytes < left_bytes:
            self._taking = self.loop.call_later(TAKEN_WITHIN_S, self._wait_until_taken, still_bytes)
        else:
            self.transport.abort()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._asked_by_s = self.loop.time() + HEAD_WITHIN_S
        self._timer = self.loop.call_at(self._asked_by_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._is_idle():
            self.transport.abort()

    def _is_idle(self) -> bool:
        done = self.cycle is None or self.cycle.response_complete
        return done and not self.flow.write_paused and not self.transport.is_closing()
