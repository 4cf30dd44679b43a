"""Asking over plain sockets, as no ordinary client would, and looking at what it costs."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

import requests

from tests.running import App

WITHIN_S = 20


def raw(app: App, method: str, target: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """Ask for a target as it stands, which no ordinary client would send."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    connection.putrequest(method, target, skip_host=False)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read_all = answer.read(2_000_000)  # type: ignore[attr-defined]
    connection.close()
    return answer


def told(answer: http.client.HTTPResponse) -> bytes:
    return bytes(answer.read_all)  # type: ignore[attr-defined]


def memory_kb(app: App) -> int:
    told = Path(f"/proc/{app.process.pid}/status").read_text().splitlines()
    return int(next(line for line in told if line.startswith("VmRSS")).split()[1])


def page_folder(app: App) -> Path:
    """Return where the running process keeps the page's files."""
    return max((app.home / "page").iterdir(), key=lambda each: each.stat().st_mtime)


def ready(app: App) -> None:
    """Wait until its models are loaded: they take memory too."""
    end = time.monotonic() + 120
    while not requests.get(f"{app.url}/healthz", timeout=WITHIN_S).json()["ready"]:
        assert time.monotonic() < end
        time.sleep(0.5)


def connected(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
    connection.sendall(sent)
    return connection


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()


def answer(connection: socket.socket) -> bytes:
    """Return what is answered until the other side closes; nothing where it closes without a word."""
    told = b""
    try:
        while piece := connection.recv(65_536):
            told += piece
    except ConnectionResetError:
        pass
    return told


def status(connection: socket.socket) -> int:
    told = connection.recv(12)
    return int(told[9:12]) if told else 0
