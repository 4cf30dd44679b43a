"""Tasks spoken one after the other, beside everybody else's work; what a restart interrupts begins again.

Where hosts share the tasks each takes the next one, and those of hosts that are gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial

from clone.api.service import owners_voice
from clone.audio.encoder import Encoder
from clone.contract.orders import SpeakOrder
from clone.contract.speech import AsyncSpeechRequest
from clone.core import watch
from clone.core.errors import DiskFull, LibraryError, StoppingError, TimbreError, disk_full
from clone.storage.tasks import Task, Tasks
from clone.studio.facade import Stage, Studio
from clone.studio.synthesis import encoded

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PURGE_EVERY = 60
"""Looks at the queue between two purges."""

_RENEWALS = 10
"""In the time that a task is held: with each sentence, and no more often than that."""

_UNFORESEEN = "Something went wrong on this side. Ask for it again."


class Background:
    """One per process that serves; start() once, close() at the end.

    Args:
        studio: speaks.
        tasks: what is to be spoken.
        house: the owner whose key lies in TIMBRE_HOME; see ``owners_voice``.
    """

    def __init__(self, studio: Studio, tasks: Tasks, house: str = "") -> None:
        self._house = house
        self._studio = studio
        self._tasks = tasks
        self._closed = threading.Event()
        self._news = threading.Event()
        self._done = "", 0
        self._thread = threading.Thread(target=self._work, name="timbre-tasks", daemon=True)

    def start(self) -> None:
        """Take up what was left, and go on with what comes."""
        self._tasks.resume()
        self._thread.start()

    def close(self) -> None:
        """Stop within a sentence; the task that is being spoken begins again, here or at another host."""
        self._closed.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def progress_percent(self, task_id: str) -> int:
        """Return how much of a task that is being spoken here is done; 0 for any other."""
        now, percent = self._done
        return percent if now == task_id else 0

    def wake(self) -> None:
        """Look for a new task now."""
        self._news.set()

    def _work(self) -> None:
        looks = 0
        while not self._closed.is_set():
            try:
                if looks % PURGE_EVERY == 0:
                    self._studio.led("tasks", self._purge)
                looks += 1
                task = self._tasks.next()
                if task is not None:
                    self._do(task)
                    continue
            except Exception:  # a locked database or a full disk passes
                log.exception("The tasks could not be gone on with just now")
            self._news.wait(LOOK_EVERY_S)
            self._news.clear()

    def _purge(self) -> None:
        self._tasks.purge()
        self._studio.counts().purge()

    def _do(self, task: Task) -> None:
        try:
            data = self._spoken(task)
            if data is None:
                self._give_back(task)
        except StoppingError:
            self._closed.set()
            self._give_back(task)
        except LibraryError as e:  # others hold the library: the task waits its turn again
            log.warning("Task %s begins again: %s", task.task_id, e.code)
            self._note(partial(self._tasks.put_back, task))
        except TimbreError as e:
            self._note(partial(self._tasks.fail, task, str(e)))
        except Exception as e:
            log.exception("Task %s failed", task.task_id)
            self._note(partial(self._tasks.fail, task, str(disk_full(e) or _UNFORESEEN)))
        else:
            if data is not None:
                self._keep(task, *data)

    def _give_back(self, task: Task) -> None:
        """Let somebody else speak what can't be ended here; at the latest, they do when it is held no longer."""
        with suppress(LibraryError):
            self._tasks.put_back(task)

    def _keep(self, task: Task, data: bytes, suffix: str) -> None:
        try:
            self._note(partial(self._tasks.finish, task, data, suffix))
        except DiskFull as e:
            self._note(partial(self._tasks.fail, task, str(e)))

    def _note(self, change: Callable[[], object]) -> None:
        """Make a change of the tasks as soon as the library can be had; what a close comes before begins again."""
        warned = False
        while not self._closed.is_set():
            try:
                change()
                return
            except LibraryError as e:
                if not warned:
                    log.warning("A task's end can't be written down yet: %s", e.code)
                warned = True
                self._closed.wait(LOOK_EVERY_S)

    def _spoken(self, task: Task) -> tuple[bytes, str] | None:
        """Return a task's file and what its name ends in; None when it is not to be ended here."""
        asked = AsyncSpeechRequest.model_validate_json(task.request)
        found = [(self._studio.find(word, task.owner).voice_id, weight) for word, weight in asked.mix]
        if found:
            order = SpeakOrder(task.owner, found[0][0], asked.text, task.model, asked.settings, mix=tuple(found))
        else:
            word = asked.voice_setting.voice_id
            voice = owners_voice(self._studio, word, task.owner == self._house) or self._studio.find(word, task.owner)
            order = SpeakOrder(voice.owner, voice.voice_id, asked.text, task.model, asked.settings)
        encoder, pieces = Encoder(asked.audio_setting, self._studio.provenance(order)), []
        still_ours = self._holding(task)
        with closing(encoded(self._studio.speak_long(order, in_turns=True), encoder)) as events:
            for event in events:
                if self._closed.is_set() or not still_ours():
                    return None
                if isinstance(event, bytes):
                    pieces.append(event)
                elif isinstance(event, Stage) and event.total:
                    self._done = task.task_id, 100 * event.done // event.total
        return encoder.file(pieces), asked.audio_setting.format

    def _holding(self, task: Task) -> Callable[[], bool]:
        """Return what says, often, that a task is being spoken, and tells whether it is still to be spoken here."""
        every_s, last = self._tasks.lease_s / _RENEWALS, time.monotonic()

        def renewed() -> bool:
            nonlocal last
            if not every_s or time.monotonic() < last + every_s:
                return True
            last = time.monotonic()
            try:
                ours = self._tasks.renew(task, self.progress_percent(task.task_id))
            except LibraryError:  # it may be back before the lease is over; who finishes is asked again
                return True
            if not ours:
                watch.LEASES_LOST.inc()
            return ours

        return renewed
