"""Take the pictures in assets/screenshots/ from the real app: its three places, wide and narrow, and a tour.

``python scripts/screenshots.py`` starts the app on a home of its own, clones example voices and looks.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.driving import CHROMIUM, FLAGS, WAIT_MS, App, choose_source, choose_turbo, go

FOLDER = Path(__file__).parents[1] / "assets" / "screenshots"
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
SETTLE_MS = 900
TOUR_WIDTH = 960
FRAME_MS = 3750
"""Eight pictures make thirty seconds."""

TEXT = "The harbour was quiet this morning. Nobody had expected so much sun. We sat on the wall and waited."


def opened(browser: Browser, app: App, width: int, scheme: str) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(WAIT_MS)
    page.goto(app.owner_url)
    page.wait_for_selector("#clone")
    return page


def choose_example(page: Page, n: int) -> None:
    choose_source(page, "Example")
    page.locator("#examples label").nth(n).click()
    page.wait_for_selector(".tb-report summary:not(:has-text('so far'))")


def clone(page: Page) -> None:
    page.check("#consent input")
    page.click("#clone")
    page.wait_for_selector("#said .tb-match")
    page.wait_for_selector("#compare .tb-player:not([hidden])")


def speak(page: Page) -> None:
    page.fill("#speak-text textarea", TEXT)
    choose_turbo(page, "#speak-model")
    page.click("#speak")
    page.wait_for_selector("#take-done a")
    page.wait_for_selector("#document .tb-sentences")


def still(page: Page) -> None:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")
    page.wait_for_timeout(SETTLE_MS)


def take(page: Page, name: str) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    still(page)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1000:.0f} kB")


def places(browser: Browser, app: App, width: int, scheme: str) -> None:
    page = opened(browser, app, width, scheme)
    choose_example(page, 0)
    clone(page)
    take(page, f"clone-{scheme}-{width}")
    page.click("#again")
    page.wait_for_selector("#speak")
    speak(page)
    take(page, f"speak-{scheme}-{width}")
    go(page, "Voices")
    page.wait_for_selector("#voices [data-voice]")
    take(page, f"voices-{scheme}-{width}")
    page.close()


def tour(browser: Browser, app: App) -> None:
    """A voice from its recording to a sentence, as pictures in a row."""
    page = opened(browser, app, 1280, "light")
    frames: list[Image.Image] = []

    def shot() -> None:
        still(page)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        small = image.resize((TOUR_WIDTH, round(image.height * TOUR_WIDTH / image.width)), Image.Resampling.LANCZOS)
        frames.append(small.quantize(96, dither=Image.Dither.NONE))

    shot()
    choose_example(page, 1)
    shot()
    page.fill("#text textarea", "It took one recording, and less than a minute.")
    page.check("#consent input")
    shot()
    clone(page)
    shot()
    page.evaluate("document.querySelector('#compare').scrollIntoView({ block: 'center' })")
    shot()
    page.click("#again")
    page.wait_for_selector("#speak")
    shot()
    speak(page)
    shot()
    go(page, "Voices")
    page.wait_for_selector("#voices [data-voice]")
    shot()
    page.close()
    path = FOLDER / "tour.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, optimize=True)
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "home")
        app.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            tour(browser, app)
            for width in WIDTHS:
                for scheme in SCHEMES:
                    places(browser, app, width, scheme)
        finally:
            browser.close()
            app.stop()


if __name__ == "__main__":
    main()
