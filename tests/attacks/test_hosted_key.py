"""A key of the hosted service that a visitor types: it goes to the service, and stays nowhere else."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
import requests
from gradio.state_holder import SessionState

from clone.core.settings import LOCAL, NOVITA
from clone.ui import strings
from clone.ui.form import examples
from clone.ui.gradio_patches import forget_inputs
from clone.ui.visitors import new_token
from tests.attacks.asking import Answer, Events
from tests.faults import FAULTS, FaultServer, body, saying, sending, serving
from tests.running import App
from tests.sounds import encode, speechlike

KEY = f"nv-typed-{secrets.token_hex(12)}"
TOKEN = new_token()
VOICE = "voice_of_a_typed_key"
CLONE, TURBO = "/v3/minimax-voice-cloning", "/v3/minimax-speech-2.8-turbo"


@pytest.fixture(scope="module")
def service() -> Iterator[FaultServer]:
    with serving() as running:
        running.answers["/preview.mp3"] = sending(body(encode(speechlike(3.0), 24_000, "mp3")))
        clone_well(running)
        yield running


def clone_well(service: FaultServer) -> None:
    service.answers[CLONE] = saying(200, {"voice_id": VOICE, "demo_audio_url": service.url("/preview.mp3")})
    spoken = encode(speechlike(2.0), 24_000, "mp3").hex()
    service.answers[TURBO] = saying(200, {"data": {"audio": spoken}})


@pytest.fixture(scope="module")
def events(service: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    """A page with a way to the service, and a folder of its own for what any library puts aside."""
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "aside").mkdir()
    app = App(folder / "home", TMPDIR=str(folder / "aside"), NOVITA_BASE_URL=service.url(""))
    app._environment |= {"TIMBRE_PUBLIC_URL": app.url, "TIMBRE_ALLOW_PRIVATE_URLS": "1"}
    app.start()
    yield Events(app)
    app.stop()


def fill(events: Events, inputs: list[int], filled: dict[str, Any]) -> list[Any]:
    """Return what is sent for an event's inputs: by elem_id what is filled in, the token, else what stands there."""
    data = []
    for number in inputs:
        name = events.names.get(number)
        is_token = events.kinds[number] == "browserstate"
        data.append(filled[name] if name in filled else TOKEN if is_token else events.values[number])
    return data


def ask(events: Events, kind: str, of: str, visit: str, **changes: Any) -> Answer:
    filled = {
        "source": strings.EXAMPLE,
        "examples": examples()[0].name,
        "text": "Good morning.",
        "consent": True,
        "backend": NOVITA,
        "api-key": KEY,
        "speak-voice": VOICE,
        "speak-text": "Good evening.",
    }
    event = events.find(kind, of=of)
    data = fill(events, event["inputs"], filled | changes)
    headers = [("Host", f"127.0.0.1:{events.app.port}"), ("Origin", events.app.url)]
    return events.ask(event, data, headers, {"voice": VOICE}, visit=visit)


def holding(app: App, secret: str) -> list[str]:
    """Return the files of an app that hold a secret, in whatever way it may be written."""
    ways = {secret.encode(), secret.encode().hex().encode(), secret.encode("utf-16-le"), secret[::-1].encode()}
    ways |= {base64.b64encode(b"x" * shift + secret.encode())[4:-4] for shift in range(3)}
    files = [path for path in app.home.parent.rglob("*") if path.is_file()]
    assert app.log in files
    return [str(path.relative_to(app.home.parent)) for path in files if any(way in path.read_bytes() for way in ways)]


