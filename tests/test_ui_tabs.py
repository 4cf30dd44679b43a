"""What a tab finds again after a reload: only by its own secret, for a while, and not without end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from clone.core.jobs import Stop
from clone.ui import strings, tabs
from clone.ui.form import Given
from clone.ui.tabs import Run, Tab, Tabs, Updates
from clone.ui.visitors import new_token

GIVEN = Given(strings.UPLOAD, None, "/page/folder/ada.m4a", None, None)
WITHIN_S = 20


def arrived(known: Tabs, page: str, secret: str) -> Tab:
    tab = known.arrive(page, secret)
    assert tab is not None
    return tab


def test_the_next_page_of_a_tab_finds_what_the_last_one_had() -> None:
    known, secret = Tabs(), new_token()
    arrived(known, "first", secret).keep(GIVEN)
    name = known.name("first")
    known.leave("first")
    assert arrived(known, "second", secret).given == GIVEN
    assert known.name("second") == name
    assert known.arrive("second", secret) is None  # it is there already: nothing of it is overwritten
    assert known.leave("first") is None  # the last news of the first page may come late


@pytest.mark.parametrize("secret", [None, "", "first", "tab first", "a" * 42, "a" * 44, 7, ["a" * 43]])
def test_what_is_no_secret_finds_nothing(secret: object) -> None:
    known = Tabs()
    arrived(known, "first", new_token()).keep(GIVEN)
    assert known.arrive("second", secret) is None
    assert known.of("second") is None
    assert known.name("second") == "second"


def test_who_knows_of_a_session_does_not_take_it_over() -> None:
    known, theirs = Tabs(), new_token()
    arrived(known, "first", new_token()).keep(GIVEN)
    assert known.arrive("first", theirs) is None
    assert arrived(known, "thief", theirs).given is None
    known.name("without a tab")  # this one has begun, and its browser keeps nothing
    assert known.arrive("without a tab", theirs) is None


def test_a_tab_ends_when_nobody_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    known, secret = Tabs(), new_token()
    tab = arrived(known, "first", secret)
    tab.keep(GIVEN)
    assert known.leave("first") is tab
    assert known.leave("first") is None  # it is counted from the first time
    assert not known.end(tab)
    monkeypatch.setattr(tabs, "LEFT_S", 0.0)
    known.of("first")  # its connection was broken; its page is there
    assert not known.end(tab)
    known.leave("first")
    assert known.end(tab)
    assert not known.end(tab)
    assert arrived(known, "second", secret).given is None


def test_many_tabs_put_out_no_recording_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    known, secret = Tabs(), new_token()
    arrived(known, "first", secret).keep(GIVEN)
    monkeypatch.setattr(tabs, "_TABS_LIMIT", 50)
    monkeypatch.setattr(tabs, "_PAGES_LIMIT", 80)
    for n in range(200):
        arrived(known, f"page-{n}", new_token())
    assert len(known._tabs) == 50
    assert len(known._names) == 80
    assert arrived(known, "second", secret).given == GIVEN


def test_a_link_of_any_length_is_not_kept() -> None:
    tab = arrived(Tabs(), "first", new_token())
    tab.keep(Given(strings.LINK, None, None, "https://example.com/" + "x" * 4_000_000, None))
    assert tab.given is None


class Work:
    """Shows one thing after the other, each when it is told to."""

    def __init__(self, run: Run) -> None:
        self._next = threading.Semaphore(0)
        self._run = run

    def __iter__(self) -> Iterator[Updates]:
        for n in range(3):
            yield {"progress": n, f"step {n}": True}
            while not self._next.acquire(timeout=0.01):
                if self._run.stop.asked:
                    yield {"progress": "stopped"}
                    return
                yield {"progress": n}
        yield {"result": "voice"}

    def step(self) -> None:
        self._next.release()


def begun() -> tuple[Run, Work]:
    run = Run("ada", Stop())
    work = Work(run)
    run.begin(iter(work))
    return run, work


def test_who_joins_late_sees_all_that_is_shown_and_the_end() -> None:
    run, work = begun()
    first = run.follow()
    assert next(first)["progress"] == 0
    work.step()
    while next(first)["progress"] != 1:
        pass
    first.close()
    again = run.follow()
    shown = next(again)
    assert shown == {"progress": 1, "step 0": True, "step 1": True}
    work.step()
    work.step()
    for updates in again:
        shown |= updates
    assert shown["result"] == "voice"
    assert run.over
    assert run.is_past  # Work leaves no outcome
    assert list(run.follow()) == []


def test_one_page_follows_at_a_time() -> None:
    run, _ = begun()
    first, second = run.follow(), run.follow()
    next(first)
    next(second)
    assert list(first) == []
    assert not run.seen
    run.stop.ask()
    assert list(second)[-1]["progress"] == "stopped"


def test_a_run_that_nobody_follows_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = begun()
    following = run.follow()
    next(following)
    monkeypatch.setattr(tabs, "LEFT_S", 0.1)
    end = time.monotonic() + WITHIN_S
    while not run.over:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert run.stop.asked
