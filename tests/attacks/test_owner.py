"""Who is taken for the owner of a page on this machine: whoever holds its link's cookie, and nobody else."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests

from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voices import Library, utc_now
from clone.ui.visitors import Owners, new_token
from tests.attacks.asking import JOIN, Answer, Events, Headers, proxy, send
from tests.attacks.conftest import Start
from tests.running import App
from tests.voices import make_voice

VOICE, TAKEN = "voice-of-the-owner", "Taken-by-a-stranger"
COOKIE = re.compile(r"timbre_owner_\d+=[^;]+")
STRANGER = new_token()
AT_ONCE = 8


def keep(home: Path) -> None:
    """Give the owner of a home a voice, if it is not there yet."""
    settings, now = Settings.at(home), utc_now()
    library = Library(settings, Store(settings.store_url, home / "copies"))
    voice = make_voice(VOICE, owner="local", created_at=now, consent_at=now, name=VOICE)
    if not library.voices("local"):
        library.add(voice, {"preview.mp3": b"x"})
    library.close()


@pytest.fixture(scope="module")
def events(own: App) -> Events:
    """The page at home, where the owner has a voice."""
    keep(own.home)
    return Events(own)


@pytest.fixture(scope="module")
def cookie(own: App) -> str:
    """The owner's cookie, got as a browser gets it."""
    return cookie_of(own.owner_url)


