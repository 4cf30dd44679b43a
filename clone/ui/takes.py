"""What was said in this visit: a take plays while it is still being spoken, and is a file once it is done."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from starlette.responses import Response

from clone.core.errors import TimbreError
from clone.core.signed_urls import Receive, Scope, Send, answer
from clone.studio.facade import OUTLINE_COLUMNS, FileWriter
from clone.ui import strings

log = logging.getLogger(__name__)

MOUNT = "/takes"
VISIT_LIMIT = 150
"""Links of one visit: the takes that it is shown, and what it saves beside; its older ones are forgotten first."""
TAKES_LIMIT = 10_000
"""Links of all visits."""

_LOOK_S = 0.03
_NAMED_MAX_CHARS = 40
_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class Sound:
    """A recording as the page's player shows it.

    Attributes:
        link: where it is.
        name: what it is called.
        duration_s: its length; 0 while it is not known.
        points: its waveform; see ``Outline``.
        quieter_db: by how much it is turned down, dB ≤ 0.
        saved_as: what its file is called by who saves it; "" where that is not offered.
        growing: it is still being written.
    """

    link: str
    name: str
    duration_s: float = 0.0
    points: str = ""
    quieter_db: float = 0.0
    saved_as: str = ""
    growing: bool = False


@dataclass(frozen=True)
class Take:
    """One text said by one voice."""

    key: str
    voice: str
    text: str
    model: str
    name: str
    duration_s: float = 0.0
    engine: str = ""
    said: str = ""
    """How much of the text was said, where that is not all of it."""
    points: str = ""
    """Its waveform; see ``Sound``."""
    document_id: str = ""
    """Where its sentences are kept."""

    @property
    def kind(self) -> str:
        """Of what kind its file is."""
        return self.name.rpartition(".")[2]

    @property
    def saved_as(self) -> str:
        """What its file is called by who saves it."""
        return file_name(self.kind, self.voice, self.text)

    @property
    def live(self) -> str:
        """Where it plays, from its first sentence on."""
        return f"{MOUNT}/{self.key}/live.mp3"

    @property
    def link(self) -> str:
        """Where its file is, once it is done."""
        return f"{MOUNT}/{self.key}/{self.name}"

    @property
    def sound(self) -> Sound:
        """It, once it is done."""
        return Sound(self.link, self._named, self.duration_s, self.points, saved_as=self.saved_as)

    @property
    def growing(self) -> Sound:
        """It, while it is being spoken: nobody knows how long it will be."""
        return Sound(self.live, self._named, growing=True)

    @property
    def _named(self) -> str:
        return f"{strings.SPOKEN}: {strings.excerpt(self.text)}"


def file_name(kind: str, *said: str) -> str:
    """Name a file by what is in it, in letters that every system takes."""
    parts = (" ".join(re.findall(r"[\w'’-]+", each)) or strings.UNNAMED for each in said)
    return f"{' - '.join(each[:_NAMED_MAX_CHARS].rstrip() for each in parts)}.{kind}"


class Recorder:
    """Writes a take while it is being spoken: what plays at once, and the file that was asked for.

    Args:
        live: path of what plays, an mp3.
        path: path of the file; its name says of which kind.

    Attributes:
        duration_s: length of what was written so far.
    """

    def __init__(self, live: Path, path: Path, writing: Callable[[Path], FileWriter]) -> None:
        self.live, self.path = live, path
        self.done = threading.Event()
        self.duration_s = 0.0
        self._writers = [writing(each) for each in dict.fromkeys((live, path))]

    def add(self, samples: np.ndarray, sample_rate: int) -> None:
        """Write a sentence: float32, shape (n_samples,), mono; Hz."""
        for writer in self._writers:
            writer.add(samples, sample_rate)
        self.duration_s += len(samples) / sample_rate

    def end(self) -> tuple[float, str]:
        """Finish; return length in seconds and waveform. Whatever happened, whoever listens learns that it is over."""
        try:
            durations = [writer.end() for writer in self._writers]
            return durations[-1], self._writers[-1].points(OUTLINE_COLUMNS)
        finally:
            self.done.set()


class _Done(Recorder):
    """A file that was finished before it came here."""

    def __init__(self, path: Path) -> None:
        self.live = self.path = path
        self.done = threading.Event()
        self.done.set()


class _Later(_Done):
    """A file that is made when it is first asked for, and again when it was swept away."""

    def __init__(self, make: Callable[[], Path]) -> None:
        super().__init__(Path())
        self._make = make

    def get_ready(self) -> None:
        """Make the file, unless it is there."""
        if not self.path.is_file():
            self.live = self.path = self._make()


class Takes:
    """Every visit's takes, each behind a link that nobody can guess."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorders: dict[str, Recorder] = {}
        self._visits: dict[str, str | None] = {}

    def begin(self, recorder: Recorder, visit: str | None) -> str:
        """Take a visit's recorder in; return the key of its links."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            own = [each for each, owner in self._visits.items() if owner == visit]
            over = own[: max(0, len(own) + 1 - VISIT_LIMIT)]
            for each in over or list(self._visits)[: max(0, len(self._visits) + 1 - TAKES_LIMIT)]:
                del self._recorders[each], self._visits[each]
            self._recorders[key], self._visits[key] = recorder, visit
        return key

    def lend(self, path: Path, visit: str | None) -> str:
        """Return the link of a visit's finished file."""
        return f"{MOUNT}/{self.begin(_Done(path), visit)}/{quote(path.name)}"

    def later(self, make: Callable[[], Path], visit: str | None) -> str:
        """Return the key of the links of a file that is made when it is asked for."""
        return self.begin(_Later(make), visit)

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD of takes, and Range once they are done; mount it at ``MOUNT``."""
        if scope["type"] == "http":
            recorder = self._recorders.get(_key(scope))
            if isinstance(recorder, _Later):
                try:
                    await asyncio.to_thread(recorder.get_ready)
                except TimbreError as error:  # what it was of is gone
                    log.info("A take can't be had any more: %s", error.code)
            await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        recorder, name = self._recorders.get(_key(scope)), str(scope["path"]).rpartition("/")[2]
        path = None if recorder is None else recorder.live if name == "live.mp3" else recorder.path
        if recorder is None or path is None or name not in ("live.mp3", path.name):
            return answer(scope["method"], None)
        return answer(scope["method"], path, None if recorder.done.is_set() else _growing(path, recorder.done))


def _key(scope: Scope) -> str:
    return str(scope["path"]).partition(f"{MOUNT}/")[2].partition("/")[0]


async def _growing(path: Path, done: threading.Event) -> AsyncIterator[bytes]:
    """Read a file to its end, and on while somebody still writes it."""
    with path.open("rb") as file:
        while True:
            over = done.is_set()  # looked at before reading: what was written until then is read
            chunk = file.read(_CHUNK_BYTES)
            if chunk:
                yield chunk
            elif over:
                return
            else:
                await asyncio.sleep(_LOOK_S)
