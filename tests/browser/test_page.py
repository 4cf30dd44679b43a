"""What the page says where, who sees what, and whether everybody can use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from clone.audio.reader import read
from clone.audio.writer import wav_bytes
from clone.contract import cloning
from tests.browser.driving import App, Visit, choose_novita, choose_source, choose_turbo, go, more, open_drawer, upload

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast"]


def assert_accessible(page: Page, rules: list[str] = RULES) -> None:
    page.wait_for_timeout(400)  # what fades in has faded in
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response["violations"]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []


def assert_accessible_by_day_and_night(page: Page) -> None:
    """Look at the state a page is in, light and dark, without going there twice."""
    page.emulate_media(color_scheme="dark")
    assert_accessible(page, COLOURS)
    page.emulate_media(color_scheme="light")
    assert_accessible(page)


TOO_SMALL = """[...document.querySelectorAll("button:not([tabindex='-1']), a[href], summary")].filter((each) => {
    const { width, height } = each.getBoundingClientRect();
    return width > 1 && (width < 24 || height < 24);
}).map((each) => each.outerHTML.slice(0, 120))"""


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_each_message_stands_at_its_field(visit: Visit) -> None:
    page = visit()
    page.fill("#text textarea", "…")
    open_drawer(page, "#advanced")
    open_drawer(page, "#closer")
    page.fill("#prompt-text textarea", "A transcript without its clip.")
    page.click("#clone")
    expect(page.locator("#voice-note [role=alert]")).to_contain_text("no recording yet")
    expect(page.locator("#prompt-note [role=alert]")).to_contain_text("no prompt clip")
    expect(page.locator("#text-note [role=alert]")).to_contain_text("no letter")
    expect(page.locator("#consent-note [role=alert]")).to_contain_text("not confirmed")
    assert page.input_value("#prompt-text textarea") == "A transcript without its clip."
    expect(page.locator("#voice-note .tb-refuse")).to_be_focused()  # the first of them is where somebody begins to mend
    assert_accessible_by_day_and_night(page)

    page.fill("#text textarea", "a" * (cloning.TEXT_MAX_CHARS + 1))
    expect(page.locator("#text-count .tb-over")).to_be_visible()
    page.click("#clone")
    expect(page.locator("#text-note [role=alert]")).to_contain_text("Shorten it by 1 ")
    assert len(page.input_value("#text textarea")) == cloning.TEXT_MAX_CHARS + 1


def test_a_short_recording_is_refused_beneath_it(visit: Visit, examples: list[Path], tmp_path: Path) -> None:
    whole = read(examples[0])
    short = tmp_path / "short.wav"
    short.write_bytes(wav_bytes(whole.samples[: 3 * whole.sample_rate], whole.sample_rate))
    page = visit()
    upload(page, short)
    refusal = page.locator("#voice-note [role=alert]")
    expect(refusal).to_contain_text("3.0 s long; at least 10 s")
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#clone")).to_be_visible()
    expect(refusal).to_contain_text("3.0 s long; at least 10 s")
    expect(page.locator("#result")).not_to_be_visible()


def test_what_is_no_recording_is_refused_beneath_it(visit: Visit, tmp_path: Path) -> None:
    lie = tmp_path / "song.mp3"
    lie.write_bytes(b"<html>not a recording</html>" * 99)
    page = visit()
    page.set_input_files("#uploaded input[type=file]", lie)
    expect(page.locator("#voice-note [role=alert]")).to_be_visible()


def test_a_link_into_this_machine_is_refused_beneath_it(visit: Visit, public_app: App) -> None:
    page = visit(of=public_app)
    choose_source(page, "Paste a link")
    page.fill("#link textarea, #link input", "http://127.0.0.1:1/voice.mp3")
    page.click("#link-check")
    expect(page.locator("#voice-note [role=alert]")).to_be_visible()


def test_visitors_see_only_their_own_voices(public_app: App, visit: Visit) -> None:
    one, two = visit(of=public_app), visit(of=public_app)
    choose_source(one, "Example")
    one.locator("#examples label").first.click()
    one.wait_for_selector("#voice-note .tb-ok")
    choose_turbo(one)
    one.check("#consent input")
    one.click("#clone")
    expect(one.locator("#result")).to_be_visible()
    go(one, "Voices")
    expect(one.locator("#voices li")).to_have_count(1)
    voice_id = one.locator("#voices li").get_attribute("data-voice") or ""
    for page in (one, two):
        page.wait_for_timeout(1000)  # or what it still asks for is broken off, and the framework complains
        page.reload()
        page.wait_for_selector("#clone")
        go(page, "Voices")
    expect(one.locator(f"[data-voice='{voice_id}']")).to_have_count(1)
    expect(two.locator("#voices")).to_contain_text("No voices yet")

    # Whoever knows the id of another's voice gains nothing by it.
    two.evaluate(
        """(id) => { document.querySelector('#voices .tb-empty').outerHTML =
        `<p data-voice="${id}"><button data-do="play">x</button><span class="tb-sure"></span></p>` }""",
        voice_id,
    )
    two.click("#voices [data-do=play]")
    expect(two.locator("#voices-note [role=alert]")).to_contain_text("no longer here")


TYPED_FAST = """async (place) => {
    const text = document.querySelector(place);
    for (const each of ["", "Somebody types", "Somebody types fast."]) {
        text.value = each;
        text.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise((done) => setTimeout(done, 5));
    }
}"""


@pytest.mark.parametrize("place", ["Clone", "Write"])
def test_a_page_is_silent_once_it_has_said_what_it_thinks_of_a_text(visit: Visit, place: str) -> None:
    """Who types faster than the page is answered does not set off questions without an end."""
    page, asked = visit(), []
    go(page, place)
    page.on("request", lambda request: asked.append(request.post_data) if "queue/join" in request.url else None)
    field = {"Clone": "#text", "Write": "#speak-text"}[place]
    page.evaluate(TYPED_FAST, f"{field} textarea")
    page.fill(f"{field} textarea", "Hier ist noch ein Satz auf Deutsch.")
    expect(page.locator({"Clone": "#language-said", "Write": "#speak-language-said"}[place])).to_contain_text("German")
    page.wait_for_timeout(1500)
    said = len(asked)
    page.wait_for_timeout(1500)
    assert asked[said:] == []


def test_speak_says_what_is_missing(visit: Visit, public_app: App) -> None:
    page = visit(of=public_app)
    go(page, "Write")
    expect(page.locator("#speak-voice")).to_contain_text("There is no voice yet.")
    assert_accessible_by_day_and_night(page)
    page.click("#speak")
    expect(page.locator("#speak-progress [role=alert]")).to_contain_text("No voice is chosen")
    assert_accessible_by_day_and_night(page)
    go(page, "Voices")
    expect(page.locator("#voices")).to_contain_text("No voices yet")
    assert_accessible_by_day_and_night(page)
    for place in ("Write", "Voices"):
        go(page, place)
        page.get_by_role("link", name="Clone a voice").click()
        expect(page.locator("#source input:checked")).to_be_focused()


def test_the_next_step_is_in_view(visit: Visit, example_m4a: Path) -> None:
    page = visit()
    upload(page, example_m4a)
    expect(page.locator("#language-said")).to_contain_text("English")
    expect(page.locator("#voice-note .tb-report")).to_contain_text("14 points")
    expect(page.locator("#clone")).to_be_in_viewport(ratio=1)
    given, note = page.locator("#uploaded").bounding_box(), page.locator("#voice-note").bounding_box()
    assert given is not None
    assert note is not None
    assert note["y"] - given["y"] - given["height"] < 30  # what is said of a recording stands right beneath it


def test_a_draft_outlives_a_reload_in_its_tab_alone(visit: Visit) -> None:
    page = visit()
    page.fill("#text textarea", "Half of a")
    go(page, "Write")
    page.fill("#speak-text textarea", "Another one.")
    page.reload()
    expect(page.locator("#text textarea")).to_have_value("Half of a")
    expect(page.locator("#text-count")).to_contain_text("9 of")
    page.locator("#text textarea").press("End")
    page.keyboard.type(" text.")
    go(page, "Write")
    expect(page.locator("#speak-text textarea")).to_have_value("Another one.")
    page.reload()
    expect(page.locator("#text textarea")).to_have_value("Half of a text.")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#text textarea")).not_to_have_value("Half of a text.")
    other.close()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)], ids=["wide-light", "narrow-dark"])
def test_everybody_can_use_it(visit: Visit, example_m4a: Path, width: int, dark: bool) -> None:
    page = visit(width=width, dark=dark)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in background[4:-1].split(",")) < 200) == dark
    assert_accessible(page)
    assert_fits(page)
    open_drawer(page, "#advanced")
    open_drawer(page, "#closer")
    expect(page.locator("#closer button").first).to_have_attribute("aria-expanded", "true")
    upload(page, example_m4a)
    assert_accessible(page)
    assert_fits(page)
    assert page.evaluate(TOO_SMALL) == []
    for source in ("Record", "Paste a link", "Example"):
        choose_source(page, source)
        assert_accessible(page)
        assert_fits(page)


def test_everybody_can_use_the_result(visit: Visit, example_m4a: Path) -> None:
    page = visit(width=390)
    upload(page, example_m4a)
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#result")).to_be_visible()
    go(page, "Voices")
    page.locator("#voices").get_by_role("button", name="Play preview").first.click()
    page.wait_for_selector("#voice-player a[download]")
    more(page.locator("#voices li").first).get_by_role("button", name="Forget").click()
    expect(page.locator("#voices")).to_contain_text("was forgotten")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page)
        assert_fits(page)


HIDDEN = """consent => [...consent.querySelectorAll('input, label span, .info-text')].flatMap(each =>
  [...each.getClientRects()].flatMap(box => [[box.left + 2, box.top + 2], [box.right - 2, box.bottom - 2],
    [(box.left + box.right) / 2, (box.top + box.bottom) / 2]]))
  .map(([x, y]) => document.elementFromPoint(x, y)).filter(seen => !seen || !consent.contains(seen)).length"""
"""How many points of the consent's box and words lie under something else, or outside the window."""


