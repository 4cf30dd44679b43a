"""Connections that ask for nothing, or slowly, are ended, and keep nobody from being served."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from clone.api import edge
from clone.ui import bodies, gate
from clone.ui.gate import Gate
from tests.attacks.sockets import WITHIN_S, answer, connected, head, status
from tests.running import App

JOIN = "/gradio_api/queue/join"


class Small:
    """A gate before a small application, on uvicorn as the app serves it, with limits that a test can wait for."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = uvicorn.Config(Gate(self._app, folder=folder), port=self.port, log_level="warning", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + WITHIN_S
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        edge.bound(self.server)
        self.url = f"http://127.0.0.1:{self.port}"

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if "heartbeat" in scope["path"]:

            async def beats() -> Any:
                while True:
                    yield b"alive"
                    await asyncio.sleep(0.1)

            await StreamingResponse(beats())(scope, receive, send)
            return
        if scope["path"] == "/theme.css":
            await Response(b"x" * int(scope["query_string"]))(scope, receive, send)
            return
        n_bytes = 0
        async for chunk in Request(scope, receive).stream():
            n_bytes += len(chunk)
        await JSONResponse({"n_bytes": n_bytes})(scope, receive, send)

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(WITHIN_S)


def ended_while_dripping(asked: socket.socket, byte: bytes) -> bool:
    """Send a byte now and then; tell whether the other side ended it."""
    for _ in range(200):
        try:
            asked.sendall(byte)
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def small(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    monkeypatch.setattr(edge, "HEAD_WITHIN_S", 0.5)
    monkeypatch.setattr(edge, "TAKEN_WITHIN_S", 0.5)
    monkeypatch.setattr(edge, "CONNECTIONS_LIMIT", 20)
    monkeypatch.setattr(bodies, "BODY_GRACE_S", 0.5)
    monkeypatch.setattr(bodies, "BODY_MIN_BYTES_PER_S", 1_000)
    monkeypatch.setattr(gate, "HEARTBEATS_AT_ONCE", 3)
    monkeypatch.setattr(gate, "BIG_AT_ONCE", 2)
    monkeypatch.setattr(bodies, "UPLOAD_MAX_BYTES", 1_000_000)
    monkeypatch.setattr(gate, "UPLOAD_MAX_BYTES", 1_000_000)
    serving = Small(home / "page")
    yield serving
    serving.stop()


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "a byte", "half"])
def test_a_head_that_does_not_come_is_not_waited_for(small: Small, begun: bytes) -> None:
    with connected(small.port, begun) as asked:
        assert answer(asked) == b""


def test_a_head_that_comes_byte_by_byte_is_not_either(small: Small) -> None:
    """On a fresh connection, and on one that has had an answer."""
    for first in (b"", head("/config", method="GET")):
        with connected(small.port, first) as asked:
            if first:
                assert status(asked) == 200
            assert ended_while_dripping(asked, b"X")


@pytest.mark.parametrize("path", [JOIN, "/gradio_api/upload", "/gradio_api/mcp/"])
def test_a_body_that_stops_or_drips_is_told_off(small: Small, path: str) -> None:
    for drip in (False, True):
        with connected(small.port, head(path, "Content-Length: 4000") + b"[") as asked:
            assert ended_while_dripping(asked, b"1") if drip else b" 408 " in answer(asked)[:20]


def test_a_body_that_comes_slowly_but_steadily_is_read(small: Small) -> None:
    with connected(small.port, head("/gradio_api/upload", "Content-Length: 4000")) as asked:
        for _ in range(20):
            asked.sendall(b"x" * 200)
            time.sleep(0.05)
        assert status(asked) == 200


def test_an_upload_ends_at_its_limit_however_it_is_sent(small: Small) -> None:
    body = (b"x" * 50_000 for _ in range(40))
    try:
        told = requests.post(f"{small.url}/gradio_api/upload", data=body, timeout=WITHIN_S)
        assert told.status_code == 413
    except requests.ConnectionError:  # it was refused while it was still being sent
        pass
    assert requests.post(f"{small.url}/gradio_api/upload", data=b"x" * 900_000, timeout=WITHIN_S).status_code == 200


def test_open_connections_lock_nobody_out(small: Small) -> None:
    idle = [connected(small.port, b"GET / HT") for _ in range(60)]
    try:
        assert requests.get(f"{small.url}/config", timeout=WITHIN_S).status_code == 200
        assert len(small.server.server_state.connections) <= 21
    finally:
        for each in idle:
            each.close()


def test_heartbeats_lock_nobody_out(small: Small) -> None:
    hearts = [connected(small.port, head(f"/gradio_api/heartbeat/{n}", method="GET")) for n in range(5)]
    try:
        assert [status(each) for each in hearts].count(429) == 2
        assert requests.get(f"{small.url}/config", timeout=WITHIN_S).status_code == 200
    finally:
        for each in hearts:
            each.close()
    time.sleep(0.5)
    with connected(small.port, head("/gradio_api/heartbeat/x", method="GET")) as asked:
        assert status(asked) == 200


def test_few_big_bodies_are_read_at_once_and_small_ones_pass(small: Small) -> None:
    begun = [connected(small.port, head(JOIN, "Content-Length: 400000") + b" " * 300_000) for _ in range(4)]
    try:
        assert b" 429 " in answer(begun[-1])[:20]
        assert requests.post(small.url + JOIN, data=b"{}", timeout=WITHIN_S).status_code == 200
    finally:
        for each in begun:
            each.close()


@pytest.mark.parametrize("n_bytes", [300_000, 3_000_000, 30_000_000])
@pytest.mark.parametrize("reads", [False, True], ids=["nothing", "drops"])
def test_an_answer_that_is_not_taken_is_not_waited_for(small: Small, n_bytes: int, reads: bool) -> None:
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # it holds little itself
        asked.connect(("127.0.0.1", small.port))
        asked.sendall(head(f"/theme.css?{n_bytes}", method="GET"))
        end = time.monotonic() + WITHIN_S
        while not small.server.server_state.connections:
            assert time.monotonic() < end
        while small.server.server_state.connections:
            assert time.monotonic() < end
            if reads:
                asked.recv(1)
            time.sleep(0.02)


def test_an_answer_that_is_taken_slowly_is_sent_to_its_end(small: Small) -> None:
    n_bytes, taken = 30_000_000, 0
    with connected(small.port, head(f"/theme.css?{n_bytes}", "Connection: close", method="GET")) as asked:
        while piece := asked.recv(200_000):
            taken += len(piece)
            time.sleep(0.01)
    assert taken > n_bytes


def test_the_real_one_bounds_its_heads_too(public: App) -> None:
    with connected(public.port, b"GET / HTTP/1.1\r\n") as asked:
        asked.settimeout(2 * edge.HEAD_WITHIN_S)
        assert answer(asked) == b""
