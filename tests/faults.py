"""A server on loopback that does what servers do on bad days, one fault a path."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

_LENGTH = b"Content-Length"
SOUND = bytes(range(256)) * 400
OK = b"HTTP/1.1 200 OK\r\n"


class FaultServer(socketserver.ThreadingTCPServer):
    """``answers`` maps a path to what is done with its connection; ``asked`` keeps the heads of requests as they came,
    ``bodies`` what was sent with them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.answers: dict[str, Callable[[socket.socket], None]] = dict(FAULTS)
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.n_connections = 0
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def redirect(self, path: str, to: str) -> None:
        self.answers[path] = sending(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what most of these tests are about."""


class _Connection(socketserver.BaseRequestHandler):
    server: FaultServer

    def handle(self) -> None:
        self.server.n_connections += 1
        connection = self.request
        if self.server.context:
            connection = self.server.context.wrap_socket(connection, server_side=True)
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(4096)
            if not received:
                return
            request += received
        head, _, sent = request.partition(b"\r\n\r\n")
        length = next((int(v) for n, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if n == _LENGTH), 0)
        while len(sent) < length:
            sent += connection.recv(65536)
        self.server.bodies.append(sent)
        self.server.asked.append((head + b"\r\n\r\n").decode())
        path = request.split()[1].decode().partition("?")[0]
        self.server.answers.get(path, sending(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))(connection)
        connection.close()


def sending(*parts: bytes, pause_s: float = 0) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)

    return send


def body(data: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(data)}"))
    return OK + lines.encode() + b"\r\n" + data


def saying(status: int, said: Any, *headers: str) -> Callable[[socket.socket], None]:
    """Answer with a status and JSON; bytes are sent as they are."""
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    phrase = {each.value: each.phrase for each in HTTPStatus}.get(status, "What")
    answer = body(data, *headers).removeprefix(OK)
    return sending(f"HTTP/1.1 {status} {phrase}\r\n".encode() + answer)


def in_turn(*answers: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Do one after the other, a connection each; the last one for ever."""
    left = list(answers)
    return lambda connection: (left.pop(0) if len(left) > 1 else left[0])(connection)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_and_reset(connection: socket.socket) -> None:
    connection.sendall(body(SOUND)[:5000])
    time.sleep(0.05)
    reset(connection)


def for_ever(start: bytes, part: bytes, pause_s: float = 0) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            connection.sendall(part)
            time.sleep(pause_s)

    return send


def gzip_bomb(n_bytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1_000_000)
    return b"".join(packer.compress(block) for _ in range(n_bytes // len(block))) + packer.flush()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE_UNKNOWN = OK + b"\r\n"

FAULTS: dict[str, Callable[[socket.socket], None]] = {
    "/sound": sending(body(SOUND)),
    "/chunked": sending(CHUNKED + chunked(SOUND[:70_000], SOUND[70_000:], b"")),
    "/size-unknown": sending(SIZE_UNKNOWN + SOUND),
    "/wrong-type": sending(body(SOUND, "Content-Type: text/html")),
    "/gzip": sending(body(zlib.compress(SOUND, wbits=31), "Content-Encoding: gzip")),
    "/no-answer": lambda connection: connection.close(),
    "/reset": reset,
    "/half-and-reset": half_and_reset,
    "/half": sending(body(SOUND)[:5000]),
    "/half-chunked": sending(CHUNKED + chunked(SOUND)[:5000]),
    "/no-last-chunk": sending(CHUNKED + chunked(SOUND)),
    "/bad-chunk": sending(CHUNKED + b"zz\r\nsound\r\n"),
    "/bad-gzip": sending(body(SOUND, "Content-Encoding: gzip")),
    "/half-gzip": sending(body(zlib.compress(SOUND, wbits=31)[:100], "Content-Encoding: gzip")),
    "/many-encodings": sending(body(SOUND, "Content-Encoding: " + ", ".join(["gzip"] * 50))),
    "/two-lengths": sending(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nsound!"),
    "/not-http": sending(b"220 mail.example ESMTP\r\n"),
    "/long-header": sending(OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n"),
    "/many-headers": sending(OK + b"X: x\r\n" * 500 + b"\r\n"),
    "/silent": for_ever(b"", b"", 0.1),
    "/slow-head": for_ever(OK + b"X: ", b"x", 0.05),
    "/slow-body": for_ever(body(SOUND)[:100], b"x", 0.05),
    "/slow-size-unknown": for_ever(SIZE_UNKNOWN, b"x", 0.05),
    "/stalled-body": for_ever(body(SOUND)[:5000], b"", 0.1),
    "/endless": for_ever(SIZE_UNKNOWN, SOUND),
    "/endless-chunked": for_ever(CHUNKED, chunked(SOUND)),
    "/too-big": sending(OK + b"Content-Length: 99999999999\r\n\r\n"),
    "/bomb": sending(body(gzip_bomb(60_000_000), "Content-Encoding: gzip")),
    "/empty": sending(body(b"")),
    "/empty-gzip": sending(body(zlib.compress(b"", wbits=31), "Content-Encoding: gzip")),
    "/page": sending(
        body(b"\xef\xbb\xbf\n <!DOCTYPE  html><html><body>Sign in</body></html>", "Content-Type: audio/mpeg")
    ),
    "/page-in-bits": sending(CHUNKED, chunked(b"<ht"), chunked(b"ml><p>"), chunked(b"Sign in", b""), pause_s=0.05),
    "/xhtml": sending(body(b'<?xml version="1.0"?>\n<!-- x -->\n<html xmlns="x"></html>')),
    "/loop": sending(b"HTTP/1.1 301 Moved\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n"),
    "/endless-redirect": for_ever(b"HTTP/1.1 302 Found\r\nLocation: /sound\r\n\r\n", SOUND),
    "/nowhere": sending(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
    "/partial": sending(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nsound"),
    "/no-content": sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "/forbidden": sending(b"HTTP/1.1 403 <b>Reason</b>\r\nContent-Length: 0\r\n\r\n"),
    "/failing": sending(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
    "/odd-status": sending(b"HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"),
}


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[FaultServer]:
    server = FaultServer(context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.socket.close()
