"""The hosted service, used from the page: chosen, paid with a visitor's key, kept; and what is said when it fails."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.driving import (
    BUSY_JS,
    CLONED,
    App,
    Visit,
    choose_novita,
    choose_source,
    go,
    heard,
    open_drawer,
    upload,
)
from tests.browser.test_page import assert_accessible_by_day_and_night
from tests.faults import FAULTS, FaultServer, body, saying, sending, serving
from tests.running import COLD
from tests.sounds import encode, speechlike

KEY, OWN = "nv-visitors-7c41aa", "nv-owners-90bd3e"
VOICE_ID = "voice_0f6a"
CLONE = "/v3/minimax-voice-cloning"


@pytest.fixture(scope="module")
def service() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def a_good_day(service: FaultServer) -> None:
    """It fetches the recording and clones; it speaks with the model that keeps a voice."""

    def clone(connection: socket.socket) -> None:
        with urllib.request.urlopen(json.loads(service.bodies[-1])["audio_url"], timeout=10) as given:
            assert len(given.read()) > 10_000
        saying(200, {"voice_id": VOICE_ID, "demo_audio_url": service.url("/preview.mp3")})(connection)

    service.asked.clear()
    service.bodies.clear()
    service.answers[CLONE] = clone
    service.answers["/preview.mp3"] = sending(body(encode(speechlike(3.0), 24_000, "mp3")))
    spoken = encode(speechlike(2.0), 24_000, "mp3").hex()
    service.answers["/v3/minimax-speech-2.8-turbo"] = saying(200, {"data": {"audio": spoken}})


@pytest.fixture(scope="module")
def public(service: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A page for the world, with the owner's key set."""
    running = App(tmp_path_factory.mktemp("public") / "home", COLD)
    running._environment |= {
        "TIMBRE_PUBLIC_URL": running.url,
        "TIMBRE_ALLOW_PRIVATE_URLS": "1",
        "NOVITA_BASE_URL": service.url(""),
        "NOVITA_API_KEY": OWN,
    }
    running.start()
    yield running
    running.stop()


def fill(page: Page, recording: Path, key: str) -> None:
    choose_novita(page)
    expect(page.locator("#api-key input")).to_be_visible()
    upload(page, recording)
    page.fill("#api-key input", key)
    page.check("#consent input")


def keep_again(page: Page) -> None:
    row = page.locator(f"[data-voice='{VOICE_ID}']")
    expect(page.locator("#keep-cancel")).not_to_be_visible()
    row.get_by_role("button", name="Keep").first.click()
    row.get_by_role("button", name="Yes, keep it").click()


def test_from_a_recording_to_a_hosted_voice_that_is_kept(
    public: App, visit: Visit, service: FaultServer, example_m4a: Path, tmp_path: Path
) -> None:
    page = visit(of=public)
    expect(page.locator("#api-key")).not_to_be_visible()  # this machine is the default though a key is set
    expect(page.locator("#consent")).to_contain_text("to nobody else")
    fill(page, example_m4a, KEY)
    expect(page.locator("#consent")).to_contain_text("goes to Novita")
    expect(page.locator("#way")).to_contain_text("from this page")
    expect(page.locator("#cost")).to_contain_text("62 characters of hd speech")
    page.fill("#text textarea", "Hello there.")
    expect(page.locator("#cost")).to_contain_text("1 voice and 12 characters of hd speech")
    page.click("#clone")
    expect(page.locator("#result")).to_be_visible()
    assert page.input_value("#voice-id textarea, #voice-id input") == VOICE_ID
    assert heard(page, CLONED, tmp_path).duration_s == pytest.approx(3.0, abs=0.2)
    page.click("#change")
    page.click("#clone")
    expect(page.locator("#facts")).to_contain_text("You made this voice before")

    go(page, "Voices")
    row = page.locator(f"[data-voice='{VOICE_ID}']")
    expect(row).to_contain_text("Novita")
    row.get_by_role("button", name="Keep").first.click()
    expect(row).to_contain_text("less than one cent")
    answers, lost = service.answers["/v3/minimax-speech-2.8-turbo"], threading.Event()
    service.answers["/v3/minimax-speech-2.8-turbo"] = lambda _: lost.wait(60)
    row.get_by_role("button", name="Yes, keep it").click()
    expect(page.locator("#voices-note [role=progressbar]")).to_be_visible()
    assert_accessible_by_day_and_night(page)
    page.click("#keep-cancel")
    expect(page.locator("#voices-note")).to_contain_text("Stopped")
    assert_accessible_by_day_and_night(page)
    service.answers["/v3/minimax-speech-2.8-turbo"] = answers
    keep_again(page)
    expect(page.locator("#voices-note")).to_contain_text("being worked on already")
    expect(page.locator("#pending form")).to_have_count(0)
    lost.set()  # the connection breaks off without an answer, so nobody here knows whether it was paid
    page.wait_for_timeout(1000)
    keep_again(page)
    expect(page.locator("#voices-note")).to_contain_text("may have been paid")
    expect(page.locator("#pending")).to_contain_text("for good")
    assert_accessible_by_day_and_night(page)
    page.get_by_role("button", name="It did not: dismiss it").click()
    expect(page.locator("#pending-note")).to_contain_text("dismissed")
    expect(page.locator("#pending form")).to_have_count(0)
    keep_again(page)
    expect(row).to_contain_text("Kept for good")
    expect(row.get_by_role("button", name="Keep")).to_have_count(0)
    posted = [head.split()[1] for head in service.asked if head.startswith("POST")]
    assert posted == [CLONE, "/v3/minimax-speech-2.8-turbo", "/v3/minimax-speech-2.8-turbo"]
    assert all(f"Bearer {KEY}" in head for head in service.asked if head.startswith("POST"))

    row.get_by_role("button", name="Speak").click()
    expect(page.locator("#speak-cost")).to_contain_text("characters of hd speech")
    page.reload()
    expect(page.locator("#result")).to_be_visible()
    page.click("#change")
    open_drawer(page, "#advanced")
    expect(page.locator("#api-key input")).to_be_visible()  # the choice is remembered, the key is not
    assert page.input_value("#api-key input") == ""


