"""Who owns a page on one's own machine, in real browsers: by the link, by the bare address, from a hostile page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from clone.ui import strings
from tests.attacks.asking import Events
from tests.browser.driving import App, Visit, choose_novita, go
from tests.browser.test_page import assert_accessible_by_day_and_night
from tests.browser.test_voices import keep
from tests.running import COLD

OWN = "nv-owners-4c19aa"

ATTACK = """async ([hosts, body]) => {
  const told = [];
  for (const host of hosts)
    for (const mode of ['cors', 'no-cors'])
      for (const [path, method] of [['queue/join', 'POST'], ['queue/join/', 'POST'], ['queue/data?session_hash=evil', 'GET']]) {
        const sent = method === 'POST' ? { body, headers: { 'Content-Type': mode === 'cors' ? 'application/json' : 'text/plain' } } : {};
        try {
          const answer = await fetch(`http://${host}/gradio_api/${path}`, { method, mode, credentials: 'include', ...sent });
          told.push([host, mode, path, answer.type, answer.type === 'opaque' ? '' : await answer.text()]);
        } catch (error) { told.push([host, mode, path, 'refused', String(error)]); }
      }
  for (const host of hosts) {
    const frame = Object.assign(document.createElement('iframe'), { name: 'frame' });
    const form = Object.assign(document.createElement('form'), {
      method: 'POST', enctype: 'text/plain', target: 'frame', action: `http://${host}/gradio_api/queue/join` });
    form.append(Object.assign(document.createElement('input'), { name: body.slice(0, -1) + ',"x":"', value: '"}' }));
    document.body.append(frame, form);
    form.submit();
  }
  await new Promise((done) => setTimeout(done, 1000));
  return told;
}"""  # noqa: E501  it is read as one piece


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, examples: list[Path]) -> Iterator[App]:
    """A page at home, whose owner has a voice and a key of the hosted service."""
    home = tmp_path_factory.mktemp("owned") / "home"
    keep(home, [{"name": "Ada"}], examples[0].read_bytes())
    running = App(home, COLD, NOVITA_API_KEY=OWN)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hostile() -> Iterator[int]:
    """A website on this machine, at the port returned."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Hello</title>")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def assert_owned(page: Page) -> None:
    go(page, "Voices")
    expect(page.locator("#voices li")).to_have_count(1)
    expect(page.locator("#voices li")).to_contain_text("Ada")


def choose_hosted(page: Page) -> None:
    go(page, "Clone")
    choose_novita(page)
    expect(page.locator("#api-key input")).to_be_visible()


def test_the_link_makes_a_browser_the_owners(visit: Visit, house: App) -> None:
    page = visit(of=house, owner=True)
    assert page.url == f"{house.url}/"
    assert_owned(page)
    expect(page.locator("#whose")).not_to_be_visible()
    choose_hosted(page)
    expect(page.locator("#api-key")).to_contain_text(strings.KEY_OWN.strip())
    assert "timbre_owner" not in page.evaluate("document.cookie")
    tab = page.context.new_page()
    tab.goto(house.url)  # as by a bookmark
    assert_owned(tab)


def test_by_the_bare_address_one_is_a_visitor_and_told_how_to_be_the_owner(visit: Visit, house: App) -> None:
    page = visit(of=house)
    expect(page.locator("#whose")).to_have_text(strings.WHOSE)
    choose_hosted(page)
    expect(page.locator("#api-key")).to_contain_text(strings.KEY_HINT)
    expect(page.locator("#api-key")).not_to_contain_text(strings.KEY_OWN.strip())
    go(page, "Voices")
    expect(page.locator("#voices")).to_contain_text("No voices yet")
    assert_accessible_by_day_and_night(page)


@pytest.mark.parametrize("site", ["127.0.0.1", "localhost", "evil.localhost"])
def test_a_hostile_page_in_the_owners_browser_gets_nothing(visit: Visit, house: App, hostile: int, site: str) -> None:
    """From another port of this machine, too: to a browser that is the same site, so the cookie goes along."""
    page = visit(of=house, owner=True)
    assert_owned(page)
    events = Events(house)
    event = events.find("delete", of="voices")
    told = {"voice": "voice_0000"}
    data = ["", *[None] * (len(event["inputs"]) - 1)]
    body = json.dumps({"data": data, "fn_index": event["id"], "session_hash": "evil", "event_data": told})
    hosts = [f"{name}:{house.port}" for name in ("127.0.0.1", "localhost", "x.localhost", "localhost.")]
    evil = page.context.new_page()
    evil.goto(f"http://{site}:{hostile}/")
    answers = evil.evaluate(ATTACK, [hosts, body])
    assert len(answers) == len(hosts) * 6
    assert [answer for answer in answers if answer[3] == "cors" or "event_id" in answer[4]] == []
    page.reload()
    page.wait_for_selector("#clone")
    assert_owned(page)
