"""The page's origin serves the page and nothing else: no other site's files, no route that nobody needs, no frame."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from tests.attacks.sockets import page_folder, raw, told
from tests.running import App


class Listener:
    """A host on loopback that notes whoever comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.n_visits = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.n_visits += 1
            visitor.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


# other people's files


@pytest.mark.parametrize(
    "spelled",
    [
        "http://127.0.0.1:{port}/x.mp3",
        "HTTP://127.0.0.1:{port}/x.mp3",
        "http:/127.0.0.1:{port}/x.mp3",
        "http:%2F%2F127.0.0.1:{port}%2Fx.mp3",
        "%68ttp://127.0.0.1:{port}/x.mp3",
        "%20http://127.0.0.1:{port}/x.mp3",
        "http://localhost:{port}/x.html",
        "//127.0.0.1:{port}/x.mp3",
        "http://[::ffff:127.0.0.1]:{port}/x.mp3",
        "http://0x7f000001:{port}/x.mp3",
        "http://user@127.0.0.1:{port}/x.mp3",
        "ftp://127.0.0.1:{port}/x.mp3",
        "file://127.0.0.1:{port}/etc/passwd",
    ],
)
@pytest.mark.parametrize("route", ["/gradio_api/file=", "/gradio_api/proxy=", "/gradio_api/file/"])
def test_nothing_is_fetched_for_anybody(own: App, listener: Listener, route: str, spelled: str) -> None:
    """Not even where links to this machine are allowed: they are for clone/core/fetching.py."""
    for method in ("GET", "HEAD"):
        assert raw(own, method, route + spelled.format(port=listener.port)).status == 404
    assert listener.n_visits == 0


@pytest.mark.parametrize("host", ["example.com", "169.254.169.254", "100.100.100.200", "metadata.google.internal"])
def test_no_other_host_is_asked(public: App, host: str) -> None:
    answer = raw(public, "GET", f"/gradio_api/file=http://{host}/latest/meta-data.mp3")
    assert answer.status == 404
    assert told(answer) == b"There is no such file."


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        "{home}/api_key",
        "{home}/library.db",
        "{home}/page_secret",
        "{page}/../../api_key",
        "{page}/%2e%2e/%2e%2e/api_key",
        "{page}/x/..%2F..%2F..%2Fapi_key",
        "{page}//../../../home/api_key",
        "{page}",
        "{page}/",
        "{page}/beside.mp3",
        "{page}/folder",
        "{page}/folder/",
        "{page}/folder/link.mp3",
        "{page}/way/api_key",
        "{page}/folder/sound.mp3%00.html",
        "page/folder/sound.mp3",
        "./page/folder/sound.mp3",
        "\\etc\\passwd",
        "app.py",
        "%2e",
        "x" * 5_000,
    ],
)
def test_no_file_but_the_pages_own(own: App, path: str) -> None:
    page = page_folder(own)
    folder = page / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "sound.mp3").write_bytes(b"sound")
    (page / "beside.mp3").write_bytes(b"an upload that is not whole")
    for link, target in ((folder / "link.mp3", own.home / "api_key"), (page / "way", own.home)):
        if not link.is_symlink():
            link.symlink_to(target)
    answer = raw(own, "GET", f"/gradio_api/file={path.format(home=own.home, page=page)}")
    assert answer.status == 404
    assert told(answer) == b"There is no such file."
    whole = raw(own, "GET", f"/gradio_api/file={folder}/sound.mp3", {"Range": "bytes=1-3"})
    assert (whole.status, told(whole)) == (206, b"oun")


# what is served is not taken for anything else


def test_what_somebody_uploaded_is_never_a_page(public: App) -> None:
    script = b"<script>fetch('/gradio_api/queue/join')</script>"
    for name in (
        "page.html",
        "image.svg",
        "code.js",
        "style.css",
        "feed.xml",
        "no",
        "page.xhtml",
        "a.pdf",
        "x.mp3.htm",
    ):
        answer = requests.post(f"{public.url}/gradio_api/upload", files={"files": (name, script)}, timeout=20)
        served = requests.get(f"{public.url}/gradio_api/file={answer.json()[0]}", timeout=20)
        assert served.content == script
        assert served.headers["content-type"] == "application/octet-stream", name
        assert served.headers["content-disposition"].startswith("attachment"), name
        assert served.headers["x-content-type-options"] == "nosniff"
    sound = requests.post(f"{public.url}/gradio_api/upload", files={"files": ("Say “hi”.MP3", script)}, timeout=20)
    served = requests.get(f"{public.url}/gradio_api/file={sound.json()[0]}", timeout=20)
    assert served.headers["content-type"] == "audio/mpeg"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert served.headers["cache-control"] == "private, no-store"


ANSWERS = (
    "/",
    "/config",
    "/nothing",
    "/theme.css",
    "/takes/x/y.mp3",
    "/lent/x",
    "/links/x",
    "/healthz",
    "/docs",
    "/v3/x",
)


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_says_how_it_is_to_be_taken(own: App, public: App, path: str) -> None:
    for app, framed_by in ((own, "'self'"), (public, "'self' https://huggingface.co https://*.hf.space")):
        headers = requests.get(app.url + path, timeout=20).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        if path not in ("/docs", "/links/x", "/lent/x"):  # these forbid more, by policies of their own
            allowed, _, frames = policy.partition("frame-ancestors ")
            assert frames == framed_by
            assert "//" not in allowed
            assert "*" not in allowed
            assert "object-src 'none'" in allowed


# other people's pages


FOREIGN = (
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "audio"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://elsewhere.example"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": "http://127.0.0.1:3000"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "embed"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
)


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/config"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/queue/data?session_hash=x"),
        ("GET", "/takes/x/live.mp3"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/cancel"),
    ],
)
def test_a_page_of_another_site_loads_nothing(public: App, method: str, path: str, headers: dict[str, str]) -> None:
    assert raw(public, method, path, headers).status == 403


def test_a_link_from_another_site_opens_the_page_and_its_own_requests_pass(public: App) -> None:
    for dest in ("document", "iframe"):
        opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
        assert raw(public, "GET", "/", opened).status == 200
        assert raw(public, "POST", "/gradio_api/queue/join", opened).status == 403
    for headers in (
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": public.url},
        {"Origin": "https://timbre.example"},
        {},
    ):
        body = json.dumps({"data": [], "fn_index": 100_000, "session_hash": "x"})
        answer = requests.post(f"{public.url}/gradio_api/queue/join", data=body, headers=headers, timeout=20)
        assert answer.status_code not in (403, 404)


def test_no_socket_is_opened(own: App) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    for path in ("/gradio_api/queue/join", "/", "/gradio_api/heartbeat/x"):
        assert raw(own, "GET", path, asked | key).status == 403
    assert raw(own, "GET", "/gradio_api/queue/join", asked).status == 400


def test_the_pages_folder_holds_nothing_with_a_name_to_guess(own: App, examples: list[Path]) -> None:
    """Whoever has a recording can't ask whether somebody else has uploaded it: its folder's name is a salted hash."""
    with examples[0].open("rb") as file:
        path = requests.post(f"{own.url}/gradio_api/upload", files={"files": file}, timeout=20).json()[0]
    assert sha256(examples[0].read_bytes()).hexdigest() not in path
    assert len(Path(path).parent.name) == 64
