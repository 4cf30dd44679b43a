"""Work that takes seconds: named stages, a stop that is obeyed, and one bounded queue for every caller."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from clone.core import watch
from clone.core.errors import BusyError, CancelledError, StoppingError, TimbreError

log = logging.getLogger(__name__)

_LOGGED = {"speech", "hosted"}
"""Queues whose jobs have a line each in the log; those of others tell of themselves."""


@dataclass(frozen=True)
class Stage:
    """One step of a job as it begins; ``done`` of ``total`` steps lie behind it.

    ``even`` steps take about as long as each other, so that what is left can be told from what is done.
    """

    name: str
    done: int
    total: int
    even: bool = False


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

    def pause(self, pause_s: float) -> None:
        """Wait, unless and until somebody asks to stop; then raise as ``check``."""
        self._event.wait(pause_s)
        self.check()

    def check(self) -> None:
        """Raise CancelledError if somebody asked to stop."""
        if self.asked:
            raise CancelledError("Stopped.", code="cancelled")


@dataclass(frozen=True)
class Waiting:
    """A job that has not begun; ``position`` 1 is next."""

    position: int


Tell = Callable[[object], None]
"""Tells the caller a Stage as it begins, or anything else that is ready before the end."""

Work = Callable[[Tell, Stop], object]

MAX_WAITING = 16
MAX_WAITING_PER_OWNER = 8
MAX_RUNNING_PER_OWNER = 2
REST_AFTER_S = 3.0
REST_AFTER_JOBS = 10
HEARTBEAT_S = 0.2
"""How often a waiting caller gets a word, and so the chance to leave."""
ENDS_WITHIN_S = 5.0
"""How long work that was asked to stop may go on, when everything ends."""
TOLD_WITHIN_S = 1.0
"""How long a queue that closes waits for callers to take the last word; one may have stopped listening."""


class _Job:
    def __init__(self, owner: str, work: Work) -> None:
        self.owner = owner
        self.work = work
        self.turn = 0
        """One's second job has a later turn than the first of anybody who is here by then."""
        self.stop = Stop()
        self.stage: Stage | None = None
        self.result: object = None
        self.error: BaseException | None = None
        self.stopping: TimbreError | None = None
        """What is said instead of “stopped” when it was not its owner who asked to stop."""
        self.news: SimpleQueue[object] = SimpleQueue()
        """Everything announced, then None at the end."""
        self.request_id = watch.request_id()
        self.entered_s = self.stage_s = time.monotonic()

    def run(self) -> None:
        try:
            self.stop.check()
            self.stage_s = time.monotonic()
            self.result = self.work(self._tell, self.stop)
        except CancelledError as e:
            self.error = self.stopping or e
        except BaseException as e:  # noqa: BLE001  whatever it is belongs to the caller, not to the worker
            self.error = e
        finally:
            self._end_stage()
            self.news.put(None)

    def _end_stage(self) -> None:
        now_s = time.monotonic()
        if self.stage is not None:
            watch.STAGES.labels(watch.stage(self.stage.name)).observe(now_s - self.stage_s)
        self.stage_s = now_s

    def _tell(self, news: object) -> None:
        self.stop.check()
        if isinstance(news, Stage):
            self._end_stage()
            self.stage = news
        self.news.put(news)


