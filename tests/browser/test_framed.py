"""The page in a frame, as a Space shows it: of the Space's site it works without cookies, of another it stays away."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from playwright.sync_api import Browser, Page, Playwright, Route

from tests.browser.driving import CHROMIUM, FLAGS, WAIT_MS, App

SPACE = "https://timbre.example"


@pytest.fixture(scope="module")
def encrypted(public_app: App) -> Iterator[int]:
    """The public app behind TLS, as its host has it; the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("timbre.example").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def passed(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                asked = listening.accept()[0]
                threading.Thread(target=connect, args=(asked,), daemon=True).start()

    def connect(asked: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one = context.wrap_socket(asked, server_side=True)
            other = socket.create_connection(("127.0.0.1", public_app.port))
            threading.Thread(target=passed, args=(other, one), daemon=True).start()
            passed(one, other)

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


@pytest.fixture(scope="module")
def strict(playwright: Playwright, encrypted: int) -> Iterator[Browser]:
    """A browser that lets nobody in a frame have cookies, and takes the app's host for this machine."""
    flags = [
        f"--host-resolver-rules=MAP timbre.example 127.0.0.1:{encrypted}",
        "--ignore-certificate-errors",
        "--test-third-party-cookie-phaseout",
        "--disable-features=LocalNetworkAccessChecks",  # or every frame is refused, for leading to this machine
    ]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + flags)
    yield chromium
    chromium.close()


def framed_by(browser: Browser, site: str, page: Page | None = None) -> Page:
    """Open a page of a site that frames the app."""
    page = page or browser.new_context(ignore_https_errors=True).new_page()

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=f'<iframe src="{SPACE}/" width="1200" height="800"></iframe>')

    page.set_default_timeout(WAIT_MS)
    page.route(re.compile(re.escape(site)), answer)
    page.goto(f"{site}/spaces/somebody/timbre")
    return page


def test_a_space_shows_it_and_another_site_can_not(strict: Browser, example_m4a: Path) -> None:
    page = framed_by(strict, "https://huggingface.co")
    frame = page.frame_locator("iframe")
    frame.locator("#uploaded input[type=file]").set_input_files(example_m4a)
    frame.locator("#voice-note .tb-note:not(.tb-busy)").wait_for()
    assert "Nothing is clipped." in (frame.locator("#voice-note").text_content() or "")
    cookies = "document.cookie = 'a=1; Secure; SameSite=None', document.cookie"
    assert page.frames[1].evaluate(cookies) == ""  # it did without
    page.context.close()
    failed = []
    foreign = strict.new_context(ignore_https_errors=True).new_page()
    foreign.on("requestfailed", lambda request: failed.append((request.url, request.failure)))
    framed_by(strict, "https://huggingface.co.evil.example", foreign)
    foreign.wait_for_timeout(1_000)
    assert failed == [(f"{SPACE}/", "net::ERR_BLOCKED_BY_RESPONSE")]
    foreign.context.close()
