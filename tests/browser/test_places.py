"""The three places of the page, and what can be done with a new voice: compare, speak, share, repeat by a program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect

from clone.audio.reader import read
from tests.browser.driving import HOLD, App, Visit, choose_source, choose_turbo, go, heard, open_drawer, upload
from tests.browser.test_page import assert_accessible, assert_accessible_by_day_and_night, assert_fits

SENTENCES = "The harbour was quiet this morning. Nobody had expected so much sun. We sat on the wall and waited."
WORDS = "All of this is heard in the preview."


FOCUS_IS_SEEN = """() => {
    for (let each = document.activeElement, n = 0; each && n < 4; each = each.parentElement, n++) {
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
        if ((outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none") return true;
    }
    return document.activeElement.tagName === "AUDIO";  // the browser's own
}"""


PRESSED_WHEN_BACK = """() => {
    let gone = false;
    const watch = new MutationObserver(() => {
        const button = document.querySelector("#speak");
        const there = Boolean(button?.getClientRects().length);
        if (gone && there) {
            watch.disconnect();
            button.click();
        }
        gone ||= !there;
    });
    watch.observe(document.body, { childList: true, subtree: true, attributes: true });
}"""


def playing(page: Page, audio: str) -> None:
    page.wait_for_function("(audio) => document.querySelector(audio).currentTime > 0.05", arg=audio)


@pytest.fixture(scope="module")
def result(visit_of_all: Visit, example_m4a: Path) -> Page:
    """A page on which a voice was just cloned; it knows how far things shifted meanwhile."""
    page = visit_of_all()
    upload(page, example_m4a)
    page.fill("#text textarea", WORDS)
    choose_turbo(page)
    page.check("#consent input")
    page.evaluate(
        "window.shifts = []; window.shifting = new PerformanceObserver((list) => { for (const each of"
        " list.getEntries()) if (!each.hadRecentInput && !document.querySelector('#result'))"
        " window.shifts.push(each.value); });"
        " window.shifting.observe({ type: 'layout-shift' })"
    )
    page.wait_for_timeout(600)
    page.click("#clone")
    expect(page.locator("#said .tb-match")).to_be_visible()
    page.evaluate("setTimeout(() => window.shifting.disconnect())")
    return page


def voice_of(result: Page) -> str:
    return result.input_value("#voice-id textarea, #voice-id input")


def test_nothing_moves_while_it_works(result: Page) -> None:
    """What a person looks at stays where it is while a clone is made."""
    assert sum(result.evaluate("window.shifts")) < 0.1


def test_original_and_clone_under_one_switch(result: Page, example_m4a: Path) -> None:
    page = result
    expect(page.locator("#said")).to_contain_text("All 8 words")
    expect(page.locator("#new-voice h2")).to_have_text(example_m4a.stem)
    expect(page.locator("#new-voice")).to_contain_text("speech-2.8-")
    page.locator("#compare").get_by_role("button", name="Play").click()
    playing(page, "#compare [data-name=Clone] audio")
    page.get_by_role("radio", name="Original", exact=True).click()
    playing(page, "#compare [data-name=Original] audio")
    assert page.evaluate("document.querySelector('#compare [data-name=Clone] audio').paused")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#compare").get_by_role("radio", name="Clone")).to_have_attribute("aria-checked", "true")
    page.locator("#compare").get_by_role("button", name="Pause").click()
    volumes = page.evaluate("[...document.querySelectorAll('#compare audio')].map((each) => each.volume)")
    assert max(volumes) == 1.0
    assert min(volumes) > 0.02
    slider = page.locator("#compare").get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    assert (
        page.evaluate(
            "(() => { const a = document.querySelector('#compare [data-name=Clone] audio');"
            " return a.duration - a.currentTime; })()"
        )
        < 0.2
    )
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    page.wait_for_function(
        "(() => { const a = document.querySelector('#compare [data-name=Clone] audio');"
        " return Math.abs(a.currentTime / a.duration - 0.5) < 0.1; })()"
    )


def test_a_card_to_share(result: Page) -> None:
    page = result
    with page.expect_download() as saved:
        page.get_by_role("button", name="Share card", exact=True).click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert saved.value.suggested_filename == "ada.html"
    assert WORDS in text
    assert text.count("data:audio/") >= 2
    assert voice_of(page) in text
    link = page.locator("#shared a").get_attribute("href") or ""
    assert "attachment" in page.request.get(page.url.rstrip("/") + link).headers["content-disposition"]


def test_a_new_voice_is_gone_on_with_in_write(result: Page) -> None:
    page, voice_id = result, voice_of(result)
    page.get_by_role("button", name="Go on in Write").click()
    expect(page.locator("#speak-voice input")).to_have_value(re.compile(re.escape(voice_id[-6:])))
    choose_turbo(page, "#speak-model")
    page.fill("#speak-text textarea", "It is used from now on.")
    page.click("#speak")
    expect(page.locator("#take-done a")).to_be_visible()
    go(page, "Clone")
    expect(page.locator("#new-voice")).to_contain_text("Kept for good")


def test_a_text_is_heard_from_its_first_sentence_on(visit: Visit, result: Page, app: App, tmp_path: Path) -> None:
    page, hold = visit(beside=result), app.home / HOLD
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")
    page.fill("#speak-text textarea", " ".join([SENTENCES] * 4) + " So ends the story.")
    expect(page.locator("#speak-count")).to_contain_text("of 50,000 characters")
    page.click("#speak-how button")
    page.get_by_role("radio", name="flac").check()
    hold.write_text("the story")
    try:
        page.click("#speak")
        page.wait_for_selector("#take .tb-player")
        playing(page, "#take audio")
        assert page.locator("#take-done a").count() == 0  # it plays, and there is more to come
    finally:
        hold.unlink()
    expect(page.locator("#take-done a")).to_have_text("Download flac")
    with page.expect_download() as saved:
        page.click("#take-done a")
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name.startswith("ada - The harbour was quiet")
    assert path.suffix == ".flac"
    assert read(path).duration_s > 20
    with av.open(str(path)) as file:
        assert voice_of(result) in str(dict(file.metadata))
        assert "AI-generated" in str(dict(file.metadata))

    page.fill("#speak-text textarea", "And one more.")
    page.get_by_role("radio", name="wav").check()
    page.click("#speak")
    expect(page.locator("#take-done a")).to_have_text("Download wav")
    before = page.locator("#takes li").filter(has_text="The harbour was quiet")
    expect(before).to_have_count(1)
    first = before.locator("a").get_attribute("href") or ""
    assert page.request.get(page.url.rstrip("/") + first, headers={"Range": "bytes=0-3"}).body() == b"fLaC"
    assert page.request.get(page.url.rstrip("/") + first.replace("takes/", "takes/x")).status == 404


def test_what_was_spoken_before_a_cancel_is_kept(visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    page.fill("#speak-text textarea", " ".join([SENTENCES] * 20))
    page.click("#speak")
    page.wait_for_selector("#take .tb-player")
    expect(page.locator("#speak-progress")).to_contain_text("of 60")
    expect(page.locator("#speak-cancel")).to_be_focused()
    assert_accessible_by_day_and_night(page)
    playing(page, "#take audio")
    page.click("#speak-cancel")
    expect(page.locator("#speak-progress")).to_contain_text("Stopped")
    expect(page.locator("#speak")).to_be_focused()
    assert page.evaluate("document.querySelector('#take audio').paused")
    assert_accessible_by_day_and_night(page)
    expect(page.locator("#speak-progress")).to_contain_text("What was spoken is kept")
    expect(page.locator("#take-done")).to_contain_text("of 60 sentences")
    page.wait_for_function("Number.isFinite(document.querySelector('#take audio').duration)")  # it can be sought

    page.reload()  # it is there again, and can be had
    page.wait_for_selector("#clone")
    go(page, "Write")
    expect(page.locator("#takes li").filter(has_text="of 60 sentences")).to_have_count(1)
    assert heard(page, "#takes li:has-text('of 60 sentences') a[download]", tmp_path).duration_s > 2


def test_a_button_that_is_back_begins_at_once(visit: Visit, result: Page) -> None:
    """Whoever is quick loses no click: not when a take has just ended, and not when one was just cancelled."""
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")
    page.fill("#speak-text textarea", "The first of three.")
    page.evaluate(PRESSED_WHEN_BACK)
    page.click("#speak")
    expect(page.locator("#takes li").filter(has_text="The first of three.")).to_have_count(1)
    expect(page.locator("#take-done a")).to_be_visible()
    expect(page.locator("#speak")).to_be_visible()
    page.fill("#speak-text textarea", " ".join([SENTENCES] * 20))
    page.evaluate(PRESSED_WHEN_BACK)
    page.click("#speak")
    page.wait_for_selector("#speak-cancel")
    page.fill("#speak-text textarea", "The last of three.")
    page.click("#speak-cancel")
    expect(page.locator("#take-done a")).to_be_visible()
    expect(page.locator("#takes li").filter(has_text="The first of three.")).to_have_count(2)


def ran(program: str, app: App) -> str:
    """Run a Python program of the page with the key of its API; return what it prints."""
    key = {"TIMBRE_API_KEY": (app.home / "api_key").read_text().strip()}
    done = subprocess.run([sys.executable, "-c", program], env=key, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_request_as_code_is_there_at_once_and_follows(app: App, visit: Visit, example_m4a: Path) -> None:
    page = visit()
    open_drawer(page, "#advanced")
    open_drawer(page, "#code-drawer")
    code, programs = page.locator("#code"), page.locator("#code pre:visible")
    expect(programs).to_contain_text(["<LINK TO THE RECORDING>", "<VOICE_ID>"])
    expect(programs).to_contain_text([f"{app.url}/v3/minimax-voice-cloning", "Hello! This is my new voice."])
    expect(programs).to_contain_text(["--fail-with-body"] * 2)
    code.get_by_role("tab", name="Python").first.click()
    choose_source(page, "Paste a link")
    page.fill("#link input, #link textarea", "https://a.example/b.mp3")
    page.fill("#text textarea", "今天天气很好。")
    page.click("#language input")
    page.get_by_role("option", name="Chinese").click()
    expect(programs).to_contain_text(['"audio_url": "https://a.example/b.mp3"', '"language_boost": "Chinese"'])
    expect(code.locator("[role=tab][aria-selected=true]")).to_have_text(["Python"] * 2)
    expect(code.get_by_role("button", name="Lend it")).to_have_count(0)  # the link is there

    choose_source(page, "Upload")
    upload(page, example_m4a)
    page.click("#language input")
    page.get_by_role("option", name="English").click()
    page.fill("#text textarea", "It's said by a “program” & runs.")
    choose_turbo(page)
    expect(programs).to_contain_text(["<LINK TO THE RECORDING>", "turbo"])
    code.get_by_role("button", name="Lend it my recording").click()
    expect(code.locator("[role=alert]")).to_contain_text("not confirmed")
    page.check("#noise input")  # a program that is written anew still has it, until it is mended
    expect(programs.first).to_contain_text('"need_noise_reduction": True')
    expect(code.locator("[role=alert]")).to_contain_text("not confirmed")
    page.check("#consent input")
    expect(code.locator("[role=alert]")).to_have_count(0)
    code.get_by_role("button", name="Lend it my recording").click()
    expect(code).to_contain_text("A link lends the recording to this code until")
    page.check("#volume input")  # what is filled in goes on being followed, by the same link
    expect(programs.first).to_contain_text('"need_volume_normalization": True')
    cloning, speaking = (each or "" for each in programs.all_text_contents())
    assert f"{app.url}/lent/links/" in cloning
    assert (app.home / "api_key").read_text().strip() not in page.content()
    voice_id = ran(cloning, app).split()[0]
    assert voice_id.startswith("voice_")
    assert ran(speaking.replace("<VOICE_ID>", voice_id), app).startswith(app.url)
    code.get_by_role("tab", name="Python").first.focus()
    page.keyboard.press("ArrowRight")
    expect(code.get_by_role("tab", name="JavaScript").first).to_have_attribute("aria-selected", "true")
    assert_accessible(page)


def test_speaking_as_code_follows_what_is_chosen(visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    open_drawer(page, "#speak-code-drawer")
    program = page.locator("#speak-code pre:visible")
    page.fill("#speak-text textarea", "")
    expect(program).to_contain_text("<TEXT TO SPEAK>")
    page.locator("#speak-code").get_by_role("tab", name="Python").click()
    page.fill("#speak-text textarea", "A program says this.")
    choose_turbo(page, "#speak-model")
    page.click("#speak-how button")
    page.get_by_role("radio", name="wav").check()
    expect(program).to_contain_text('"format": "wav"')
    expect(program).to_contain_text("A program says this.")
    expect(program).to_contain_text(voice_of(result))
    expect(program).to_contain_text("This voice belongs to one browser alone.")  # no key speaks for a visitor
    assert_accessible(page)
    assert_fits(page)


SIZES = pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)], ids=["wide-light", "narrow-dark"])


@SIZES
def test_everybody_can_use_what_was_cloned(result: Page, width: int, dark: bool) -> None:
    go(result, "Clone")
    result.set_viewport_size({"width": width, "height": 900})
    result.emulate_media(color_scheme="dark" if dark else "light")
    expect(result.locator("#result")).to_be_visible()
    assert_accessible(result)
    assert_fits(result)


@SIZES
def test_everybody_can_use_the_places(visit: Visit, result: Page, width: int, dark: bool) -> None:
    page = visit(beside=result, width=width, dark=dark)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    page.click("#speak-how button")
    assert_accessible(page)
    choose_turbo(page, "#speak-model")
    page.locator("#speak").evaluate("(button) => button.scrollIntoView({ block: 'end' })")
    page.click("#speak")
    expect(page.locator("#take .tb-player")).to_be_in_viewport(ratio=1)
    page.wait_for_selector("#take-done a")
    n_takes = page.locator("#takes li").count()
    page.click("#speak")
    expect(page.locator("#takes li")).to_have_count(n_takes + 1)
    page.wait_for_selector("#take-done a")
    assert_accessible(page)
    assert_fits(page)
    go(page, "Voices")
    expect(page.locator("#voices [data-voice]").first).to_be_visible()
    assert_accessible(page)
    assert_fits(page)


def test_without_a_mouse(visit: Visit, example_m4a: Path) -> None:
    """From the top of the page to a spoken sentence, with keys alone; the file dialog is the system's own."""
    page = visit()

    def reach(what: str, key: str = "Tab") -> None:
        for _ in range(80):
            if page.evaluate("(what) => Boolean(document.activeElement?.closest(what))", what):
                return
            page.keyboard.press(key)
            page.wait_for_function(FOCUS_IS_SEEN, timeout=5_000)  # given back where what had it has just gone
        raise AssertionError(f"{what} can't be reached")

    reach("#source label:last-child")
    page.keyboard.press("Space")
    page.wait_for_selector("#examples")
    reach("#examples")
    page.keyboard.press("Space")
    expect(page.locator("#voice-note .tb-ok")).to_contain_text("Ready to clone")
    reach("#text")
    page.keyboard.press("Control+a")
    page.keyboard.type("No mouse was used.")
    reach("#advanced")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_be_visible()
    reach("#model")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#model input")).to_have_value(re.compile("turbo"))
    expect(page.locator("#model input")).to_be_focused()
    expect(page.locator("#quality input[value=turbo]")).to_be_checked()
    reach("#consent", "Shift+Tab")
    expect(page.locator("[role=combobox][aria-expanded=true]")).to_have_count(0)  # a list that was left is closed
    page.keyboard.press("Space")
    reach("#clone")
    page.keyboard.press("Enter")
    expect(page.locator("#said .tb-match")).to_be_visible()
    expect(page.locator("#result h2")).to_be_focused()
    reach("#again")
    page.keyboard.press("Enter")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    expect(page.locator("#speak-text textarea")).to_be_focused()
    reach("#speak")
    page.keyboard.press("Enter")
    page.wait_for_selector("#take-done a")
    reach("#take-done")


def test_the_language_is_told_as_one_writes_and_can_be_set(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#language-said")).to_contain_text("The text looks like English.")
    page.fill("#text textarea", "今天天气很好，我们去公园。")
    expect(page.locator("#language-said")).to_contain_text("The text looks like Chinese.")
    page.fill("#text textarea", "Der Zug an die Küste fährt um neun Uhr ab.")
    expect(page.locator("#language-said")).to_contain_text("looks like German")
    choose_source(page, "Example")
    page.locator("#examples label").first.click()
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#language-said [role=alert]")).to_contain_text("looks like German")
    expect(page.get_by_text("looks like German")).to_have_count(1)
    page.fill("#text textarea", "今天天气很好。")
    expect(page.locator("#language-said [role=alert]")).to_have_count(0)
    open_drawer(page, "#advanced")
    page.click("#language input")
    page.get_by_role("option", name="Japanese").click()
    expect(page.locator("#language-said")).to_contain_text("Read as Japanese.")
    go(page, "Write")
    expect(page.locator("#speak-language-said")).to_contain_text("The text looks like English.")
    assert_accessible(page)
    assert_fits(page)
