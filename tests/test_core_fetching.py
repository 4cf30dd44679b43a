"""A URL brings a whole file or one plain sentence, and leads nowhere it should not."""

from __future__ import annotations

import contextlib
import inspect
import os
import socket
import ssl
import stat
import threading
import time
import tracemalloc
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3.exceptions

from clone.core.errors import CancelledError, FetchError
from clone.core.fetching import MAX_REDIRECTS, complete, explain
from clone.core.jobs import Stop
from clone.core.network import Network, Place
from tests.faults import SOUND, FaultServer, body, sending, serving
from tests.fetching import CODES, MAX_BYTES, PUBLIC, get, refusal, resolving


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


# What comes


@pytest.mark.parametrize("path", ["/sound", "/chunked", "/size-unknown", "/wrong-type", "/gzip"])
def test_a_file_comes_whole_and_private(server: FaultServer, folder: Path, path: str) -> None:
    file = get(server.url(path), folder)
    assert file.read_bytes() == SOUND
    assert file.parent == folder
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_every_download_is_a_file_of_its_own(server: FaultServer, folder: Path) -> None:
    assert len({get(server.url("/sound"), folder) for _ in range(3)}) == 3


def test_a_file_of_exactly_the_limit_comes(server: FaultServer, folder: Path) -> None:
    file = get(server.url("/sound"), folder, max_bytes=len(SOUND))
    assert file.stat().st_size == len(SOUND)
    file.unlink()
    for path in ("/sound", "/chunked", "/size-unknown", "/gzip"):
        error = refusal(server.url(path), folder, max_bytes=len(SOUND) - 1)
        assert (error.code, error.limit) == ("url_too_big", len(SOUND) - 1)


def test_what_is_sent_says_nothing_of_us(
    server: FaultServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login me password SECRET")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9/")
    cookie = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=SECRET\r\nLocation: /sound\r\nContent-Length: 0\r\n\r\n"
    server.answers["/cookie"] = sending(cookie)
    get(server.url("/cookie?q=1#fragment"), folder)
    first, second = server.asked
    assert first.startswith("GET /cookie?q=1 HTTP/1.1\r\n")
    assert second.startswith("GET /sound HTTP/1.1\r\n")
    for request in (first, second):
        names = {line.partition(":")[0].lower() for line in request.splitlines()[1:] if line}
        assert names == {"host", "user-agent", "accept", "accept-encoding"}
        assert "Accept-Encoding: identity" in request
        assert f"Host: 127.0.0.1:{server.port}" in request


# What does not


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/no-answer", "url_broken"),
        ("/reset", "url_broken"),
        ("/half-and-reset", "url_broken"),
        ("/half", "url_broken"),
        ("/half-chunked", "url_broken"),
        ("/no-last-chunk", "url_broken"),
        ("/bad-chunk", "url_broken"),
        ("/bad-gzip", "url_broken"),
        ("/half-gzip", "url_broken"),
        ("/many-encodings", "url_broken"),
        ("/two-lengths", "url_broken"),
        ("/not-http", "url_broken"),
        ("/long-header", "url_broken"),
        ("/many-headers", "url_broken"),
        ("/endless", "url_too_big"),
        ("/endless-chunked", "url_too_big"),
        ("/too-big", "url_too_big"),
        ("/empty", "url_empty"),
        ("/empty-gzip", "url_empty"),
        ("/page", "url_web_page"),
        ("/page-in-bits", "url_web_page"),
        ("/xhtml", "url_web_page"),
        ("/loop", "url_redirects"),
        ("/nowhere", "url_refused"),
        ("/partial", "url_refused"),
        ("/no-content", "url_refused"),
        ("/forbidden", "url_refused"),
        ("/failing", "url_refused"),
        ("/odd-status", "url_refused"),
        ("/not-there", "url_refused"),
    ],
)
def test_every_fault_has_its_own_words(server: FaultServer, folder: Path, path: str, code: str) -> None:
    error = refusal(server.url(f"{path}?signature=SECRET"), folder, field="prompt_audio_url")
    assert error.code == code
    assert "SECRET" not in f"{error}{error.measured}{error.limit}"
    assert server.url(path) in error.message


@pytest.mark.parametrize("path", ["/silent", "/slow-head", "/slow-body", "/slow-size-unknown", "/stalled-body"])
def test_a_slow_server_is_left_in_time(server: FaultServer, folder: Path, path: str) -> None:
    error = refusal(server.url(path), folder, timeout_s=0.5)
    assert (error.code, error.limit) == ("url_timeout", 0.5)


@pytest.mark.parametrize("path", ["/silent", "/slow-head", "/slow-body", "/stalled-body"])
def test_a_stop_is_obeyed_while_waiting(server: FaultServer, folder: Path, path: str) -> None:
    stop, begin = Stop(), time.monotonic()
    threading.Timer(0.3, stop.ask).start()
    with pytest.raises(CancelledError):
        get(server.url(path), folder, stop=stop)
    assert time.monotonic() - begin < 5  # not the read timeout's 10 s
    assert not list(folder.iterdir())


