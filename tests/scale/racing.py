"""Hosts that race: processes of their own that have a home each and one library together, and do things at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clone.api.worker import Background
from clone.contract.orders import CloneOrder
from clone.core.errors import TimbreError
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.server import Counts
from clone.storage.tasks import Tasks
from clone.storage.voices import Library, utc_now
from clone.studio.facade import Studio
from tests import remembered
from tests.scale import simulated
from tests.voices import FILES, make_voice

WITHIN_S = 120
N_ADDED = 8
_SOON_S = 0.02
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["clone.studio.facade", __name__])

Work = Callable[..., Any]


@dataclass
class Here:
    """What a host's process has open."""

    library: Library | None = None
    studio: Studio | None = None
    settings: Settings | None = field(default=None, repr=False)

    def open(self, settings: Settings) -> Library:
        if self.library is None:
            self.library = Library(settings, Store(settings.store_url, settings.home / "copies"))
        return self.library

    def begin(self, settings: Settings) -> Studio:
        if self.studio is None:
            self.studio = Studio(settings)
            self.studio.start(warm=False)
        return self.studio


class Host:
    """A process; ``ask`` has it do something, ``answer`` is what came of it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._told, theirs = _FORKS.Pipe()
        self.process: BaseProcess = _FORKS.Process(target=_obey, args=(environment, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, at: float, work: Work, *given: Any) -> None:
        self._told.send((at, work, given))

    def answer(self) -> Any:
        assert self._told.poll(WITHIN_S), "nothing came of it"
        return self._told.recv()

    def kill(self) -> None:
        assert self.process.pid
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(10)

    def end(self) -> None:
        self.process.terminate()
        self.process.join(10)


def together(hosts: Sequence[Host], *asked: tuple[Any, ...]) -> list[Any]:
    """Have each host do its work at the same moment; return what came of each."""
    at = time.time() + _SOON_S
    for host, (work, *given) in zip(hosts, asked, strict=True):
        host.ask(at, work, *given)
    return [host.answer() for host in hosts]


def _obey(environment: dict[str, str], told: Connection) -> None:
    os.environ.update(environment)
    remembered.install()
    here = Here()
    while True:
        try:
            at, work, given = told.recv()
        except EOFError:
            return
        time.sleep(max(0.0, at - time.time()))
        try:
            told.send(work(here, *given))
        except TimbreError as error:
            told.send(error.code)
        except Exception as error:  # noqa: BLE001  what is unforeseen is what a race is to find
            told.send(repr(error))


# what they do


def first_start(_: Here, settings: Settings) -> str:
    with closing(Library(settings, Store(settings.store_url, settings.home / "copies"))) as library:
        library.reconcile()
        library.purge()
    return "started"


def add(here: Here, settings: Settings, owner: str) -> str:
    library = here.open(settings)
    for i in range(N_ADDED):
        library.add(make_voice(f"{owner}-{i}", owner, created_at=utc_now()), FILES)
    return "added"


def purge(here: Here, settings: Settings, for_s: float = 0.4) -> str:
    library, end = here.open(settings), time.monotonic() + for_s
    while time.monotonic() < end:
        library.purge()
        library.reconcile()
    return "purged"


def take(here: Here, settings: Settings) -> list[str]:
    library, taken = here.open(settings), list[str]()
    tasks = Tasks(library.database, library.store)
    while task := tasks.next():
        taken.append(task.task_id)
        assert tasks.renew(task, 50)
        assert tasks.finish(task, task.request.encode(), "mp3")
    return taken


def same_voice(here: Here, settings: Settings, voice_id: str, mine: bytes) -> str:
    """Add a voice of an id that both want."""
    here.open(settings).add(make_voice(voice_id, created_at=utc_now()), {"reference.mp3": mine})
    return "added"


def wait_in_line(here: Here, settings: Settings, owner: str, n: int) -> int:
    """Ask for so many tasks; return how many were taken."""
    tasks = Tasks(here.open(settings).database, here.open(settings).store)
    n_taken = 0
    for _ in range(n):
        try:
            tasks.add(owner, "m", "{}")
            n_taken += 1
        except TimbreError:
            pass
    return n_taken


def call(here: Here, settings: Settings, name: str, n: int) -> int:
    """Call so often; return how many calls were counted."""
    counts = Counts(here.open(settings).database)
    return sum(counts.take(name, 60, 60.0) is None for _ in range(n))


def clone(here: Here, settings: Settings, order: CloneOrder) -> str:
    return str([*here.begin(settings).clone(order)][-1].voice.voice_id)  # type: ignore[union-attr]


def home(root: Path, host: int) -> Path:
    return root / f"host-{host}"


def serve(here: Here, settings: Settings, lease_s: float, for_s: float = 600.0) -> None:
    """Speak tasks, in pretence, until killed, or for a while."""
    simulated.install(lease_s)
    studio = here.begin(settings)
    background = Background(studio, studio.tasks())
    background.start()
    time.sleep(for_s)
    studio.drain()
    background.close()
