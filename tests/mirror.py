"""A small model, and a server on loopback that has its files and counts what it sends of them."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clone.engine.models import File, Model

NAME = "pocket"
CONTENT = {
    "main.onnx": random.Random(1).randbytes(400_000),
    "flow.onnx": random.Random(2).randbytes(90_000),
    "vocab.json": b'{"a": 1, "b": 2}' * 100,
}
N_BYTES = sum(map(len, CONTENT.values()))
MAIN = f"/{NAME}/main.onnx"
TERMS = "Say hello to the stand-in.\n\nIts terms: https://example.com/terms (terms of use)"


def stand_in(url: str = "http://127.0.0.1:9") -> Model:
    """Return the model; its files' own URLs are below a base."""
    files = (
        File(name, len(data), hashlib.sha256(data).hexdigest(), f"{url}/{NAME}/{name}")
        for name, data in CONTENT.items()
    )
    return Model(NAME, "Stand-in TTS", tuple(files), "CC-BY-4.0", TERMS, ("English",))


def put(folder: Path) -> Path:
    """Write the files as a mirror's folder has them."""
    (folder / NAME).mkdir(parents=True, exist_ok=True)
    for name, data in CONTENT.items():
        (folder / NAME / name).write_bytes(data)
    return folder


class Mirror(ThreadingHTTPServer):
    """``has`` maps paths to bytes, ``instead`` paths to what is done with a request; ``asked`` keeps paths and headers.

    Attributes:
        ranges: whether a part of a file can be asked for.
        cut: after how many bytes of a body the connection breaks off.
        pause_s: waited after every 10,000 bytes.
        etag: of every file; it is in quotes.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.has = {f"/{NAME}/{name}": data for name, data in CONTENT.items()}
        self.instead: dict[str, Callable[[_Handler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: Counter[str] = Counter()
        self.ranges = True
        self.cut: int | None = None
        self.pause_s = 0.0
        self.etag = '"one"'

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers.items())))
        if self.path in self.server.instead:
            self.server.instead[self.path](self)
            self.close_connection = True
            return
        data = self.server.has.get(self.path)
        if data is None:
            self.answer(404, b"")
            return
        begin, status = self._begins(), 200
        headers = {"ETag": self.server.etag}
        if begin is not None:
            if begin >= len(data):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        self.answer(status, data[begin or 0 :], headers)

    def _begins(self) -> int | None:
        told = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_same = self.headers.get("If-Range", self.server.etag) == self.server.etag
        return int(told[1]) if told and self.server.ranges and is_same else None

    def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(data), 10_000):
            if self.server.cut is not None and at >= self.server.cut:
                self.close_connection = True
                return
            part = data[at : at + 10_000]
            self.server.sent[self.path] += len(part)  # first: who has it all asks at once how much that was
            self.wfile.write(part)
            time.sleep(self.server.pause_s)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def mirroring() -> Iterator[Mirror]:
    """Serve the model."""
    with Mirror() as mirror:
        threading.Thread(target=mirror.serve_forever, args=(0.02,), daemon=True).start()
        yield mirror
        mirror.shutdown()


def for_ever(start: bytes, part: bytes) -> Callable[[_Handler], None]:
    """Send without an end."""

    def send(handler: _Handler) -> None:
        with suppress(OSError):
            handler.wfile.write(start)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                handler.wfile.write(part)
                handler.server.sent[handler.path] += len(part)

    return send