def test_a_stop_that_was_asked_before_asks_nobody(server: FaultServer, folder: Path) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        get(server.url("/sound"), folder, stop=stop)
    assert server.n_connections == 0


def test_a_resolver_that_hangs_is_left_in_time_and_at_a_stop(folder: Path) -> None:
    hang = threading.Event()
    assert (
        refusal("http://a.test/", folder, timeout_s=0.3, resolver=lambda *_, **__: hang.wait(9)).code == "url_timeout"
    )
    stop = Stop()
    threading.Timer(0.2, stop.ask).start()
    with pytest.raises(CancelledError):
        get("http://a.test/", folder, stop=stop, resolver=lambda *_, **__: hang.wait(9))
    hang.set()


def test_a_host_that_never_answers_the_knock_is_left_in_time(folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # fill its queue, so that the next knock stays unanswered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = refusal(f"http://127.0.0.1:{full.getsockname()[1]}/", folder, timeout_s=0.5)
    assert error.code == "url_timeout"


def test_a_bomb_is_refused_before_it_takes_memory(server: FaultServer, folder: Path) -> None:
    tracemalloc.start()
    try:
        assert refusal(server.url("/bomb"), folder).code == "url_too_big"
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_the_body_of_a_redirect_is_not_read(server: FaultServer, folder: Path) -> None:
    assert get(server.url("/endless-redirect"), folder).read_bytes() == SOUND


def test_too_big_is_known_before_the_body(server: FaultServer, folder: Path) -> None:
    error = refusal(server.url("/too-big"), folder)
    assert (error.measured, error.limit) == (99_999_999_999, MAX_BYTES)


def test_a_refusal_says_the_status_and_nothing_of_the_servers_own_words(server: FaultServer, folder: Path) -> None:
    error = refusal(server.url("/forbidden"), folder)
    assert (error.measured, "403 Forbidden" in error.message, "Reason" in str(error)) == (403, True, False)


def test_a_closed_port_is_unreachable(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert refusal(f"http://127.0.0.1:{port}/", folder).code == "url_unreachable"


def test_the_next_address_is_tried_when_one_is_closed(server: FaultServer, folder: Path) -> None:
    resolver = resolving("127.0.0.77 127.0.0.1")
    assert get(f"http://two.test:{server.port}/sound", folder, resolver=resolver).read_bytes() == SOUND


def test_a_full_disk_leaves_no_file(server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdopen", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        get(server.url("/sound"), folder)
    assert not list(folder.iterdir())


def test_no_socket_or_thread_is_left_behind(server: FaultServer, folder: Path) -> None:
    def n_open() -> int:
        n = 0
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile, the listing's own for one
                n += os.readlink(f"/proc/self/fd/{fd}").startswith("socket")
        return n

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    get(server.url("/sound"), folder).unlink()
    time.sleep(0.2)
    before = n_open()
    for path in ("/sound", "/half", "/loop", "/page", "/endless", "/forbidden", "/slow-head"):
        with contextlib.suppress(FetchError):
            get(server.url(path), folder, timeout_s=0.5).unlink()
    deadline = time.monotonic() + 5
    while n_open() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert n_open() <= before
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert not [timer for timer in timers if "Limits" in timer.function.__qualname__]


# Redirects


def test_redirects_are_followed_relative_ones_too(server: FaultServer, folder: Path) -> None:
    server.redirect("/a/b", "../c")
    server.redirect("/c", server.url("/d?x=1"))
    server.redirect("/d", f"//127.0.0.1:{server.port}/sound")
    assert get(server.url("/a/b"), folder).read_bytes() == SOUND


def test_as_many_redirects_as_allowed_and_not_one_more(server: FaultServer, folder: Path) -> None:
    for number in range(MAX_REDIRECTS + 1):
        server.redirect(f"/{number + 1}", f"/{number}")
    server.answers["/0"] = server.answers["/sound"]
    file = get(server.url(f"/{MAX_REDIRECTS}"), folder)
    assert file.read_bytes() == SOUND
    file.unlink()
    error = refusal(server.url(f"/{MAX_REDIRECTS + 1}"), folder)
    assert (error.code, error.limit) == ("url_redirects", MAX_REDIRECTS)


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("file:///etc/passwd", "url_scheme"),
        ("ftp://example.com/x", "url_scheme"),
        ("http://me:secret@example.com/", "url_credentials"),
        ("http://169.254.169.254/latest/meta-data", "url_private"),
        ("http://[fe80::1]/", "url_private"),
        ("http://0.0.0.0/", "url_private"),
        ("http://[::ffff:169.254.169.254]/", "url_private"),
        ("http://[::1", "bad_url"),
        ("http://example.com:25/", "url_port"),
    ],
)
def test_a_redirect_is_judged_like_the_first_address(server: FaultServer, folder: Path, to: str, code: str) -> None:
    server.redirect("/away", to)
    error = refusal(server.url("/away"), folder)
    assert error.code == code
    assert "secret" not in str(error)
    assert server.n_connections == 1


@pytest.mark.parametrize(
    "to", ["http://127.0.0.1:{}/sound", "http://localhost:{}/sound", "http://10.0.0.1/", "//[::1]/"]
)
def test_a_public_server_leads_into_no_private_network(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    def dial(self: Network, addresses: list[Any], place: Place) -> socket.socket:
        assert [address[4][0] for address in addresses] == [PUBLIC]
        return socket.create_connection(("127.0.0.1", server.port))

    def resolver(host: str, *given: Any, **more: Any) -> list[Any]:
        return resolving(PUBLIC)(host, 80) if host == "public.test" else socket.getaddrinfo(host, *given, **more)

    monkeypatch.setattr(Network, "dial", dial)
    server.redirect("/away", to.format(server.port))
    assert refusal("http://public.test/away", folder, allow_private=False, resolver=resolver).code == "url_private"
    begun = folder / "begun.part"
    begun.write_bytes(b"so far")
    with pytest.raises(FetchError, match="private network"):
        complete("http://public.test/away", begun, len(SOUND), allow_private=False, resolver=resolver)
    assert server.n_connections == 2
    assert begun.read_bytes() == b"so far"


# What is no address


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "bad_url"),
        ("example.com/a.mp3", "bad_url"),
        ("//example.com/a.mp3", "bad_url"),
        ("data:audio/wav;base64,AAAA", "bad_url"),
        ("http://", "bad_url"),
        ("http:///a.mp3", "bad_url"),
        ("http://[::1", "bad_url"),
        ("http://a b/", "bad_url"),
        ("http://a.test\r\nX: y/", "bad_url"),
        ("http://a.test/\0", "bad_url"),
        ("http://a.test:99999/", "bad_url"),
        ("http://a.test:0/", "url_port"),
        ("http://a.test:22/", "url_port"),
        ("https://a.test:25/", "url_port"),
        ("http://☃.test/", "bad_url"),
        ("http://a.test/" + "x" * 9000, "bad_url"),
        ("file:///etc/passwd", "url_scheme"),
        ("ftp://a.test/a.mp3", "url_scheme"),
        ("gopher://a.test/", "url_scheme"),
        ("javascript://a.test/%0aalert(1)", "url_scheme"),
        ("http://me:secret@a.test/", "url_credentials"),
        ("http://secret@a.test/", "url_credentials"),
        ("https://a.test:80@127.0.0.1/", "url_credentials"),
    ],
)
def test_what_is_no_usable_address_is_refused_unasked(folder: Path, url: str, code: str) -> None:
    resolver = resolving(PUBLIC)
    error = refusal(url, folder, resolver=resolver)
    assert error.code == code
    assert "secret" not in str(error)
    assert resolver.calls == []  # type: ignore[attr-defined]


