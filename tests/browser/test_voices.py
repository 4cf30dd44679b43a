"""The visitor's voices: found, sorted, named, noted, kept, forgotten and brought back, by mouse and by keyboard."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from clone.core.likeness import Likeness
from clone.storage.voices import utc_now
from tests.browser.driving import App, Visit, go, heard, more
from tests.browser.test_page import assert_accessible, assert_accessible_by_day_and_night, assert_fits
from tests.running import COLD
from tests.voices import keep

EVIL = "<img src=x onerror=console.error(1)>"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, examples: list[Path]) -> Iterator[App]:
    home = tmp_path_factory.mktemp("house") / "home"
    soon = utc_now() - timedelta(days=6, hours=20)
    keep(
        home,
        [
            {"name": "Zoë Café", "note": "For the trailer."},
            {"name": "Ben", "created_at": soon} | Likeness(0.6, 0.9, 0.5, 51, 54, 2, 10).to_dict(),
            {"name": EVIL, "note": EVIL, "likeness": None, "permanent_at": soon},
            {"name": "Ada"} | Likeness(0.54, 0.9, 0.5, 40, 54, 1, 10).to_dict(),
        ],
        examples[0].read_bytes(),
    )
    running = App(home, COLD)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = App(tmp_path_factory.mktemp("another") / "home", COLD)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def other_house(another: App) -> App:
    """A house with no voice in it yet."""
    with sqlite3.connect(another.home / "library.db") as db:
        db.execute("DELETE FROM voices")
    return another


@pytest.fixture
def page(visit: Visit, house: App) -> Page:
    page: Page = visit(of=house, owner=True)
    go(page, "Voices")
    expect(page.locator(".tb-found")).to_contain_text("4 voices")
    return page


def row(page: Page, number: int) -> Locator:
    return page.locator(f"[data-voice=voice_{number:04}]")


def order(page: Page) -> list[str]:
    return [name.split()[0] for name in page.locator("#voices li strong").all_text_contents()]


def test_voices_are_found_and_sorted_without_asking(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert order(page) == ["Ada", "<img", "Zoë", "Ben"]
    for sort, first in (("Name", "<img"), ("Expires soonest", "Ben"), ("Likeness", "Ben"), ("Newest", "Ada")):
        page.get_by_label("Sort by").select_option(sort)
        assert order(page)[0] == first
    page.get_by_label("Search").fill("cafe trailer")
    assert order(page) == ["Zoë"]
    expect(page.locator(".tb-found")).to_have_text("1 of 4 voices")
    page.get_by_label("Search").fill("nobody at all")
    expect(page.locator(".tb-found")).to_have_text("0 of 4 voices")
    page.get_by_label("Search").fill("")
    assert len(order(page)) == 4
    assert not asked


def test_each_row_says_what_there_is_to_know(page: Page) -> None:
    expect(row(page, 0)).to_contain_text("Expires in 6 days 23 h")
    expect(row(page, 1).locator(".tb-soon")).to_contain_text("Expires in 3 h")
    expect(row(page, 2)).to_contain_text("Kept for good")
    expect(row(page, 2).get_by_role("button", name="Keep")).to_have_count(0)
    expect(row(page, 2).locator("strong")).to_have_text(EVIL)
    expect(row(page, 3)).to_contain_text("This machine · speech-02-hd")
    expect(row(page, 3)).to_contain_text("likeness 10 %")
    for each in (1, 3):  # without a note
        box = row(page, each).bounding_box()
        assert box is not None
        assert box["height"] <= 60
    expect(row(page, 3).locator("code")).to_be_hidden()
    expect(more(row(page, 3)).locator("code")).to_have_text("voice_0003")


def test_a_voice_is_named_and_noted_by_keyboard_alone(page: Page, visit: Visit, house: App) -> None:
    rename = more(row(page, 0)).get_by_role("button", name="Rename")
    rename.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("Never mind")
    page.keyboard.press("Escape")
    expect(rename).to_be_focused()
    expect(row(page, 0).locator("strong")).to_have_text("Zoë Café")
    page.keyboard.press("Enter")
    page.keyboard.type(EVIL + " Zoë")
    page.keyboard.press("Enter")
    expect(row(page, 0).locator("strong")).to_have_text(EVIL + " Zoë")
    expect(rename).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("Deep, calm.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row(page, 0)).to_contain_text("Deep, calm.")
    expect(row(page, 0).get_by_role("button", name="Edit note")).to_be_focused()
    again = visit(of=house, owner=True)
    go(again, "Voices")
    expect(row(again, 0)).to_contain_text("Deep, calm.")
    rename.click()
    row(page, 0).get_by_label("Name", exact=True).fill("   ")
    page.keyboard.press("Enter")
    expect(page.locator("#voices-note [role=alert]")).to_contain_text("The name is empty")
    assert_accessible_by_day_and_night(page)
    expect(row(page, 0).locator("strong")).to_have_text(EVIL + " Zoë")


def test_a_list_that_comes_anew_leaves_an_open_editor_alone(page: Page, visit: Visit, house: App) -> None:
    more(row(page, 1)).get_by_role("button", name="Rename").click()
    page.keyboard.type("Half a na")
    other = visit(of=house, owner=True)
    go(other, "Voices")
    more(row(other, 0)).get_by_role("button", name="note").click()
    other.keyboard.type("Meanwhile.")
    other.keyboard.press("Enter")
    expect(row(other, 0)).to_contain_text("Meanwhile.")
    go(page, "Clone")
    go(page, "Voices")
    page.wait_for_timeout(800)
    expect(row(page, 1).get_by_label("Name", exact=True)).to_have_value("Half a na")
    expect(row(page, 0)).not_to_contain_text("Meanwhile.")
    row(page, 1).get_by_label("Name", exact=True).press("Escape")
    expect(row(page, 0)).to_contain_text("Meanwhile.")
    expect(row(page, 1).get_by_role("button", name="Rename")).to_be_focused()


def test_preview_and_sample_play_in_the_one_player(page: Page, tmp_path: Path) -> None:
    expect(page.locator("#voice-player")).to_be_hidden()
    row(page, 3).get_by_role("button", name="Play preview").click()
    expect(page.locator("#voice-player")).to_contain_text("Preview of Ada")
    more(row(page, 1)).get_by_role("button", name="Play original").click()
    expect(page.locator("#voice-player")).to_contain_text("Original of Ben")
    assert heard(page, "#voice-player a[download]", tmp_path).duration_s > 10
    expect(page.locator("#voice-player a[download]")).to_have_attribute("download", "Original of Ben.m4a")


def test_keeping_is_free_and_one_press(page: Page) -> None:
    row(page, 1).get_by_role("button", name="Keep").click()
    expect(row(page, 1)).to_contain_text("Kept for good")
    expect(row(page, 1).get_by_role("button", name="Keep")).to_have_count(0)


def test_several_are_kept_and_forgotten_at_once(page: Page) -> None:
    expect(page.locator(".tb-picked")).to_be_hidden()
    for each in (0, 1):
        row(page, each).get_by_role("checkbox").check()
    chosen = page.get_by_role("group", name="With the chosen voices")
    expect(chosen).to_contain_text("2 chosen")
    chosen.get_by_role("button", name="Keep for good").click()
    for each in (0, 1):
        expect(row(page, each)).to_contain_text("Kept for good")
        expect(row(page, each).get_by_role("checkbox")).to_be_checked()
    assert_accessible(page)
    chosen.get_by_role("button", name="Forget").click()
    for each in (0, 1):
        expect(row(page, each)).to_contain_text("was forgotten")
    expect(chosen).to_be_hidden()
    for each in (0, 1):
        row(page, each).get_by_role("button", name="Undo").click()
        expect(row(page, each)).to_contain_text("Kept for good")


def test_only_some_are_shown(page: Page) -> None:
    page.get_by_label("Show").select_option("Kept for good")
    expect(row(page, 2)).to_be_visible()
    n_shown = page.locator("#voices li").count()
    expect(page.locator("#voices li").filter(has_text="Kept for good")).to_have_count(n_shown)
    page.get_by_label("Show").select_option("Expires this week")
    expect(row(page, 2)).to_have_count(0)
    page.get_by_label("Search").fill("zzz")
    expect(page.locator(".tb-nothing")).to_contain_text("No voice matches “zzz”.")
    page.get_by_role("button", name="Clear search").click()
    expect(page.locator(".tb-found")).to_have_text("4 voices")
    expect(page.locator(".tb-nothing")).to_be_hidden()
    expect(page.get_by_label("Search")).to_be_focused()


def test_a_forgotten_voice_comes_back(page: Page, visit: Visit, house: App) -> None:
    more(row(page, 3)).get_by_role("button", name="Forget").focus()
    page.keyboard.press("Enter")
    undo = row(page, 3).get_by_role("button", name="Undo")
    expect(row(page, 3)).to_contain_text("Ada was forgotten.")
    expect(undo).to_contain_text("s)")
    expect(undo).to_be_focused()
    expect(page.locator(".tb-found")).to_have_text("3 voices")
    expect(page.locator(".tb-told")).to_have_text("Ada was forgotten.")
    assert_accessible(page)
    other = visit(of=house, owner=True)
    go(other, "Voices")
    expect(other.locator(".tb-found")).to_have_text("3 voices")
    page.keyboard.press("Enter")
    expect(row(page, 3).locator("strong")).to_have_text("Ada")
    expect(row(page, 3).get_by_role("button", name="Forget")).to_be_focused()
    expect(page.locator(".tb-found")).to_have_text("4 voices")
    assert order(page)[0] == "Ada"


def test_a_voice_that_is_gone_is_not_spoken_with(page: Page, visit: Visit, house: App) -> None:
    other = visit(of=house, owner=True)
    go(other, "Voices")
    more(row(other, 3)).get_by_role("button", name="Forget").click()
    expect(row(other, 3)).to_contain_text("Ada was forgotten.")
    row(page, 3).get_by_role("button", name="Speak").click()
    expect(page.locator("#voices-note [role=alert]")).to_contain_text("no longer here")
    expect(page.get_by_role("tab", name="Voices", exact=True)).to_have_attribute("aria-selected", "true")
    row(other, 3).get_by_role("button", name="Undo").click()
    expect(row(other, 3).locator("strong")).to_have_text("Ada")
    row(page, 3).get_by_role("button", name="Speak").click()
    expect(page.locator("#speak-text textarea")).to_be_focused()
    expect(page.locator("#speak-voice input")).to_have_value(re.compile("^Ada"))


def test_a_card_says_whose_it_is(page: Page) -> None:
    more(row(page, 1)).get_by_role("button", name="Share").click()
    expect(page.locator("#voices-note a")).to_have_text("Save the card of Ben")


def test_when_the_last_voice_is_gone_the_next_step_is_to_clone_one(visit: Visit, other_house: App) -> None:
    keep(other_house.home, [{"name": "Ada"}], b"x")
    page = visit(of=other_house, owner=True)
    page.clock.install()
    page.reload()
    go(page, "Voices")
    more(row(page, 0)).get_by_role("button", name="Forget").focus()
    page.keyboard.press("Enter")
    expect(row(page, 0).get_by_role("button", name="Undo")).to_be_focused()
    page.clock.fast_forward("00:30")
    expect(page.locator("#voices")).to_contain_text("No voices yet")
    expect(page.locator("#voices").get_by_role("link", name="Clone a voice")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#source input:checked")).to_be_focused()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_everybody_can_use_the_list(visit: Visit, house: App, width: int, dark: bool) -> None:
    page = visit(of=house, owner=True, width=width, dark=dark)
    go(page, "Voices")
    more(row(page, 0)).get_by_role("button", name="Rename").click()
    more(row(page, 1)).get_by_role("button", name="note").click()
    row(page, 3).get_by_role("button", name="Play preview").click()
    page.wait_for_selector("#voice-player a[download]")
    page.evaluate("scrollTo(0, 0)")  # what is played stays on top: scrolled, it may lie over half of a field
    assert_accessible(page)
    assert_fits(page)


def test_a_thousand_voices(visit: Visit, other_house: App) -> None:
    keep(other_house.home, [{"name": f"Narrator {number}"} for number in range(1000)], b"x")
    page = visit(of=other_house, owner=True)
    go(page, "Voices")
    expect(page.locator(".tb-found")).to_have_text("1,000 voices")
    assert page.locator("#voices li").count() <= 100  # the rest comes when it is scrolled to, or asked for
    expect(page.locator("#voices li").first).to_contain_text("Narrator 999")
    page.get_by_label("Search").press_sequentially("narrator 12")
    expect(page.locator(".tb-found")).to_have_text("20 of 1,000 voices")
    assert page.locator("#voices li").count() == 20
    page.get_by_label("Search").fill("")
    page.get_by_label("Sort by").select_option("Name")
    expect(page.locator("#voices li").first).to_contain_text("Narrator 0")
