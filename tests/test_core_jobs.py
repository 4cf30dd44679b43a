"""A stop that is obeyed, and a queue that is bounded, in order and fair."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clone.core import jobs
from clone.core.errors import AudioError, BusyError, CancelledError, StoppingError
from clone.core.jobs import Queue, Stage, Stop, Tell, Waiting


def test_nothing_happens_until_asked() -> None:
    stop = Stop()
    stop.check()
    assert not stop.asked


def test_asking_stops_the_next_check() -> None:
    stop = Stop()
    stop.ask()
    assert stop.asked
    with pytest.raises(CancelledError) as stopped:
        stop.check()
    assert stopped.value.code == "cancelled"


def test_what_is_interruptible_is_told_at_once() -> None:
    stop, told = Stop(), []
    stop.on_stop(lambda: told.append("running"))
    assert told == []
    stop.ask()
    assert told == ["running"]
    stop.on_stop(lambda: told.append("late"))
    assert told == ["running", "late"]


# the queue


class Held:
    """Work that stays in its first stage until it is let go or stopped."""

    def __init__(self) -> None:
        self.begun, self.go, self.stopped = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, tell: Tell, stop: Stop) -> str:
        stop.on_stop(self.go.set)
        tell(Stage("Holding", 0, 1))
        self.begun.set()
        self.go.wait(30)
        if stop.asked:
            self.stopped.set()
        stop.check()
        return "done"


def begin(queue: Queue, owner: str, work: Held) -> Iterator[object]:
    """Put work in and return its news once it runs."""
    news = queue.run(owner, work)
    while not work.begun.is_set():
        next(news)
    return news


def test_stages_then_the_result() -> None:
    def work(tell: Tell, stop: Stop) -> str:
        for i in range(3):
            tell(Stage(f"step {i}", i, 3))
        return "result"

    news = [item for item in Queue().run("ann", work) if not isinstance(item, Waiting)]
    assert list(dict.fromkeys(news)) == [Stage("step 0", 0, 3), Stage("step 1", 1, 3), Stage("step 2", 2, 3), "result"]


def test_a_long_stage_is_told_again_and_again() -> None:
    work = Held()
    news = begin(Queue(), "ann", work)
    assert [next(news) for _ in range(2)] == [Stage("Holding", 0, 1)] * 2
    work.go.set()
    assert list(news)[-1] == "done"


def test_an_error_reaches_the_caller_and_the_queue_goes_on() -> None:
    def work(tell: Tell, stop: Stop) -> str:
        raise AudioError("It is 3 s long.", code="too_short")

    queue = Queue()
    with pytest.raises(AudioError, match="3 s"):
        list(queue.run("ann", work))
    assert list(queue.run("ann", lambda tell, stop: 7))[-1] == 7


def test_jobs_run_one_at_a_time_in_order() -> None:
    queue, first, second = Queue(), Held(), Held()
    a = begin(queue, "ann", first)
    b = queue.run("ben", second)
    c = queue.run("cyd", lambda tell, stop: "third")
    assert next(b) == Waiting(1)
    assert next(c) == Waiting(2)
    assert not second.begun.is_set()
    first.go.set()
    assert list(a)[-1] == "done"
    second.go.set()
    assert list(b)[-1] == "done"
    assert list(c)[-1] == "third"


def test_leaving_a_running_job_stops_it() -> None:
    queue, work = Queue(), Held()
    news = begin(queue, "ann", work)
    news.close()  # type: ignore[attr-defined]
    assert work.stopped.wait(30)
    assert list(queue.run("ann", lambda tell, stop: "next"))[-1] == "next"


def test_leaving_the_line_gives_the_place_away() -> None:
    queue, first, never = Queue(max_waiting=1), Held(), Held()
    a = begin(queue, "ann", first)
    waiting = queue.run("ben", never)
    assert next(waiting) == Waiting(1)
    waiting.close()  # type: ignore[attr-defined]
    after = queue.run("cyd", lambda tell, stop: "after")
    assert next(after) == Waiting(1)
    first.go.set()
    assert list(a)[-1] == "done"
    assert list(after)[-1] == "after"
    assert not never.begun.is_set()


def test_the_line_is_bounded() -> None:
    queue, first = Queue(max_waiting=1), Held()
    a = begin(queue, "ann", first)
    b = queue.run("ben", lambda tell, stop: "b")
    next(b)
    with pytest.raises(BusyError, match="at most 1 may wait") as busy:
        next(queue.run("cyd", lambda tell, stop: "c"))
    assert busy.value.code == "queue_full"
    first.go.set()
    assert list(a)[-1] == "done"
    assert list(b)[-1] == "b"


def test_one_owner_has_a_quota_and_others_do_not_feel_it() -> None:
    queue, first = Queue(max_waiting_per_owner=1), Held()
    a = begin(queue, "ann", first)
    more = queue.run("ann", lambda tell, stop: "more")
    next(more)
    with pytest.raises(BusyError, match="1 jobs of yours are waiting") as busy:
        next(queue.run("ann", lambda tell, stop: "too many"))
    assert busy.value.code == "quota_work"
    b = queue.run("ben", lambda tell, stop: "b")
    next(b)
    first.go.set()
    assert list(a)[-1] == "done"
    assert list(more)[-1] == "more"
    assert list(b)[-1] == "b"
    assert list(queue.run("ann", lambda tell, stop: "again"))[-1] == "again"


def test_owners_take_turns_however_much_one_of_them_asks_for() -> None:
    queue, first, done = Queue(), Held(), []
    running = begin(queue, "ann", first)
    news = {name: queue.run(name[:3], lambda tell, stop, name=name: done.append(name)) for name in ("ann 2", "ann 3")}
    news |= {name: queue.run(name[:3], lambda tell, stop, name=name: done.append(name)) for name in ("ben 1", "ben 2")}
    assert [next(each) for each in news.values()] == [Waiting(1), Waiting(2), Waiting(1), Waiting(3)]
    first.go.set()
    for each in (running, *news.values()):
        list(each)
    assert done == ["ben 1", "ann 2", "ben 2", "ann 3"]


def test_two_jobs_of_an_owner_run_at_once_and_the_third_waits_though_a_worker_is_free() -> None:
    queue, works = Queue(n_workers=4), [Held() for _ in range(3)]
    first, second = (begin(queue, "ann", work) for work in works[:2])
    third = queue.run("ann", works[2])
    assert [next(third) for _ in range(3)] == [Waiting(1)] * 3
    assert list(queue.run("ben", lambda tell, stop: "b"))[-1] == "b"
    assert not works[2].begun.is_set()
    works[0].go.set()
    assert list(first)[-1] == "done"
    works[2].go.set()
    assert list(third)[-1] == "done"
    works[1].go.set()
    assert list(second)[-1] == "done"


def test_an_iterator_nobody_began_holds_no_place() -> None:
    queue, first = Queue(max_waiting=1, max_waiting_per_owner=1), Held()
    never = queue.run("ann", Held())
    a = begin(queue, "ann", first)
    never.close()  # type: ignore[attr-defined]
    first.go.set()
    assert list(a)[-1] == "done"


def test_leaving_the_line_gives_the_quota_back_and_moves_the_others_up() -> None:
    queue, first = Queue(max_waiting_per_owner=1), Held()
    a = begin(queue, "ann", first)
    b, c = queue.run("ben", lambda tell, stop: "b"), queue.run("cyd", lambda tell, stop: "c")
    assert [next(b), next(c)] == [Waiting(1), Waiting(2)]
    b.close()  # type: ignore[attr-defined]
    assert next(c) == Waiting(1)
    b = queue.run("ben", lambda tell, stop: "b again")
    assert next(b) == Waiting(2)
    first.go.set()
    assert [list(news)[-1] for news in (a, c, b)] == ["done", "c", "b again"]


def test_whatever_work_raises_the_worker_lives_on() -> None:
    def work(tell: Tell, stop: Stop) -> str:
        raise SystemExit(3)

    queue = Queue()
    with pytest.raises(SystemExit):
        list(queue.run("ann", work))
    assert list(queue.run("ann", lambda tell, stop: "next"))[-1] == "next"


def test_work_that_ignores_its_stage_is_cancelled_at_the_next() -> None:
    queue, begun, go = Queue(), threading.Event(), threading.Event()
    reached = []

    def work(tell: Tell, stop: Stop) -> None:
        begun.set()
        go.wait(30)
        tell(Stage("never told", 0, 1))
        reached.append("after")

    news = queue.run("ann", work)
    next(news)
    assert begun.wait(30)
    news.close()  # type: ignore[attr-defined]
    go.set()
    assert list(queue.run("ann", lambda tell, stop: "next"))[-1] == "next"
    assert reached == []


def test_a_callback_may_ask_about_the_stop() -> None:
    stop, seen = Stop(), []
    stop.on_stop(lambda: seen.append(stop.asked))
    stop.ask()
    stop.ask()
    assert seen[0] is True


def test_a_worker_rests_once_when_nothing_has_come_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "REST_AFTER_S", 0.3)
    done: list[int] = []
    rested: list[int] = []
    at_rest = threading.Event()

    def rest() -> None:
        rested.append(len(done))
        at_rest.set()

    queue = Queue(rest=rest)
    for i in range(3):
        list(queue.run("ann", lambda tell, stop, i=i: done.append(i)))
    assert at_rest.wait(10)
    assert rested == [3]
    at_rest.clear()
    assert not at_rest.wait(0.6)
    list(queue.run("ann", lambda tell, stop: done.append(3)))
    assert at_rest.wait(10)
    assert rested == [3, 4]


def test_a_worker_that_always_has_work_rests_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "REST_AFTER_JOBS", 3)
    done: list[int] = []
    rested: list[int] = []
    queue = Queue(rest=lambda: rested.append(len(done)))
    for i in range(7):
        list(queue.run("ann", lambda tell, stop, i=i: done.append(i)))
    assert rested == [3, 6]


# the end


def test_a_queue_that_closes_tells_who_works_and_who_waits_and_takes_no_more() -> None:
    queue, work, waiting = Queue(), Held(), Held()
    first, second = begin(queue, "ann", work), queue.run("bob", waiting)
    assert isinstance(next(second), Waiting)
    ended: list[bool] = []
    closing = threading.Thread(target=lambda: ended.append(queue.close(10)))
    closing.start()
    for news in (first, second):
        with pytest.raises(StoppingError) as told:
            list(news)
        assert (told.value.code, told.value.status) == ("stopping", 503)
    closing.join(20)
    assert ended == [True]
    assert work.stopped.is_set()
    assert not waiting.begun.is_set()
    with pytest.raises(StoppingError):
        next(queue.run("eve", Held()))
    assert queue.close()


def test_what_can_not_be_stopped_in_time_is_waited_for_and_its_result_is_handed_over() -> None:
    queue, go = Queue(), threading.Event()

    def paid(tell: Tell, stop: Stop) -> str:
        tell(Stage("Paying", 0, 1))
        go.wait(30)
        return "paid for"

    news = queue.run("ann", paid)
    while next(news) != Stage("Paying", 0, 1):
        pass
    assert not queue.close(0.05)
    go.set()
    assert list(news)[-1] == "paid for"
