"""The way from this process to a cluster: a process of its own that has joined it, started when it is first needed.

Ray ends a process whose cluster's head is gone, takes over its signals, and needs 150 MB. So it does that elsewhere
(connector.py), and what asks goes on: the next call starts another one.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from clone.core.errors import EngineError
from clone.core.jobs import Stop

ROOT = Path(__file__).resolve().parents[2]
"""What has ``clone`` in it."""

REACHED_WITHIN_S = 3.0
JOINED_WITHIN_S = 45.0
AGAIN_AFTER_S = 3.0
"""After a failure nobody tries again for so long; who asks meanwhile is told the same."""
ANSWERS_WITHIN_S = 180.0
"""The longest silence of a call: a replacement takes half a minute, and others may come first."""
ENDS_WITHIN_S = 5.0
_LOOK_S = 0.1

FRAME = struct.Struct("!cQ")
"""Before everything that comes back: its kind, and how many bytes it has."""
SIZE = struct.Struct("!Q")
MISSING, ANSWER, END, DIED, FULL, FAILED = b"M", b"A", b"E", b"D", b"F", b"X"


PackedVoices = Mapping[str, Callable[[], bytes]]


class Died(Exception):
    """What was asked has ended before it was done with the call."""


class Full(Exception):
    """No replica has room for the call, and no more may wait."""


class Connection:
    """Calls that go through a cluster; thread-safe.

    Args:
        address: host:port of its head.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._way: _Way | None = None
        self.closed = False
        """Whether nothing is asked any more."""

    def call(self, asked: bytes, voices: PackedVoices, stop: Stop) -> Generator[bytes, None, None]:
        """Send a call to a replica.

        Args:
            asked: what Replica.call() takes.
            voices: what was learned of the voices in it: by the sha256 of each, what gives the bytes where needed.
            stop: ends the call when it is asked.

        Yields:
            Its answers. Closing this, or a stop, ends the call in the replica.

        Raises:
            EngineError: the cluster can't be reached, has no engine, or is silent.
            Died: the replica, or the way to it, is gone.
            Full: no replica takes it.
            CancelledError: ``stop`` was asked.
        """
        with closing(self._opened(stop)) as line:
            stop.on_stop(lambda: _hang_up(line))
            try:
                with line.makefile("rb") as answers:
                    _send(line, json.dumps([*voices]).encode())
                    for sha256 in _missing(answers):
                        _send(line, voices[sha256]())
                    _send(line, asked)
                    yield from _answers(answers)
            except TimeoutError:
                raise EngineError(
                    f"No engine has answered for {ANSWERS_WITHIN_S:.0f} s.", code="engine_silent", advice=_LATER
                ) from None
            except OSError:
                stop.check()
                raise Died from None
            except (Died, EngineError):
                stop.check()
                raise

    def close(self) -> None:
        """Leave the cluster, and end what is under way."""
        with self._lock:
            self.closed, way = True, self._way
        if way is not None:
            way.close()

    def _opened(self, stop: Stop) -> socket.socket:
        way = self._current()
        until_s = time.monotonic() + JOINED_WITHIN_S
        while not way.tried.wait(_LOOK_S):
            stop.check()
            if time.monotonic() > until_s:
                raise _unreachable(self._address, "The way to them takes long.")
        if way.error is not None:
            raise way.error
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(ANSWERS_WITHIN_S)
        try:
            line.connect(str(way.path))
        except OSError:
            line.close()
            way.close()  # its process is gone
            raise Died from None
        return line

    def _current(self) -> _Way:
        with self._lock:
            if self.closed:
                raise _unreachable(self._address, "This process is about to end.")
            if self._way is None or self._way.is_over:
                if self._way is not None:
                    self._way.close()
                self._way = _Way(self._address)
            return self._way


class _Way:
    """One process that joins the cluster.

    Attributes:
        tried: set once it has joined, or ``error`` says why not.
        path: of the socket where it takes calls.
    """

    def __init__(self, address: str) -> None:
        self.tried = threading.Event()
        self.error: EngineError | None = None
        self._address = address
        self._failed_at = 0.0
        self._folder = Path(tempfile.mkdtemp(prefix="timbre-ray-"))
        self.path = self._folder / "calls"
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._join, name="timbre-ray", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether another one may be tried."""
        if not self.tried.is_set():
            return False
        if self.error is not None:
            return time.monotonic() - self._failed_at > AGAIN_AFTER_S
        return self._process is None or self._process.poll() is not None

    def close(self) -> None:
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # which it takes for a sign
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()  # type: ignore[union-attr]
        shutil.rmtree(self._folder, ignore_errors=True)

    def _join(self) -> None:
        try:
            self._reach()
            self._start()
        except EngineError as error:
            self.error, self._failed_at = error, time.monotonic()
            self.close()
        self.tried.set()

    def _reach(self) -> None:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN_S).close()
        except OSError:
            raise _unreachable(self._address, "Nothing answers there.") from None

    def _start(self) -> None:
        command = [sys.executable, "-m", "clone.engine.connector", self._address, str(self.path)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        limit = threading.Timer(JOINED_WITHIN_S, self._process.kill)
        limit.start()
        try:
            said = self._process.stdout.readline()  # type: ignore[union-attr]
        finally:
            limit.cancel()
        try:
            problem = json.loads(said or b'{"code": "", "message": ""}')
        except ValueError:
            problem = {"code": "", "message": ""}
        if problem:
            error = _unreachable(self._address, problem["message"] or "It can't be joined.")
            error.code = problem["code"] or error.code
            raise error


def _send(line: socket.socket, data: bytes) -> None:
    line.sendall(SIZE.pack(len(data)))
    line.sendall(data)


def _missing(answers: BinaryIO) -> list[str]:
    """Return which voices the other process was not given before."""
    head = answers.read(FRAME.size)
    if len(head) < FRAME.size:
        raise Died
    _, n_bytes = FRAME.unpack(head)
    return list(json.loads(answers.read(n_bytes)))


def _answers(answers: BinaryIO) -> Generator[bytes, None, None]:
    while True:
        head = answers.read(FRAME.size)
        if len(head) < FRAME.size:
            raise Died
        kind, n_bytes = FRAME.unpack(head)
        data = answers.read(n_bytes)
        if len(data) < n_bytes or kind == DIED:
            raise Died
        if kind == FULL:
            raise Full
        if kind == FAILED:
            raise EngineError(data.decode(), code="engine_unreachable", advice=_LATER)
        if kind == END:
            return
        yield data


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


_LATER = "Try again in a minute; whoever runs the engines can see to it."


def _unreachable(address: str, why: str) -> EngineError:
    return EngineError(
        f"The engines at {address} can't be reached. {why}",
        code="engine_unreachable",
        measured=address,
        advice="Look whether python -m clone scale engine runs there; it is tried again with the next call.",
    )