LATE_LOCK_JS = """
const ask = navigator.locks.request.bind(navigator.locks);
navigator.locks.request = async (name, options, held) => {
  await new Promise((later) => setTimeout(later, 3000));
  options.signal.throwIfAborted();
  return ask(name, options, held);
};
"""
"""What a slow machine does: it lets go of the lock of the page before long after the new one asked for it."""


def clones_later(service: FaultServer, voice_id: str) -> threading.Event:
    """Have the service answer with a voice only once this is set."""
    going = threading.Event()

    def late(connection: socket.socket) -> None:
        going.wait(180)
        saying(200, {"voice_id": voice_id, "demo_audio_url": service.url("/preview.mp3")})(connection)

    service.answers[CLONE] = late
    return going


def test_a_clone_is_paid_once_however_often_the_page_is_reloaded(
    public: App, visit: Visit, service: FaultServer, example_m4a: Path
) -> None:
    voice_id = "voice_7b1c"
    going = clones_later(service, voice_id)
    page = visit(of=public)
    fill(page, example_m4a, KEY)
    page.fill("#text textarea", "Paid once.")
    page.click("#clone")
    page.wait_for_selector("#progress [role=progressbar]:not([aria-valuenow='0'])")
    slow = page.context.new_cdp_session(page)
    page.add_init_script(LATE_LOCK_JS)
    for times in (1, 4):  # on a slow machine the first news comes before the page has drawn its buttons
        slow.send("Emulation.setCPUThrottlingRate", {"rate": times})
        page.reload()
        expect(page.locator("#cancel")).to_be_visible()
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    going.set()
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#voice-id textarea, #voice-id input")).to_have_value(voice_id)
    page.reload()
    expect(page.locator("#result")).to_be_visible()
    assert [head.split()[1] for head in service.asked if head.startswith("POST")] == [CLONE]


def test_a_voice_that_is_made_while_the_browser_is_busy_is_shown(
    public: App, visit: Visit, service: FaultServer, example_m4a: Path
) -> None:
    voice_id = "voice_3d5e"
    going = clones_later(service, voice_id)
    page = visit(of=public)
    fill(page, example_m4a, KEY)
    page.click("#clone")
    page.wait_for_selector("#progress [role=progressbar]:not([aria-valuenow='0'])")
    threading.Timer(0.5, going.set).start()
    page.evaluate(BUSY_JS)
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#voice-id textarea, #voice-id input")).to_have_value(voice_id)
    expect(page.locator("#facts")).not_to_be_empty()


def test_without_a_key_a_stranger_spends_nothing(
    public: App, visit: Visit, service: FaultServer, example_m4a: Path
) -> None:
    page = visit(of=public)
    fill(page, example_m4a, "")
    page.click("#clone")
    expect(page.locator("#api-key-note .tb-refuse")).to_contain_text("needs a key")
    assert service.asked == []


def test_what_may_have_gone_through_is_said(public: App, visit: Visit, service: FaultServer, example_m4a: Path) -> None:
    service.answers[CLONE] = FAULTS["/reset"]
    page = visit(of=public)
    fill(page, example_m4a, KEY)
    page.fill("#text textarea", "Something else.")
    page.click("#clone")
    expect(page.locator("#progress .tb-refuse")).to_contain_text("It may have gone through all the same")
    expect(page.locator("#clone")).to_be_visible()
    assert len(service.asked) == 1
    service.answers[CLONE] = saying(200, {"voice_id": "voice_Other"})
    page.click("#clone")
    expect(page.locator("#progress .tb-refuse")).to_contain_text("may have been paid")
    go(page, "Voices")
    page.get_by_label("Its voice_id there").fill("voice_Seen/1")
    page.get_by_role("button", name="It went through: keep it").click()
    expect(page.locator("[data-voice='voice_Seen/1']")).to_be_visible()
    expect(page.locator("#pending form")).to_have_count(0)
    assert len(service.asked) == 1


def test_a_wrong_key_is_said_at_its_field(public: App, visit: Visit, service: FaultServer, example_m4a: Path) -> None:
    service.answers[CLONE] = saying(403, {"code": 403, "reason": "INVALID_API_KEY", "message": "x", "metadata": {}})
    page = visit(of=public)
    fill(page, example_m4a, KEY)
    page.fill("#text textarea", "Something else again.")
    page.click("#clone")
    expect(page.locator("#api-key-note .tb-refuse")).to_contain_text("The key is not valid.")


def test_on_this_machine_alone_a_file_has_no_address(visit: Visit) -> None:
    page = visit()
    choose_novita(page)
    expect(page.locator("#hosted-told")).to_contain_text("no address")
    choose_source(page, "Paste a link")
    expect(page.locator("#way")).to_contain_text("from the link you gave")


def test_no_key_is_in_what_the_page_is_made_of(public: App) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        told = requests.get(public.url + path, timeout=30).text
        assert OWN not in told
        assert KEY not in told
    assert OWN.encode() not in public.log.read_bytes()
    assert KEY.encode() not in public.log.read_bytes()
    for path in public.home.rglob("*"):
        assert not path.is_file() or not {OWN, KEY} & set(_words(path))


def _words(path: Path) -> list[str]:
    data = path.read_bytes()
    return [key for key in (OWN, KEY) if key.encode() in data]
