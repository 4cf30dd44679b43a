"""Links are downloaded beside all work, a few for each who asks, and no longer than somebody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clone.core.errors import BusyError, CancelledError, StoppingError
from clone.core.jobs import MAX_RUNNING_PER_OWNER, MAX_WAITING, MAX_WAITING_PER_OWNER, Stage, Stop, Waiting
from clone.studio.downloads import MAX_DOWNLOADS, Downloads
from tests.serving import Dripping


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    server = Dripping()
    yield server
    server.close()


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    made = Downloads(lambda *_: None, allow_private=True)
    yield made
    made.close()


def begun(downloads: Downloads, dripping: Dripping, owner: str, folder: Path) -> Any:
    """Begin a download that does not end, and return what is told of it."""
    news = downloads.run(owner, {"audio": dripping.url}, folder)
    next(news)
    return news


def test_files_and_links_come_back_by_their_fields(downloads: Downloads, places: str, tmp_path: Path) -> None:
    news = downloads.run("ann", {"audio": Path("given"), "prompt_audio": f"{places}/ben.mp3"}, tmp_path)
    told = []
    while True:
        try:
            told.append(next(news))
        except StopIteration as end:
            files = end.value
            break
    assert any(isinstance(each, Stage) and each.name == "Downloading the prompt clip" for each in told)
    assert files["audio"] == Path("given")
    assert files["prompt_audio"].parent == tmp_path
    assert files["prompt_audio"].stat().st_size > 1000


def test_one_owner_has_a_few_and_the_next_wait(downloads: Downloads, dripping: Dripping, tmp_path: Path) -> None:
    own = [begun(downloads, dripping, "ann", tmp_path) for _ in range(MAX_RUNNING_PER_OWNER)]
    dripping.wait(MAX_RUNNING_PER_OWNER)
    waiting = [downloads.run("ann", {"audio": dripping.url}, tmp_path) for _ in range(MAX_WAITING_PER_OWNER)]
    assert all(isinstance(next(each), Waiting) for each in waiting)
    with pytest.raises(BusyError) as refused:
        next(downloads.run("ann", {"audio": dripping.url}, tmp_path))
    assert refused.value.code == "quota_work"
    other = begun(downloads, dripping, "ben", tmp_path)
    dripping.wait(MAX_RUNNING_PER_OWNER + 1)
    for each in (*waiting, *own, other):
        each.close()
    dripping.wait(0)


def test_there_are_not_many_in_all(downloads: Downloads, dripping: Dripping, tmp_path: Path) -> None:
    under_way = [begun(downloads, dripping, f"owner {n}", tmp_path) for n in range(MAX_DOWNLOADS)]
    dripping.wait(MAX_DOWNLOADS)
    under_way += [begun(downloads, dripping, f"later {n}", tmp_path) for n in range(MAX_WAITING)]
    with pytest.raises(BusyError) as refused:
        next(downloads.run("one too many", {"audio": dripping.url}, tmp_path))
    assert refused.value.code == "queue_full"
    for each in under_way:
        each.close()
    dripping.wait(0)


def test_whoever_leaves_or_stops_ends_the_download(downloads: Downloads, dripping: Dripping, tmp_path: Path) -> None:
    with closing(begun(downloads, dripping, "ann", tmp_path)):
        dripping.wait(1)
    dripping.wait(0)
    stop = Stop()
    threading.Thread(target=lambda: (dripping.wait(1), stop.ask())).start()
    with pytest.raises(CancelledError):
        downloads.path("ann", dripping.url, tmp_path, stop)
    dripping.wait(0)
    assert list(tmp_path.iterdir()) == []


def test_downloads_end_with_the_app(downloads: Downloads, dripping: Dripping, tmp_path: Path) -> None:
    news = begun(downloads, dripping, "ann", tmp_path)
    dripping.wait(1)
    threading.Thread(target=downloads.close).start()
    with pytest.raises(StoppingError):
        list(news)
    dripping.wait(0)
