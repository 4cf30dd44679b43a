"""Engines on other machines, asked sentence by sentence: what is heard, what a stop frees, what a kill costs."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pytest

from clone.core.errors import BusyError, CancelledError, EngineError, TextError
from clone.core.jobs import Queue, Stop
from clone.engine import connection, remote
from clone.engine.connection import Connection, Died
from clone.engine.g2p.text import Sentence
from clone.engine.profile import Profile
from clone.engine.remote import RayBackend
from tests.scale.engines import HELD, LONG, MARK, TURBO, Cluster, made_profile, said, sound, whole


@contextmanager
def held(backend: RayBackend, nobody: Profile, *names: str) -> Iterator[list[Future[np.ndarray]]]:
    """Have sentences spoken that go on until this ends."""
    stops = [Stop() for _ in names]
    with ThreadPoolExecutor(len(names)) as pool:
        try:
            asked = zip(names, stops, strict=True)
            yield [pool.submit(said, backend, nobody, f"{HELD} {name}", stop) for name, stop in asked]
        finally:
            for stop in stops:
                stop.ask()


def test_what_is_heard_is_what_is_said(asking: RayBackend, nobody: Profile) -> None:
    text = f"{MARK} The old boat left."
    line, *parts = asking.utter(nobody, Sentence(text, 0.2), TURBO, "en", early=True)
    assert line.text == text
    assert len(parts) == 5
    assert np.array_equal(np.concatenate(parts), whole(text))


def test_what_was_learned_of_a_voice_goes_to_each_replica_once(
    asking: RayBackend, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = list[int](), connection._send

    def counted(line: socket.socket, data: bytes) -> None:
        sent.append(len(data))
        send(line, data)

    monkeypatch.setattr(connection, "_send", counted)
    voice, same = made_profile(seed=1), made_profile(seed=1)
    for i in range(12):
        said(asking, voice, f"{MARK} once {i}")
        said(asking, same, f"{MARK} once more {i}")  # another copy of the same voice
    assert sum(size > 1_000_000 for size in sent) == 1  # to the process that replicas fetch it from
    who = {pid for i in range(12) for pid, *_ in cluster.events(f"{MARK} once {i}")}
    fetched = [pid for pid, _, what in cluster.events("profile") if what == "fetched"]
    assert len(who) == 2
    assert max(Counter(fetched).values()) <= 2  # this voice, and that of the other tests


def test_what_a_replica_refuses_is_refused_here(asking: RayBackend) -> None:
    with pytest.raises(TextError) as refused:
        asking.script("…!", "en")
    assert refused.value.code == "text_no_letter"


def test_a_stop_reaches_the_engine_and_frees_it(asking: RayBackend, nobody: Profile, cluster: Cluster) -> None:
    with held(asking, nobody, "a", "b") as speaking:
        for name in ("a", "b"):
            cluster.wait_for("begins", f"{HELD} {name}")
        asked_at = time.time()
    for name, each in zip(("a", "b"), speaking, strict=True):
        with pytest.raises(CancelledError):
            each.result()
        assert cluster.wait_for("stopped", f"{HELD} {name}")[1] - asked_at < 1.0
    assert np.array_equal(said(asking, nobody, f"{MARK} after"), whole(f"{MARK} after"))


def test_one_who_leaves_frees_it_too(asking: RayBackend, nobody: Profile, cluster: Cluster) -> None:
    text = f"{HELD} left"
    with closing(asking.utter(nobody, Sentence(text, 0.2), TURBO, "en", early=True)) as parts:
        next(parts)
        assert np.array_equal(next(parts), sound(text, 0))
    assert cluster.wait_for("stopped", text)


def test_a_stop_is_obeyed_while_it_waits_for_a_replica(asking: RayBackend, nobody: Profile, cluster: Cluster) -> None:
    with held(asking, nobody, "w1", "w2"):
        for name in ("w1", "w2"):
            cluster.wait_for("begins", f"{HELD} {name}")
        stop, text = Stop(), f"{MARK} never said"
        threading.Timer(0.5, stop.ask).start()
        with pytest.raises(CancelledError):
            said(asking, nobody, text, stop)
    time.sleep(0.5)
    assert not cluster.events(text)


def test_who_finds_no_room_is_told_to_come_again(
    asking: RayBackend, nobody: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "FULL_WITHIN_S", 1.0)
    names = [f"full{i}" for i in range(28)]
    with held(asking, nobody, *names) as speaking:
        until_s = time.monotonic() + 20
        while not any(each.done() for each in speaking):
            assert time.monotonic() < until_s, "all of them wait"
            time.sleep(0.05)
    errors = [each.exception() for each in speaking]
    refused = [error for error in errors if isinstance(error, BusyError)]
    assert refused
    assert all(isinstance(error, BusyError | CancelledError) for error in errors)
    assert {(error.code, error.retry_after_s > 0) for error in refused} == {("queue_full", True)}


def test_forty_calls_at_once_are_answered_and_owners_take_turns(asking: RayBackend, nobody: Profile) -> None:
    queue, order = Queue(max_waiting=40, n_workers=8), list[str]()

    def speaks(owner: str, i: int) -> None:
        text = f"{MARK} {owner} {i}"

        def work(tell: object, stop: Stop) -> np.ndarray:
            samples = said(asking, nobody, text, stop)
            order.append(owner)
            return samples

        *_, samples = queue.run(owner, work)
        assert np.array_equal(samples, whole(text))

    owners = ["ann", "ben", "cleo", "dan", "eve"]
    with ThreadPoolExecutor(40) as pool:
        # One owner's calls come all before the next one's: without turns she would be served first.
        done = [pool.submit(speaks, owner, i) for owner in owners for i in range(8)]
        for each in done:
            each.result()
    queue.close()
    early = Counter(order[:25])
    assert all(2 <= early[owner] <= 8 for owner in owners), early


def test_a_replica_that_is_killed_costs_no_sample(asking: RayBackend, nobody: Profile, cluster: Cluster) -> None:
    text = f"{LONG} and not a word of it is lost"
    heard = list[np.ndarray]()
    with closing(asking.utter(nobody, Sentence(text, 0.2), TURBO, "en", early=True)) as parts:
        next(parts)
        for part in parts:
            heard.append(part)
            if len(heard) == 10:
                (pid, _, _) = cluster.wait_for("begins", text)
                os.kill(pid, signal.SIGKILL)
    assert np.array_equal(np.concatenate(heard), whole(text))
    assert len({pid for pid, _, what in cluster.events(text) if what == "begins"}) == 2
    until_s = time.monotonic() + 60  # until there are two again
    for i in range(1000):
        names = [f"two {i} {side}" for side in "ab"]
        with held(asking, nobody, *names):
            time.sleep(0.5)
            begun = {event[0] for name in names for event in cluster.events(f"{HELD} {name}")}
        if len(begun) == 2:
            break
        assert time.monotonic() < until_s, "no replacement came"


def test_what_kills_one_replica_after_the_other_is_given_up(
    asking: RayBackend, nobody: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[int]()

    def dies(self: Connection, asked: bytes, voices: object, stop: Stop) -> Iterator[bytes]:
        calls.append(1)
        raise Died
        yield b""

    monkeypatch.setattr(Connection, "call", dies)
    with pytest.raises(EngineError) as failed:
        said(asking, nobody, f"{MARK} deadly")
    assert failed.value.code == "engine_died"
    assert len(calls) == 4
