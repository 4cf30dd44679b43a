"""Somebody else holds the library: it is told within a bound, and what was spoken meanwhile is kept afterwards."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from filelock import FileLock

from clone.api.requests import LOOK_AGAIN_S
from tests.attacks.conftest import Start
from tests.running import App
from tests.serving import KEYS, bearer

BUSY_WITHIN_S = 1.0
PATIENCE = f"from clone.storage import database; database.BUSY_WITHIN_S = {BUSY_WITHIN_S}"
"""Nobody waits for ten seconds here, in which the test would wait too."""
BOUND_S = 36.0
"""Generous: the machine may be slow."""

MODEL = "speech-02-turbo"


@contextmanager
def locked_database(home: Path) -> Iterator[None]:
    with closing(sqlite3.connect(home / "library.db", timeout=60, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def held_lock(home: Path) -> Iterator[None]:
    with FileLock(home / "library.lock"):
        yield


@pytest.fixture
def app(start: Start, home: Path) -> App:
    return start(home, PATIENCE, plain=True, TIMBRE_API_KEYS=KEYS[0], TIMBRE_ALLOW_PRIVATE_URLS="1")


def post(app: App, path: str, body: object) -> requests.Response:
    return requests.post(app.url + path, json=body, headers=bearer(KEYS[0]), timeout=180)


def told_busy(answer: requests.Response) -> None:
    assert (answer.status_code, answer.json()["reason"]) == (503, "SERVICE_NOT_AVAILABLE"), answer.text
    assert answer.json()["metadata"]["code"] == "library_busy"
    assert answer.headers["Retry-After"].isdecimal()
    assert "Traceback" not in answer.text


def status_of(app: App, task_id: str) -> str:
    url = f"{app.url}/v3/async/task-result?task_id={task_id}"
    return str(requests.get(url, headers=bearer(KEYS[0]), timeout=60).json()["task"]["status"])


def wait_for(app: App, task_id: str, *statuses: str) -> str:
    end = time.monotonic() + 240
    while (status := status_of(app, task_id)) not in statuses:
        assert time.monotonic() < end, status
        time.sleep(0.2)
    return status


def test_a_held_library_is_told_and_nothing_waits_for_good(app: App, home: Path, audio_url: str) -> None:
    answer = post(app, "/v3/minimax-voice-cloning", {"audio_url": audio_url})
    voice_id = answer.json()["voice_id"]
    for hold in (locked_database, held_lock):
        time.sleep(LOOK_AGAIN_S)  # for so long what healthz saw is told to others
        with hold(home):
            began = time.monotonic()
            told_busy(requests.get(f"{app.url}/healthz", timeout=BOUND_S))
            told_busy(requests.delete(f"{app.url}/v3/voices/{voice_id}", headers=bearer(KEYS[0]), timeout=BOUND_S))
            assert time.monotonic() - began < BOUND_S
            told_busy(post(app, "/v3/minimax-voice-cloning", {"audio_url": audio_url, "accuracy": 0.5}))
        time.sleep(LOOK_AGAIN_S)
        assert requests.get(f"{app.url}/healthz", timeout=30).json()["status"] == "ok"

    # and what is being spoken while the database is locked for longer than anybody waits for it
    text = "The harbour was quiet this morning. " * 4
    asked = {"text": text, "voice_setting": {"voice_id": voice_id}, "audio_setting": {"format": "mp3"}}
    task_id = post(app, f"/v3/async/minimax-{MODEL}", asked).json()["task_id"]
    wait_for(app, task_id, "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED")
    with locked_database(home):
        time.sleep(BUSY_WITHIN_S + 3)
    assert wait_for(app, task_id, "TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED") == "TASK_STATUS_SUCCEED"
    assert requests.delete(f"{app.url}/v3/voices/{voice_id}", headers=bearer(KEYS[0]), timeout=30).status_code == 200
    assert not list((home / "audio" / "voices").rglob("reference.*"))
