"""MiniMax's WebSocket: a task is started, given text after text, each spoken as it comes, and finished.

Source: MiniMax's API reference, "T2A WebSocket".
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from contextlib import aclosing, suppress
from typing import Any, cast

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketState

from clone.api.minimax import T2aBody, base_resp, order_of
from clone.api.responses import SUCCESS, extra_of, unforeseen
from clone.api.service import Service
from clone.contract import markup
from clone.contract.cloning import parse
from clone.core.errors import BusyError, CancelledError, Refused, TimbreError, disk_full

PATH = "/ws/v1/t2a_v2"
IDLE_S = 120.0
"""Of a client that sends nothing. Source: as above."""
START_S = 20.0
TAKEN_WITHIN_S = 60.0
AT_ONCE, AT_ONCE_PER_OWNER = 64, 8
AHEAD_MAX_CHARS = 200_000
"""Of one client's messages that are read and wait: hours of speech. Whoever sends more is hung up on."""

_ANY = "Hello."
_POLICY, _NORMAL = 1008, 1000


class Sockets:
    """The route, and how many are open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: Counter[str] = Counter()

    def add_to(self, app: FastAPI) -> None:
        """Add the route to an application."""
        app.add_api_websocket_route(PATH, self.serve)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it is done, goes, or is silent for too long."""
        await socket.accept()
        client, code = _Client(socket), _NORMAL
        try:
            owner = self._service.owner(socket)
            self._check_room(owner)
            self._open[owner] += 1
            try:
                await _Task(self._service, owner, client).run()
            finally:
                self._open[owner] -= 1
        except CancelledError:
            pass
        except Exception as error:  # noqa: BLE001  the last edge: nobody is shown a traceback
            known = error if isinstance(error, TimbreError) else disk_full(error) or unforeseen(error)
            code = _POLICY
            with suppress(CancelledError):
                await client.tell("task_failed", base_resp=base_resp(known).model_dump())
        finally:
            await client.close(code)

    def _check_room(self, owner: str) -> None:
        if self._open[owner] >= AT_ONCE_PER_OWNER or self._open.total() >= AT_ONCE:
            raise BusyError("Many sockets are open.", code="queue_full", advice="Close one, and try again.")


class _Client:
    """A socket that is read in the background, so that whoever goes is noticed; an Asker."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._session_id, self._trace_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._gone = False
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()
        self._ahead_chars = 0
        self._reading = asyncio.create_task(self._read())

    async def is_disconnected(self) -> bool:
        """Tell whether they have gone."""
        return self._gone

    async def hear(self, within_s: float) -> dict[str, Any]:
        """Return the next message.

        Raises:
            CancelledError: they have gone.
            Refused: it is late, or no JSON object.
        """
        try:
            async with asyncio.timeout(within_s):
                message = await self._messages.get()
        except TimeoutError:
            raise Refused(f"Nothing came for {within_s:.0f} s.", code="idle", limit=within_s) from None
        if message is None:
            raise CancelledError("The asker has gone.", code="cancelled")
        self._ahead_chars -= len(message)
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise Refused("The message is not a JSON object.", code="not_json", field="event")
        return said

    async def tell(self, event: str, **more: Any) -> None:
        """Send an event; raises CancelledError where nobody takes it."""
        ids = {"session_id": self._session_id, "trace_id": self._trace_id}
        told = {**ids, "event": event, "base_resp": SUCCESS, **more}
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self._socket.send_text(json.dumps(told, ensure_ascii=False))
        except Exception:  # noqa: BLE001  servers raise what they like
            self._gone = True
            raise CancelledError("The asker has gone.", code="cancelled") from None

    async def close(self, code: int) -> None:
        """End it."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(Exception):
                async with asyncio.timeout(TAKEN_WITHIN_S):
                    await self._socket.close(code)

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            text = message.get("text") or ""
            self._ahead_chars += len(text)
            if message["type"] == "websocket.disconnect" or self._ahead_chars > AHEAD_MAX_CHARS:
                self._gone = True
                self._messages.put_nowait(None)
                return
            self._messages.put_nowait(text)


class _Task:
    """What one client asks for."""

    def __init__(self, service: Service, owner: str, client: _Client) -> None:
        self._service = service
        self._owner = owner
        self._client = client

    async def run(self) -> None:
        """Do all of it; raises what refuses it, and CancelledError where they go."""
        await self._client.tell("connected_success")
        start = await self._client.hear(START_S)
        if start.get("event") != "task_start":
            raise _unexpected(start, "task_start")
        asked = self._asked(start, _ANY)
        await order_of(self._service, self._owner, asked)
        await self._client.tell("task_started")
        while (said := await self._client.hear(IDLE_S)).get("event") != "task_finish":
            if said.get("event") != "task_continue":
                raise _unexpected(said, "task_continue or task_finish")
            await self._speak(start, said.get("text"))
        await self._client.tell("task_finished")

    async def _speak(self, start: dict[str, Any], text: object) -> None:
        if isinstance(text, str) and not any(c.isalnum() for c in markup.plain(text)):
            await self._client.tell("task_continued", data={"audio": ""}, is_final=True)  # of a lone mark
            return
        asked = self._asked(start, text)
        await self._service.count("speak", self._owner)
        order = await order_of(self._service, self._owner, asked)
        speech = await self._service.speech(self._client, order, asked.audio_setting)
        async with aclosing(cast(Any, speech.pieces())) as pieces:
            async for audio in pieces:
                await self._client.tell("task_continued", data={"audio": audio.hex()}, is_final=False)
        extra = extra_of(speech, asked)
        await self._client.tell("task_continued", data={"audio": ""}, is_final=True, extra_info=extra)

    @staticmethod
    def _asked(start: dict[str, Any], text: object) -> T2aBody:
        asked = parse(T2aBody, {**start, "text": text, "stream": True})
        asked.check_stream()
        return asked


def _unexpected(said: dict[str, Any], wanted: str) -> Refused:
    shown = str(said.get("event"))[:40]
    return Refused(
        f"event is “{shown}”; it must be {wanted}.",
        code="unexpected_event",
        field="event",
        measured=shown,
        limit=wanted,
    )
