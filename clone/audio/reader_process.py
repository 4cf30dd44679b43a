"""Reading files in processes of their own: what a file does to its decoder ends with them, at any moment.

FFmpeg can't be interrupted while it opens a file, and takes minutes for 100,000 tags or gigabytes for a table that a
few bytes promise. A process can be ended, and has limits that the system holds.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clone.audio.decoder import KEPT_RATE_MAX_HZ, damaged, too_much_work
from clone.core.errors import AudioError
from clone.core.jobs import Stop

OPENING_S, DECODING_S = 3.0, 60.0
"""Seconds of a core for looking through a file, as much again for opening it, and for decoding it: an hour takes 20."""

SPARE_BYTES = 200_000_000
"""Memory beyond the sound that is kept."""

N_READY = 2
_ROOT = Path(__file__).parents[2]
_OF_AN_ERROR = ("message", "code", "measured", "limit", "advice")
_PROGRAM = "from clone.audio.reader import serve; serve()"

ReadHere = Callable[[Path, tuple[float, float], Callable[[float], None]], Any]
"""What reads a part of a file in this process, as a dataclass with ``samples``; it says how many seconds it needs."""


class Readers:
    """Processes that read one file after the other, a few of them kept ready; thread-safe."""

    def __init__(self) -> None:
        self._ready: list[_Reader] = []
        self._lock = threading.Lock()
        atexit.register(self.close)

    def read(self, path: Path, part: tuple[float, float], stop: Stop) -> tuple[np.ndarray, dict[str, Any]]:
        """Have a file read; see ``reader.read_here``.

        Returns:
            The samples, and the recording's other attributes.

        Raises:
            AudioError: what refuses the file; ``too_much_work``.
            CancelledError: ``stop`` was asked.
        """
        stop.check()
        with self._lock:
            reader = self._ready.pop() if self._ready else None
        reader = reader if reader and reader.alive else _Reader()
        try:
            answer, samples = reader.ask({"path": str(path.absolute()), "part": part}, stop)
        except BaseException:
            reader.end()
            raise
        with self._lock:
            keep = len(self._ready) < N_READY
            if keep:
                self._ready.append(reader)
        if not keep:
            reader.end()
        stop.check()
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        if "refused" in answer:
            raise AudioError(**answer["refused"])
        return samples, answer["recording"]

    def close(self) -> None:
        """End those that are ready."""
        with self._lock:
            ready, self._ready = self._ready, []
        for reader in ready:
            reader.end()


class _Reader:
    """One process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for whoever asks
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, asked: dict[str, Any], stop: Stop) -> tuple[dict[str, Any], np.ndarray]:
        with self._ended_by(stop):
            try:
                return self._answer(asked)
            except (OSError, EOFError, ValueError):
                status = self._process.wait()
        stop.check()
        if status > 0:
            raise RuntimeError(f"A reader ended with status {status}.")
        raise too_much_work() if -status in (signal.SIGXCPU, signal.SIGKILL) else damaged(0.0, None)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):  # what was still to be written to a process that is gone
                pipe.close()

    def _answer(self, asked: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asked).encode() + b"\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        samples = np.empty(answer.get("n_samples", 0), np.float32)
        left = samples.view(np.uint8).data
        while len(left):
            n_bytes = stdout.readinto(left)  # type: ignore[attr-defined]
            if not n_bytes:
                raise EOFError
            left = left[n_bytes:]
        return answer, samples

    @contextmanager
    def _ended_by(self, stop: Stop) -> Iterator[None]:
        """End the process when asked to stop, while this lasts: later it reads for somebody else."""
        lock, over = threading.Lock(), False

        def end() -> None:
            with lock:
                if not over:
                    self._process.kill()

        stop.on_stop(end)
        try:
            yield
        finally:
            with lock:
                over = True


def serve(read_here: ReadHere) -> None:
    """Read what is asked for, until nobody can ask any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    _limit("CORE", 0)
    n_own_bytes = _own_bytes()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        kept_bytes = round(asked["part"][1] * KEPT_RATE_MAX_HZ) * np.float32().itemsize
        _limit("DATA", n_own_bytes + kept_bytes + SPARE_BYTES)
        answer, samples = _outcome(partial(read_here, Path(asked["path"]), asked["part"], _limit_time))
        out.write(json.dumps(answer).encode() + b"\n")
        if len(samples):
            out.write(samples.data)
        out.flush()
        del samples  # not held until somebody asks again


def _outcome(work: Callable[[], Any]) -> tuple[dict[str, Any], np.ndarray]:
    """Return what came of reading a file as JSON can hold it, and its samples."""
    nothing = np.empty(0, np.float32)
    try:
        try:
            recording = work()
        except MemoryError:
            raise too_much_work() from None
    except AudioError as e:
        return {"refused": {name: getattr(e, name) for name in _OF_AN_ERROR}}, nothing
    except Exception as e:  # noqa: BLE001  who asked for it says that it was not expected
        return {"failed": type(e).__name__}, nothing
    attributes = {name: value for name, value in vars(recording).items() if name != "samples"}
    return {"recording": attributes, "n_samples": len(recording.samples)}, recording.samples


def _limit_time(more_s: float) -> None:
    _limit("CPU", math.ceil(time.process_time() + more_s))


def _limit(what: str, value: int) -> None:
    """Have the system hold a limit, where it can: elsewhere a reader can still be ended."""
    if sys.platform == "linux":
        import resource

        kind = getattr(resource, f"RLIMIT_{what}")
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard < 0 else min(value, hard), hard))


def _own_bytes() -> int:
    """Return the memory that limits of DATA count, as it is now."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    return 0
