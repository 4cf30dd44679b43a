"""A document on the page: spoken, mended by sentence, taken away as a file, opened again and forgotten; and a table."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path

import av
from playwright.sync_api import Download, Page, expect

from tests.browser.driving import HOLD, App, Visit, choose_turbo, go, open_drawer
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


def report(saved: Download, path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """What is in a zip of speech, and of its report the rows: their files, and what came of each."""
    saved.save_as(path)
    with zipfile.ZipFile(path) as archive:
        told = csv.DictReader(archive.read("report.csv").decode().splitlines())
        return archive.namelist(), [(row["file"], row["status"]) for row in told]


def test_a_table_is_spoken_into_a_zip(visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")
    open_drawer(page, "#batch-drawer")
    page.click("#batch")
    expect(page.locator("#batch-note [role=alert]")).to_contain_text("There is no table yet.")
    table = tmp_path / "table.csv"
    table.write_text("text,voice,file\nCome in.,,first.wav\nNever.,Nobody,\n<b>Walk</b> home.,,\n")
    page.set_input_files("#batch-file input[type=file]", table)
    page.wait_for_selector("#batch-file .file-preview")
    expect(page.locator("#batch-note [role=alert]")).to_have_count(0)
    page.click("#batch")
    rows = page.locator("#batch-rows li")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("No voice of yours is “Nobody”.")
    expect(page.locator("#batch-progress .tb-ok")).to_contain_text("2 rows spoken. 1 row failed")
    expect(page.locator("#batch")).to_be_visible()
    assert_accessible_by_day_and_night(page)
    with page.expect_download() as saved:
        page.click("#batch-done a")
    names, told = report(saved.value, tmp_path / "spoken.zip")
    assert names == ["first.wav", "b Walk b home.mp3", "report.csv"]
    assert told == [("first.wav", "spoken"), ("", "failed"), ("b Walk b home.mp3", "spoken")]
    table.write_text("say,who\nCome in.,Ada\n")
    page.locator("#batch-file").get_by_label("Clear").click()
    page.set_input_files("#batch-file input[type=file]", table)
    page.wait_for_selector("#batch-file .file-preview")
    page.click("#batch")
    expect(page.locator("#batch-note [role=alert]")).to_contain_text("must name the columns")
    expect(rows).to_have_count(0)
    expect(page.locator("#batch-done a")).to_have_count(0)


def test_what_was_spoken_of_a_table_is_kept_after_a_stop(app: App, visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")
    open_drawer(page, "#batch-drawer")
    table = tmp_path / "table.csv"
    table.write_text("text\n" + "".join(f"Number {number}.\n" for number in range(60)))
    page.set_input_files("#batch-file input[type=file]", table)
    page.wait_for_selector("#batch-file .file-preview")
    hold = app.home / HOLD
    page.click("#batch")
    try:
        expect(page.locator("#batch-rows li").nth(1)).to_be_visible()
        hold.touch()
        page.click("#batch-cancel")
        expect(page.locator("#batch-progress .tb-info")).to_contain_text("What was spoken is kept.")
    finally:
        hold.unlink(missing_ok=True)
    expect(page.locator("#batch")).to_be_focused()
    n_rows = page.locator("#batch-rows li").count()
    expect(page.locator("#batch-progress")).to_contain_text(f"Stopped after {n_rows} rows.")
    with page.expect_download() as saved:
        page.click("#batch-done a")
    names, told = report(saved.value, tmp_path / "spoken.zip")
    assert 2 <= n_rows < 60
    assert told == [(name, "spoken") for name in names[:-1]]
    assert len(told) == n_rows
