"""The line beneath the models, in a browser: what the owner is told, asked and gets, and what a visitor sees of it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import requests
from playwright.sync_api import Page, expect

from clone.ui import strings
from tests import standins
from tests.browser.driving import App, Visit, choose_source, go, open_drawer
from tests.browser.test_page import assert_accessible_by_day_and_night, assert_fits
from tests.getting import part_of_main, standing_in, standing_in_for_pocket
from tests.mirror import CONTENT, MAIN, N_BYTES, NAME, Mirror, mirroring
from tests.running import ROOT

GET = strings.MODEL_GET.format("0.49 MB")
OFFER = strings.MODEL_OFFER.format("Stand-in TTS", "0.49 MB", "English")
HERE = strings.MODEL_HERE.format("Stand-in TTS")
WORSE = "It says 9 % of the words wrong, and the engine here 2 %."


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


@pytest.fixture(scope="module")
def house(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A page at home, for which the engine that can be got is a small one at a mirror, with a judge of its own."""
    running = App(tmp_path_factory.mktemp("closer") / "home", before=standing_in(mirror.url))
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def nothing_is_here(mirror: Mirror, house: App) -> None:
    shutil.rmtree(house.home / "models", ignore_errors=True)
    (house.home / "verdict").unlink(missing_ok=True)
    mirror.has[MAIN], mirror.pause_s = CONTENT["main.onnx"], 0.0
    mirror.asked.clear()
    mirror.sent.clear()


@pytest.fixture
def owned(visit: Visit, house: App) -> Page:
    page = visit(of=house, owner=True)
    open_drawer(page, "#advanced")
    expect(page.locator("#model-told")).to_contain_text(OFFER)
    return page


def test_a_visitor_sees_nothing_of_it(visit: Visit, house: App, mirror: Mirror) -> None:
    page = visit(of=house)
    expect(page.locator("#whose")).to_have_text(strings.WHOSE)  # by then everything has been drawn
    open_drawer(page, "#advanced")
    expect(page.locator("#model")).to_be_visible()
    expect(page.locator("#closer-hd")).to_have_count(0)
    expect(page.locator("body")).not_to_contain_text("Stand-in")
    assert mirror.asked == []


def test_the_owner_is_told_of_it_asked_gets_it_cancels_and_goes_on(owned: Page, house: App, mirror: Mirror) -> None:
    page = owned
    details = page.locator("#model-told details")
    expect(details).not_to_have_attribute("open", "")
    details.locator("summary").click()
    expect(details).to_contain_text("Say hello to the stand-in.")
    expect(details.get_by_role("link")).to_have_attribute("href", "https://example.com/terms")
    expect(page.locator("#model-get")).to_have_text(GET)
    assert_accessible_by_day_and_night(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert_fits(page)
    assert mirror.asked == []

    mirror.pause_s = 0.1
    page.click("#model-get")
    expect(page.locator("#model-note")).to_contain_text("Getting Stand-in TTS: 0.1")
    expect(page.locator("#model-get")).to_have_count(0)
    assert_fits(page)
    page.click("#model-cancel")
    expect(page.locator("#model-note")).to_contain_text(strings.MODEL_STOPPED)
    n_here = part_of_main(house.home).stat().st_size
    assert 0 < n_here < len(CONTENT["main.onnx"])

    mirror.pause_s = 0.0
    page.click("#model-get")
    expect(page.locator("#model-told")).to_contain_text(HERE)
    expect(page.locator("#model-offer")).to_have_count(0)
    assert [headers["Range"] for _, headers in mirror.asked if "Range" in headers] == [f"bytes={n_here}-"]
    assert sum((house.home / "models" / NAME / name).stat().st_size for name in CONTENT) == N_BYTES
    assert_accessible_by_day_and_night(page)
    page.reload()
    open_drawer(page, "#advanced")
    expect(page.locator("#model-told")).to_contain_text(HERE)


def test_what_goes_wrong_and_what_is_worse_is_told(owned: Page, house: App, mirror: Mirror) -> None:
    page = owned
    mirror.has[MAIN] = bytes(len(CONTENT["main.onnx"]))
    page.click("#model-get")
    expect(page.locator("#model-note [role=alert]")).to_contain_text("is not that file")
    expect(page.locator("#model-get")).to_have_text(GET)
    (house.home / "verdict").write_text(WORSE)
    mirror.has[MAIN] = CONTENT["main.onnx"]
    page.click("#model-get")
    expect(page.locator("#model-told")).to_contain_text(strings.MODEL_UNUSED.format("Stand-in TTS", WORSE))
    expect(page.locator("#model-offer")).to_have_count(0)


SAID = "Hello there, how are you today?"
LONGER = f"{SAID} The harbour was quiet this morning, and so were we."


def spoken(data: bytes) -> tuple[float, str]:
    """Return how long speech is, in seconds, and what it says of itself."""
    with av.open(io.BytesIO(data)) as container:
        assert container.duration
        return container.duration / av.time_base, json.dumps({**container.metadata, **container.streams[0].metadata})


def test_it_speaks_on_the_page_for_programs_and_by_command(visit: Visit, tmp_path: Path) -> None:
    """On stand-ins: got by the owner, used for hd from then on, and what is longer takes longer."""
    standins.write(tmp_path / "from" / "pocket", standins.make())
    before = standing_in_for_pocket(tmp_path / "from")
    app = App(tmp_path / "home", before)
    app.start()
    try:
        page = visit(of=app, owner=True)
        open_drawer(page, "#advanced")
        page.click("#model-get")
        expect(page.locator("#model-told")).to_contain_text(strings.MODEL_HERE.format("Pocket TTS"))
        choose_source(page, "Example")
        page.locator("#examples label").first.click()
        expect(page.locator("#voice-note .tb-ok")).to_be_visible()
        page.fill("#text textarea", SAID)
        page.check("#consent input")
        page.click("#clone")
        expect(page.locator("#new-voice")).to_contain_text("Pocket TTS")
        voice_id = page.input_value("#voice-id textarea, #voice-id input")
        go(page, "Write")
        expect(page.locator("#speak-voice input")).not_to_have_value("")
        page.fill("#speak-text textarea", LONGER)
        page.click("#speak")
        expect(page.locator("#take-done")).to_contain_text("Pocket TTS")

        key = {"Authorization": f"Bearer {(app.home / 'api_key').read_text().strip()}"}
        seconds = []
        for text in (SAID, LONGER):
            body = {"text": text, "voice_setting": {"voice_id": voice_id}}
            answer = requests.post(f"{app.url}/v3/minimax-speech-2.8-hd", json=body, headers=key, timeout=60)
            assert answer.status_code == 200, answer.text
            lasting_s, said_of_it = spoken(bytes.fromhex(answer.json()["data"]["audio"]))
            assert "(Pocket TTS)" in said_of_it
            seconds.append(lasting_s)
        assert seconds[0] < seconds[1]

        path = tmp_path / "said.mp3"
        order = ["speak", voice_id, SAID, "--model", "speech-2.8-hd", "--out", str(path), "--json"]
        program = f"{before}\nimport sys; from clone.cli.app import main; sys.exit(main({order!r}))"
        told = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": "/usr/bin", "TIMBRE_HOME": str(app.home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["engine"] == "Pocket TTS"
        lasting_s, said_of_it = spoken(path.read_bytes())
        assert "(Pocket TTS)" in said_of_it
        assert abs(lasting_s - seconds[0]) < 0.2  # the same text in the same voice is the same speech
    finally:
        app.stop()
