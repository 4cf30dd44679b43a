"""A page's events, asked for over a socket with whatever headers an attacker likes."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import requests

from tests.running import App

WITHIN_S = 120
JOIN = "/gradio_api/queue/join"
Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What came back over a socket."""

    status: int
    headers: http.client.HTTPMessage
    text: str


class Events:
    """What the page of an app can be asked for."""

    def __init__(self, app: App) -> None:
        self.app = app
        config = requests.get(f"{app.url}/config", timeout=WITHIN_S).json()
        self._ids = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
        self.kinds = {each["id"]: each["type"] for each in config["components"]}
        self.values = {each["id"]: each["props"].get("value") for each in config["components"]}
        self.names = {number: name for name, number in self._ids.items()}
        self._events = config["dependencies"]

    def find(self, kind: str, of: str = "", changes: str = "") -> dict[str, Any]:
        """Return the event of this kind, of a component or of the whole page, that changes a component."""
        for event in self._events:
            is_its = any(name == kind and (not of or target == self._ids[of]) for target, name in event["targets"])
            if is_its and event["backend_fn"] and (not changes or self._ids[changes] in event["outputs"]):
                return dict(event)
        raise AssertionError(f"no {kind} of {of or 'the page'} changes {changes}")

    def ask(
        self,
        event: dict[str, Any],
        data: list[Any],
        headers: Headers,
        told: object = None,
        *,
        target: str = JOIN,
        port: int | None = None,
        visit: str = "",
    ) -> Answer:
        """Ask for an event as the page does, and return everything that is answered; a refusal as it is."""
        visit = visit or secrets.token_hex(8)
        body = {"data": data, "fn_index": event["id"], "session_hash": visit, "event_data": told}
        joined = send(self.app, "POST", target, headers, json.dumps(body).encode(), port=port)
        return joined if joined.status != 200 else joined._replace(text=self.told(visit))

    def told(self, visit: str) -> str:
        """Return what a visit is told until its event has ended."""
        lines = []
        url = f"{self.app.url}/gradio_api/queue/data?session_hash={visit}"
        with requests.get(url, stream=True, timeout=WITHIN_S) as stream:
            for line in stream.iter_lines():
                lines.append(line.decode())
                if "process_completed" in lines[-1] or "close_stream" in lines[-1]:
                    break
        return "\n".join(lines)


def send(app: App, method: str, target: str, headers: Headers, body: bytes = b"", *, port: int | None = None) -> Answer:
    """Send a request with exactly these headers, of which none is added, changed or left out."""
    connection = http.client.HTTPConnection("127.0.0.1", port or app.port, timeout=WITHIN_S)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in [*headers, ("Content-Length", str(len(body))), ("Content-Type", "application/json")]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return Answer(answer.status, answer.headers, text)


@contextmanager
def proxy(to: App, host: str = "") -> Iterator[int]:
    """Pass connections on as they are, or as nginx does by default: with the Host of the app, and no other trace."""
    listening = socket.create_server(("127.0.0.1", 0))

    def passed(one: socket.socket, other: socket.socket, first: bytes = b"") -> None:
        with suppress(OSError):
            other.sendall(first)
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                one, other = listening.accept()[0], socket.create_connection(("127.0.0.1", to.port))
                head = one.recv(65536)
                if host:
                    head = re.sub(rb"(?i)\r\nhost:[^\r]*", b"\r\nHost: " + host.encode(), head)
                threading.Thread(target=passed, args=(one, other, head), daemon=True).start()
                threading.Thread(target=passed, args=(other, one), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()
