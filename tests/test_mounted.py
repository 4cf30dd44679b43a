"""Page and API on one port, as ``python app.py`` serves them."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.running import STARTS_WITHIN_S, App
from tests.serving import files


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """As on a Space: server-side rendering is asked for by the environment."""
    home = tmp_path_factory.mktemp("mounted") / "home"
    running = App(home, TIMBRE_ALLOW_PRIVATE_URLS="1", GRADIO_SSR_MODE="True", TIMBRE_LOG="json")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def key(app: App) -> str:
    path = app.home / "api_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().strip()
    until = time.monotonic() + STARTS_WITHIN_S
    while str(path) not in (log := app.log.read_text()):  # it answers a moment before it says where it is
        assert time.monotonic() < until, log
        time.sleep(0.1)
    assert key not in log
    return key


def test_the_api_answers_beside_the_page(app: App, key: str, examples: list[Path]) -> None:
    """Server-side rendering would answer 405 here: Node forwards only paths it knows."""
    assert "gradio" in requests.get(app.url, timeout=20).text
    with files(examples[0].parent) as url:
        answer = requests.post(
            f"{app.url}/v3/minimax-voice-cloning",
            json={"audio_url": f"{url}/{examples[0].name}", "text": "Good morning.", "model": "speech-02-turbo"},
            headers={"Authorization": f"Bearer {key}", "X-Request-Id": "asked-by-a-test"},
            timeout=120,
        )
    assert answer.status_code == 200, answer.text
    link = answer.json()["demo_audio_url"]
    assert link.startswith(f"{app.url}/links/speech/")
    assert requests.get(link, timeout=10).headers["content-type"] == "audio/mpeg"
    assert requests.post(f"{app.url}/v3/nothing", timeout=10).json()["reason"] == "API_NOT_FOUND"
    assert requests.get(f"{app.url}/healthz", timeout=10).json()["status"] == "ok"
    assert answer.headers["x-request-id"] == "asked-by-a-test"
    counted = requests.get(f"{app.url}/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=10).text
    assert re.search(r'^timbre_clones_total\{engine="\w[^"]*"\} 1.0$', counted, re.MULTILINE)
    assert re.search(r'^timbre_characters_total\{engine="\w[^"]*"\} 13.0$', counted, re.MULTILINE)
    lines = [json.loads(line) for line in app.log.read_text().splitlines() if line.startswith("{")]
    (job,) = [line for line in lines if line["request"] == "asked-by-a-test" and line.get("queue") == "speech"]
    assert (job["end"], job["level"]) == ("done", "INFO")
    said = app.log.read_text() + counted
    assert "Good morning" not in said
    assert answer.json()["voice_id"] not in said


def test_what_is_counted_is_told_to_who_has_a_key(app: App, key: str) -> None:
    for given, status in (({}, 400), ({"Authorization": "Bearer another-key"}, 403)):
        assert requests.get(f"{app.url}/metrics", headers=given, timeout=10).status_code == status
    made = [requests.get(app.url + path, timeout=10).headers["x-request-id"] for path in ("/", "/healthz", "/nothing")]
    assert len({*made}) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    forged = requests.get(f"{app.url}/healthz", headers={"X-Request-Id": "x" * 200}, timeout=10)
    assert re.fullmatch("[0-9a-f]{32}", forged.headers["x-request-id"])


def test_ready_is_told_from_alive_by_the_status(app: App) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while (ready := requests.get(f"{app.url}/healthz/ready", timeout=10)).status_code == 503:
        assert ready.json() == {"status": "ok", "ready": False}
        assert requests.get(f"{app.url}/healthz", timeout=10).status_code == 200
        assert time.monotonic() < until
        time.sleep(0.2)
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "ready": True})


def test_the_document_has_none_of_the_pages_routes(app: App) -> None:
    document = requests.get(f"{app.url}/openapi.json", timeout=10).json()
    assert {path.split("/")[1] for path in document["paths"]} == {"v1", "v2", "v3", "healthz"}
    assert "gradio" not in json.dumps(document).lower()
    assert requests.get(f"{app.url}/docs", timeout=10).status_code == 200


def test_no_file_of_the_machine_can_be_read_through_the_page(app: App, key: str) -> None:
    """A mounted Blocks would hand over any path a stranger names: it checks paths only once launched."""
    config = requests.get(f"{app.url}/config", timeout=10).json()
    secret, stranger = app.home / "api_key", requests.Session()
    taking = [each for each in config["dependencies"] if each["inputs"] and each["backend_fn"]]
    assert len(taking) > 50, "events that can be handed a path"
    routes = ["run/predict", "queue/join"]
    for path in (str(secret), "/proc/self/environ", "/etc/passwd"):
        data = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for dependency in taking:
            body = {
                "data": [data] * len(dependency["inputs"]),
                "fn_index": dependency["id"],
                "session_hash": "stranger",
            }
            for route in list(routes):
                answer = stranger.post(f"{app.url}/gradio_api/{route}", json=body, timeout=20)
                if answer.status_code == 404:  # there is no such route, for no event
                    routes.remove(route)
                assert key not in answer.text
                assert "root:" not in answer.text
                assert "TIMBRE_HOME" not in answer.text
        read = requests.get(f"{app.url}/gradio_api/file={path}", timeout=10)
        assert read.status_code in (403, 404)
    assert routes == ["queue/join"]
    stream = requests.get(f"{app.url}/gradio_api/queue/data?session_hash=stranger", timeout=20, stream=True)
    said = b"".join(chunk for _, chunk in zip(range(40), stream.iter_content(2000), strict=False))
    assert key.encode() not in said
    assert not re.search(rb"root:|TIMBRE_HOME", said)
    stream.close()
    cached = [p for p in app.home.rglob("*") if p.is_file() and p != secret and key.encode() in p.read_bytes()]
    assert cached == []
