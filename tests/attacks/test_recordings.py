"""The worst recordings that can be sent: refused in words or judged, in little memory, while others are served."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import requests

from clone.audio.reader import read
from clone.audio.writer import flac_bytes
from clone.ui import strings
from tests import sounds
from tests.attacks.sockets import WITHIN_S, ready
from tests.pressing import Tab
from tests.running import App
from tests.serving import WITHIN_S as CLONED_WITHIN_S
from tests.serving import bearer, files

MOST_MORE_KB = 500_000


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and where an instance gets what is in it."""
    folder = tmp_path_factory.mktemp("crafted")
    with files(folder) as url:
        yield folder, url


def processes(app: App) -> list[int]:
    """Return the process and those that it started: until such a one runs its own program, its memory is the app's."""
    pid = app.process.pid
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [pid, *(child for child in children if program(child) != program(pid))]


def program(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def held_kb(app: App) -> int:
    """Return what the app and those that read for it hold now."""
    told: list[str] = []
    for pid in processes(app):
        with suppress(OSError):  # it has ended meanwhile
            told += Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in told if line.startswith("VmRSS"))


@contextmanager
def little_more(app: App, most_more_kb: int = MOST_MORE_KB) -> Iterator[None]:
    """See to it that what goes on takes little more memory than is held at its beginning, looked at all the time."""
    before_kb, over = held_kb(app), threading.Event()
    most_kb = [before_kb]

    def look() -> None:
        while not over.wait(0.02):
            most_kb[0] = max(most_kb[0], held_kb(app))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
    assert most_kb[0] - before_kb < most_more_kb


def checked(app: App, path: Path) -> str:
    """Have the page look at an uploaded recording; return everything it says."""
    tab = Tab(app.url)
    return tab.told("uploaded", "change", source=strings.UPLOAD, uploaded=tab.upload(path))


def test_a_long_recording_at_a_high_rate_takes_little_memory(own: App, crafted: tuple[Path, str]) -> None:
    """Twenty minutes of 192 kHz are 920 MB as samples, and 52 kB as a file."""
    path = crafted[0] / "long.flac"
    path.write_bytes(sounds.flac_of_silence(1_200))
    ready(own)
    with little_more(own):
        said = checked(own, path)
    assert "20:00" in said or "19:59" in said


def test_a_long_recording_is_judged_in_little_memory(own: App, crafted: tuple[Path, str], examples: list[Path]) -> None:
    """With a voice in it everything is measured, and nothing over all of it in copies."""
    path = crafted[0] / "said.flac"
    spoken = read(examples[0])
    pause = np.zeros(round(1_200 * spoken.sample_rate) - len(spoken.samples), np.float32)
    path.write_bytes(flac_bytes(np.concatenate([spoken.samples, pause]), spoken.sample_rate))
    ready(own)
    with little_more(own):
        said = checked(own, path)
    assert "20:00" in said
    assert "One person speaks." in said


CRAFTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "elements.webm": (lambda: sounds.webm_of_nothing(20_000_000), "too_many_parts"),
    "promises.m4a": (lambda: sounds.m4a_of_promises(1_000_000, 1_000), "too_much_work"),
    "tags.mp3": (lambda: sounds.tagged_mp3(100_000), "too_much_work"),
    "silence.flac": (lambda: sounds.flac_of_silence(3_500, 48_000, 8), "too_many_samples"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused_and_takes_little_memory(own: App, crafted: tuple[Path, str], name: str) -> None:
    made, code = CRAFTED[name]
    folder, url = crafted
    (folder / name).write_bytes(made())
    ready(own)
    key = (own.home / "api_key").read_text().strip()
    with little_more(own):
        refused = requests.post(
            f"{own.url}/v3/minimax-voice-cloning",
            json={"audio_url": f"{url}/{name}"},
            headers=bearer(key),
            timeout=CLONED_WITHIN_S,
        )
    assert (refused.status_code, refused.json()["metadata"]["code"]) == (400, code)
    assert requests.get(f"{own.url}/healthz", timeout=WITHIN_S).status_code == 200
    assert "Traceback" not in json.dumps(refused.json())
