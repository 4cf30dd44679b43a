"""A name leads to public addresses only, to the ones that were judged, and TLS is checked against the name."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.adapters
import trustme

from clone.core.network import Network, is_allowed
from tests.faults import SOUND, FaultServer, serving
from tests.fetching import PUBLIC, get, refusal, resolving


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


# Where a name leads


class Wire:
    """Connects public addresses to the fault server instead of the world, and notes every address dialled."""

    def __init__(self, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dialled: list[str] = []
        dial = Network.dial

        def dial_here(network: Network, addresses: list[Any], place: Any) -> socket.socket:
            self.dialled += [info[4][0] for info in addresses]
            here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
            return dial(network, [here], place)

        monkeypatch.setattr(Network, "dial", dial_here)


@pytest.fixture
def wire(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(server, monkeypatch)


def test_a_name_is_looked_up_once_and_the_answer_is_what_is_connected_to(server: FaultServer, folder: Path) -> None:
    """No other resolver knows this name, so the file could not come if anybody asked a second time."""
    resolver = resolving("127.0.0.1", "169.254.169.254")
    assert get(f"http://rebind.test:{server.port}/sound", folder, resolver=resolver).read_bytes() == SOUND
    assert resolver.calls == ["rebind.test"]  # type: ignore[attr-defined]
    assert f"Host: rebind.test:{server.port}\r\n" in server.asked[0]


@pytest.mark.parametrize("then", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", f"{PUBLIC} 127.0.0.1"])
def test_a_name_that_turns_private_is_never_followed_there(
    server: FaultServer, wire: Wire, folder: Path, then: str
) -> None:
    """DNS rebinding: public for the check, private for whoever looks again."""
    server.redirect("/again", "/sound")
    resolver = resolving(PUBLIC, then)
    error = refusal("http://rebind.test/again", folder, allow_private=False, resolver=resolver)
    assert error.code == "url_private"
    assert wire.dialled == [PUBLIC]
    resolver = resolving(PUBLIC, then)
    assert get("http://rebind.test/sound", folder, allow_private=False, resolver=resolver).read_bytes() == SOUND
    assert wire.dialled == [PUBLIC, PUBLIC]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:10.1.2.3]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://192.168.1.1:3000/",
        "http://0/",
        "https://169.254.169.254/",
    ],
)
def test_a_private_address_is_refused_however_it_is_written(wire: Wire, folder: Path, url: str) -> None:
    error = refusal(url, folder, allow_private=False)
    assert error.code in {"url_private", "url_unresolved"}  # resolvers differ on the odd spellings
    assert wire.dialled == []


PRIVATE = [
    "127.0.0.1",
    "127.255.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:db8::1",
    "3fff::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2002:7f00:1::",
    "2002:5db8:d822::1",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "100::1",
    "5f00::1",
    "4000::1",
    "not-an-address",
]


def test_addresses_are_judged() -> None:
    for address in ("93.184.215.14", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"):
        assert is_allowed(address, allow_private=False), address
        assert is_allowed(address, allow_private=True), address
    for address in (*PRIVATE, *(f"::ffff:{address}" for address in PRIVATE if "." in address), "64:ff9b::10.0.0.1"):
        assert not is_allowed(address, allow_private=False), address
        assert is_allowed(address, allow_private=True), address
    for address in NEVER:
        assert not is_allowed(address, allow_private=False), address
        assert not is_allowed(address, allow_private=True), address


def test_one_bad_address_among_good_ones_is_enough(wire: Wire, folder: Path) -> None:
    for answers in (f"{PUBLIC} 10.0.0.1", f"::1 {PUBLIC}", f"{PUBLIC} 1.1.1.1 1.0.0.1 9.9.9.9 8.8.8.8 127.0.0.1"):
        resolver = resolving(answers)
        assert refusal("http://a.test/", folder, allow_private=False, resolver=resolver).code == "url_private"
    assert wire.dialled == []


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "unknown"), UnicodeError("label too long"), OSError("no net")])
def test_a_name_that_is_none_is_unresolved(folder: Path, failure: Exception) -> None:
    def resolver(*_: Any, **__: Any) -> list[Any]:
        raise failure

    assert refusal("http://no-such.test/", folder, resolver=resolver).code == "url_unresolved"
    assert refusal("http://no-such.test/", folder, resolver=lambda *_, **__: []).code == "url_unresolved"


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "ca.pem"))


@contextlib.contextmanager
def serving_tls(authority: trustme.CA, *names: str) -> Iterator[tuple[FaultServer, list[str | None]]]:
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    authority.issue_cert(*names).configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving(context) as server:
        yield server, asked


@pytest.mark.usefixtures("trusted")
def test_tls_is_checked_against_the_name_not_the_address(authority: trustme.CA, folder: Path) -> None:
    with serving_tls(authority, "voice.test") as (server, names):
        url = f"https://voice.test:{server.port}/sound"
        assert get(url, folder, resolver=resolving("127.0.0.1")).read_bytes() == SOUND
        assert names == ["voice.test"]
        assert f"Host: voice.test:{server.port}" in server.asked[0]
        for path, code, timeout_s in (
            ("/half", "url_broken", 10),
            ("/slow-body", "url_timeout", 1),
            ("/endless", "url_too_big", 10),
        ):
            for file in folder.iterdir():
                file.unlink()
            url = f"https://voice.test:{server.port}{path}"
            assert refusal(url, folder, resolver=resolving("127.0.0.1"), timeout_s=timeout_s).code == code


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_of_another_name_is_refused(authority: trustme.CA, folder: Path, host: str) -> None:
    with serving_tls(authority, "voice.test") as (server, _):
        url = f"https://{host}:{server.port}/sound?q=SECRET"
        error = refusal(url, folder, resolver=resolving("127.0.0.1"))
        assert (error.code, server.asked) == ("url_tls", [])
        assert "SECRET" not in str(error)


def test_a_certificate_of_nobody_is_refused(authority: trustme.CA, folder: Path) -> None:
    with serving_tls(authority, "voice.test") as (server, _):
        url = f"https://voice.test:{server.port}/sound"
        assert refusal(url, folder, resolver=resolving("127.0.0.1")).code == "url_tls"


def test_a_server_without_tls_is_no_secure_one(server: FaultServer, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=lambda: plain.accept()[0].sendall(b"220 hello\r\n" * 9), daemon=True).start()
        assert refusal(f"https://127.0.0.1:{plain.getsockname()[1]}/", folder).code == "url_tls"


def test_a_handshake_that_hangs_is_left_in_time(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert refusal(url, folder, timeout_s=0.5).code == "url_timeout"
