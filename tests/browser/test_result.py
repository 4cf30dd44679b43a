"""What is done with a new voice where it appears: heard in both qualities and blind, and saying something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import HOLD, App, Visit, choose_source, choose_turbo, go, heard, more, open_drawer
from tests.browser.test_page import assert_accessible, assert_accessible_by_day_and_night, assert_fits
from tests.browser.test_places import playing, ran
from tests.browser.test_walk import assert_speech

COVERED = """(box) => [...document.querySelectorAll(`${box} :is(button, input, textarea, a[href], .tb-track)`)]
    .filter((each) => each.getClientRects().length && !each.closest("[hidden]")).map((each) => {
        each.scrollIntoView({ block: "center", behavior: "instant" });
        const { left, right, top, bottom } = each.getBoundingClientRect();
        const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        const seen = at && (each.contains(at) || at.contains(each));
        return left < 0 || right > innerWidth || !seen ? each.outerHTML.slice(0, 160) : "";
    }).filter(Boolean)"""
"""Controls that lie under something else, or outside the width."""


def place(page: Page, what: str) -> list[float]:
    """Return where something begins on the page, wherever that is scrolled to."""
    at = "(each) => [each.getBoundingClientRect().left + scrollX, each.getBoundingClientRect().top + scrollY]"
    return [round(x) for x in page.locator(what).evaluate(at)]


def names(page: Page) -> list[str]:
    return page.locator("#compare [role=radio]").all_text_contents()


@pytest.fixture(scope="module")
def result(visit_of_all: Visit) -> Page:
    """A page on which an example was just cloned fast."""
    page = visit_of_all(width=1024, owner=True)
    page.set_viewport_size({"width": 1024, "height": 768})
    choose_source(page, "Example")
    page.locator("#examples label").first.click()
    expect(page.locator("#voice-note .tb-ok")).to_be_visible()
    page.fill("#text textarea", "This is what it says first.")
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#said .tb-match")).to_be_visible()
    return page


def test_no_control_is_covered(result: Page) -> None:
    assert result.evaluate(COVERED, "#result") == []
    assert_fits(result)


def test_it_counts_who_tells_the_recording_from_the_clone(result: Page) -> None:
    page, box = result, result.locator("#compare")
    box.get_by_role("button", name="Listen blind").click()
    right = 0
    for n in range(1, 4):
        assert names(page) == ["A", "B"]
        expect(box.get_by_role("link")).to_have_count(0)
        for letter in names(page):
            box.get_by_role("radio", name=letter, exact=True).click()
            player = box.locator(".tb-player:visible")
            assert player.get_attribute("data-name") == letter
            assert "none" in (player.locator(".tb-track").get_attribute("style") or "")
            told = player.evaluate("(each) => each.getAttribute('aria-label') + each.innerText") + " ".join(
                each.get_attribute("aria-label") or "" for each in player.locator("[aria-label]").all()
            )
            assert not re.search("Original|Clone", told)
        clocks = {each.text_content() for each in box.locator(".tb-clock").all()}
        assert len(clocks) == 1  # a length would tell
        box.get_by_role("button", name=f"{names(page)[0]} is the recording").click()
        said = box.locator(".tb-outcome")
        is_right = (said.text_content() or "").startswith("Right")
        original = box.locator("[role=radio][data-of='0']").text_content()
        expect(said).to_contain_text(f"{original} is the recording.")
        assert is_right == (original == "A")
        right += is_right
        expect(said).to_contain_text(f"{right} of {n} times you told the recording from the clone.")
        chance = {0: "100", n: {1: "50", 2: "25", 3: "13"}[n]}.get(right)
        expect(said).to_contain_text(f"Guessing alone does as well in {chance or ''}")
        expect(box.get_by_role("button", name="A is the recording")).to_be_disabled()
        expect(box.get_by_role("button", name="Shuffle again")).to_be_focused()
        if n == 1:
            assert_accessible_by_day_and_night(page)
            assert page.evaluate(COVERED, "#result") == []
        box.get_by_role("button", name="Shuffle again").click()
        expect(said).to_be_empty()
    box.get_by_role("button", name="Show the names").click()
    assert names(page) == ["Original", "Clone"]
    expect(box.locator(".tb-player[data-name=Original] .tb-clock")).to_contain_text("0:23")
    assert not page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])").count(
        "blind"
    )


def test_what_is_heard_blind_ends_with_the_shortest(result: Page) -> None:
    page, box = result, result.locator("#compare")
    box.get_by_role("button", name="Listen blind").click()
    letter = box.locator("[role=radio][data-of='0']").text_content() or ""
    box.get_by_role("radio", name=letter, exact=True).click()
    box.locator(".tb-player:visible [data-do=go]").click()
    original = "document.querySelector('#compare [data-of=\"0\"] audio')"
    page.wait_for_function(f"{original}.currentTime > 0.1")
    page.wait_for_function(f"{original}.paused && {original}.currentTime === 0")
    box.get_by_role("button", name="Show the names").click()


def test_it_says_something_else_right_there(result: Page, tmp_path: Path) -> None:
    page = result
    before = place(page, "#try-text")
    page.fill("#try-text textarea", "Here is something else, said at once.")
    page.press("#try-text textarea", "Enter")
    expect(page.locator("#tried .tb-player")).to_be_visible()
    assert_speech(heard(page, "#tried-done a[download]", tmp_path))
    assert place(page, "#try-text") == before
    expect(page.locator("#try")).to_be_visible()
    expect(page.locator("#new-voice")).to_contain_text("Kept for good")
    assert_accessible(page)
    assert page.evaluate(COVERED, "#result") == []
    page.fill("#try-text textarea", "…")
    page.click("#try")
    expect(page.locator("#try-progress [role=alert]")).to_contain_text("no letter")
    page.fill("#try-text textarea", "And this goes along.")
    page.click("#again")
    expect(page.locator("#speak-text textarea")).to_have_value("And this goes along.")
    expect(page.locator("#speak-voice input")).to_have_value(re.compile("^Ada"))
    expect(page.locator("#takes li")).to_contain_text("Here is something else")
    go(page, "Clone")


def test_what_it_says_there_can_be_cancelled(app: App, result: Page) -> None:
    page, hold = result, app.home / HOLD
    hold.touch()
    page.fill("#try-text textarea", "One sentence comes after the other. " * 9)
    page.click("#try")
    expect(page.locator("#try-cancel")).to_be_focused()
    expect(page.locator("#try")).to_be_hidden()
    page.click("#other")
    expect(page.locator("#other-cancel")).to_be_focused()
    for what in ("try", "other"):
        page.click(f"#{what}-cancel")
        expect(page.locator(f"#{what}")).to_be_visible()
        expect(page.locator(f"#{what}-cancel")).to_be_hidden()
        expect(page.locator("#result")).to_contain_text("Stopped")
    hold.unlink()
    assert names(page) == ["Original", "Clone"]


def test_the_code_for_speaking_with_it_runs(app: App, result: Page) -> None:
    """With the key that lies in this machine's home, as it was cloned by its owner."""
    page = result
    open_drawer(page, "#voice-code-drawer")
    page.fill("#try-text textarea", "")
    expect(page.locator("#voice-code mark")).to_have_count(3)  # the text, in every language
    voice_id = page.input_value("#voice-id textarea, #voice-id input")
    expect(page.locator("#voice-code")).to_contain_text(voice_id)
    page.locator("#voice-code").get_by_role("tab", name="Python").click()
    page.fill("#try-text textarea", "It's said by a “program”.")
    expect(page.locator("#voice-code mark")).to_have_count(0)
    program = page.locator("#voice-code [role=tabpanel]:visible pre")
    expect(program).to_contain_text("import requests")  # the language stays chosen
    expect(program).to_contain_text("said by a “program”")
    assert ran(program.text_content() or "", app).startswith(app.url)
    assert_accessible(page)
    assert_fits(page)