def test_an_address_may_be_pasted_with_blanks_and_letters_of_any_script(server: FaultServer, folder: Path) -> None:
    server.answers["/caf%C3%A9%20one"] = server.answers["/sound"]
    resolver = resolving("127.0.0.1")
    url = f"  HTTP://bücher.test:{server.port}/café one?q=ä\n"
    assert get(url, folder, resolver=resolver).read_bytes() == SOUND
    assert resolver.calls == ["xn--bcher-kva.test"]  # type: ignore[attr-defined]


# Every exception below


def low_level() -> list[type[BaseException]]:
    modules = (requests.exceptions, urllib3.exceptions)
    classes = {each for module in modules for _, each in inspect.getmembers(module, inspect.isclass)}
    errors = [each for each in classes if issubclass(each, Exception) and not issubclass(each, Warning)]
    errors = [each for each in errors if each.__module__.startswith(("requests", "urllib3"))]
    errors += [HTTPException, IncompleteRead, RemoteDisconnected, LineTooLong, ConnectionResetError, BrokenPipeError]
    errors += [TimeoutError, ssl.SSLError, ssl.SSLEOFError, OSError]
    return sorted(set(errors), key=lambda each: f"{each.__module__}.{each.__qualname__}")


@pytest.mark.parametrize("kind", low_level(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_low_level_exception_is_said_in_our_words(kind: type[BaseException]) -> None:
    error = explain(kind.__new__(kind), "https://example.com/a")
    assert isinstance(error, FetchError)
    assert error.code in CODES


@pytest.mark.parametrize("kind", low_level(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_low_level_exception_is_caught_while_asking(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise kind.__new__(kind)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)
    refusal(server.url("/sound"), folder)


def test_a_page_is_told_from_sound_by_its_first_bytes(server: FaultServer, folder: Path) -> None:
    for start in (b"<", b"\xff\xfb<html", b"RIFF<html>", b"ID3 <!doctype html>"):
        server.answers["/x"] = sending(body(start + SOUND))
        assert get(server.url("/x"), folder).read_bytes() == start + SOUND
