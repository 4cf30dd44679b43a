"""An agency with a thousand voices: found, tagged, taken away and forgotten by many at once; and brought elsewhere."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from clone.storage.voices import utc_now
from tests.browser.driving import App, Visit, go, more, open_drawer
from tests.browser.test_page import assert_accessible, assert_accessible_by_day_and_night, assert_fits
from tests.running import COLD
from tests.voices import keep

N_VOICES = 1_000
N_SOON = 12
"""Those that expire this week; all others are kept for good, but for the newest three."""


def named(number: int) -> dict[str, object]:
    """Number 999 is the newest; every fifth is a child's, every 250th hosted."""
    now = utc_now()
    told: dict[str, object] = {
        "name": f"Narrator {number}",
        "settings": {},
        "tags": ("child",) if number % 5 == 0 else ("Adult", "deep"),
    }
    if number >= N_SOON:
        told["permanent_at"] = now
    else:
        told["created_at"] = now - timedelta(days=6)
    return told | ({"backend": "novita"} if number and number % 250 == 0 else {})


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory, examples: list[Path]) -> Iterator[App]:
    home = tmp_path_factory.mktemp("agency") / "home"
    keep(home, [named(number) for number in range(N_VOICES)], b"no sound")
    for number in (7, 8):  # these are heard
        for name in ("reference", "preview"):
            (home / "audio" / "voices" / f"voice_{number:04}" / f"{name}.m4a").write_bytes(examples[0].read_bytes())
    running = App(home, COLD)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def page(visit: Visit, agency: App) -> Page:
    page: Page = visit(of=agency, owner=True)
    go(page, "Voices")
    expect(page.locator(".tb-found")).to_have_text("1,000 voices")
    return page


def row(page: Page, number: int) -> Locator:
    return page.locator(f"[data-voice=voice_{number:04}]")


def chosen(page: Page) -> Locator:
    return page.get_by_role("group", name="With the chosen voices")


def manifest(saved: Download, folder: Path) -> dict[str, object]:
    path = folder / saved.suggested_filename
    saved.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        found: dict[str, object] = json.loads(archive.read("manifest.json"))
    return found


def test_many_are_found_tagged_taken_away_and_forgotten(page: Page, agency: App, tmp_path: Path) -> None:
    assert page.locator("#voices li[data-voice]").count() <= 100
    page.get_by_label("Search").fill("zzz")
    expect(page.locator(".tb-nothing")).to_contain_text("No voice matches “zzz”.")
    page.get_by_role("button", name="Clear search").click()
    page.locator("#voices-tag").select_option("child")
    expect(page.locator(".tb-found")).to_have_text("200 of 1,000 voices")
    page.locator("#voices-show").select_option("Expires this week")
    expect(page.locator(".tb-found")).to_have_text("3 of 1,000 voices")
    page.get_by_label("Search").fill("narrator 5")
    expect(page.locator("#voices li[data-voice]")).to_have_count(1)
    page.get_by_label("Search").fill("")

    page.get_by_label("Choose all").check()
    expect(chosen(page)).to_contain_text("3 chosen")
    chosen(page).get_by_role("button", name="Tag").click()
    page.keyboard.type("Casting 7, child")
    page.keyboard.press("Enter")
    for number in (0, 5, 10):
        expect(row(page, number).locator(".tb-tags")).to_have_text("child Casting 7")
    expect(chosen(page).get_by_role("button", name="Tag")).to_be_focused()
    page.locator("#voices-tag").select_option("Casting 7")
    expect(page.locator(".tb-found")).to_have_text("3 of 1,000 voices")
    chosen(page).get_by_role("button", name="Tag").click()
    page.keyboard.type("CHILD")
    chosen(page).get_by_role("button", name="Remove").click()
    expect(row(page, 5).locator(".tb-tags")).to_have_text("Casting 7")
    assert_accessible(page)

    with page.expect_download() as saved:
        chosen(page).get_by_role("button", name="Export").click()
    assert saved.value.suggested_filename == "3 voices.timbre"
    told = manifest(saved.value, tmp_path)["voices"]
    assert isinstance(told, list)
    assert [(each["name"], each["tags"]) for each in told] == [
        (f"Narrator {number}", ["Casting 7"]) for number in (10, 5, 0)
    ]
    link = page.locator("#voices-note a").get_attribute("href") or ""
    assert page.request.get(agency.url + link).ok

    chosen(page).get_by_role("button", name="Forget").click()
    expect(page.locator(".tb-found")).to_have_text("0 of 997 voices")
    expect(chosen(page)).to_be_hidden()
    undo = page.get_by_role("button", name="Undo all")
    expect(undo).to_be_focused()
    assert page.request.get(agency.url + link).status == 404  # a copy goes with the voice
    assert_accessible(page)
    undo.press("Enter")
    expect(page.locator(".tb-found")).to_have_text("3 of 1,000 voices")
    expect(undo).to_be_hidden()
    expect(row(page, 5).locator(".tb-tags")).to_have_text("Casting 7")