class Queue:
    """One worker for every caller: two cores do one clone at a time best. Bounded, and fair: owners take turns.

    Args:
        max_waiting: jobs in line.
        max_waiting_per_owner: of them, jobs of one owner.
        max_running_per_owner: jobs of one owner at work at once; more than that wait, even for a free worker.
        name: what it is counted under.
        n_workers: more than one only for work that waits for others.
        rest: done by a worker that has had nothing to do for ``REST_AFTER_S``, or ``REST_AFTER_JOBS`` without a rest:
            not between any two jobs, or the second would pay for it.
    """

    def __init__(
        self,
        max_waiting: int = MAX_WAITING,
        max_waiting_per_owner: int = MAX_WAITING_PER_OWNER,
        max_running_per_owner: int = MAX_RUNNING_PER_OWNER,
        *,
        name: str = "speech",
        n_workers: int = 1,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._rest = rest
        self._n_workers = n_workers
        self._max_waiting = max_waiting
        self._max_waiting_per_owner = max_waiting_per_owner
        self._max_running_per_owner = max_running_per_owner
        self._changed = threading.Condition()
        self._turn = 0
        self._waiting: list[_Job] = []
        self._running: list[_Job] = []
        self._followed: list[_Job] = []
        self._workers: list[threading.Thread] = []
        self.closed = False
        """Whether it takes no more work."""

    def run(self, owner: str, work: Work) -> Iterator[object]:
        """Do a piece of work in turn.

        Args:
            owner: whose it is; each has a quota.
            work: called with a way to tell a Stage and a Stop to obey; what it returns is the last item.

        Yields:
            Waiting while in line, Stage while working, at least every ``HEARTBEAT_S``; then the result.
            Closing the iterator asks the work to stop.

        Raises:
            BusyError: the queue is full, or the owner's quota is used up.
            StoppingError: ``close`` was called, before or meanwhile.
        """
        job = self._enter(_Job(owner, work))
        try:
            yield from self._news(job)
            if job.error is not None:
                raise job.error
            yield job.result
        finally:
            self._leave(job)

    @property
    def busy(self) -> bool:
        """Whether anything is being done."""
        return bool(self._running)

    def close(self, within_s: float = ENDS_WITHIN_S) -> bool:
        """Take no more work, ask what goes on to stop, and wait until it has ended and its callers know it.

        Args:
            within_s: the longest to wait for its end.

        Returns:
            Whether everything has ended.
        """
        with self._changed:
            if self.closed:
                return not self._running
            self.closed = True
            waiting, running = list(self._waiting), list(self._running)
            self._waiting.clear()
            watch.WAITING.labels(self._name).dec(len(waiting))
            for job in (*waiting, *running):
                job.stopping = _stopping()
        for job in waiting:
            job.error = job.stopping
            job.news.put(None)
        for job in running:
            job.stop.ask()
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._running, within_s)
            self._changed.wait_for(lambda: not self._followed, TOLD_WITHIN_S)
        return ended

    def _news(self, job: _Job) -> Iterator[object]:
        while True:
            try:
                news = job.news.get(timeout=HEARTBEAT_S)
            except Empty:
                yield job.stage or Waiting(self._position(job))
                continue
            if news is None:
                return
            yield news

    def _enter(self, job: _Job) -> _Job:
        with self._changed:
            if self.closed:
                raise _stopping()
            owned = [other for other in (*self._waiting, *self._running) if other.owner == job.owner]
            mine = sum(other in self._waiting for other in owned)
            if mine >= self._max_waiting_per_owner:
                raise BusyError(
                    f"{mine} jobs of yours are waiting; at most {self._max_waiting_per_owner} may wait.",
                    code="quota_work",
                    measured=mine,
                    limit=self._max_waiting_per_owner,
                    advice="Wait for one to end, or cancel it.",
                )
            if len(self._waiting) >= self._max_waiting:
                raise BusyError(
                    f"{len(self._waiting)} jobs are waiting; at most {self._max_waiting} may wait.",
                    code="queue_full",
                    measured=len(self._waiting),
                    limit=self._max_waiting,
                    advice="Try again in a minute.",
                    retry_after_s=60,
                )
            job.turn = max([self._turn, *(1 + mine.turn for mine in owned)])
            self._waiting.append(job)
            watch.WAITING.labels(self._name).inc()
            self._followed.append(job)
            if len(self._workers) < self._n_workers:
                self._workers.append(threading.Thread(target=self._work, name="timbre-worker", daemon=True))
                self._workers[-1].start()
            self._changed.notify_all()
        return job

    def _leave(self, job: _Job) -> None:
        job.stop.ask()
        with self._changed:
            self._followed.remove(job)
            if job in self._waiting:
                self._waiting.remove(job)
                watch.WAITING.labels(self._name).dec()
            self._changed.notify_all()

    def _position(self, job: _Job) -> int:
        with self._changed:
            line = self._line()
            return line.index(job) + 1 if job in line else 1

    def _line(self) -> list[_Job]:
        """Return what waits in the order of its turns."""
        return sorted(self._waiting, key=lambda job: job.turn)

    def _ready(self) -> _Job | None:
        n_running = Counter(job.owner for job in self._running)
        return next((job for job in self._line() if n_running[job.owner] < self._max_running_per_owner), None)

    def _work(self) -> None:
        n_jobs = 0
        while True:
            job = self._next(REST_AFTER_S if n_jobs else None)
            if job is not None:
                with watch.request(job.request_id):
                    self._do(job)
                n_jobs += 1
                with self._changed:
                    self._running.remove(job)
                    watch.RUNNING.labels(self._name).dec()
                    self._changed.notify_all()
            if job is None or n_jobs == REST_AFTER_JOBS:
                n_jobs = 0
                if self._rest:
                    self._rest()

    def _do(self, job: _Job) -> None:
        begun_s = time.monotonic()
        watch.WAITED.labels(self._name).observe(begun_s - job.entered_s)
        job.run()
        seconds = {"waited_s": round(begun_s - job.entered_s, 2), "took_s": round(time.monotonic() - begun_s, 2)}
        end = "done" if job.error is None else getattr(job.error, "code", type(job.error).__name__)
        told = {"queue": self._name, "end": end, **seconds}
        level = logging.INFO if self._name in _LOGGED else logging.DEBUG
        log.log(level, "A job ended: %s", " ".join(f"{name}={value}" for name, value in told.items()), extra=told)

    def _next(self, within_s: float | None) -> _Job | None:
        with self._changed:
            job = self._changed.wait_for(self._ready, within_s)
            if job is None:
                return None
            self._waiting.remove(job)
            self._running.append(job)
            watch.WAITING.labels(self._name).dec()
            watch.RUNNING.labels(self._name).inc()
            self._turn = max(self._turn, job.turn)
            return job


def _stopping() -> StoppingError:
    return StoppingError(
        "Timbre is being stopped.",
        code="stopping",
        advice="Ask again when it is back. What was already sent to the hosted service is still paid for.",
    )


def steps(tell: Tell, total: int) -> Callable[[str], None]:
    """Return a way to tell each of so many stages by its name alone."""
    done = iter(range(total))
    return lambda name: tell(Stage(name, next(done), total))
