"""Whose turn it is: jobs of this host in its queues, and of one owner so many at all hosts that share a library."""

from __future__ import annotations

from collections.abc import Iterator

from clone.core.errors import BusyError
from clone.core.jobs import MAX_RUNNING_PER_OWNER, MAX_WAITING_PER_OWNER, Queue, Work
from clone.core.settings import LOCAL, NOVITA
from clone.storage.voices import Library
from clone.studio.hosted import Calls

MAX_JOBS_PER_OWNER = MAX_WAITING_PER_OWNER + MAX_RUNNING_PER_OWNER
"""At all hosts together: as many as may wait and be at work on one."""


class Admission:
    """One per studio; thread-safe.

    Args:
        library: has a place for each job of an owner, where hosts share it.
        queue: of this host's engine.
        calls: those of the hosted service, which have a queue of their own.
    """

    def __init__(self, library: Library, queue: Queue, calls: Calls) -> None:
        self._library = library
        self._queue = queue
        self._calls = calls

    def run(self, owner: str, work: Work, backend: str = LOCAL) -> Iterator[object]:
        """Do a job in turn, as Queue.run.

        Raises:
            BusyError: also ``quota_work`` where the owner's jobs at all hosts are too many.
        """
        with self._library.place(MAX_JOBS_PER_OWNER, "jobs", owner) as there_is:
            if not there_is:
                raise BusyError(
                    f"{MAX_JOBS_PER_OWNER} jobs of yours are waiting or at work; there may be no more.",
                    code="quota_work",
                    measured=MAX_JOBS_PER_OWNER,
                    limit=MAX_JOBS_PER_OWNER,
                    advice="Wait for one to end, or cancel it.",
                )
            yield from (self._calls if backend == NOVITA else self._queue).run(owner, work)
