"""A real app with the real engine in its own process, and a real Chromium with a fresh profile for every visitor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from clone.audio.reader import read, resample
from clone.audio.writer import wav_bytes
from tests.browser.driving import CHROMIUM, FLAGS, HOLD, HOLDING, WAIT_MS, App, Visit, Watch
from tests.running import COLD


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app as somebody starts it on their own machine, who may give links into it."""
    running = App(tmp_path_factory.mktemp("own") / "home", HOLDING, TIMBRE_ALLOW_PRIVATE_URLS="1")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def hold(app: App) -> Iterator[Path]:
    """A file that keeps the app from speaking as long as it is there; none is, to begin with."""
    path = app.home / HOLD
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def public_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app as it is served to the world, on a Space."""
    running = App(
        tmp_path_factory.mktemp("space") / "public",
        COLD,
        SYSTEM="spaces",
        SPACE_ID="somebody/timbre",
        SPACE_HOST="timbre.example",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def profile(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A profile on a disk, where a page's scripts are compiled once: a page opens in half the time."""
    folder = tmp_path_factory.mktemp("profile")
    context = playwright.chromium.launch_persistent_context(folder, executable_path=CHROMIUM, args=FLAGS)
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture(scope="session")
def browser(profile: BrowserContext) -> Browser:
    assert profile.browser is not None
    return profile.browser


def forget(profile: BrowserContext, urls: set[str]) -> None:
    """Close what is open in a profile and take away all that it keeps, but for what was compiled."""
    first, *others = profile.pages
    for page in others:
        page.close()
    profile.clear_cookies()
    profile.clear_permissions()
    session = profile.new_cdp_session(first)
    for url in urls:
        session.send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
    session.detach()


class Visits:
    """Visits to pages, each in a fresh profile, watched over."""

    def __init__(self, app: App, browser: Browser, profile: BrowserContext | None = None) -> None:
        self._app = app
        self._browser = browser
        self._profile = profile
        self._contexts: list[BrowserContext] = []
        self._pages: list[tuple[Page, Watch]] = []

    def __call__(
        self,
        width: int = 1440,
        dark: bool = False,
        of: App | None = None,
        within: Browser | None = None,
        owner: bool = False,
        beside: Page | None = None,
    ) -> Page:
        url = (of or self._app).url
        page = (beside.context if beside else self._context(within)).new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        self._pages.append((page, Watch(url)))
        self._pages[-1][1].over(page)
        page.goto((of or self._app).owner_url if owner else url)
        page.wait_for_selector("#clone")
        return page

    def _context(self, within: Browser | None) -> BrowserContext:
        if self._profile and not within and not self._pages:
            return self._profile
        self._contexts.append((within or self._browser).new_context())
        self._contexts[-1].set_default_timeout(WAIT_MS)
        return self._contexts[-1]

    def end(self) -> None:
        for page, _ in self._pages:
            page.close()
        for context in self._contexts:
            context.close()
        if self._profile:
            forget(self._profile, {watch.own for _, watch in self._pages})
        assert [watch.complaints for _, watch in self._pages if watch.complaints] == []
        assert [watch.elsewhere for _, watch in self._pages if watch.elsewhere] == []


@pytest.fixture
def visit(browser: Browser, profile: BrowserContext, app: App) -> Iterator[Visit]:
    """Open the page in a fresh profile: ``visit(width=390, dark=True, of=public_app)``, or as ``owner=True``.

    Or as somebody who has a page open: ``beside=page``. The first page of a test gets the profile on the disk, with
    nothing in it of the tests before.
    """
    visits = Visits(app, browser, profile)
    yield visits
    visits.end()


@pytest.fixture(scope="module")
def visit_of_all(browser: Browser, app: App) -> Iterator[Visit]:
    """Open a page that several tests look at."""
    visits = Visits(app, browser)
    yield visits
    visits.end()


@pytest.fixture(scope="session")
def example_m4a(examples: list[Path]) -> Path:
    return next(path for path in examples if path.suffix == ".m4a")


@pytest.fixture(scope="session")
def microphone(
    playwright: Playwright, examples: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose microphone hears an example voice."""
    spoken = read(examples[0])
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    heard.write_bytes(wav_bytes(resample(spoken.samples, spoken.sample_rate, 48_000), 48_000))
    fake = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + fake)
    yield chromium
    chromium.close()
