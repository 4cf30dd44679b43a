"""A document on the page: spoken, mended by sentence, taken away as a file, opened again and forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import av
from playwright.sync_api import Page, expect

from tests.browser.driving import Visit, choose_turbo, go
from tests.browser.test_page import assert_accessible_by_day_and_night
from tests.browser.test_places import playing, result

__all__ = ["result"]


def test_a_document_is_mended_by_sentence_and_taken_away(visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")
    opened = tmp_path / "morning.md"
    opened.write_text("# Morning\n\nThe boats came in. Nobody saw them.\n")
    with page.expect_file_chooser() as chooser:
        page.click("#open-text")
    chooser.value.set_files(opened)
    expect(page.locator("#speak-text textarea")).to_have_value(re.compile("^# Morning"))
    page.click("#speak")
    said = page.locator("#document .tb-sentences li")
    expect(said).to_have_count(3)
    expect(said.nth(1)).to_contain_text("The boats came in.")
    assert_accessible_by_day_and_night(page)

    page.get_by_role("button", name="Another take of sentence 2").click()
    expect(said.nth(1).get_by_role("combobox")).to_have_value("1")
    playing(page, "#sentence-player audio")
    page.get_by_role("button", name="Edit sentence 3").click()
    page.get_by_label("Sentence 3", exact=True).fill("Everybody saw them.")
    page.keyboard.press("Enter")
    expect(said.nth(2)).to_contain_text("changed")
    expect(page.locator("#changes")).to_have_text("Speak changes: 1")
    page.click("#changes")
    expect(page.locator("#changes")).to_have_count(0)
    expect(said.nth(2)).not_to_contain_text("changed")

    page.click("#export-as input")
    page.get_by_role("option", name="Audiobook").click()
    with page.expect_download() as saved:
        page.click("#export")
    book = tmp_path / saved.value.suggested_filename
    saved.value.save_as(book)
    assert book.suffix == ".m4b"
    with av.open(str(book)) as file:
        assert [each["metadata"]["title"] for each in file.chapters()] == ["Morning"]

    page.reload()
    page.wait_for_selector("#places")
    go(page, "Write")
    before = page.locator("#takes li").filter(has_text="Morning")
    before.get_by_role("button", name="Open").click()
    expect(said.nth(2)).to_contain_text("Everybody saw them.")
    before.get_by_role("button", name="Forget").click()
    expect(before).to_have_count(0)
    expect(page.locator("#document")).to_have_count(0)