def test_the_other_quality_comes_under_the_same_switch(result: Page, tmp_path: Path) -> None:
    page = result
    before = place(page, "#facts")
    expect(page.locator("#other")).to_have_text("Hear it in Best, and keep it")
    page.click("#other")
    expect(page.locator("#compare [role=radio]")).to_have_text(["Original", "Fast", "Best"])
    expect(page.locator("#other")).to_be_hidden()
    expect(page.locator("#other-cancel")).to_be_hidden()
    assert place(page, "#facts") == before
    expect(page.locator("#compare .tb-player:visible")).to_have_attribute("data-name", "Best")
    assert_speech(heard(page, "#compare a[download^='Best of Ada']", tmp_path))
    for width, dark in ((1440, False), (1024, True), (390, True)):
        page.set_viewport_size({"width": width, "height": 768})
        page.emulate_media(color_scheme="dark" if dark else "light")
        assert page.evaluate(COVERED, "#result") == []
        assert_fits(page)
    assert_accessible(page)
    page.get_by_role("button", name="Listen blind").click()
    assert names(page) == ["A", "B", "C"]
    assert page.evaluate(COVERED, "#result") == []
    assert_fits(page)
    page.get_by_role("button", name="Show the names").click()
    assert names(page) == ["Original", "Fast", "Best"]