def test_one_is_tagged_and_found_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("Search").focus()
    page.keyboard.type("narrator 999")
    expect(page.locator("#voices li[data-voice]")).to_have_count(1)
    more_of_it = row(page, 999).locator("[data-do=menu]")
    for _ in range(12):
        if page.evaluate("document.activeElement.dataset.do") == "menu":
            break
        page.keyboard.press("Tab")
    expect(more_of_it).to_be_focused()
    page.keyboard.press("Enter")
    edit = row(page, 999).get_by_role("button", name="Edit tags")
    while not edit.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row(page, 999).get_by_label("Tags", exact=True)).to_have_value("Adult, deep")
    page.keyboard.press("Escape")
    expect(edit).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("Ünïque, <b>bold</b>")
    page.keyboard.press("Enter")
    expect(row(page, 999).locator(".tb-tags em")).to_have_text(["Ünïque", "<b>bold</b>"])
    expect(edit).to_be_focused()
    page.get_by_label("Search").fill("unique")
    expect(page.locator("#voices li[data-voice]")).to_have_count(1)
    edit.press("Enter")
    page.keyboard.type(",".join("abcdefghi"))
    page.keyboard.press("Enter")
    expect(page.locator("#voices-note [role=alert]")).to_contain_text("9 tags; at most 8")
    expect(row(page, 999).locator(".tb-tags em")).to_have_count(2)


def test_what_is_chosen_and_out_of_sight_is_said(page: Page) -> None:
    page.get_by_label("Search").fill("narrator 77")
    page.get_by_label("Choose all").check()
    expect(chosen(page)).to_contain_text("19 chosen")
    page.get_by_label("Search").fill("narrator 770")
    expect(chosen(page)).to_contain_text("19 chosen, 18 of them not shown")
    page.get_by_label("Search").fill("narrator")
    assert page.get_by_label("Choose all").evaluate("box => box.indeterminate")
    page.get_by_label("Choose all").check()
    expect(chosen(page)).to_contain_text("1,000 chosen")
    chosen(page).get_by_role("button", name="Export").click()
    expect(page.locator("#voices-note [role=alert]")).to_contain_text("a file holds 1 to 50")
    chosen(page).get_by_role("button", name="Choose none").click()
    expect(chosen(page)).to_be_hidden()


def test_a_hosted_voice_is_in_no_file(page: Page) -> None:
    page.locator("#voices-show").select_option("At Novita")
    expect(page.locator("#voices li[data-voice]")).to_have_count(3)
    expect(more(row(page, 250)).get_by_role("button", name="Export")).to_have_count(0)
    row(page, 250).get_by_role("checkbox").check()
    chosen(page).get_by_role("button", name="Export").click()
    expect(page.locator("#voices-note [role=alert]")).to_contain_text("lives at the hosted service")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_everybody_can_use_it(visit: Visit, agency: App, width: int, dark: bool) -> None:
    page = visit(of=agency, owner=True, width=width, dark=dark)
    go(page, "Voices")
    open_drawer(page, "#import-drawer")
    expect(page.locator("#import")).to_be_visible()
    row(page, 998).get_by_role("checkbox").check()
    row(page, 999).get_by_role("checkbox").check()
    chosen(page).get_by_role("button", name="Tag").click()
    more(row(page, 997)).get_by_role("button", name="Edit tags").click()
    assert_accessible(page)
    assert_fits(page)


def test_voices_of_a_file_come_in_by_consent(visit: Visit, agency: App, tmp_path: Path) -> None:
    owner = visit(of=agency, owner=True)
    go(owner, "Voices")
    owner.get_by_label("Search").fill("narrator 7")
    owner.get_by_label("Sort by").select_option("Expires soonest")
    more(row(owner, 7)).get_by_role("button", name="Edit tags").click()
    owner.keyboard.type("Brought along")
    owner.keyboard.press("Enter")
    expect(row(owner, 7).locator(".tb-tags")).to_have_text("Brought along")
    with owner.expect_download() as saved:
        row(owner, 7).get_by_role("button", name="Export").click()
    assert saved.value.suggested_filename == "Narrator 7.timbre"
    file, bad = tmp_path / "seven.timbre", tmp_path / "bad.timbre"
    saved.value.save_as(file)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)

    page = visit(of=agency)
    go(page, "Voices")
    open_drawer(page, "#import-drawer")
    page.click("#import")
    expect(page.locator("#import-file-note [role=alert]")).to_contain_text("There is no file yet.")
    expect(page.locator("#import-consent-note [role=alert]")).to_contain_text("Consent is not confirmed.")
    assert_accessible_by_day_and_night(page)
    page.set_input_files("#import-file input[type=file]", bad)
    page.wait_for_selector("#import-file .file-preview")
    page.check("#import-consent input")
    expect(page.locator("#import-consent-note [role=alert]")).to_have_count(0)
    page.click("#import")
    expect(page.locator("#import-file-note [role=alert]")).to_contain_text("is damaged")
    page.get_by_label("Remove this file").or_(page.locator("#import-file").get_by_label("Clear")).first.click()
    expect(page.locator("#import-consent input")).not_to_be_checked()
    expect(page.locator("#import-file-note [role=alert]")).to_have_count(0)
    page.set_input_files("#import-file input[type=file]", file)
    page.wait_for_selector("#import-file .file-preview")
    page.click("#import")
    expect(page.locator("#import-consent-note [role=alert]")).to_be_visible()
    page.check("#import-consent input")
    page.click("#import")
    expect(page.locator("#import-progress .tb-ok")).to_contain_text("1 voice came in.")
    mine = page.locator("#voices li[data-voice]")
    expect(mine).to_have_count(1)
    expect(mine.locator("strong")).to_have_text("Narrator 7")
    expect(mine.locator(".tb-tags")).to_have_text("Brought along")
    expect(mine).to_contain_text(re.compile("Expires in [67] days"))
    expect(page.locator("#import-consent input")).not_to_be_checked()
    expect(page.locator("#import-file .file-preview")).to_have_count(0)
    with sqlite3.connect(agency.home / "library.db") as db:
        ((consent_by, owner_of),) = db.execute("SELECT consent_by, owner FROM voices WHERE owner != 'local'").fetchall()
    assert consent_by == owner_of
