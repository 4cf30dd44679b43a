"""What deletes in time: expired voices each minute, forgotten ones as soon as they can't be brought back any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from clone.storage.voices import Library

log = logging.getLogger(__name__)

PURGE_EVERY_S = 60.0
_AT_LEAST_S = 0.5
"""Between two purges, so that one which fails is not tried again without a pause."""


class Retention:
    """A thread beside everything else; one per process.

    Args:
        library: what it keeps in order.
        sweep: takes back what was lent for a while.
        purge: deletes what goes with voices that are gone.
    """

    def __init__(
        self, library: Library, sweep: Callable[[], object], purge: Callable[[], object] = lambda: None
    ) -> None:
        self._library = library
        self._purge_with = purge
        self._sweep = sweep
        self._news = threading.Event()
        self._closed = False

    def start(self) -> None:
        """Begin, with what an earlier process left for later."""
        threading.Thread(target=self._keep_on, name="timbre-purge", daemon=True).start()

    def forget(self, voice_id: str, owner: str, undo_s: float) -> None:
        """Forget a voice, and be there in time to delete it; see Library.forget."""
        self._library.forget(voice_id, owner, undo_s)
        self._news.set()

    def close(self) -> None:
        """End, and delete what this process would have deleted later."""
        self._closed = True
        self._news.set()
        try:
            self._library.forget_now()
            self._purge_with()
        except Exception:  # the next start comes to it
            log.exception("Forgotten voices could not be deleted just now")

    def _keep_on(self) -> None:
        wait_s = 0.0
        while not self._closed:
            self._news.wait(wait_s)
            self._news.clear()
            if self._closed:
                return
            _tried(self._sweep)
            wait_s = _tried(self._purge) or PURGE_EVERY_S

    def _purge(self) -> float:
        """Return how many seconds later it is due again."""
        self._library.purge()
        self._purge_with()
        return max(_AT_LEAST_S, self._library.next_purge_s(PURGE_EVERY_S))


def _tried(work: Callable[[], Any]) -> Any:
    """Do it; None where it fails: a full disk or a locked database passes, and retention must go on after it."""
    try:
        return work()
    except Exception:
        log.exception("What has expired could not be deleted just now")
        return None
