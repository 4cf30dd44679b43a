"""What links that drip cost everybody else: ``python -m bench.dripping RECORDING``.

A page and an API on loopback are asked over sockets while a server hands out recordings a few bytes at a time.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests

from bench.texts import PREVIEW
from clone.core.jobs import MAX_RUNNING_PER_OWNER
from clone.studio.downloads import MAX_DOWNLOADS
from tests.attacks.sockets import ready
from tests.pressing import LINK, UPLOAD, Tab
from tests.running import App
from tests.serving import KEYS, WITHIN_S, Dripping, bearer, files

MODEL = "speech-2.8-turbo"
N_ASKED = 3
"""A link drips for half a minute at most, and the last one asked must still meet it."""

FINDING = "Nothing is clipped."
_asked = itertools.count()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.dripping", description="Measure what links that drip cost others.")
    parser.add_argument("recording", type=Path)
    recording = parser.parse_args().recording.absolute()
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder, files(recording.parent) as url:
        environment = {"TIMBRE_API_KEYS": ",".join(KEYS), "TIMBRE_ALLOW_PRIVATE_URLS": "1"}
        app = App(Path(folder) / "home", **environment)
        app.start()
        try:
            ready(app)
            table(app, recording, f"{url}/{recording.name}")
        finally:
            app.stop()


def table(app: App, recording: Path, audio_url: str) -> None:
    """Print a line for each crowd: medians, and the slowest."""
    first, many = Tab(app.url), [Tab(app.url) for _ in range(MAX_DOWNLOADS)]
    one = [first, *(Tab(app.url, first.token) for _ in range(3))]
    waits: list[tuple[str, Callable[[], float], Callable[[Dripping], None], int]] = [
        ("first finding, no link drips", lambda: finding_s(app, recording), lambda _: None, 0),
        ("first finding, 4 links of one visitor", lambda: finding_s(app, recording), pages(one), len(one)),
        ("first finding, 16 visitors' links", lambda: finding_s(app, recording), pages(many), MAX_DOWNLOADS),
        ("clone by the API, no call drips", lambda: clone_s(app, audio_url, KEYS[1]), lambda _: None, 0),
        (
            "clone by the API, 2 calls of another key",
            lambda: clone_s(app, audio_url, KEYS[1]),
            calls(app),
            MAX_RUNNING_PER_OWNER,
        ),
    ]
    for name, asked, attack, n_open in waits:
        asked()  # warms up
        with attacked(attack, n_open):
            took_s = [asked() for _ in range(N_ASKED)]
        print(f"{name:40} {statistics.median(took_s):6.2f} s, at most {max(took_s):6.2f} s", flush=True)


@contextmanager
def attacked(attack: Callable[[Dripping], None], n_open: int) -> Iterator[None]:
    """Attack while this lasts; it must last to the end."""
    with closing(Dripping()) as dripping:
        attack(dripping)
        dripping.wait(n_open)
        yield
        assert dripping.n_open == n_open, f"only {dripping.n_open} of {n_open} links still drip"


def pages(tabs: list[Tab]) -> Callable[[Dripping], None]:
    """Return what has links looked at, one in each tab."""

    def attack(dripping: Dripping) -> None:
        for tab in tabs:
            begin(lambda tab=tab: tab.told("link-check", "click", source=LINK, link=dripping.url))

    return attack


def calls(app: App) -> Callable[[Dripping], None]:
    """Return what has voices cloned from links by the API."""

    def attack(dripping: Dripping) -> None:
        for _ in range(MAX_RUNNING_PER_OWNER):
            begin(lambda: clone(app, dripping.url, KEYS[0]))

    return attack


def begin(ask: Callable[[], object]) -> None:
    threading.Thread(target=ask, daemon=True).start()


def finding_s(app: App, recording: Path) -> float:
    """Return how long a visitor waits from the upload's end to the first finding."""
    tab = Tab(app.url)
    uploaded = tab.upload(recording)
    begun_s = time.perf_counter()
    for said in tab.press("uploaded", "change", source=UPLOAD, uploaded=uploaded):
        if FINDING in said:
            return time.perf_counter() - begun_s
    raise AssertionError("nothing was found")


def clone_s(app: App, audio_url: str, key: str) -> float:
    """Return how long a clone by the API takes, with a preview."""
    begun_s = time.perf_counter()
    clone(app, audio_url, key).raise_for_status()
    return time.perf_counter() - begun_s


def clone(app: App, audio_url: str, key: str) -> requests.Response:
    """Ask for a clone that no other one was asked for, or what is kept would be answered."""
    asked = {"audio_url": audio_url, "text": f"{PREVIEW} {next(_asked)}", "model": MODEL}
    return requests.post(f"{app.url}/v3/minimax-voice-cloning", json=asked, headers=bearer(key), timeout=WITHIN_S)


if __name__ == "__main__":
    main()
