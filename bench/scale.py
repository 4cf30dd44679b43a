"""Measure what hosts share: ``python -m bench.scale races``, ``… kills``, ``… library``, ``… engines``.

Real parts on this machine: a private PostgreSQL cluster, moto's S3 server, two processes with a home each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa

from bench import scale_engines
from clone.contract.speech import AsyncSpeechRequest
from clone.core.settings import Settings
from clone.hosted.client import CLONE_PATH
from clone.storage.database import TASKS, VOICES
from clone.storage.files import Store
from clone.storage.shelf import RECORD
from clone.storage.tasks import MAX_WAITING, MAX_WAITING_PER_OWNER, PROCESSING, QUEUED, SUCCEED, Tasks
from clone.storage.voice import to_record
from clone.storage.voices import Library, utc_now
from tests import remembered
from tests.attacks.paying import paid_service
from tests.conftest import EXAMPLES
from tests.faults import saying
from tests.scale import racing, simulated
from tests.scale.racing import Host, together
from tests.scale.servers import S3, Bucket, Cluster, shared
from tests.studios import order
from tests.voices import FILES, make_voice

N_ROUNDS = 200
N_VOICES, N_OWNERS, N_DUE = 10_000, 1_000, 1_000
N_LISTS = 500
N_TASKS, KILL_EVERY_S, LEASE_S, MODEL = 200, 2.0, 3.0, "speech-02-turbo"
_PUTS_AT_ONCE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    racing_part = parts.add_parser("races", help="two processes at once")
    racing_part.add_argument("--rounds", type=int, default=N_ROUNDS)
    racing_part.add_argument("--but", nargs="*", default=[], help="names of races to leave out")
    parts.add_parser("kills", help=f"{N_TASKS} tasks, and a worker killed every {KILL_EVERY_S:.0f} seconds")
    parts.add_parser("library", help=f"{N_VOICES:,} voices of {N_OWNERS:,} owners")
    parts.add_parser("engines", help="engines on other machines, in pretence")
    asked = parser.parse_args()
    if asked.part == "engines":
        scale_engines.engines_elsewhere()
        return
    with Cluster() as cluster, S3() as s3, tempfile.TemporaryDirectory() as root:
        os.environ.update(s3.environment)
        os.environ[remembered.FOLDER] = root  # what is learned of one recording is the same each time
        if asked.part == "races":
            races(cluster, s3, Path(root), asked)
        else:
            {"kills": kills, "library": library}[asked.part](cluster, s3, Path(root))


def races(cluster: Cluster, s3: S3, root: Path, asked: argparse.Namespace) -> None:
    """Print of each race how many rounds went wrong."""
    hosts = [Host(dict(os.environ)) for _ in range(2)]
    with _settings(cluster, s3, root) as (settings, opened, _):
        tasks = Tasks(opened.database, opened.store)

        def start(n: int) -> bool:
            bucket, database = s3.bucket(f"b{uuid4().hex[:12]}"), cluster.database()
            each = [(racing.first_start, shared(root / f"{n}-{i}", database, bucket.url)) for i in range(2)]
            return together(hosts, *each) == ["started", "started"] and not bucket.listings()

        def add(n: int) -> bool:
            done = together(hosts, (racing.add, settings[0], f"a{n}"), (racing.purge, settings[1]))
            voices = opened.voices(f"a{n}")
            whole = all(opened.read(each, name) == FILES[name] for each in voices for name in each.files)
            return done == ["added", "purged"] and len(voices) == racing.N_ADDED and whole

        def one_id(n: int) -> bool:
            done = together(hosts, *((racing.same_voice, s, f"b{n}", bytes([i])) for i, s in enumerate(settings)))
            kept = opened.read(opened.get(f"b{n}", "ada"), "reference.mp3")
            return done.count("added") == 1 and kept == bytes([done.index("added")])

        def take(n: int) -> bool:
            waiting = [tasks.add(f"{n}-{i % 3}", "m", f"{i}").task_id for i in range(10)]
            return sorted(itertools.chain(*together(hosts, *((racing.take, s) for s in settings)))) == sorted(waiting)

        def line(n: int) -> bool:
            taken = together(hosts, *((racing.wait_in_line, s, f"c{n}", 8) for s in settings))
            return sum(taken) == 10 == tasks.forget(f"c{n}")

        def calls(n: int) -> bool:
            return sum(together(hosts, *((racing.call, s, f"d{n}", 40) for s in settings))) == 60

        named = {
            "first start of two": start,
            "add beside purge": add,
            "two add one voice_id": one_id,
            "tasks taken": take,
            "an owner's tasks in line": line,
            "calls counted together": calls,
        }
        for name, race in named.items():
            if name not in asked.but:
                _raced(name, race, asked.rounds)
        _cloning(hosts, settings, opened, asked.rounds)
    for host in hosts:
        host.end()


def _cloning(hosts: list[Host], settings: list[Settings], opened: Library, n_rounds: int) -> None:
    audio = sorted(EXAMPLES.glob("*.mp3"))[0]
    with paid_service(audio.read_bytes()) as service:
        made = itertools.count()
        preview = service.server.url("/preview.mp3")
        service.server.answers[CLONE_PATH] = lambda connection: saying(
            200, {"voice_id": f"voice_paid_{next(made)}", "demo_audio_url": preview}
        )(connection)
        paying = [
            replace(each, home=each.home / "paying", novita_base_url=service.server.url(""), allow_private_urls=True)
            for each in settings
        ]

        def same(n: int) -> bool:
            done = together(hosts, *((racing.clone, s, order(audio, f"e{n}")) for s in settings))
            return [each.voice_id for each in opened.voices(f"e{n}")] == [done[0]] == [done[1]]

        def paid(n: int) -> bool:
            done = together(others, *((racing.clone, s, service.order(owner=f"f{n}")) for s in paying))
            (voice,) = opened.voices(f"f{n}")
            return set(done) <= {voice.voice_id, "same_request"} and service.n_paid() == n + 1

        _raced("the same request", same, n_rounds)
        others = [Host(dict(os.environ)) for _ in range(2)]
        _raced("paid POST", paid, n_rounds)
        for host in others:
            host.end()


def kills(cluster: Cluster, s3: S3, root: Path) -> None:
    """Print what came of many tasks whose workers are killed at random while they speak, in pretence."""
    finished, chance, n_kills = root / "finished", random.Random(5), 0
    environment = dict(os.environ) | {simulated.FINISHED: str(finished)}
    with _settings(cluster, s3, root) as (settings, opened, bucket):
        tasks, maker = Tasks(opened.database, opened.store), Host(environment)
        owners = [f"owner-{n}" for n in range(N_TASKS // MAX_WAITING_PER_OWNER)]
        for owner in owners:
            maker.ask(time.time(), racing.clone, settings[0], order(sorted(EXAMPLES.glob("*.mp3"))[0], owner))
            maker.answer()
        maker.end()
        to_ask = [owner for owner in owners for _ in range(MAX_WAITING_PER_OWNER)]
        workers, began = [Host(environment) for _ in settings], time.perf_counter()
        for worker, each in zip(workers, settings, strict=True):
            worker.ask(time.time(), racing.serve, each, LEASE_S)
        while to_ask or _waiting(opened):
            while to_ask and _waiting(opened) < MAX_WAITING:
                tasks.add(owner := to_ask.pop(), MODEL, _request(opened, owner))
            time.sleep(KILL_EVERY_S)
            at = chance.randrange(len(workers))
            workers[at].kill()
            workers[at] = Host(environment)
            workers[at].ask(time.time(), racing.serve, settings[at], LEASE_S)
            n_kills += 1
        took_s = time.perf_counter() - began
        for worker in workers:
            worker.kill()
        done = finished.read_text().split()
        spoken = [key for key in bucket.files() if key.startswith("speech/")]
        print(f"{N_TASKS} tasks, {n_kills} kills, {took_s:.0f} s")
        print(f"finished {len(done)}, of them twice {len(done) - len({*done})}")
        print(f"files {len(spoken)}, rows that say so {_n_tasks(opened, SUCCEED)}")


def _request(opened: Library, owner: str) -> str:
    (voice,) = opened.voices(owner)
    asked = {
        "text": "This is said once. Then it is over. Nobody hears it.",
        "voice_setting": {"voice_id": voice.voice_id},
    }
    return AsyncSpeechRequest.model_validate(asked).model_dump_json()


def _waiting(opened: Library) -> int:
    return _n_tasks(opened, QUEUED) + _n_tasks(opened, PROCESSING)


def _n_tasks(opened: Library, status: str) -> int:
    counted = sa.select(sa.func.count()).select_from(TASKS).filter_by(status=status)
    with opened.database.begin() as db:
        return int(db.execute(counted).scalar_one())


def library(cluster: Cluster, s3: S3, root: Path) -> None:
    """Print how long a large library takes to be listed and purged, and what the bucket was asked."""
    with _settings(cluster, s3, root) as (_, opened, bucket):
        _fill(opened)
        owners = [f"owner-{n % N_OWNERS}" for n in range(N_LISTS)]
        _timed(f"list of an owner ({N_VOICES // N_OWNERS} voices)", [lambda o=o: opened.voices(o) for o in owners])
        _timed(
            "one voice by its id", [lambda n=n: opened.get(f"v{n}", f"owner-{n % N_OWNERS}") for n in range(N_LISTS)]
        )
        _timed("purge, nothing due", [opened.purge] * 10)
        past = {"expires_at": utc_now() - timedelta(seconds=1)}
        with opened.database.begin() as db:
            db.execute(sa.update(VOICES).where(VOICES.c.voice_id.in_([f"v{n}" for n in range(N_DUE)])).values(past))
        before = len(s3.asked(bucket.name))
        _timed(f"purge of {N_DUE:,} voices", [opened.purge])
        left = sum(key.startswith("voices/") for key in bucket.files())
        print(f"asked of the bucket meanwhile: {len(s3.asked(bucket.name)) - before}; files left: {left}")
        print(f"listings of the bucket: {len(bucket.listings())}")


@contextmanager
def _settings(cluster: Cluster, s3: S3, root: Path) -> Iterator[tuple[list[Settings], Library, Bucket]]:
    bucket, database = s3.bucket(f"b{uuid4().hex[:12]}"), cluster.database()
    settings = [shared(racing.home(root, i), database, bucket.url) for i in range(2)]
    opened = Library(settings[0], Store(bucket.url, root / "copies"))
    try:
        opened.purge()
        yield settings, opened, bucket
    finally:
        opened.close()


def _fill(opened: Library) -> None:
    """Write the rows of all voices, and the files of those that will be due."""
    voices, now = [], utc_now()
    for n in range(N_VOICES):
        voice = make_voice(f"v{n}", f"owner-{n % N_OWNERS}", created_at=now, files=tuple(sorted(FILES)))
        voices.append(replace(voice, expires_at=now + timedelta(hours=100), n_bytes=sum(map(len, FILES.values()))))
    with opened.database.begin() as db:
        db.execute(sa.insert(VOICES), [vars(each) for each in voices])
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as putting:
        for voice in voices[:N_DUE]:
            for name, data in (FILES | {RECORD: to_record(voice)}).items():
                putting.submit(opened.store.put, f"voices/{voice.voice_id}/{name}", data)


def _raced(name: str, race: Callable[[int], bool], n_rounds: int) -> None:
    began, n_wrong = time.perf_counter(), 0
    for n in range(n_rounds):
        n_wrong += not race(n)
    print(f"{name:<28} {n_rounds} rounds, {n_wrong} wrong, {time.perf_counter() - began:.0f} s", flush=True)


def _timed(name: str, calls: list[Callable[[], Any]]) -> None:
    took_ms = []
    for call in calls:
        began = time.perf_counter()
        call()
        took_ms.append(1000 * (time.perf_counter() - began))
    print(f"{name:<34} median {np.median(took_ms):.1f} ms, p95 {np.percentile(took_ms, 95):.1f} ms", flush=True)


if __name__ == "__main__":
    main()