def test_a_voice_without_a_preview_says_what_is_typed(visit: Visit) -> None:
    page = visit()
    choose_source(page, "Example")
    page.locator("#examples label").first.click()
    expect(page.locator("#voice-note .tb-ok")).to_be_visible()
    page.fill("#text textarea", "")
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#other")).to_have_text("Hear it in Fast, and keep it")
    page.click("#other")
    expect(page.locator("#other-note [role=alert]")).to_contain_text("nothing to say")
    page.fill("#try-text textarea", "It was typed.")
    page.click("#other")
    expect(page.locator("#compare [role=radio]")).to_have_text(["Original", "Fast"])
    expect(page.locator("#other-note")).to_be_hidden()
    expect(page.locator("#other")).to_have_text("Hear it in Best, and keep it")


def test_on_a_phone(visit: Visit, microphone: Browser, tmp_path: Path) -> None:
    """From the microphone to a voice with a name of its own, kept for good, and found among the others."""
    page = visit(within=microphone, width=390, dark=True)
    choose_source(page, "Record")
    page.click("#recorded button.record-button")
    expect(page.locator(".tb-meter")).to_contain_text("enough; ")
    expect(page.get_by_role("button", name="Stop recording")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#voice-note .tb-ok")).to_be_visible()
    page.fill("#text textarea", "Hello from a phone.")
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    heading, box = page.locator("#result h2"), page.locator("#new-voice")
    expect(heading).to_have_text("Recording")
    expect(box).to_contain_text("Expires in 7 days")
    box.get_by_role("button", name="Rename").click()
    expect(box.get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(box.get_by_role("button", name="Rename")).to_be_focused()
    box.get_by_role("button", name="Rename").click()
    box.get_by_label("Name").fill("Me, <b>aloud</b>")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Me, <b>aloud</b>")
    box.get_by_role("button", name="Keep for good").click()
    expect(box).to_contain_text("Kept for good")
    expect(box.get_by_role("button", name="Keep for good")).to_have_count(0)
    assert page.evaluate(COVERED, "#result") == []
    assert_fits(page)
    assert_accessible(page)
    go(page, "Voices")
    row = page.locator("#voices li").first
    expect(row).to_contain_text("Me, <b>aloud</b>")
    expect(row).to_contain_text("Kept")
    more(row).get_by_role("button", name="Rename").click()
    row.get_by_label("Name").fill("Mine")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("Mine")
    assert_fits(page)
    go(page, "Clone")
    expect(heading).to_have_text("Mine")
    page.locator("#compare").get_by_role("button", name="Play").click()
    playing(page, "#compare [data-name=Clone] audio")


def test_a_demo_before_an_audience(visit: Visit, tmp_path: Path) -> None:
    """From an example to what it says next, on a projector of 1024 by 768, with both qualities and blind listening."""
    page = visit()
    page.set_viewport_size({"width": 1024, "height": 768})
    choose_source(page, "Example")
    page.locator("#examples label").nth(1).click()
    expect(page.locator("#voice-note .tb-ok")).to_be_visible()
    page.fill("#text textarea", "Good evening, everybody.")
    page.check("#consent input")
    assert page.evaluate(COVERED, "#form") == []
    page.click("#clone")
    expect(page.locator("#result h2")).to_have_text("Ben")
    expect(page.locator("#compare")).to_be_in_viewport()
    page.click("#other")
    page.locator("#compare").get_by_role("button", name="Play").click()  # it is listened to meanwhile
    expect(page.locator("#compare [role=radio]")).to_have_text(["Original", "Best", "Fast"])
    for name in ("Original", "Best", "Fast"):
        page.get_by_role("radio", name=name, exact=True).click()
        expect(page.locator("#compare .tb-player:visible")).to_have_attribute("data-name", name)
    page.get_by_role("button", name="Listen blind").click()
    expect(page.locator("#compare .tb-blind")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="B is the recording").click()
    expect(page.locator("#compare .tb-outcome")).to_contain_text("of 1 times you told the recording from the clone.")
    page.get_by_role("button", name="Show the names").click()
    page.fill("#try-text textarea", "And now for something else.")
    page.click("#try")
    expect(page.locator("#tried .tb-player")).to_be_in_viewport(ratio=1)
    assert_speech(heard(page, "#tried-done a[download]", tmp_path))
    assert page.evaluate(COVERED, "#result") == []
    assert_fits(page)
    page.click("#again")
    expect(page.locator("#speak-text textarea")).to_have_value("And now for something else.")
