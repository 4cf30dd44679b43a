"""The newcomer's walk: from a recording to a voice that says what was written, and is there after a restart."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from clone.audio.reader import Recording, read
from clone.audio.writer import wav_bytes
from tests.browser.driving import (
    CLONED,
    ORIGINAL,
    WAIT_MS,
    App,
    Visit,
    choose_source,
    choose_turbo,
    go,
    heard,
    more,
    open_drawer,
    passage,
    upload,
)
from tests.browser.test_page import assert_accessible_by_day_and_night
from tests.running import COLD

VOICE_ID = re.compile(r"^\w[\w-]{7,}$")


EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
SENTENCE = "You have to move slowly, she said, and you must never breathe on them."
SENTENCE_AT_S = (7.0, 11.4)
"""The second sentence of Ada, and where it lies."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def assert_speech(recording: Recording) -> None:
    """A second or more, neither silent nor clipped flat, with the rise and fall of speech."""
    samples = recording.samples
    assert 1.0 < recording.duration_s < 30
    assert 0.01 < float(np.sqrt(np.mean(samples**2))) < 0.5
    frames = samples[: samples.size // 480 * 480].reshape(-1, 480)
    levels = np.sqrt((frames**2).mean(axis=1))
    assert np.percentile(levels, 95) > 5 * np.percentile(levels, 5)


@pytest.fixture(scope="module")
def short_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that does not wait long for who has left."""
    home = tmp_path_factory.mktemp("short") / "home"
    running = App(home, before=f"from clone.ui import tabs\ntabs.LEFT_S = 2.0\n{COLD}")
    running.start()
    yield running
    running.stop()


def clone(page: Page, text: str) -> str:
    """Press the button and return the voice_id."""
    page.fill("#text textarea", text)
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#result")).to_be_visible()
    voice_id = page.input_value("#voice-id textarea, #voice-id input")
    assert VOICE_ID.match(voice_id)
    return voice_id


def test_from_an_uploaded_m4a_to_a_voice_that_outlives_the_app(
    app: App, visit: Visit, example_m4a: Path, tmp_path: Path
) -> None:
    page = visit(owner=True)
    upload(page, example_m4a)
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    voice_id = clone(page, "The quick brown fox jumps over the lazy dog. It was never seen again!")
    assert_speech(heard(page, CLONED, tmp_path))
    assert heard(page, ORIGINAL, tmp_path).duration_s > 10
    expect(page.locator("#facts")).to_contain_text("% of the way")
    expect(page.locator("#new-voice")).to_contain_text("Expires in 7 days")
    page.click("#change")
    expect(page.locator("#consent input")).to_be_checked()
    page.locator("#uploaded button[aria-label=Clear]").click()
    expect(page.locator("#consent input")).not_to_be_checked()  # the next recording may be of somebody else

    page.close()
    app.restart()
    page = visit(owner=True)
    go(page, "Voices")
    row = page.locator(f"[data-voice='{voice_id}']")
    expect(row).to_contain_text(example_m4a.stem)
    row.get_by_role("button", name="Play preview").click()
    assert_speech(heard(page, "#voice-player a[download]", tmp_path))
    row.get_by_role("button", name="Speak").click()
    page.fill("#speak-text textarea", "I am still here, and I have something new to say.")
    choose_turbo(page, "#speak-model")
    page.click("#speak")
    assert_speech(heard(page, "#take-done a[download]", tmp_path))
    go(page, "Voices")
    expect(row).to_contain_text("Kept for good")

    more(row).get_by_role("button", name="Forget").click()
    expect(row).to_contain_text("was forgotten")
    expect(page.locator("#voice-player")).not_to_be_visible()
    page.reload()  # it may be brought back for a while, on the page that forgot it
    page.wait_for_selector("#clone")
    go(page, "Voices")
    expect(page.locator("#voices li, #voices .tb-empty").first).to_be_visible()
    expect(row).to_have_count(0)


def test_a_voice_is_made_without_a_preview(visit: Visit, example_m4a: Path) -> None:
    page = visit()
    upload(page, example_m4a)
    clone(page, "  ")
    expect(page.locator("#facts")).to_contain_text("without a preview")
    expect(page.locator("#compare [data-name=Clone]")).to_have_count(0)
    page.click("#again")
    page.fill("#speak-text textarea", "Now it speaks.")
    choose_turbo(page, "#speak-model")
    page.click("#speak")
    expect(page.locator("#take-done")).to_contain_text("Download")
    go(page, "Clone")
    page.click("#change")
    clone(page, "And now with one.")
    expect(page.locator("#compare [data-name=Clone]")).to_be_visible()


def test_from_the_microphone_to_a_voice(visit: Visit, microphone: Browser, tmp_path: Path) -> None:
    page = visit(within=microphone)
    choose_source(page, "Record")
    page.click("#recorded button.record-button")
    expect(page.locator(".tb-meter")).to_contain_text("s more are needed")
    expect(page.locator(".tb-meter")).to_contain_text("enough; ")
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".tb-meter")).to_be_hidden()
    page.wait_for_selector("#voice-note .tb-ok")
    clone(page, "My computer has learned to talk.")
    assert_speech(heard(page, CLONED, tmp_path))
    go(page, "Voices")
    expect(page.locator("#voices")).to_contain_text("Recording")


def test_from_a_link_and_a_prompt_clip_to_a_voice(visit: Visit, tmp_path: Path) -> None:
    """The reference comes from a server on loopback; the prompt clip is a sentence of it, with what is said there."""
    ada = read(EXAMPLES / "ada.m4a")
    start, end = (int(at * ada.sample_rate) for at in SENTENCE_AT_S)
    clip = tmp_path / "clip.wav"
    clip.write_bytes(wav_bytes(ada.samples[start:end], ada.sample_rate))
    with served(EXAMPLES) as folder:
        page = visit()
        choose_source(page, "Paste a link")
        page.fill("#link input, #link textarea", f"{folder}/ada.m4a")
        page.click("#link-check")
        page.wait_for_selector("#voice-note .tb-ok")
        open_drawer(page, "#advanced")
        page.get_by_role("button", name="Make it closer").click()
        page.set_input_files("#prompt-audio input[type=file]", clip)
        page.fill("#prompt-text textarea", "Something else was said here, I am quite sure.")
        page.fill("#text textarea", "This came from a link.")
        choose_turbo(page)
        page.check("#consent input")
        page.wait_for_selector("#prompt-audio [data-testid=waveform-controls]")
        page.click("#clone")
        expect(page.locator("#prompt-note")).to_contain_text("must never breathe on them")
        page.fill("#prompt-text textarea", SENTENCE)
        clone(page, "This came from a link.")
        assert_speech(heard(page, CLONED, tmp_path))


def test_a_clone_can_be_cancelled_in_the_middle(visit: Visit, example_m4a: Path) -> None:
    page = visit(owner=True)
    go(page, "Voices")
    page.wait_for_selector("#voices li, #voices .tb-empty")
    page.wait_for_timeout(1_000)  # the list comes right after the page
    n_voices = page.locator("#voices li").count()
    go(page, "Clone")
    upload(page, example_m4a)
    text = "One sentence comes after the other. " * 12
    page.fill("#text textarea", text)
    page.check("#consent input")
    page.click("#clone")
    page.wait_for_selector("#progress [role=progressbar]:not([aria-valuenow='0'])")
    expect(page.locator("#clone")).not_to_be_visible()
    expect(page.locator("#cancel")).to_be_focused()
    expect(page.locator("#progress")).to_be_in_viewport(ratio=1)
    assert_accessible_by_day_and_night(page)
    page.click("#cancel")
    expect(page.locator("#progress")).to_contain_text("Stopped")
    expect(page.locator("#clone")).to_be_visible()
    expect(page.locator("#clone")).to_be_focused()
    expect(page.locator("#cancel")).not_to_be_visible()
    assert_accessible_by_day_and_night(page)
    assert page.input_value("#text textarea") == text
    expect(page.locator("#result")).not_to_be_visible()
    page = visit(owner=True)  # and nothing came of it behind the scenes
    go(page, "Voices")
    expect(page.locator("#voices li")).to_have_count(n_voices)


@pytest.fixture
def held(hold: Path) -> Path:
    """``hold``, where it is there."""
    hold.touch()
    return hold


def start(page: Page, recording: Path, n_sentences: int = 12, turbo: bool = False) -> None:
    """Begin a clone that takes a while, or as long as it is held."""
    upload(page, recording)
    page.fill("#text textarea", "One sentence comes after the other. " * n_sentences)
    if turbo:
        choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    page.wait_for_selector("#progress [role=progressbar]:not([aria-valuenow='0'])")


def test_a_reload_in_the_middle_joins_the_clone_again(
    held: Path, visit: Visit, example_m4a: Path, tmp_path: Path
) -> None:
    page = visit()
    start(page, example_m4a, 2, turbo=True)
    page.reload()
    expect(page.locator("#cancel")).to_be_visible()
    expect(page.locator("#clone")).not_to_be_visible()
    expect(page.locator("#progress [role=progressbar]")).to_be_visible()
    expect(page.locator("#voice-note .tb-strip")).to_be_visible()
    held.unlink()
    expect(page.locator("#result")).to_be_visible(timeout=2 * WAIT_MS)
    expect(page.locator("#compare audio")).to_have_count(2)
    voice_id = page.input_value("#voice-id textarea, #voice-id input")
    assert_speech(heard(page, CLONED, tmp_path))
    page.reload()  # what came of it is there again too, and nothing was cloned a second time
    expect(page.locator("#result")).to_be_visible()
    assert page.input_value("#voice-id textarea, #voice-id input") == voice_id
    assert_speech(heard(page, CLONED, tmp_path))
    page.click("#change")  # and what it was made with
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    expect(page.locator("#clone")).to_be_visible()
    expect(page.locator("#cancel")).not_to_be_visible()
    go(page, "Voices")
    expect(page.locator("#voices li")).to_have_count(1)
    expect(page.locator("#voices li")).to_have_attribute("data-voice", voice_id)


def test_a_clone_that_was_joined_again_can_be_cancelled(visit: Visit, example_m4a: Path) -> None:
    page = visit()
    start(page, example_m4a)
    page.reload()
    page.click("#cancel")
    expect(page.locator("#progress")).to_contain_text("Stopped")
    expect(page.locator("#clone")).to_be_visible()
    page.reload()  # and stays so
    page.wait_for_selector("#voice-note .tb-note")
    expect(page.locator("#cancel")).not_to_be_visible()
    go(page, "Voices")
    expect(page.locator("#voices .tb-empty")).to_be_visible()


def test_a_tab_that_is_closed_in_the_middle_ends_its_clone(
    short_app: App, visit: Visit, example_m4a: Path, tmp_path: Path
) -> None:
    page = visit(of=short_app)
    recording = tmp_path / "left.m4a"
    recording.write_bytes(example_m4a.read_bytes())
    start(page, recording, 40, turbo=True)
    assert list(short_app.home.rglob(recording.name))
    page.close()
    page = visit(of=short_app)
    choose_source(page, "Example")
    page.locator("#examples label").first.click()
    voice_id = clone(page, "Somebody else's turn.")  # it comes, so nothing of the run that was left still works
    assert not list(short_app.home.rglob(recording.name))
    assert not [path for path in short_app.home.rglob("*.mp3") if voice_id not in str(path)]


def test_a_connection_that_breaks_in_the_middle_is_made_again(
    held: Path, app: App, browser: Browser, example_m4a: Path
) -> None:
    """In a browser of its own, whose console may complain: as on a phone that is in a tunnel for a moment."""
    with passage(app.port) as (url, break_off), browser.new_context() as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.goto(url)
        start(page, example_m4a, 2, turbo=True)
        with page.expect_navigation():
            break_off()
        expect(page.locator("#cancel")).to_be_visible()
        held.unlink()
        expect(page.locator("#result")).to_be_visible(timeout=2 * WAIT_MS)
        go(page, "Voices")
        expect(page.locator("#voices li")).to_have_count(1)


def test_a_recording_is_there_again_in_its_tab_and_nowhere_else(visit: Visit, example_m4a: Path) -> None:
    page = visit()
    upload(page, example_m4a)
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    expect(page.locator("#voice-note details")).to_be_visible()
    page.reload()
    expect(page.locator("#voice-note .tb-strip")).to_be_visible()
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    assert "timbre-tab" in page.evaluate("Object.keys(sessionStorage)")
    with page.expect_popup() as opened:  # with a copy of what the tab keeps, as a tab that is duplicated
        page.evaluate("void window.open(location.href)")
    beside = page.context.new_page()
    beside.goto(page.url)
    others = (opened.value, beside, visit())
    for other in others:
        other.wait_for_selector("#clone")
    page.wait_for_timeout(3_000)  # what came would have come by then
    for other in others:
        expect(other.locator("#uploaded [data-testid=waveform-controls]")).to_have_count(0)
        expect(other.locator("#voice-note .tb-note")).to_have_count(0)
    page.locator("#uploaded button[aria-label=Clear]").click()
    expect(page.locator("#voice-note .tb-note")).to_have_count(0)
    page.reload()  # what was taken away stays away
    page.wait_for_selector("#clone")
    page.wait_for_timeout(3_000)
    expect(page.locator("#uploaded [data-testid=waveform-controls]")).to_have_count(0)


def test_what_a_link_led_to_is_there_again_and_so_are_part_and_clip(visit: Visit) -> None:
    page = visit()
    with served(EXAMPLES) as folder:
        choose_source(page, "Paste a link")
        page.fill("#link input, #link textarea", f"{folder}/ada.m4a")
        page.click("#link-check")
        page.wait_for_selector("#voice-note details")
    open_drawer(page, "#advanced")
    page.get_by_role("button", name="Make it closer").click()
    page.click("#prompt-take")
    expect(page.locator("#prompt-text textarea")).to_have_value(re.compile(r"\w.*\.$"))
    clip = page.input_value("#prompt-text textarea")
    expect(page.locator("#prompt-match")).not_to_be_empty()
    page.reload()  # the server it came from is gone
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    assert page.input_value("#link input, #link textarea").endswith("/ada.m4a")
    expect(page.locator("#prompt-text textarea")).to_have_value(clip)
    expect(page.locator("#prompt-audio [data-testid=waveform-controls]")).to_be_visible()


def test_a_ready_sentence_is_one_press_away(visit: Visit) -> None:
    page = visit()
    for name in ("Story", "News"):
        page.fill("#text textarea", "")
        page.get_by_role("button", name=name).click()
        text = page.input_value("#text textarea")
        assert len(text) > 60
        expect(page.locator("#text-count")).to_contain_text(f"{len(text)} of")
        page.fill("#text textarea", "My own words.")
        page.get_by_role("button", name=name).click()
        assert page.input_value("#text textarea") == f"My own words. {text}"
