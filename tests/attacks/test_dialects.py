"""The dialects of other services, attacked at a real instance: by sockets, bodies without end, names and leavers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from clone.api import edge, minimax_socket
from clone.api.requests import FORM_MAX_BYTES
from tests.running import App

WITHIN_S = 120
TEXT = "The harbour was quiet this morning, and nobody went ashore before noon. "


@pytest.fixture(scope="module")
def key(public: App) -> str:
    return (public.home / "api_key").read_text().strip()


@pytest.fixture(scope="module")
def voice(public: App, key: str, examples: list[Path]) -> str:
    files = {"files": ("x.mp3", examples[1].read_bytes())}
    asked = requests.post(
        f"{public.url}/v1/voices/add", {"name": "Ada"}, headers={"xi-api-key": key}, files=files, timeout=WITHIN_S
    )
    assert asked.status_code == 200, asked.text
    return str(asked.json()["voice_id"])


def said(public: App, key: str, voice: str, text: str, **more: Any) -> requests.Response:
    body = {"model": "tts-1", "voice": voice, "input": text, "response_format": "pcm"}
    bearer = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{public.url}/v1/audio/speech", json=body, headers=bearer, timeout=WITHIN_S, **more)


def test_who_leaves_a_stream_ends_its_work(public: App, key: str, voice: str) -> None:
    begun = time.monotonic()
    for _ in range(3):
        with said(public, key, voice, TEXT * 100, stream=True) as answer:
            next(answer.iter_content(1000))
    assert said(public, key, voice, "Yes.").status_code == 200
    assert time.monotonic() - begun < 60  # each would take minutes


def test_other_paths_have_no_sockets(public: App, key: str) -> None:
    for path in (
        "/",
        "/gradio_api/queue/join",
        "/ws",
        "/ws/v1/t2a_v2/",
        "/ws/v1/t2a_v2/x",
        "/v1/t2a_v2",
        "/ws/v1/%742a",
    ):
        with (
            pytest.raises((InvalidStatus, ConnectionClosed)),
            connect(f"ws{public.url[4:]}{path}", additional_headers={"Authorization": f"Bearer {key}"}) as opened,
        ):
            opened.recv(timeout=10)


def test_the_socket_is_there_behind_the_gate(public: App, key: str, voice: str) -> None:
    url = f"ws{public.url[4:]}{minimax_socket.PATH}"
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as opened:
        start = {"event": "task_start", "model": "speech-02-turbo", "voice_setting": {"voice_id": voice}}
        for message in (start, {"event": "task_continue", "text": "Yes."}, {"event": "task_finish"}):
            opened.send(json.dumps(message))
        events = [json.loads(message)["event"] for message in opened]
    assert (events[:2], events[-1]) == (["connected_success", "task_started"], "task_finished")
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as opened:
        with suppress(ConnectionClosed):
            opened.send("x" * (edge.MESSAGE_MAX_BYTES + 1))
        with pytest.raises(ConnectionClosed):  # noqa: PT012  whichever of them is too late
            for _ in range(3):
                opened.recv(timeout=20)
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as opened:
        opened.send(json.dumps(start))
        with pytest.raises(ConnectionClosed):  # noqa: PT012  more than anybody listens to
            for _ in range(400):
                opened.send(json.dumps({"event": "task_continue", "text": TEXT * 100}))
                opened.recv(timeout=20)
    assert requests.get(f"{public.url}/healthz", timeout=WITHIN_S).status_code == 200


def test_a_form_without_an_end_is_not_read(public: App, key: str) -> None:
    with socket.create_connection(("127.0.0.1", public.port), timeout=WITHIN_S) as endless:
        head = f"POST /v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        endless.sendall(head.encode() + b"%x\r\n" % len(part) + part + b"\r\n")
        with pytest.raises(OSError, match=r"."):  # noqa: PT012  the server hangs up
            for _ in range(3 * FORM_MAX_BYTES // 0x10000):
                endless.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            time.sleep(2)
            endless.sendall(b"0")


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "..%2f..%2fx", "%00", "%ff", "a" * 3000, "‮", "voice_%0a"])
@pytest.mark.parametrize("path", ["/v1/text-to-speech/{}", "/v1/voices/{}", "/v1/models/{}"])
def test_names_in_paths_are_names_alone(public: App, key: str, path: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    method = "POST" if "text" in path else "GET"
    url = public.url + path.format(name)
    answer = requests.request(method, url, json={"text": TEXT}, headers=headers, timeout=WITHIN_S)
    assert answer.status_code in (400, 404, 405), answer.text
    assert "root:" not in answer.text
    assert str(public.home) not in answer.text


def test_nothing_is_done_without_a_key(public: App, voice: str) -> None:
    for method, path in (
        ("POST", "/v1/audio/speech"), ("POST", "/v1/audio/transcriptions"), ("GET", "/v1/models"),
        ("GET", "/v1/voices"),
        ("GET", "/v1/audio/voices"), ("POST", "/v1/files/upload"), ("POST", "/v1/voice_clone"), ("POST", "/v1/t2a_v2"),
        ("POST", "/v1/get_voice"), ("POST", "/v1/delete_voice"), ("POST", f"/v1/text-to-speech/{voice}"),
        ("GET", "/v2/voices"), ("POST", "/v1/voices/add"), ("DELETE", f"/v1/voices/{voice}"),
        ("POST", "/v3/minimax-en/v1/t2a_v2"),
    ):  # fmt: skip
        for headers in ({}, {"Authorization": "Bearer x"}, {"xi-api-key": ""}, {"xi-api-key": "x"}, {"Cookie": "a=b"}):
            answer = requests.request(method, public.url + path, headers=headers, timeout=WITHIN_S)
            told = answer.json().get("base_resp", {}).get("status_code")
            assert answer.status_code == 401 or told == 1004, (path, headers, answer.text)


@pytest.fixture
def echoing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A socket on uvicorn as the app serves it, with a wait for requests that a test can wait for."""
    monkeypatch.setattr(edge, "HEAD_WITHIN_S", 0.3)
    app = FastAPI()

    @app.websocket("/echo")
    async def echo(opened: WebSocket) -> None:
        await opened.accept()
        while True:
            await opened.send_text(await opened.receive_text())

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server.config.load()
        edge.bound(server)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/echo"
        server.should_exit = server.force_exit = True
        thread.join(20)


def test_a_socket_is_no_connection_that_asks_for_nothing(echoing: str) -> None:
    with connect(echoing) as opened:
        time.sleep(1)
        opened.send("still here")
        assert opened.recv(timeout=10) == "still here"
