"""Bad files on the page: each is one clear message at the recording, and the page goes on working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.bad_input import REFUSED, TAKEN, write_all
from tests.browser.driving import App

EMPTY = "empty.mp3"


def test_bad_files_are_refused_where_they_were_given(visit: Callable[..., Page], tmp_path: Path) -> None:
    write_all(tmp_path)
    page = visit()
    note = page.locator("#voice-note")
    for name in REFUSED.keys() - {EMPTY}:
        page.set_input_files("#uploaded input[type=file]", tmp_path / name)
        expect(note.locator(".tb-refuse")).to_be_visible()
        expect(note).not_to_contain_text("Traceback")
        expect(note).not_to_contain_text("/tmp")
        page.locator("#uploaded button[aria-label=Clear]").click()
        expect(note.locator(".tb-refuse")).to_have_count(0)
    page.set_input_files("#uploaded input[type=file]", tmp_path / TAKEN[-1])
    expect(note).to_contain_text("Ready to clone")


def test_an_empty_file(browser: Browser, app: App, tmp_path: Path) -> None:
    """On a page of its own, whose console may complain: Gradio's player asks for the first byte of it."""
    write_all(tmp_path)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(app.url)
        page.set_input_files("#uploaded input[type=file]", tmp_path / EMPTY)
        expect(page.locator("#voice-note .tb-refuse")).to_contain_text("The file is empty.")
