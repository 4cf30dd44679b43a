"""A hosted service on loopback that is paid by the request, and studios in processes of their own, to be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clone.contract.cloning import CloneOptions
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.core.errors import TimbreError
from clone.core.settings import NOVITA, Settings
from clone.hosted.client import CLONE_PATH
from clone.hosted.pricing import KEEP_MODEL
from clone.studio.facade import Studio
from tests.faults import FaultServer, body, saying, sending, serving
from tests.sounds import encode, speechlike

OWNER, KEY, VOICE_ID = "ann", "nv-visitors-7c41aa", "voice_Paid/1"
SPEECH_PATH = f"/v3/minimax-{KEEP_MODEL}"
WITHIN_S = 60
Answer = Callable[[socket.socket], None]
Work = Callable[[Studio], Iterator[Any]]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["clone.studio.facade", __name__])


class Service:
    """``answer`` is how it answers a clone, ``speech`` how speech; both can be replaced, and be waited for."""

    def __init__(self, server: FaultServer, recording: bytes) -> None:
        self.server = server
        server.answers["/voice.mp3"] = sending(body(recording))
        server.answers["/preview.mp3"] = sending(body(encode(speechlike(2.0), 24_000, "mp3")))
        server.answers[CLONE_PATH] = self.cloned()
        server.answers[SPEECH_PATH] = self.spoken()

    def cloned(self, preview: str = "/preview.mp3") -> Answer:
        return saying(200, {"voice_id": VOICE_ID, "demo_audio_url": self.server.url(preview)})

    def spoken(self) -> Answer:
        return saying(200, {"data": {"audio": encode(speechlike(1.0), 24_000, "wav").hex()}})

    def n_paid(self, path: str = CLONE_PATH) -> int:
        """Return how many requests to a path were sent."""
        return sum(head.startswith(f"POST {path} ") for head in self.server.asked)

    def wait_for(self, n: int, path: str = CLONE_PATH) -> None:
        until = time.monotonic() + WITHIN_S
        while self.n_paid(path) < n:
            assert time.monotonic() < until, "nothing was sent"
            time.sleep(0.01)

    def settings(self, home: Path) -> Settings:
        return Settings.at(home, novita_base_url=self.server.url(""), allow_private_urls=True)

    def order(self, **changes: Any) -> CloneOrder:
        asked = {
            "audio": self.server.url("/voice.mp3"),
            "options": CloneOptions(text="Walk slowly home.", model=KEEP_MODEL),
        }
        return CloneOrder(**{"owner": OWNER, "consent": True, "backend": NOVITA, "api_key": KEY} | asked | changes)  # type: ignore[arg-type]


@contextmanager
def paid_service(recording: bytes) -> Iterator[Service]:
    with serving() as server:
        yield Service(server, recording)


def held(until: threading.Event, then: Answer) -> Answer:
    """Answer once somebody says so."""

    def answer(connection: socket.socket) -> None:
        until.wait(WITHIN_S)
        then(connection)

    return answer


class Process:
    """A studio in a process of its own that does one thing; ``end()`` is what came of it."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._told, theirs = _FORKS.Pipe()
        self._process: BaseProcess = _FORKS.Process(target=_do, args=(settings, work, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def kill(self, *_: object) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> str:
        """Return the voice_id of what was made, the code of what refused, or "killed"."""
        try:
            return str(self._told.recv()) if self._told.poll(WITHIN_S) else "late"
        except EOFError:
            return "killed"
        finally:
            self._process.join(WITHIN_S)
            self._told.close()


def _do(settings: Settings, work: Work, told: Connection) -> None:
    studio = Studio(settings)
    studio.start(warm=False)
    try:
        result = [*work(studio)][-1]
        told.send(getattr(result, "voice", result).voice_id)
    except TimbreError as error:
        told.send(error.code)
    studio.close()


class Cloning:
    """What a process does; instances travel to it."""

    def __init__(self, order: CloneOrder) -> None:
        self._order = order

    def __call__(self, studio: Studio) -> Iterator[Any]:
        return studio.clone(self._order)


class Keeping:
    """Keep the voice."""

    def __call__(self, studio: Studio) -> Iterator[Any]:
        return studio.keeping(VOICE_ID, OWNER, KEY)


class Speaking:
    """Say a text with the voice."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, studio: Studio) -> Iterator[Any]:
        return studio.speak(SpeakOrder(OWNER, VOICE_ID, self._text, KEEP_MODEL, api_key=KEY))