def test_a_typed_key_is_nowhere_but_at_the_service(events: Events, service: FaultServer) -> None:
    visit, app = secrets.token_hex(8), events.app
    assert VOICE in ask(events, "click", "clone", visit).text
    ask(events, "click", "speak", visit)
    ask(events, "apply", "voices", visit)
    ask(events, "click", "code-now", visit)
    ask(events, "apply", "code", visit)
    paid = [head for head in service.asked if head.startswith("POST")]
    assert len(paid) >= 2
    assert all(f"Bearer {KEY}" in head for head in paid)
    for route in ("deep_link", "queue/data", "startup-events", "config", "info"):
        with requests.get(
            f"{app.url}/gradio_api/{route}", params={"session_hash": visit}, stream=True, timeout=30
        ) as told:
            assert KEY.encode() not in next(told.iter_content(1_000_000), b"")
    assert holding(app, KEY) == []
    assert holding(app, TOKEN) == []


@pytest.mark.parametrize(
    "bad_day",
    [
        saying(403, {"code": 403, "reason": "INVALID_API_KEY", "message": f"There is no key {KEY}", "metadata": {}}),
        saying(500, {"code": 500, "reason": KEY, "message": KEY, "metadata": {"key": KEY}}),
        saying(200, {"voice_id": VOICE, "demo_audio_url": f"http://127.0.0.1:9/{KEY}.mp3"}),
        saying(200, KEY.encode()),
        FAULTS["/reset"],
        FAULTS["/long-header"],
    ],
    ids=["refused", "failed", "a lost preview", "no JSON", "reset", "a long header"],
)
def test_a_service_that_tells_the_key_back_has_it_written_down_nowhere(
    events: Events, service: FaultServer, bad_day: Any
) -> None:
    service.answers[CLONE] = service.answers[TURBO] = bad_day
    visit = secrets.token_hex(8)
    try:
        for kind, of in (("click", "clone"), ("click", "speak"), ("apply", "voices")):
            ask(events, kind, of, visit, text=f"Good morning. {visit}")
    finally:
        clone_well(service)
    requests.get(f"{events.app.url}/gradio_api/deep_link", params={"session_hash": visit}, timeout=30)
    assert holding(events.app, KEY) == []


@pytest.mark.parametrize("changes", [{"consent": False}, {"text": ""}, {"source": strings.LINK}, {"backend": LOCAL}])
def test_a_key_that_was_not_used_is_kept_nowhere(events: Events, changes: dict[str, Any]) -> None:
    visit = secrets.token_hex(8)
    ask(events, "click", "code-now", visit, **changes)
    ask(events, "apply", "code", visit, **changes)
    requests.get(f"{events.app.url}/gradio_api/deep_link", params={"session_hash": visit}, timeout=30)
    assert holding(events.app, KEY) == []


def test_a_request_that_can_not_be_read_is_not_written_down(events: Events) -> None:
    for data in ({"data": KEY}, {"data": [KEY], "fn_index": "x"}, {"data": [KEY], "fn_index": 9999}, {KEY: KEY}):
        for route in ("queue/join", "run/predict", "call/clone"):
            requests.post(f"{events.app.url}/gradio_api/{route}", json=data | {"session_hash": "a"}, timeout=30)
    assert holding(events.app, KEY) == []


def test_what_is_typed_is_in_no_state_of_a_session() -> None:
    """Where Gradio finds what it writes into a link to the page as it is filled in."""
    forget_inputs()
    with gr.Blocks(analytics_enabled=False) as page:
        typed, shown = gr.Textbox(type="password"), gr.Textbox()
        typed.submit(lambda text: (text, gr.update(value=text, info="said")), typed, [typed, shown])
    [function] = page.fns.values()
    state = SessionState(page)
    update = [KEY, {"__type__": "update", "value": KEY, "info": "x"}]
    with ThreadPoolExecutor(1) as elsewhere:  # a browser's driver may have left a loop running in this thread
        elsewhere.submit(asyncio.run, page.preprocess_data(function, [KEY], state)).result()
        elsewhere.submit(asyncio.run, page.postprocess_data(function, update, state)).result()
    assert KEY not in str(list(state.components))
    assert KEY not in str([block.get_config() for block in state.blocks_config.blocks.values()])
