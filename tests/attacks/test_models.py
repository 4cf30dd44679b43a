"""Who can have an engine fetched: the owner of this machine, and nobody who only says so."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.attacks.asking import JOIN, Events, Headers, send
from tests.attacks.conftest import Start
from tests.attacks.test_owner import FORWARDED, cookie_of, good, instead, with_host
from tests.getting import part_of_main, standing_in
from tests.mirror import CONTENT, MAIN, N_BYTES, Mirror, mirroring
from tests.running import App


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


@pytest.fixture(scope="module")
def events(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    """A page at home, whose settings name an engine without accepting its terms."""
    app = App(tmp_path_factory.mktemp("models") / "home", before=standing_in(mirror.url), TIMBRE_MODELS="pocket")
    app.start()
    yield Events(app)
    app.stop()


def test_only_the_owner_is_told_of_an_engine_and_gets_it(events: Events, mirror: Mirror) -> None:
    app = events.app
    cookie = cookie_of(app.owner_url)
    ours = good(app, cookie)
    show, get = events.find("load", changes="model-told"), events.find("click", of="model-get")
    attacks = {
        "no cookie": instead(ours, "Cookie"),
        "a forged one": instead(ours, "Cookie", f"{cookie[:-64]}{'0' * 64}"),
        "another page": instead(ours, "Origin", "http://evil.example"),
        "no page": instead(ours, "Origin"),
        "another Host": with_host(f"x.localhost:{app.port}", f"http://x.localhost:{app.port}", cookie),
        "another site": [*ours, ("Sec-Fetch-Site", "cross-site")],
        **{name: [*ours, (name, "127.0.0.1")] for name in FORWARDED[:4]},
    }
    for name, headers in attacks.items():
        for event in (show, get):
            answer = events.ask(event, [], headers)
            assert answer.status == 403 or "process_completed" in answer.text, name
            assert "Stand-in" not in answer.text, name
            assert "Agree" not in answer.text, name
    assert mirror.asked == []
    assert not (app.home / "models").exists()
    assert "pocket is not got: its terms are not accepted." in app.log.read_text()

    assert "Stand-in" in events.ask(show, [], ours).text
    assert mirror.asked == []
    assert "A closer hd is here" in events.ask(get, [], ours).text
    assert sum(mirror.sent.values()) == N_BYTES


def test_a_visitor_stops_nothing_of_the_owners_even_by_its_session(events: Events, mirror: Mirror) -> None:
    app = events.app
    shutil.rmtree(app.home / "models", ignore_errors=True)
    ours = good(app, cookie_of(app.owner_url))
    get, stop = events.find("click", of="model-get"), events.find("click", of="model-cancel")
    mirror.pause_s = 0.02
    mirror.sent.clear()
    visit = secrets.token_hex(8)

    def ask(event: dict[str, Any], headers: Headers) -> None:
        body = json.dumps({"data": [], "fn_index": event["id"], "session_hash": visit}).encode()
        assert send(app, "POST", JOIN, headers, body).status == 200

    ask(get, ours)
    told, asked = "", False
    with requests.get(f"{app.url}/gradio_api/queue/data?session_hash={visit}", stream=True, timeout=60) as stream:
        for line in stream.iter_lines():
            told += line.decode()
            if "Getting Stand-in" in told and not asked:
                ask(stop, instead(ours, "Cookie"))
                asked = True
            if told.count("process_completed") == 2:
                break
    assert "A closer hd is here" in told
    assert "Stopped" not in told
    assert sum(mirror.sent.values()) == N_BYTES
    mirror.pause_s = 0.0


def test_a_start_gets_an_engine_beside_serving_and_goes_on_after_a_kill(mirror: Mirror, start: Start) -> None:
    mirror.sent.clear()
    mirror.asked.clear()
    mirror.pause_s = 0.3
    app = start(before=standing_in(mirror.url), TIMBRE_MODELS="pocket", TIMBRE_ACCEPT_TERMS="pocket")
    while not mirror.sent[MAIN] > 100_000:
        assert app.process.poll() is None
        time.sleep(0.05)
    assert requests.get(app.url, timeout=30).status_code == 200
    app.send(signal.SIGKILL)
    n_here = part_of_main(app.home).stat().st_size
    assert 0 < n_here < len(CONTENT["main.onnx"])
    mirror.pause_s = 0.0
    app.start()
    while "Stand-in TTS is here." not in app.log.read_text():
        assert app.process.poll() is None
        time.sleep(0.05)
    assert [headers.get("Range") for path, headers in mirror.asked if path == MAIN] == [None, f"bytes={n_here}-"]
