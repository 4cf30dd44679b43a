"""Take the pictures in assets/screenshots/ from the real app: 1440 and 390 px wide, light and dark.

``python scripts/screenshots.py`` starts the app on a home of its own, clones an example voice and looks.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.driving import CHROMIUM, FLAGS, WAIT_MS, App, choose_source

FOLDER = Path(__file__).parents[1] / "assets" / "screenshots"
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
SETTLE_MS = 900


def opened(browser: Browser, app: App, width: int, scheme: str) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(WAIT_MS)
    page.goto(app.url)
    page.wait_for_selector("#clone")
    return page


def clone_example(page: Page) -> None:
    """Clone the first example; the second time it is there already."""
    choose_source(page, "Example")
    page.locator("#examples label").first.click()
    page.wait_for_selector("#voice-note .tb-ok")
    page.check("#consent input")
    page.click("#clone")
    page.wait_for_selector("#result", state="visible")
    page.wait_for_selector("#cloned [data-testid=waveform-controls]")


def take(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(SETTLE_MS)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "home")
        app.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    page = opened(browser, app, width, scheme)
                    clone_example(page)
                    take(page, f"clone-{scheme}-{width}")
                    page.close()
        finally:
            browser.close()
            app.stop()


if __name__ == "__main__":
    main()