SIZES = [(1024, 768), (1280, 720), (390, 844)]


def test_nothing_covers_the_consent(visit: Visit, example_m4a: Path) -> None:
    page = visit()
    consent = page.locator("#consent")
    for recording in (None, example_m4a):
        if recording:
            upload(page, recording)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for block in ("start", "center", "end", "nearest"):
                page.evaluate("scrollTo(0, 0)")
                consent.evaluate("(consent, block) => consent.scrollIntoView({ block, behavior: 'instant' })", block)
                assert consent.evaluate(HIDDEN) == 0, (width, block)
    page.click("#clone")
    page.wait_for_selector("#consent-note [role=alert]")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        consent.scroll_into_view_if_needed()
        assert consent.evaluate(HIDDEN) == 0, width
        consent.locator("input").click()
        expect(consent.locator("input")).to_be_checked()
        consent.locator("input").click()


def test_who_clones_can_be_chosen_beside_what_stays_in_view(visit: Visit) -> None:
    page = visit(width=1024)
    page.set_viewport_size({"width": 1024, "height": 768})
    choose_novita(page)
    expect(page.locator("#api-key")).to_be_visible()
    page.locator("#api-key input").click()
    expect(page.locator("#api-key input")).to_be_focused()


def test_the_document_of_the_api_fits_a_phone(visit: Visit, app: App) -> None:
    page = visit()
    for width, dark in ((390, True), (1440, False)):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.goto(f"{app.url}/docs")
        assert_fits(page)
        assert_accessible(page)
