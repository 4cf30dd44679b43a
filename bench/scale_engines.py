"""Engines on other machines against the one in this process: ``python -m bench.scale engines``. Needs Ray.

What a sentence costs more, in pairs; how many more are spoken by more replicas; how soon it goes on after a stop and
after a kill. The engine is simulated: 0.25 s a sentence.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine.backend import LocalBackend
from clone.engine.g2p.text import Sentence
from clone.engine.profile import Profile
from clone.engine.remote import RayBackend
from tests.scale.engines import HELD, LONG, MARK, TURBO, Cluster, Simulated, made_profile, said, started

N_PAIRS, N_CALLS, N_AT_ONCE = 60, 40, 12
REPLICAS = (1, 2, 4)


@contextmanager
def engines(n: int) -> Iterator[tuple[Cluster, RayBackend]]:
    with tempfile.TemporaryDirectory() as folder:
        cluster = started(Path(folder), "--replicas", str(n))
        os.environ["TIMBRE_RAY_TOKEN"] = cluster.token
        with closing(RayBackend(Path(folder), None, cluster.address)) as backend:
            backend.warm()
            yield cluster, backend
        cluster.stop()


def overhead_ms(here: LocalBackend, there: LocalBackend, profile: Profile) -> tuple[float, float, float]:
    """Return what a sentence takes longer there, in pairs: the mean and its 95 % interval."""
    more = []
    for i in range(N_PAIRS + 4):
        took = []
        for backend in (here, there) if i % 2 else (there, here):
            begun = time.perf_counter()
            said(backend, profile, f"{MARK} sentence {i}")
            took.append(time.perf_counter() - begun)
        more.append(1000 * (took[1] - took[0] if i % 2 else took[0] - took[1]))
    kept = np.array(more[4:])  # the first ones hand the voice over
    half = 1.96 * kept.std(ddof=1) / np.sqrt(len(kept))
    return float(kept.mean()), float(kept.mean() - half), float(kept.mean() + half)


def calls_s(backend: RayBackend, profile: Profile) -> float:
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        list(pool.map(lambda i: said(backend, profile, f"{MARK} warm {i}"), range(2 * N_AT_ONCE)))
        begun = time.perf_counter()
        list(pool.map(lambda i: said(backend, profile, f"{MARK} call {i}"), range(N_CALLS)))
        return time.perf_counter() - begun


def cancelled_s(cluster: Cluster, backend: RayBackend, profile: Profile) -> float:
    stop, text = Stop(), f"{HELD} {time.time()}"

    def speak() -> None:
        with suppress(CancelledError):
            said(backend, profile, text, stop)

    thread = threading.Thread(target=speak)
    thread.start()
    cluster.wait_for("begins", text)
    asked_at = time.time()
    stop.ask()
    thread.join()
    return cluster.wait_for("stopped", text)[1] - asked_at


def recovered_s(cluster: Cluster, backend: RayBackend, profile: Profile) -> tuple[float, float]:
    """Return how long after a kill the next sample comes, and how long until there are two replicas again."""
    text = f"{LONG} {time.time()}"
    killed_at = next_s = 0.0
    with closing(backend.utter(profile, Sentence(text, 0.2), TURBO, "en", early=True)) as parts:
        for i, _ in enumerate(parts):
            if killed_at and not next_s:
                next_s = time.time() - killed_at
            if i == 10:
                pid = cluster.wait_for("begins", text)[0]
                os.kill(pid, signal.SIGKILL)
                killed_at = time.time()
    while True:
        asked_at = time.time()
        texts = [f"{MARK} again {asked_at} {i}" for i in range(4)]
        with ThreadPoolExecutor(len(texts)) as pool:
            list(pool.map(partial(said, backend, profile), texts))
        if len({event[0] for each in texts for event in cluster.events(each)}) == 2:
            return next_s, asked_at - killed_at


def engines_elsewhere() -> None:
    """Print what they cost, give, and how soon they go on."""
    profile, alone = made_profile(), 0.0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    for n in REPLICAS:
        with engines(n) as (cluster, backend):
            took = calls_s(backend, profile)
            alone = alone or took
            print(f"{n} replicas: {N_CALLS} calls in {took:.1f} s, {alone / took:.2f} times", flush=True)
            if n == 2:
                mean, low, high = overhead_ms(Simulated(Path("unused")), backend, profile)
                print(f"a sentence takes {mean:.1f} ms longer ({low:.1f} to {high:.1f})", flush=True)
                stops = [cancelled_s(cluster, backend, profile) for _ in range(10)]
                print(f"a stop is obeyed after {1000 * np.median(stops):.0f} ms, at most {1000 * max(stops):.0f}")
                next_s, again_s = recovered_s(cluster, backend, profile)
                print(
                    f"after a kill the next sample comes in {next_s:.2f} s, a replacement in {again_s:.0f} s",
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f}")
