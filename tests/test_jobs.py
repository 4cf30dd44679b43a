"""A stop that is obeyed."""

from __future__ import annotations

import pytest

from clone.errors import CancelledError
from clone.jobs import Stop


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
