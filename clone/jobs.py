"""Work that takes seconds: named stages, a stop that is obeyed, and one bounded queue for every caller."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from clone.errors import CancelledError


@dataclass(frozen=True)
class Stage:
    """One step of a job as it begins; ``done`` of ``total`` steps lie behind it."""

    name: str
    done: int
    total: int


class Stop:
    """A request to stop, passed down to whoever works.

    Work calls ``check()`` between steps and registers ``on_stop`` for what can be interrupted inside one.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask to stop: now for what is interruptible, at the next check for the rest."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when asked to stop; at once if that has happened already."""
        with self._lock:
            self._callbacks.append(callback)
            asked = self.asked
        if asked:
            callback()

    def check(self) -> None:
        """Raise CancelledError if somebody asked to stop."""
        if self.asked:
            raise CancelledError("Stopped.", code="cancelled")
