"""A document on the page: spoken, mended by sentence, taken away as a file, opened again and forgotten; and a table."""

from __future__ import annotations

import csv
import json
import re
import threading
import zipfile
from pathlib import Path

import av
from playwright.sync_api import Download, Page, expect

from tests.browser.driving import BUSY_JS, WAIT_MS, Visit, choose_turbo, go, open_drawer
from tests.browser.test_page import assert_accessible_by_day_and_night
from tests.browser.test_places import playing, result

__all__ = ["result"]


def write(page: Page) -> None:
    """Go where texts are spoken, once there is a voice for it; turbo speaks."""
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    choose_turbo(page, "#speak-model")


def test_a_document_is_mended_by_sentence_and_taken_away(visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    write(page)
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


def test_the_sentence_that_is_heard_is_marked_and_the_whole_can_be_sought(visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    page.fill("#speak-text textarea", "The <loud>boats came in.\nNobody saw them.\nIt was a cold morning.")
    expect(page.locator("#speak-language-said")).to_contain_text("Not understood, and not read out: <loud>")
    page.click("#speak")
    said = page.locator("#document .tb-sentences li")
    expect(said).to_have_count(3)
    expect(page.locator("#take-done a")).to_be_visible()
    page.wait_for_selector("#take-times [data-duration]:not([data-duration='0.00'])", state="attached")
    starts = json.loads(page.get_attribute("#take-times i", "data-starts") or "")
    assert [at for _, at in starts] == sorted(at for _, at in starts)
    page.locator("#take audio").evaluate(
        "(audio, at) => { audio.pause(); audio.currentTime = at; }", starts[1][1] + 0.2
    )
    expect(page.locator("#document [aria-current=true]")).to_contain_text("Nobody saw them.")
    expect(page.locator("#where")).to_contain_text(re.compile(r"Sentence 2 of 3, 0:0\d left"))
    track = page.locator("#take .tb-track")
    track.focus()
    page.keyboard.press("End")
    expect(page.locator("#document [aria-current=true]")).to_contain_text("cold morning")
    page.keyboard.press("Home")
    expect(page.locator("#document [aria-current=true]")).to_contain_text("The boats came in.")
    whole = page.get_attribute("#take audio", "src")
    page.get_by_role("button", name="Another take of sentence 1").click()
    expect(said.nth(0).get_by_role("combobox")).to_have_value("1")
    expect(page.locator("#take audio")).not_to_have_attribute("src", whole or "")  # the whole has the new take


def test_the_first_words_sound_while_the_next_are_not_yet_spoken(hold: Path, visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    page.fill("#speak-text textarea", "Hello. What comes then is held. And it ends.")
    hold.write_text("What comes then")
    page.click("#speak")
    page.wait_for_function("document.querySelector('#take audio')?.currentTime > 0.2")
    expect(page.locator("#speak-cancel")).to_be_visible()
    expect(page.locator("#take-done a")).to_have_count(0)
    hold.unlink()
    expect(page.locator("#take-done a")).to_be_visible()
    page.wait_for_function("document.querySelector('#take audio').src.startsWith('http')")  # from its file now
    page.wait_for_function("document.querySelector('#take audio').ended")


def test_what_was_spoken_while_the_browser_was_busy_is_heard(hold: Path, visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    page.fill("#speak-text textarea", "It is over before the page looks.")
    hold.touch()
    page.click("#speak")
    page.wait_for_selector("#speak-progress [role=progressbar]")
    threading.Timer(0.3, hold.unlink).start()
    page.evaluate(BUSY_JS)
    page.wait_for_function("document.querySelector('#take audio')?.ended")
    expect(page.locator("#take-done a")).to_be_visible()


def test_what_is_spoken_is_joined_after_a_reload(hold: Path, visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    text = "Nothing is lost. It goes on. It is heard to its end."
    page.fill("#speak-text textarea", text)
    hold.touch()
    page.click("#speak")
    page.wait_for_selector("#speak-progress [role=progressbar]")
    expect(page.locator("#document .tb-sentences li")).to_have_count(3)
    page.reload()
    expect(page.locator("#speak-cancel")).to_be_visible()
    expect(page.locator("#speak-text textarea")).to_have_value(text)
    expect(page.locator("#document .tb-sentences li")).to_have_count(3)
    hold.unlink()
    expect(page.locator("#take-done a")).to_be_visible()
    expect(page.locator("#speak")).to_be_visible()
    expect(page.locator("#speak-model input")).to_have_value(re.compile("turbo"))
    expect(page.locator("#document [data-do=apply]")).to_have_count(3)
    page.reload()  # and is over then
    page.wait_for_selector("#source")
    go(page, "Write")
    expect(page.locator("#takes li").filter(has_text="Nothing is lost.")).to_have_count(1)
    expect(page.locator("#speak-cancel")).to_have_count(0)


def test_what_is_stopped_after_a_reload_is_stopped(hold: Path, visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    page.fill("#speak-text textarea", "This is never said. Nor is this.")
    hold.touch()
    page.click("#speak")
    page.wait_for_selector("#speak-progress [role=progressbar]")
    expect(page.locator("#document .tb-sentences li")).to_have_count(2)
    page.reload()
    page.click("#speak-cancel")
    expect(page.locator("#speak-progress")).to_contain_text("Stopped")
    expect(page.locator("#speak")).to_be_visible()
    page.reload()
    page.wait_for_selector("#source")
    expect(page.get_by_role("tab", name="Clone")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#speak-cancel")).to_have_count(0)


def test_lines_with_a_name_are_offered_as_a_dialogue(visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    name = page.input_value("#speak-voice input").partition(" · ")[0]
    page.click("#speak-hear")
    page.wait_for_selector("#speak-heard .tb-player")
    playing(page, "#speak-heard audio")
    page.fill("#speak-text textarea", f"{name}: Who is there?\nIt was the wind.")
    offer = page.locator("#dialogue")
    expect(offer).to_contain_text(f"{name}: 1")
    offer.locator("input").check()
    page.click("#speak")
    said = page.locator("#document .tb-sentences li")
    expect(said).to_have_count(2)
    expect(said.nth(0)).not_to_contain_text(name)
    page.fill("#speak-text textarea", "Nobody is named.")
    expect(offer).to_have_count(0)


def test_a_chapter_is_spoken_through_a_reload_mended_and_bound(visit: Visit, result: Page, tmp_path: Path) -> None:
    """8,000 characters, as somebody makes an audiobook of them."""
    lines, n_chars = ["# The harbour"], 0
    while n_chars < 8_000:
        lines.append(f"On day {len(lines)} the boats came in late, and nobody who stood there said a word about it.")
        n_chars = len("\n\n".join(lines))
    chapter = tmp_path / "chapter.md"
    chapter.write_text("\n\n".join(lines))
    page = visit(beside=result)
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    with page.expect_file_chooser() as chooser:
        page.click("#open-text")
    chooser.value.set_files(chapter)
    expect(page.locator("#speak-text textarea")).to_have_value(re.compile("^# The harbour"))
    choose_turbo(page, "#speak-model")
    page.click("#speak-how button")
    page.fill("#speak-speed input[type=number]", "2")
    page.click("#speak")
    page.wait_for_selector("#take .tb-player")
    said = page.locator("#document .tb-sentences li")
    expect(said).to_have_count(len(lines))
    page.reload()
    expect(page.locator("#speak-cancel")).to_be_visible()
    page.wait_for_selector("#take .tb-player")  # heard from its first sentence on, again
    expect(page.locator("#take-done a")).to_be_visible(timeout=4 * WAIT_MS)
    expect(page.locator("#document [data-do=apply]")).to_have_count(len(lines))

    page.get_by_role("button", name="Another take of sentence 3", exact=True).click()
    expect(said.nth(2).get_by_role("combobox")).to_have_value("1")
    for number in (5, 7):
        page.get_by_role("button", name=f"Edit sentence {number}", exact=True).click()
        page.get_by_label(f"Sentence {number}", exact=True).fill(f"This is sentence {number} now.")
        page.keyboard.press("Enter")
        expect(said.nth(number - 1)).to_contain_text("changed")
    expect(page.locator("#changes")).to_have_text("Speak changes: 2")
    page.click("#changes")
    expect(page.locator("#changes")).to_have_count(0)
    page.click("#export-as input")
    page.get_by_role("option", name="Audiobook").click()
    with page.expect_download() as saved:
        page.click("#export")
    book = tmp_path / "book.m4b"
    saved.value.save_as(book)
    starts = json.loads(page.get_attribute("#take-times i", "data-starts") or "")
    with av.open(str(book)) as file:
        assert [each["metadata"]["title"] for each in file.chapters()] == ["The harbour"]
        assert float(file.duration or 0) / 1e6 > starts[-1][1] > len(lines)


def test_how_a_word_is_said_is_set_kept_and_offered_for_a_word_that_was_not_heard(visit: Visit, result: Page) -> None:
    page = visit(beside=result)
    write(page)
    page.click("#speak-how button")
    page.fill("#readings-own textarea", "boats")
    page.evaluate("localStorage.removeItem('timbre-readings')")  # as news from before that comes late
    page.click("#speak-how > button")
    page.click("#speak-how > button")
    expect(page.locator("#readings-own textarea")).to_have_value("boats")  # what is written is not taken away
    page.fill("#speak-text textarea", "Two boats.")
    page.click("#speak")
    expect(page.locator("#speak-progress .tb-refuse")).to_contain_text("“boats” is no pronunciation")
    page.fill("#readings-own textarea", "boats = ships")
    page.fill("#readings-all textarea", "Nguyen = win")
    page.click("#speak")
    expect(page.locator("#take-done a")).to_be_visible()
    page.reload()
    go(page, "Write")
    expect(page.locator("#speak-voice input")).not_to_have_value("")
    page.click("#speak-how button")
    expect(page.locator("#readings-own textarea")).to_have_value("boats = ships")
    expect(page.locator("#readings-all textarea")).to_have_value("Nguyen = win")

    go(result, "Clone")
    expect(result.locator("#result")).to_be_visible()
    result.evaluate(
        "document.querySelector('#result').insertAdjacentHTML('beforeend', '<button data-mend=Aoife>It</button>')"
    )
    result.click("[data-mend=Aoife]")
    expect(result.locator("#readings-own textarea")).to_have_value(re.compile("Aoife = $"))
    expect(result.locator("#readings-own textarea")).to_be_focused()


def report(saved: Download, path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """What is in a zip of speech, and of its report the rows: their files, and what came of each."""
    saved.save_as(path)
    with zipfile.ZipFile(path) as archive:
        told = csv.DictReader(archive.read("report.csv").decode().splitlines())
        return archive.namelist(), [(row["file"], row["status"]) for row in told]


def test_a_table_is_spoken_into_a_zip(visit: Visit, result: Page, tmp_path: Path) -> None:
    page = visit(beside=result)
    write(page)
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


def test_what_was_spoken_of_a_table_is_kept_after_a_stop(
    hold: Path, visit: Visit, result: Page, tmp_path: Path
) -> None:
    page = visit(beside=result)
    write(page)
    open_drawer(page, "#batch-drawer")
    table = tmp_path / "table.csv"
    table.write_text("text\n" + "".join(f"Number {number}.\n" for number in range(60)))
    page.set_input_files("#batch-file input[type=file]", table)
    page.wait_for_selector("#batch-file .file-preview")
    page.click("#batch")
    expect(page.locator("#batch-rows li").nth(1)).to_be_visible()
    hold.touch()
    page.click("#batch-cancel")
    expect(page.locator("#batch-progress .tb-info")).to_contain_text("What was spoken is kept.")
    hold.unlink()
    expect(page.locator("#batch")).to_be_focused()
    n_rows = page.locator("#batch-rows li").count()
    expect(page.locator("#batch-progress")).to_contain_text(f"Stopped after {n_rows} rows.")
    with page.expect_download() as saved:
        page.click("#batch-done a")
    names, told = report(saved.value, tmp_path / "spoken.zip")
    assert 2 <= n_rows < 60
    assert told == [(name, "spoken") for name in names[:-1]]
    assert len(told) == n_rows
