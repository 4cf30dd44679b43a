"""Two hosts do the same at the same moment, again and again: nothing is there twice, and nothing is lost."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from clone.core.settings import Settings
from clone.hosted.client import CLONE_PATH
from clone.storage.files import Store
from clone.storage.tasks import Tasks
from clone.storage.voices import Library
from tests.attacks.paying import Service, paid_service
from tests.faults import saying
from tests.scale import racing
from tests.scale.racing import Host, together
from tests.scale.servers import S3, Cluster, shared
from tests.studios import order
from tests.voices import FILES

N_ROUNDS = 20


@pytest.fixture(scope="module")
def hosts(s3: S3) -> Iterator[list[Host]]:
    running = [Host(s3.environment) for _ in range(2)]
    yield running
    for host in running:
        host.end()


@pytest.fixture(scope="module")
def settings(postgresql: Cluster, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> list[Settings]:
    """Of two hosts that have one library; their processes keep it open."""
    root, database, bucket = tmp_path_factory.mktemp("race"), postgresql.database(), s3.bucket(f"b{uuid4().hex[:12]}")
    return [shared(racing.home(root, i), database, bucket.url, allow_private_urls=True) for i in range(2)]


@pytest.fixture
def library(settings: list[Settings], s3: S3, monkeypatch: pytest.MonkeyPatch, homes: Path) -> Iterator[Library]:
    """What a third host sees."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    opened = Library(settings[0], Store(settings[0].store_url, homes / "copies"))
    yield opened
    opened.close()


def test_two_first_starts(postgresql: Cluster, s3: S3, hosts: list[Host], homes: Path) -> None:
    for n in range(N_ROUNDS):
        bucket, database = s3.bucket(f"b{uuid4().hex[:12]}"), postgresql.database()
        asked = [(racing.first_start, shared(homes / f"{n}-{i}", database, bucket.url)) for i in range(2)]
        assert together(hosts, *asked) == ["started", "started"]
        assert not bucket.listings()


def test_a_voice_is_added_while_another_host_purges(
    hosts: list[Host], settings: list[Settings], library: Library
) -> None:
    for n in range(N_ROUNDS):
        owner = f"adding-{n}"
        done = together(hosts, (racing.add, settings[0], owner), (racing.purge, settings[1]))
        assert done == ["added", "purged"]
        voices = library.voices(owner)
        assert len(voices) == racing.N_ADDED
        for voice in voices:
            assert {name: library.read(voice, name) for name in voice.files} == FILES


def test_two_add_a_voice_of_one_id(hosts: list[Host], settings: list[Settings], library: Library) -> None:
    for n in range(N_ROUNDS):
        wants = [(racing.same_voice, each, f"both-{n}", bytes([i]) * 100) for i, each in enumerate(settings)]
        done = together(hosts, *wants)
        assert set(done) - {"added"} <= {"voice_exists", "library_busy"}
        assert done.count("added") == 1
        voice = library.get(f"both-{n}", "ada")
        assert library.read(voice, "reference.mp3") == bytes([done.index("added")]) * 100


def test_each_task_is_taken_by_one(hosts: list[Host], settings: list[Settings], library: Library) -> None:
    tasks = Tasks(library.database, library.store)
    for n in range(N_ROUNDS):
        asked = [tasks.add(f"{n}-{i % 3}", "m", f"{n}-{i}") for i in range(10)]
        taken = together(hosts, *((racing.take, each) for each in settings))
        assert sorted(itertools.chain(*taken)) == sorted(each.task_id for each in asked)
        for task in asked:
            path = tasks.path(task.task_id)
            assert path is not None
            assert path.read_bytes() == task.request.encode()


def test_an_owner_has_no_more_tasks_than_may_wait(
    hosts: list[Host], settings: list[Settings], library: Library
) -> None:
    tasks = Tasks(library.database, library.store)
    for n in range(N_ROUNDS):
        taken = together(hosts, *((racing.wait_in_line, each, f"line-{n}", 8) for each in settings))
        assert sum(taken) == 10
        assert tasks.forget(f"line-{n}") == 10


