"""A cluster of two replicas for the tests of engines on other machines, and what is in them.

A replica's backend is the real one, but that sentences of one mark take a quarter of a second of pretence: they sound
of what they say, and leave a line in a file when they begin, end or are stopped.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core.jobs import Stop
from clone.engine import replica
from clone.engine.backend import Line, LocalBackend
from clone.engine.conversion import N_BANDS, N_FFT, Frames
from clone.engine.g2p.text import Sentence
from clone.engine.profile import N_FEATURES, N_VECTOR, Profile
from clone.engine.prosody import PAUSE_S, Pitch
from clone.engine.remote import RayBackend
from clone.engine.styles import ROWS

ROOT = Path(__file__).resolve().parents[2]
MARK = "~"
PART_S, N_PARTS, PART_SAMPLES = 0.05, 5, 1200
LONG, HELD = f"{MARK} long", f"{MARK} held"
"""What begins so takes two seconds, or goes on until it is stopped, or for a minute."""
LONG_PARTS, HELD_PARTS = 40, 1200
WRITTEN = "SIMULATED_LOG"
TURBO = "speech-2.8-turbo"


def simulated() -> LocalBackend:
    fetched = replica._fetched

    def counted(*given: Any) -> bytes:
        _write("fetched", "profile")
        return fetched(*given)

    replica._fetched = counted
    return Simulated(Path(tempfile.gettempdir()) / "unused")


class Simulated(LocalBackend):
    def utter(
        self,
        profile: Profile,
        sentence: Sentence,
        model: str,
        language: str,
        how: SpeechSettings = AS_IT_IS,
        **rest: Any,
    ) -> Generator[Line | np.ndarray, None, None]:
        if not sentence.text.startswith(MARK):
            yield from super().utter(profile, sentence, model, language, how, **rest)
            return
        yield Line(sentence.text, (sentence.text,), sentence.pause_s)
        stop: Stop = rest.get("stop") or Stop()
        _write("begins", sentence.text)
        try:
            for i in range(n_parts(sentence.text)):
                stop.pause(PART_S)
                yield sound(sentence.text, i)
        finally:
            _write("stopped" if stop.asked else "ends", sentence.text)


def sound(text: str, part: int) -> np.ndarray:
    """Return what a part of such a sentence sounds like: no two are alike."""
    seed = int.from_bytes(hashlib.sha256(f"{text}|{part}".encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(PART_SAMPLES).astype(np.float32)


def n_parts(text: str) -> int:
    return HELD_PARTS if text.startswith(HELD) else LONG_PARTS if text.startswith(LONG) else N_PARTS


def whole(text: str) -> np.ndarray:
    return np.concatenate([sound(text, part) for part in range(n_parts(text))])


def said(backend: LocalBackend, profile: Profile, text: str, stop: Stop | None = None) -> np.ndarray:
    _, *parts = backend.utter(profile, Sentence(text, 0.2), TURBO, "en", stop=stop, early=True)
    return np.concatenate(parts)


def processes(word: str) -> list[int]:
    """Return the processes whose environment has a word in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def _write(*words: object) -> None:
    if path := os.environ.get(WRITTEN):
        with open(path, "a") as file:
            file.write(" ".join(map(str, (os.getpid(), time.time(), *words))) + "\n")


def made_profile(seed: int = 0) -> Profile:
    """Return a voice that nobody has, of a size as others are."""
    random, n_frames = np.random.default_rng(seed), 1000

    def some(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    frames = Frames(
        some(n_frames, N_FEATURES), some(n_frames, N_BANDS), some(n_frames), np.abs(some(N_FFT // 2 + 1)), N_BANDS
    )
    windows = some(40, N_VECTOR)
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    return Profile(windows, 120.0, 14.0, some(len(ROWS), N_VECTOR), Pitch(), frames, PAUSE_S, 3.0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Cluster:
    """What ``python -m clone scale engine`` has started."""

    port: int
    token: str
    process: subprocess.Popen[str]
    written: Path
    lines: list[str]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"TIMBRE_ENGINE": f"ray:{self.address}", "TIMBRE_RAY_TOKEN": self.token}

    def events(self, text: str) -> list[tuple[int, float, str]]:
        """Return who did what with a sentence, and when."""
        rows = (line.split(" ", 3) for line in self.written.read_text().splitlines())
        return [(int(row[0]), float(row[1]), row[2]) for row in rows if row[3] == text]

    def wait_for(self, what: str, text: str, within_s: float = 10.0) -> tuple[int, float, str]:
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            found = [event for event in self.events(text) if event[2] == what]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(f"“{text}” never {what}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def started(folder: Path, *arguments: str, token: str = "", port: int = 0, backend: str = "simulated") -> Cluster:
    """Start engines as a person does, and wait until they are ready."""
    token, port = token or secrets.token_hex(32), port or free_port()
    written = folder / "written"
    written.touch()
    environment = {**os.environ, "TIMBRE_RAY_TOKEN": token, WRITTEN: str(written), "TIMBRE_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "clone", "scale", "engine", "--port", str(port), *arguments]
    command += ["--made-by", f"tests.scale.engines:{backend}"]
    errors = (folder / "errors").open("w")
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
    )
    cluster, lines = Cluster(port, token, process, written, []), []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ready"):
            break
    else:
        raise AssertionError((folder / "errors").read_text() + "".join(lines))
    cluster.lines = lines
    return cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head with two replicas."""
    made = started(tmp_path_factory.mktemp("cluster"), "--replicas", "2")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def asking(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayBackend]:
    """A backend that asks the cluster, as a front end's does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMBRE_RAY_TOKEN", cluster.token)
        backend = RayBackend(tmp_path_factory.mktemp("weights"), None, cluster.address)
        backend.warm()
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def nobody() -> Profile:
    return made_profile()
