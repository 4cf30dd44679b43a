"""The API on loopback as uvicorn serves it, with the real engine, and a place it fetches recordings from."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import requests
import uvicorn

from clone.api import app
from clone.api.auth import load_keys
from clone.api.worker import Background
from clone.core.settings import Settings
from clone.hosted.lending import MOUNT
from clone.studio.facade import Studio, Voice
from tests.studios import engine

KEYS = ("first-key-for-tests", "second-key-for-tests")
TEXT = "The harbour was quiet this morning."
WITHIN_S = 120


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def files(folder: Path) -> Iterator[str]:
    """Serve a folder; give its URL."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


class Served:
    """A running API: ``url``, and requests with the first key unless told otherwise."""

    def __init__(self, url: str, studio: Studio, settings: Settings) -> None:
        self.url = url
        self.studio = studio
        self.settings = settings

    def post(self, path: str, body: Any, key: str | None = KEYS[0], **rest: Any) -> requests.Response:
        return requests.post(self.url + path, json=body, headers=bearer(key), timeout=WITHIN_S, **rest)

    def get(self, path: str, key: str | None = KEYS[0]) -> requests.Response:
        return requests.get(self.url + path, headers=bearer(key), timeout=WITHIN_S)

    def speak(self, voice_id: str, key: str = KEYS[0], text: str = TEXT, **changes: Any) -> requests.Response:
        model, how = changes.pop("model", "speech-02-turbo"), changes.pop("how", {})
        body = {"text": text, "voice_setting": {"voice_id": voice_id, **how}, **changes}
        return self.post(f"/v3/minimax-{model}", body, key)


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def owner_of(key: str) -> str:
    return f"key-{sha256(key.encode()).hexdigest()[:40]}"


def kept_voice(api: Served, voice_id: str) -> Voice:
    return next(voice for voice in api.studio.voices(owner_of(KEYS[0])) if voice.voice_id == voice_id)


def decoded(data: bytes) -> tuple[np.ndarray, int, int]:
    """Return the first channel, its rate and how many there are."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        n_channels, planar = stream.channels, stream.format.is_planar
        rate = stream.rate
    scale = 1.0 if frames[0].dtype.kind == "f" else 32768.0
    joined = np.concatenate([f[0] if planar else f[0, ::n_channels] for f in frames])
    return joined.astype(np.float32) / scale, rate, n_channels


def refusal(answer: requests.Response, status: int, reason: str) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["code"], body["reason"]) == (status, status, reason), answer.text
    assert sorted(body) == ["code", "message", "metadata", "reason"]
    assert body["message"].endswith((".", ")"))
    return dict(body)


@contextmanager
def serving(home: Path, background: bool = True, public: bool = False, **changes: Any) -> Iterator[Served]:
    """Serve the API of a home and what it lends, as a process that starts with it would; ``public`` at a known URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        changes = {"public_url": url} | changes if public else changes
        settings = Settings.at(home, **{"allow_private_urls": True, "api_keys": KEYS, **changes})
        studio = Studio(settings, None if settings.engine else engine())
        studio.start(warm=False)
        keys = load_keys(settings)[0]
        behind = Background(studio, studio.tasks(), keys.house)
        api = app.build(studio, settings, keys, behind)
        api.mount(MOUNT, studio.lent)
        running = uvicorn.Server(uvicorn.Config(api, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        if background:
            behind.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield Served(url, studio, settings)
        finally:
            running.should_exit = True
            thread.join(20)
            behind.close()
            studio.close()


class Dripping:
    """A place where every recording comes a few bytes at a time and never ends; ``n_open`` of them do just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n_open = 0
        drip = self

        class Trickle(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "audio/mpeg")
                self.end_headers()
                with drip.one_more():
                    while True:
                        self.wfile.write(b"\xff" * 10)
                        time.sleep(0.05)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/endless.mp3"

    @contextmanager
    def one_more(self) -> Iterator[None]:
        with self._lock:
            self.n_open += 1
        try:
            yield
        except OSError:  # whoever asked has gone
            pass
        finally:
            with self._lock:
                self.n_open -= 1

    def wait(self, n_open: int) -> None:
        """Wait until so many recordings come."""
        end = time.monotonic() + WITHIN_S
        while self.n_open != n_open:
            assert time.monotonic() < end, f"{self.n_open} come, not {n_open}"
            time.sleep(0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