def cookie_of(link: str) -> str:
    """Open a link, and return the cookie that comes of it; "" where none does."""
    answer = requests.get(link, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    told = COOKIE.match(answer.headers.get("set-cookie", ""))
    return told[0] if told else ""


def good(app: App, cookie: str) -> Headers:
    """What the owner's browser sends."""
    return [("Host", f"127.0.0.1:{app.port}"), ("Origin", app.url), ("Cookie", cookie)]


def instead(headers: Headers, name: str, *values: str) -> Headers:
    """Return headers with other values of one, or without it."""
    return [(each, value) for each, value in headers if each != name] + [(name, value) for value in values]


def listed(events: Events, headers: Headers, target: str = JOIN) -> Answer:
    return events.ask(events.find("load", changes="voices"), [STRANGER], headers, target=target)


def is_owner(events: Events, headers: Headers) -> bool:
    answer = listed(events, headers)
    return answer.status == 200 and VOICE in answer.text


def assert_all_hold(events: Events, cookie: str, attacks: dict[str, Headers]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as at_once:
        fell = list(at_once.map(partial(is_owner, events), attacks.values()))
    assert [name for name, has_fallen in zip(attacks, fell, strict=True) if has_fallen] == []
    assert is_owner(events, good(events.app, cookie))


def test_the_owner_has_the_voice_and_a_visitor_has_none(events: Events, own: App, cookie: str) -> None:
    assert is_owner(events, good(own, cookie))
    assert is_owner(events, [*good(own, cookie), ("Sec-Fetch-Site", "same-origin")])
    by_name = [("Host", f"localhost:{own.port}"), ("Origin", f"http://localhost:{own.port}")]
    assert is_owner(events, [*by_name, ("Cookie", f"theme=dark; {cookie}; broken")])
    visitor = listed(events, good(own, "theme=dark"))
    assert visitor.status == 200
    assert "No voices yet" in visitor.text
    assert is_owner(events, good(own, f"{cookie.partition('=')[0]}=planted; {cookie}"))


def test_a_stranger_plays_renames_and_forgets_nothing(events: Events, own: App, cookie: str) -> None:
    ours, elsewhere = good(own, cookie), f"x.localhost:{own.port}"
    attacks = {
        "no cookie": instead(ours, "Cookie"),
        "a forged one": instead(ours, "Cookie", f"{cookie[:-64]}{'0' * 64}"),
        "another page": instead(ours, "Origin", "http://evil.example"),
        "no page": instead(ours, "Origin"),
        "another Host": with_host(elsewhere, "http://evil.example", cookie),
        "another Host, its own page": with_host(elsewhere, f"http://{elsewhere}", cookie),
        "another site": [*ours, ("Sec-Fetch-Site", "cross-site")],
    }
    for kind in ("play", "edit", "like", "select", "delete", "download"):
        event = events.find(kind, of="voices")
        data = [STRANGER, *[None] * (len(event["inputs"]) - 1)]
        for name, headers in attacks.items():
            answer = events.ask(event, data, headers, {"voice": VOICE, "kind": "preview", "name": TAKEN})
            assert answer.status == 403 or "no longer here" in answer.text or "There is no" in answer.text, (kind, name)
            assert TAKEN not in answer.text
    assert is_owner(events, ours)


# the cookie


def signed(home: Path, name: str, ends: str) -> str:
    """Return a cookie as whoever reads a home's secret could make one."""
    key = (home / "owner_secret").read_text().strip().encode()
    return f"{name}={ends}.{hmac.new(key, f'{name}:{ends}'.encode(), hashlib.sha256).hexdigest()}"


def test_no_other_cookie_is_taken(events: Events, own: App, cookie: str, tmp_path: Path) -> None:
    name, _, value = cookie.partition("=")
    ends, _, signature = value.partition(".")
    another = Owners(Settings.at(tmp_path, server_port=own.port))
    next_door = Owners(Settings.at(own.home, server_port=own.port + 1))
    assert is_owner(events, good(own, signed(own.home, name, ends)))
    cookies = {
        "none": "",
        "empty": f"{name}=",
        "a number": f"{name}=1",
        "no signature": f"{name}={ends}.",
        "a guess": f"{name}={ends}.{'0' * 64}",
        "a longer life": f"{name}={int(ends) + 1}.{signature}",
        "cut short": f"{name}={value[:-1]}",
        "with something behind": f"{name}={value}0",
        "in capitals": f"{name}={value.upper()}",
        "in quotes": f'{name}="{value}"',
        "for ever": f"{name}=inf.{signature}",
        "ended": signed(own.home, name, str(int(time.time()) - 1)),
        "ended long ago": signed(own.home, name, "0"),
        "ended before time": signed(own.home, name, "-1"),
        "ends at no number": signed(own.home, name, "nan"),
        "ends at an endless number": signed(own.home, name, "9" * 5000),
        "of another home": f"{name}={another.new_cookie()}",
        "of another port": f"{name}={next_door.new_cookie()}",
        "of another port, by its name": f"{next_door.cookie}={next_door.new_cookie()}",
        "under another name": f"{name}x={value}",
        "in another case": f"{name.upper()}={value}",
        "inside another": f"a={name}={value}",
        "signed with nothing": f"{name}={ends}.{hmac.new(b'', f'{name}:{ends}'.encode(), 'sha256').hexdigest()}",
    }
    attacks = {each: good(own, text) for each, text in cookies.items()}
    attacks["in another header"] = [*good(own, ""), ("X-Cookie", cookie), ("Cookie2", cookie)]
    attacks["as a key"] = [*good(own, ""), ("Authorization", f"Bearer {value}")]
    assert_all_hold(events, cookie, attacks)


# the Host


def test_the_owner_asks_by_the_address_served_and_no_other(events: Events, own: App, cookie: str) -> None:
    port = own.port
    hosts = [
        *(f"{name}:{port}" for name in ("x.localhost", "localhost.", "127.0.0.1.", "[::1]", "127.0.0.2", "127.1")),
        *(f"{name}:{port}" for name in ("2130706433", "0x7f000001", "0.0.0.0", "[::ffff:127.0.0.1]")),
        *(f"{name}:{port}" for name in ("LOCALHOST", "Localhost", "evil.example", "127.0.0.1.nip.io")),
        *(f"{name}:{port + 1}" for name in ("127.0.0.1", "localhost")),
        *("127.0.0.1", "localhost", "127.0.0.1:", f"127.0.0.1:0{port}", f"127.0.0.1:{port}.evil.example", ""),
        *(f"127.0.0.1:{port}@evil.example", f"evil.example@127.0.0.1:{port}", f"127.0.0.1:{port}, evil.example"),
        *(f"127.0.0.1:{port}/", f"127.0.0.1:{port}#", f"127.0.0.1 :{port}", f"evil.example\t127.0.0.1:{port}"),
    ]
    attacks = {f"{host} with its own Origin": with_host(host, f"http://{host}", cookie) for host in hosts}
    attacks |= {f"{host} with ours": with_host(host, own.url, cookie) for host in hosts}
    ours = f"127.0.0.1:{port}"
    for pair in ((ours, "evil.example"), ("evil.example", ours), (ours, ours), (ours, f"localhost:{port}")):
        attacks[f"two: {pair}"] = instead(good(own, cookie), "Host", *pair)
    attacks["no Host"] = instead(good(own, cookie), "Host")
    assert_all_hold(events, cookie, attacks)


def with_host(host: str, origin: str, cookie: str) -> Headers:
    return [("Host", host), ("Origin", origin), ("Cookie", cookie)]


def test_the_whole_address_in_the_request_line_changes_nothing(events: Events, own: App, cookie: str) -> None:
    ours = good(own, cookie)
    for headers, target in (
        (instead(ours, "Host", "evil.example"), f"{own.url}{JOIN}"),
        (instead(ours, "Cookie"), f"{own.url}{JOIN}"),
        (instead(ours, "Cookie"), f"http://evil.example{JOIN}"),
        (instead(ours, "Host"), f"{own.url}{JOIN}"),
    ):
        assert VOICE not in listed(events, headers, target).text


# the page that asks


def origins(own: App) -> list[str]:
    ours = f"127.0.0.1:{own.port}"
    return [
        *("null", "", "http://evil.example", "https://evil.example", "http://evil.example:7860", "file://"),
        *(f"http://{ours}.evil.example", f"http://{ours}@evil.example", f"http://evil.example@{ours}"),
        *(f"http://evil.example/{ours}", f"http://evil.example#http://{ours}", f"http://evil.example?http://{ours}"),
        *(f"https://{ours}.", f"http://{ours}/", f"http://{ours}0", f"http://127.0.0.1:{own.port + 1}"),
        *("http://127.0.0.1", "about:blank"),
        *(f"http://localhost.:{own.port}", f"http://x.localhost:{own.port}", f"http://[::1]:{own.port}"),
        *(f"{own.url} http://evil.example", f"http://evil.example, {own.url}", f"null, {own.url}", f"ws://{ours}"),
        *(f"//{ours}", ours, f"chrome-extension://{ours}", f"http:\\\\{ours}", f"http://localhost:{own.port}"),
    ]  # fmt: skip


def test_a_page_of_another_address_is_not_the_owners(events: Events, own: App, cookie: str) -> None:
    ours = good(own, cookie)
    attacks = {origin or "an empty one": instead(ours, "Origin", origin) for origin in origins(own)}
    attacks["none"] = instead(ours, "Origin")
    attacks["our own under TLS"] = instead(ours, "Origin", f"https://127.0.0.1:{own.port}")
    attacks["in capitals"] = instead(ours, "Origin", f"HTTP://127.0.0.1:{own.port}")
    for pair in ((own.url, "http://evil.example"), ("http://evil.example", own.url), (own.url, own.url)):
        attacks[f"two: {pair}"] = instead(ours, "Origin", *pair)
    for site in ("cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site", "anything"):
        attacks[f"a browser that says {site!r}"] = [*ours, ("Sec-Fetch-Site", site)]
    attacks["a browser that says both"] = [*ours, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")]
    assert_all_hold(events, cookie, attacks)


def test_a_page_of_another_address_gets_nothing_at_all(own: App) -> None:
    """Whichever way the Host is spelled: Gradio admits every page to one that it does not know as loopback."""
    hosts = [f"{name}:{own.port}" for name in ("127.0.0.1", "localhost", "x.localhost", "localhost.", "[::1]")]
    asked = [("POST", JOIN), ("POST", "/gradio_api/upload"), ("POST", "/gradio_api/call/check"), ("GET", "/config")]
    asked += [("GET", "/"), ("GET", "/gradio_api/queue/data?session_hash=a"), ("POST", "/gradio_api/cancel")]
    asked += [("OPTIONS", JOIN), ("POST", "/gradio_api/mcp/"), ("DELETE", "/gradio_api/mcp/"), ("PUT", "/")]
    fallen = []
    for origin in [each for each in origins(own) if each != f"http://localhost:{own.port}"]:
        for host in [each for each in hosts if origin != f"http://{each}"]:
            for method, target in asked if origin in ("null", "http://evil.example") else asked[:1]:
                headers = [("Host", host), ("Origin", origin), ("Access-Control-Request-Method", "POST")]
                answer = send(own, method, target, headers)
                if answer.status not in (400, 403) or "Access-Control-Allow-Origin" in answer.headers:
                    fallen.append((host, origin, method, target, answer.status))
    assert fallen == []


def test_the_api_may_still_be_asked_from_anywhere_with_its_key(own: App) -> None:
    answer = send(own, "POST", "/v3/minimax-voice-cloning", [("Host", "127.0.0.1"), ("Origin", "http://app.example")])
    assert "MISSING_API_KEY" in answer.text


def test_no_socket_is_opened_by_a_page_of_another_address(own: App, cookie: str) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    upgrade.append(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    for target in ("/", JOIN, "/queue/join", "/gradio_api/mcp/", "/ws", "/gradio_api/heartbeat"):
        for origin in ("http://evil.example", "null", own.url):
            headers = [*instead(good(own, cookie), "Origin", origin), *upgrade]
            assert send(own, "GET", target, headers).status != 101


# what stands in between

FORWARDED = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded", "Via", "X-Real-IP"),
    *("True-Client-IP", "CF-Connecting-IP", "CF-Ray", "X-Original-Host", "X-Amzn-Trace-Id", "x-forwarded-server"),
)


def test_what_a_proxy_forwards_is_not_the_owners(events: Events, own: App, cookie: str) -> None:
    attacks = {name: [*good(own, cookie), (name, "127.0.0.1")] for name in FORWARDED}
    assert_all_hold(events, cookie, attacks)


@pytest.mark.parametrize("rewritten", [True, False], ids=["as nginx does", "as it is"])
def test_a_careless_proxy_makes_no_stranger_the_owner(events: Events, own: App, cookie: str, rewritten: bool) -> None:
    ours, theirs = f"127.0.0.1:{own.port}", "timbre.example"
    page = events.find("load", changes="voices")
    name = cookie.partition("=")[0]
    with proxy(own, ours if rewritten else "") as port:
        for origin in (["http://timbre.example"], ["https://timbre.example"], [own.url], []):
            for held in ("", f"{name}=1.{'0' * 64}"):
                headers = instead([("Host", theirs), ("Cookie", held)], "Origin", *origin)
                answer = events.ask(page, [STRANGER], headers, port=port)
                assert answer.status == (200 if origin == [] or (origin == [own.url]) == rewritten else 403)
                assert VOICE not in answer.text
    assert is_owner(events, good(own, cookie))


def test_on_the_open_web_nobody_is_the_owner(public: App) -> None:
    """Not by an address that was never printed, nor with a cookie signed with the key of the home itself."""
    keep(public.home)
    events = Events(public)
    owners = Owners(Settings.at(public.home, server_port=public.port))
    assert "?owner=" not in public.log.read_text()
    assert "set-cookie" not in requests.get(f"{public.url}/?owner=x", allow_redirects=False, timeout=30).headers
    for host in (f"127.0.0.1:{public.port}", "timbre.example"):
        headers = with_host(host, f"http://{host}", f"{owners.cookie}={owners.new_cookie()}")
        answer = listed(events, headers)
        assert answer.status == 200
        assert VOICE not in answer.text
    for host, origin, status in (
        ("timbre.example", "https://timbre.example", 200),
        ("a-domain-of-ones.own", "https://a-domain-of-ones.own", 200),
        ("10.0.0.7:7860", "https://timbre.example", 200),
        ("10.0.0.7:7860", "http://timbre.example", 403),
        ("timbre.example", "https://evil.example", 403),
        ("timbre.example", "https://timbre.example.evil.example", 403),
        ("timbre.example", "null", 403),
        ("timbre.example:443", "https://timbre.example", 200),
    ):
        assert listed(events, with_host(host, origin, "")).status == status, (host, origin)


# the link


def test_a_link_is_good_once(own: App) -> None:
    link = own.owner_url
    secret = link.partition("owner=")[2]
    ours = [("Host", f"127.0.0.1:{own.port}")]
    burnt_by = [
        send(own, "HEAD", f"/?owner={secret}", ours),
        send(own, "POST", f"/?owner={secret}", ours),
        send(own, "GET", f"/?owner={secret}", [("Host", f"evil.example:{own.port}")]),
        send(own, "GET", f"/?owner={secret}", [*ours, ("X-Forwarded-For", "10.0.0.1")]),
        send(own, "GET", f"/?owner={secret}", [*ours, ("Origin", "http://evil.example")]),
        send(own, "GET", f"/config?owner={secret}", ours),
        *(send(own, "GET", f"/?owner={guess}", ours) for guess in guesses(secret)),
    ]
    assert not [answer for answer in burnt_by if "Set-Cookie" in answer.headers]
    with ThreadPoolExecutor(16) as at_once:
        cookies = list(at_once.map(cookie_of, [link] * 16))
    assert len([cookie for cookie in cookies if cookie]) == 1
    assert cookie_of(link) == ""
    assert own.owner_url != link


def guesses(secret: str) -> list[str]:
    return [
        "",
        "x",
        secret[:-1],
        f"{secret}x",
        secret.swapcase(),
        "%00",
        f"{secret}%00",
        f"%20{secret}",
        "None",
        "%C3%A9" * 43,
    ]


def test_a_link_leaves_no_trace(own: App, cookie: str) -> None:
    link = own.owner_url
    answer = requests.get(link, allow_redirects=False, timeout=30)
    told = answer.headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=strict" in told
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    secret = link.partition("owner=")[2]
    assert not [path for path in own.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    for headers in ({}, {"Cookie": cookie}):
        assert secret not in requests.get(own.url, headers=headers, timeout=30).text
        assert "owner_secret" not in requests.get(own.url, headers=headers, timeout=30).text
    key = (own.home / "owner_secret").read_text().strip()
    assert key not in own.log.read_text()
    assert (own.home / "owner_secret").stat().st_mode & 0o777 == 0o600


def test_the_page_is_the_same_for_both(own: App, cookie: str) -> None:
    """What is kept in memory for everybody was made for nobody."""
    pages = {requests.get(own.url, headers={"Cookie": each}, timeout=30).text for each in (cookie, "a=b", "")}
    assert len(pages) == 1


def test_the_cookie_outlives_a_restart_and_the_link_does_not(start: Start) -> None:
    app = start()
    keep(app.home)
    cookie, link = cookie_of(app.owner_url), app.owner_url
    app.restart()
    assert cookie_of(link) == ""
    assert is_owner(Events(app), good(app, cookie))