def test_calls_are_counted_together(hosts: list[Host], settings: list[Settings]) -> None:
    for n in range(3):
        counted = together(hosts, *((racing.call, each, f"speak {n}", 60) for each in settings))
        assert sum(counted) == 60


def test_the_same_request_is_one_voice(
    hosts: list[Host], settings: list[Settings], library: Library, examples: list[Path]
) -> None:
    audio = next(path for path in examples if path.suffix == ".mp3")
    for n in range(N_ROUNDS):
        owner = f"twice-{n}"
        first, second = together(hosts, *((racing.clone, each, order(audio, owner)) for each in settings))
        assert first == second == library.voices(owner)[0].voice_id
        assert len(library.voices(owner)) == 1


def test_a_host_that_ends_gives_back_what_it_speaks(
    hosts: list[Host], settings: list[Settings], library: Library, examples: list[Path], s3: S3
) -> None:
    tasks = Tasks(library.database, library.store)
    (voice_id,) = together(hosts[:1], (racing.clone, settings[0], order(sorted(examples)[0], "leaving")))
    asked = {"text": "It takes a quarter of a second. " * 100, "voice_setting": {"voice_id": voice_id}}
    task = tasks.add("leaving", "speech-02-turbo", json.dumps(asked))
    leaving = Host(s3.environment)
    (said,) = together([leaving], (racing.serve, settings[1], 10.0, 5.0))
    leaving.end()
    assert said is None
    left = tasks.get(task.task_id, "leaving")
    assert (left.status, left.holder) == ("TASK_STATUS_QUEUED", "")
    assert left.done_percent > 0  # it was begun
    taken = tasks.next()
    assert taken is not None
    assert taken.task_id == task.task_id
    assert tasks.forget("leaving") == 1


@pytest.fixture
def service(examples: list[Path]) -> Iterator[Service]:
    audio = next(path for path in examples if path.suffix == ".mp3")
    with paid_service(audio.read_bytes()) as running:
        made = itertools.count()

        def cloned(connection: socket.socket) -> None:
            preview = running.server.url("/preview.mp3")
            saying(200, {"voice_id": f"voice_paid_{next(made)}", "demo_audio_url": preview})(connection)

        running.server.answers[CLONE_PATH] = cloned
        yield running


def test_nobody_pays_twice(service: Service, settings: list[Settings], library: Library, s3: S3) -> None:
    hosts = [Host(s3.environment | {"NO": str(i)}) for i in range(2)]
    paying = [
        shared(
            each.home / "paying",
            each.database_url,
            each.store_url,
            novita_base_url=service.server.url(""),
            allow_private_urls=True,
        )
        for each in settings
    ]
    for n in range(N_ROUNDS):
        asked = service.order(owner=f"paying-{n}")
        done = together(hosts, *((racing.clone, each, asked) for each in paying))
        (voice,) = library.voices(f"paying-{n}")
        assert set(done) <= {voice.voice_id, "same_request"}
        assert voice.voice_id in done
        assert service.n_paid() == n + 1
    for host in hosts:
        host.end()


def test_a_row_that_says_sent_stands_in_the_way_even_without_its_lock(library: Library, homes: Path) -> None:
    from clone.core.errors import MaybeDone
    from clone.storage.journal import CLONE, Journal
    from clone.storage.voices import utc_now

    a, b = (Journal(homes / name, library.database, library.store, utc_now) for name in "ab")
    entry = a.entry("ann", CLONE, "the same")
    a.add(entry, {"reference.mp3": b"sound"})
    with pytest.raises(MaybeDone) as refused:
        b.add(b.entry("ann", CLONE, "the same"), {"reference.mp3": b"sound"})
    assert refused.value.code == "maybe_paid"
    assert a.files(entry.entry_id) == {"reference.mp3": b"sound"}
    a.end(entry.entry_id)
    assert not library.store.size_of(f"paid/{entry.entry_id}/reference.mp3")
