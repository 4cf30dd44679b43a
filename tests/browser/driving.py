"""What the browser's tests are driven with: a watch over pages, a few moves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

from clone.audio.reader import Recording, read
from tests.running import App

__all__ = ["App"]

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
]
WAIT_MS = 40_000
BUSY_JS = "() => { const end = Date.now() + 3000; while (Date.now() < end); }"
"""What a slow machine does: what comes meanwhile is seen afterwards, in one piece."""


HOLD = "hold"
HOLDING = f"""
import time
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend

hold = Settings.from_environment().home / "{HOLD}"

def holding(say):
    def held(backend, profile, line, model, stop=None, *how, **named):
        while hold.exists() and hold.read_text() in line.text:
            stop and stop.check()
            time.sleep(0.05)
        return say(backend, profile, line, model, stop, *how, **named)
    return held

LocalBackend.speak, LocalBackend.stream = holding(LocalBackend.speak), holding(LocalBackend.stream)
"""
"""Run before an app: while the file HOLD is in its home, nothing with its words in it is said, but a stop obeyed."""

LEFT = ("AbortError: signal is aborted", "Unexpected error Connection errored out")
"""What Gradio writes to the console of a page that is left, or loaded anew, while it waits for an answer."""
LEFT_WITHIN_S = 2


class Watch:
    """What no page may do: complain, or ask another host for anything."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._own = (own, "data:", "blob:" + own)
        self._told: list[tuple[float, str]] = []
        self._left: list[float] = []
        self.elsewhere: list[str] = []

    @property
    def complaints(self) -> list[str]:
        """What was complained of, but for what is said only because the page was left."""
        return [text for at, text in self._told if not (text.startswith(LEFT) and self._was_left(at))]

    def over(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._tell(str(error)))
        page.on("request", self._request)

    def _tell(self, text: str) -> None:
        self._told.append((time.monotonic(), text))

    def _was_left(self, at: float) -> bool:
        return any(abs(at - left) < LEFT_WITHIN_S for left in self._left[1:])  # the first is the page's own coming

    def _console(self, message: ConsoleMessage) -> None:
        # A player that can't show a file which is no recording says so; the page does, too.
        if message.type == "error" and not message.text.startswith("Waveform load error"):
            self._tell(message.text)

    def _request(self, request: Request) -> None:
        if request.is_navigation_request():
            self._left.append(time.monotonic())
        if not request.url.startswith(self._own):
            self.elsewhere.append(request.url)


Visit = Callable[..., Page]


CLONED, ORIGINAL = (f"#compare a[download^='{name}']" for name in ("Preview", "Original"))
"""Where the recordings of a new voice are saved from."""


def heard(page: Page, link: str, folder: Path) -> Recording:
    """Download what a link saves, and decode it."""
    found = page.wait_for_selector(link)
    assert found is not None
    answer = page.request.get(urljoin(page.url, found.get_attribute("href") or ""))
    assert answer.ok
    path = folder / f"heard-{len(list(folder.glob('heard-*')))}"
    path.write_bytes(answer.body())
    return read(path)


def upload(page: Page, path: Path) -> None:
    """Give a recording, and wait for what the check says about it."""
    page.set_input_files("#uploaded input[type=file]", path)
    page.wait_for_selector("#voice-note .tb-note:not(.tb-busy)")


def choose_turbo(page: Page, dropdown: str = "") -> None:
    """Have it spoken fast; where it is a model that is chosen, by that."""
    if not dropdown:
        page.locator("#quality label").filter(has_text="Fast").click()
        return
    page.click(f"{dropdown} input")
    page.get_by_role("option", name="turbo").first.click()


def open_drawer(page: Page, drawer: str) -> None:
    """Open what is closed: #advanced, and in it #closer and #code-drawer."""
    bar = page.locator(f"{drawer} > button.label-wrap")
    if bar.get_attribute("aria-expanded") != "true":
        bar.click()


def choose_novita(page: Page) -> None:
    """Have the hosted service clone."""
    open_drawer(page, "#advanced")
    page.locator("#backend label").filter(has_text="Novita").click()


def choose_source(page: Page, name: str) -> None:
    """Say how the recording is given: Record, Upload, Paste a link or Example."""
    page.locator("#source label").filter(has_text=name).click()


def go(page: Page, place: str) -> None:
    """Open one of the page's places: Clone, Write or Voices."""
    page.get_by_role("tab", name=place, exact=True).click()
    page.wait_for_selector({"Clone": "#form:visible, #result:visible", "Write": "#speak", "Voices": "#voices"}[place])


def more(row: Locator) -> Locator:
    """Open what else can be done with a voice of the list; return its row."""
    button = row.locator("[data-do=menu]")
    if button.get_attribute("aria-expanded") == "false":
        button.click()
    return row


@contextmanager
def passage(port: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Pass connections on to a port; yield the address to connect to, and what breaks all of them off."""
    listening = socket.create_server(("127.0.0.1", 0))
    passed: list[socket.socket] = []

    def copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def take() -> None:
        with suppress(OSError):
            while True:
                pair = listening.accept()[0], socket.create_connection(("127.0.0.1", port))
                passed.extend(pair)
                for one, other in (pair, pair[::-1]):
                    threading.Thread(target=copy, args=(one, other), daemon=True).start()

    def break_off() -> None:
        while passed:
            with suppress(OSError):
                passed.pop().shutdown(socket.SHUT_RDWR)

    threading.Thread(target=take, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", break_off
    listening.close()
    break_off()
