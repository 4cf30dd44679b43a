"""Links that drip: they take nobody's turn, and end as soon as nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from clone.core.jobs import MAX_RUNNING_PER_OWNER
from clone.ui import strings
from tests.attacks.sockets import ready
from tests.pressing import Tab
from tests.running import App
from tests.serving import KEYS, WITHIN_S, Dripping, bearer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An instance with two keys given out; it may be given links to this machine."""
    environment = {"TIMBRE_API_KEYS": ",".join(KEYS), "TIMBRE_ALLOW_PRIVATE_URLS": "1"}
    app = App(tmp_path_factory.mktemp("shared") / "home", **environment)
    app.start()
    ready(app)
    yield app
    app.stop()


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    server = Dripping()
    yield server
    server.close()


def clone(app: App, url: str, key: str) -> requests.Response:
    asked = {"audio_url": url}
    return requests.post(f"{app.url}/v3/minimax-voice-cloning", json=asked, headers=bearer(key), timeout=WITHIN_S)


def test_a_clone_does_not_wait_for_others_downloads(shared: App, dripping: Dripping, audio_url: str) -> None:
    attacks = [threading.Thread(target=clone, args=(shared, dripping.url, KEYS[0]), daemon=True) for _ in range(3)]
    for attack in attacks:
        attack.start()
    dripping.wait(MAX_RUNNING_PER_OWNER)
    cloned = clone(shared, audio_url, KEYS[1])
    assert cloned.status_code == 200, cloned.text
    assert dripping.n_open == MAX_RUNNING_PER_OWNER  # they are still at it


def test_a_finding_does_not_wait_for_others_links(shared: App, dripping: Dripping, examples: list[Path]) -> None:
    n_visitors = 6
    tabs = [Tab(shared.url) for _ in range(n_visitors)]

    def attack(tab: Tab) -> None:
        tab.told("link-check", "click", source=strings.LINK, link=dripping.url)

    for tab in tabs:
        threading.Thread(target=attack, args=(tab,), daemon=True).start()
    dripping.wait(n_visitors)
    visitor = Tab(shared.url)
    said = visitor.told("uploaded", "change", source=strings.UPLOAD, uploaded=visitor.upload(examples[0]))
    assert "Nothing is clipped." in said
    assert dripping.n_open > 0


def test_a_caller_that_goes_ends_its_download(shared: App, dripping: Dripping) -> None:
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{shared.url}/v3/minimax-voice-cloning",
            json={"audio_url": dripping.url},
            headers=bearer(KEYS[0]),
            timeout=3,
        )
    dripping.wait(0)
