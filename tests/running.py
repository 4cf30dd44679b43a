"""The app as it is started, in a process of its own; what the browser's tests and the attacks are driven at."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
STARTS_WITHIN_S = 120


class App:
    """``python app.py`` on a free port, with a home of its own; ``before`` is run in its process first."""

    def __init__(self, home: Path, before: str = "", **environment: str) -> None:
        self.home = home
        first = f"{before}\nimport runpy\nrunpy.run_path('app.py', run_name='__main__')"
        self._program = ["-c", first] if before else ["app.py"]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / f"{home.name}.log"
        self._log_begins = 0

    def start(self) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TIMBRE_", "GRADIO_", "SPACE_", "NOVITA_"))}
        settings = {"TIMBRE_HOME": str(self.home), "GRADIO_SERVER_PORT": str(self.port)} | self._environment
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, *self._program], cwd=ROOT, env=kept | settings, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.2)

    @property
    def owner_url(self) -> str:
        """The address that was printed last, which makes one browser the owner's."""
        end = time.monotonic() + STARTS_WITHIN_S
        while not (told := re.findall(rb"http://\S+/\?owner=\S+", self.log.read_bytes()[self._log_begins :])):
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)  # the page answers a moment before that is printed
        return str(told[-1].decode())

    @property
    def process(self) -> subprocess.Popen[bytes]:
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
