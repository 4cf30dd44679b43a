"""Instances to attack: the app as somebody runs it at home, and as it stands on the open web."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import COLD, App

Start = Callable[..., App]


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app at home, bound to loopback; it may be given links to this machine."""
    running = App(tmp_path_factory.mktemp("own") / "home", TIMBRE_ALLOW_PRIVATE_URLS="1")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app as a Space serves it."""
    running = App(
        tmp_path_factory.mktemp("public") / "home",
        SYSTEM="spaces",
        SPACE_ID="somebody/timbre",
        SPACE_HOST="timbre.example",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an app of one's own, to be killed: ``start(home, NAME="value")``; it ends with the test."""
    running: list[App] = []

    def started(home: Path | None = None, before: str = "", plain: bool = False, **environment: str) -> App:
        running.append(App(home or tmp_path / "attacked", f"{before}\n{COLD}", plain, **environment))
        running[-1].start()
        return running[-1]

    yield started
    for app in running:
        app.stop()
