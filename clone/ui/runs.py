"""Runs that outlive the page that began them: a reload joins its run again, and who does not come back ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

from clone.jobs import Stop

Updates = dict[Any, Any]

LEFT_S = 60.0
"""How long a run goes on, and its outcome is kept, while no page follows it."""


class Run:
    """What a handler does, in a thread of its own; any number of pages may follow.

    Args:
        visit: the page that began it.
        updates: what the page is to show, as the work goes on; it handles its own errors.
        stop: what ends it.
    """

    def __init__(self, visit: str | None, updates: Iterator[Updates], stop: Stop) -> None:
        self.visit = visit
        self.stop = stop
        self._updates = updates
        self._changed = threading.Condition()
        self._shown: Updates = {}
        self._n_updates = 0
        self._over = False
        self._followers = 0
        self._left_s = time.monotonic()

    def begin(self) -> None:
        """Start working."""
        threading.Thread(target=self._work, name="timbre-run", daemon=True).start()

    @property
    def followed(self) -> bool:
        """Whether a page follows it now."""
        return self._followers > 0

    @property
    def abandoned(self) -> bool:
        """Whether nobody has followed it for too long."""
        return not self._followers and time.monotonic() - self._left_s > LEFT_S

    def follow(self) -> Generator[Updates, None, None]:
        """Yield all that is shown so far, then what changes, to the end."""
        seen: Updates = {}
        n_seen = 0
        with self._changed:
            self._followers += 1
        try:
            while True:
                with self._changed:
                    while self._n_updates == n_seen and not self._over:
                        self._changed.wait()
                    shown, n_seen, over = dict(self._shown), self._n_updates, self._over
                yield {slot: told for slot, told in shown.items() if slot not in seen or seen[slot] is not told}
                if over:
                    return
                seen = shown
        finally:
            with self._changed:
                self._followers -= 1
                self._left_s = time.monotonic()

    def _work(self) -> None:
        try:
            for updates in self._updates:
                with self._changed:
                    self._shown |= updates
                    self._n_updates += 1
                    self._changed.notify_all()
                if self.abandoned:
                    self.stop.ask()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()


class Runs:
    """The runs of every owner, by kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[tuple[tuple[str, str], Run]] = []

    def begin(self, owner: str, kind: str, run: Run) -> Run:
        """Take a run in and start it."""
        with self._lock:
            self._runs = [each for each in self._runs if not each[1].abandoned]
            self._runs.append(((owner, kind), run))
        run.begin()
        return run

    def left(self, owner: str, kind: str) -> Run | None:
        """Return an owner's newest run that no page follows and that may still be joined; None where there is none."""
        with self._lock:
            for whose, run in reversed(self._runs):
                if whose == (owner, kind) and not run.followed and not run.abandoned:
                    return run
        return None

    def forget(self, run: Run) -> None:
        """Let a run go whose outcome was shown."""
        with self._lock:
            self._runs = [each for each in self._runs if each[1] is not run]
