"""The app as it is started, in a process of its own; what the browser's tests and the attacks are driven at."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
STARTS_WITHIN_S = 120
READ_AT_IMPORT = ("GRADIO_", "HF_")
"""What Gradio's settings are called that it reads when it is imported: with one of them, an app is started anew."""
COLD = "from clone.studio import facade; facade.Studio._warm_up = lambda studio: None"
"""Run before an app that need not load its models ahead: it is killed soon, or works with few of them."""
_PR_SET_CHILD_SUBREAPER = 36
_FORKING = threading.Lock()


class Process:
    """A process that was forked elsewhere and fell to this one as its child; the part of Popen that is used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = float("inf")) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("app.py", timeout)
            time.sleep(0.02)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _template() -> subprocess.Popen[str]:
    """Return the process that apps are forked from: importing everything takes far longer than starting."""
    environment = _kept() | {"TIMBRE_HOME": os.devnull, "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, "-m", "tests.forking"]
    return subprocess.Popen(
        program, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _fork(order: dict[str, object]) -> Process:
    set_process = ctypes.CDLL(None).prctl
    with _FORKING:
        template = _template()
        assert template.stdin
        assert template.stdout
        set_process(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            template.stdin.write(json.dumps(order) + "\n")
            template.stdin.flush()
            return Process(int(template.stdout.readline()))
        finally:
            set_process(_PR_SET_CHILD_SUBREAPER, 0)


def _kept() -> dict[str, str]:
    """Return the machine's environment without what an app would take for its settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TIMBRE_", "GRADIO_", "SPACE_", "NOVITA_"))}


class App:
    """``python app.py`` on a free port, with a home of its own; ``before`` is run in its process first.

    It is forked from a process that has imported everything; where ``before`` is to come before the imports, for it
    changes what others import by name, ``plain`` starts it anew.
    """

    def __init__(self, home: Path, before: str = "", plain: bool = False, **environment: str) -> None:
        self.home = home
        self._before = before
        self._plain = plain or sys.platform != "linux" or any(name.startswith(READ_AT_IMPORT) for name in environment)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | Process | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / f"{home.name}.log"
        self._log_begins = 0

    def start(self) -> None:
        settings = {"TIMBRE_HOME": str(self.home), "GRADIO_SERVER_PORT": str(self.port)} | self._environment
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
        self._process = self._begun(_kept() | settings)
        end = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    @property
    def owner_url(self) -> str:
        """The address that was printed last, which makes one browser the owner's."""
        end = time.monotonic() + STARTS_WITHIN_S
        while not (told := re.findall(rb"http://\S+/\?owner=\S+", self.log.read_bytes()[self._log_begins :])):
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)  # the page answers a moment before that is printed
        return str(told[-1].decode())

    def _begun(self, environment: dict[str, str]) -> subprocess.Popen[bytes] | Process:
        if not self._plain:
            return _fork({"before": self._before, "log": str(self.log), "environment": environment})
        first = f"{self._before}\nimport runpy\nrunpy.run_path('app.py', run_name='__main__')"
        program = [sys.executable, *(["-c", first] if self._before else ["app.py"])]
        with self.log.open("ab") as log:
            return subprocess.Popen(program, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)

    @property
    def process(self) -> subprocess.Popen[bytes] | Process:
        """The process; it has been started."""
        assert self._process is not None
        return self._process

    def send(self, number: signal.Signals, within_s: float = 20) -> int:
        """Send the process a signal and wait for its end; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
