"""Signed links: what they open, what they don't, and for how long."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from clone.links import ROUTE, Signer, link_route

SECRET = bytes(range(32))
BASE = "http://testserver"


class Seconds:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "a.mp3").write_bytes(bytes(range(200)))
    (tmp_path / "b.wav").write_bytes(b"another")
    return {"a.mp3": tmp_path / "a.mp3", "voices/b.wav": tmp_path / "b.wav"}


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def signer(clock: Seconds) -> Signer:
    return Signer(SECRET, clock)


@pytest.fixture
def client(signer: Signer, files: dict[str, Path]) -> TestClient:
    return TestClient(Starlette(routes=[Mount(ROUTE.rstrip("/"), link_route(signer, files.get))]))


def test_a_link_opens_its_file(client: TestClient, signer: Signer) -> None:
    answer = client.get(signer.link(BASE, "a.mp3", 60))
    assert (answer.status_code, answer.content) == (200, bytes(range(200)))
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["cache-control"] == "private, no-store"
    assert client.get(signer.link(BASE, "voices/b.wav", 60)).content == b"another"


def test_head_says_how_long_it_is(client: TestClient, signer: Signer) -> None:
    answer = client.head(signer.link(BASE, "a.mp3", 60))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "200"
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "given"), [("bytes=0-9", slice(10)), ("bytes=190-", slice(190, 200)), ("bytes=-5", slice(195, 200))]
)
def test_a_range_is_given(client: TestClient, signer: Signer, asked: str, given: slice) -> None:
    answer = client.get(signer.link(BASE, "a.mp3", 60), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, bytes(range(200))[given])


def test_a_range_beyond_the_end_is_refused(client: TestClient, signer: Signer) -> None:
    assert client.get(signer.link(BASE, "a.mp3", 60), headers={"Range": "bytes=200-"}).status_code == 416


def test_a_link_ends(client: TestClient, signer: Signer, clock: Seconds) -> None:
    link = signer.link(BASE, "a.mp3", 60)
    clock.time += 59.9
    assert client.get(link).status_code == 200
    clock.time += 0.1
    assert client.get(link).status_code == 404


def test_nothing_else_can_be_had_with_a_link(client: TestClient, signer: Signer) -> None:
    link = signer.link(BASE, "a.mp3", 60)
    query = urlsplit(link).query
    other = Signer(bytes(32), signer._now).link(BASE, "a.mp3", 60)
    later = link.replace("expires=1000060", "expires=2000060")
    unsigned = link.partition("&")[0]
    elsewhere = [f"{BASE}{ROUTE}{key}?{query}" for key in ("voices/b.wav", "A.mp3", "", "../a.mp3", "a.mp3/")]
    odd = [f"{BASE}{ROUTE}a.mp3?expires={e}&signature=ü" for e in ("x", "-1", "9" * 500, "²", "1e9", "")]
    for wrong in (other, later, unsigned, link + "0", *elsewhere, *odd, signer.link(BASE, "c.mp3", 60)):
        answer = client.get(wrong)
        assert (answer.status_code, answer.text) == (404, "Not Found"), wrong


def test_a_file_that_has_gone_is_not_found(client: TestClient, signer: Signer, files: dict[str, Path]) -> None:
    files["a.mp3"].unlink()
    assert client.get(signer.link(BASE, "a.mp3", 60)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_links_are_only_read(client: TestClient, signer: Signer, method: str) -> None:
    assert client.request(method, signer.link(BASE, "a.mp3", 60)).status_code == 405


def test_a_secret_must_be_one() -> None:
    with pytest.raises(ValueError, match="32"):
        Signer(b"short")
