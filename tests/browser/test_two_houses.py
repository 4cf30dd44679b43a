"""One Timbre clones at another: the page of the first, the served API of the second, a recording lent between."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.driving import CLONED, App, Visit, choose_novita, choose_turbo, go, heard, upload
from tests.browser.test_walk import assert_speech
from tests.running import COLD

KEY = "tb-the-second-house-51f0c2"


def permanent_at(house: App, voice_id: str) -> str | None:
    with sqlite3.connect(house.home / "library.db") as db:
        ((found,),) = db.execute("SELECT permanent_at FROM voices WHERE voice_id = ?", (voice_id,)).fetchall()
    return found  # type: ignore[no-any-return]


def test_a_voice_cloned_at_another_house_is_kept_in_both(visit: Visit, example_m4a: Path, tmp_path: Path) -> None:
    serving = App(tmp_path / "serving", COLD, TIMBRE_API_KEYS=KEY, TIMBRE_ALLOW_PRIVATE_URLS="1")
    asking = App(tmp_path / "asking", COLD, TIMBRE_ALLOW_PRIVATE_URLS="1", NOVITA_BASE_URL=serving.url)
    asking._environment["TIMBRE_PUBLIC_URL"] = asking.url
    with ThreadPoolExecutor() as both:
        list(both.map(App.start, (serving, asking)))
    try:
        page = visit(of=asking)
        choose_novita(page)
        upload(page, example_m4a)
        page.fill("#api-key input", KEY)
        page.fill("#text textarea", "This voice was cloned at another house.")
        choose_turbo(page)
        page.check("#consent input")
        page.click("#clone")
        expect(page.locator("#result")).to_be_visible()
        voice_id = page.input_value("#voice-id textarea, #voice-id input")
        assert_speech(heard(page, CLONED, tmp_path))
        assert permanent_at(serving, voice_id) is None  # a preview does not keep it

        go(page, "Voices")

        row = page.locator(f"[data-voice='{voice_id}']")
        row.get_by_role("button", name="Keep").first.click()
        row.get_by_role("button", name="Yes, keep it").click()
        expect(row).to_contain_text("Kept for good")
        page.close()
        for house in (asking, serving):
            assert permanent_at(house, voice_id) is not None
            assert KEY.encode() not in house.log.read_bytes()
    finally:
        asking.stop()
        serving.stop()
