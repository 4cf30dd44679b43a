"""The app is stopped, or killed, while the page is at work: what is paid for is kept, whoever waits is told."""

from __future__ import annotations

import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from clone.hosted.client import CLONE_PATH
from tests.attacks.conftest import Start
from tests.attacks.paying import KEY, SPEECH_PATH, VOICE_ID, Service, held, paid_service
from tests.faults import FAULTS, FaultServer
from tests.pressing import Tab
from tests.running import App
from tests.studios import files_in

API_KEY = "a-key-of-this-test"


@pytest.fixture
def service(examples: list[Path]) -> Iterator[Service]:
    with paid_service(next(path for path in examples if path.suffix == ".mp3").read_bytes()) as running:
        yield running


@pytest.fixture
def app(start: Start, service: Service) -> App:
    """The app, whose hosted service is this test's."""
    return start(NOVITA_BASE_URL=service.server.url(""), TIMBRE_ALLOW_PRIVATE_URLS="1", TIMBRE_API_KEYS=API_KEY)


class Pressing(threading.Thread):
    """A press that goes on beside the test; ``told`` is what was said of it."""

    def __init__(self, tab: Tab, *args: Any, **filled: Any) -> None:
        super().__init__(daemon=True)
        self.told = ""
        self._press = lambda: tab.press(*args, **filled)
        self.start()

    def run(self) -> None:
        with suppress(requests.RequestException):  # the app may be killed
            for line in self._press():
                self.told += line

    def end(self) -> str:
        self.join(60)
        return self.told


def form(server: FaultServer) -> dict[str, Any]:
    """Return the page as it is filled in to clone a link at the hosted service."""
    link = server.url("/voice.mp3")
    return {"source": "Paste a link", "link": link, "backend": "novita", "api_key": KEY, "consent": True}


def rows(app: App, query: str) -> list[Any]:
    with sqlite3.connect(app.home / "library.db") as database:
        return database.execute(query).fetchall()


def api(app: App, server: FaultServer) -> requests.Response:
    asked, headers = {"audio_url": server.url("/voice.mp3")}, {"Authorization": f"Bearer {API_KEY}"}
    return requests.post(f"{app.url}/v3/minimax-voice-cloning", json=asked, headers=headers, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_being_paid_for_is_kept_when_the_app_is_stopped(
    app: App, service: Service, number: signal.Signals
) -> None:
    answer = threading.Event()
    service.server.answers[CLONE_PATH] = held(answer, service.cloned())
    pressing = Pressing(Tab(app.url), "clone", "click", **form(service.server))
    service.wait_for(1)
    app.process.send_signal(number)
    time.sleep(0.5)
    refused = api(app, service.server)
    assert (refused.status_code, refused.json()["reason"]) == (503, "SERVICE_NOT_AVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    answer.set()
    assert app.process.wait(30) == 0
    assert VOICE_ID in pressing.end()  # who waited is shown it
    assert rows(app, "SELECT voice_id FROM voices") == [(VOICE_ID,)]
    assert rows(app, "SELECT * FROM paid_requests") == []
    assert files_in(app.home / "work") == []
    assert service.n_paid() == 1
    assert "Traceback" not in app.log.read_text()


def test_a_second_signal_leaves_at_once_and_what_was_sent_is_asked_about(app: App, service: Service) -> None:
    service.server.answers[CLONE_PATH] = FAULTS["/silent"]
    tab = Tab(app.url)
    Pressing(tab, "clone", "click", **form(service.server))
    service.wait_for(1)
    app.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert app.process.poll() is None
    assert app.send(signal.SIGTERM, within_s=5) == 128 + signal.SIGTERM
    app.start()
    service.server.answers[CLONE_PATH] = service.cloned()
    tab = Tab(app.url, tab.token)
    assert "may have been paid" in tab.told("clone", "click", **form(service.server))
    opened = tab.told("place-voices", "select")
    [entry] = set(re.findall(r'data-entry=\\+"(\w+)', opened))
    assert "no such request" in Tab(app.url).told("pending", "delete", {"entry": "../../library"})
    assert "voice_id is missing" in tab.told("pending", "apply", {"entry": entry, "voice": "\n"})
    assert service.n_paid() == 1
    assert VOICE_ID in tab.told("pending", "apply", {"entry": entry, "voice": VOICE_ID})
    assert "no such request" in tab.told("pending", "delete", {"entry": entry})
    assert "You made this voice before" in tab.told("clone", "click", **form(service.server))
    assert service.n_paid() == 1


def test_two_tabs_that_keep_a_voice_pay_once(app: App, service: Service) -> None:
    tab = Tab(app.url)
    assert VOICE_ID in tab.told("clone", "click", **form(service.server))
    other = Tab(app.url, tab.token)
    answer = threading.Event()
    service.server.answers[SPEECH_PATH] = held(answer, service.spoken())
    keep = ("voices", "apply", {"voice": VOICE_ID})
    first = Pressing(tab, *keep, api_key=KEY)
    service.wait_for(1, SPEECH_PATH)
    assert "being worked on already" in other.told(*keep, api_key=KEY)
    answer.set()
    assert "kept for good" in first.end()
    assert "kept for good" in other.told(*keep, api_key=KEY)  # a button that was there before the first one's end
    assert service.n_paid(SPEECH_PATH) == 1


def test_who_waits_for_this_machines_work_is_told_and_its_files_go(app: App, service: Service) -> None:
    answers: list[requests.Response] = []
    asking = [threading.Thread(target=lambda: answers.append(api(app, service.server))) for _ in range(2)]
    for each in asking:
        each.start()
    while not files_in(app.home / "work"):
        time.sleep(0.01)
    assert app.send(signal.SIGTERM, within_s=30) == 0
    for each in asking:
        each.join(30)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len(answers) == 2
    assert files_in(app.home / "work") == []
    assert "Traceback" not in app.log.read_text()
