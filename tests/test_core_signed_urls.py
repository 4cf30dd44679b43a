"""Links: good for one file and for a while, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clone.core.signed_urls import Signer, link_route


@pytest.fixture
def clock() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def signer(clock: list[float]) -> Signer:
    return Signer(b"s" * 32, lambda: clock[0])


@pytest.fixture
def client(signer: Signer, tmp_path: Path) -> TestClient:
    (tmp_path / "a.mp3").write_bytes(bytes(range(100)))
    (tmp_path / "b.mp3").write_bytes(b"other")
    return TestClient(link_route(signer, lambda key, _: tmp_path / key if "/" not in key else None))


def test_a_link_serves_its_file_with_head_and_range(client: TestClient, signer: Signer) -> None:
    link = signer.link("", "a.mp3", 60)
    assert client.get(link).content == bytes(range(100))
    head = client.head(link)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "100", b"")
    assert head.headers["content-type"] == "audio/mpeg"
    part = client.get(link, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert client.get(link, headers={"Range": "bytes=900-"}).status_code == 416
    assert client.post(link).status_code == 405


def test_a_link_expires(client: TestClient, signer: Signer, clock: list[float]) -> None:
    link = signer.link("", "a.mp3", 60)
    clock[0] += 59.9
    assert client.get(link).status_code == 200
    clock[0] += 0.2
    assert client.get(link).status_code == 404


def test_a_link_can_not_be_changed(client: TestClient, signer: Signer) -> None:
    link = signer.link("", "a.mp3", 60)
    signature = link.rpartition("=")[2]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    for changed in (
        link.replace("a.mp3", "b.mp3"),
        link.replace("a.mp3", "../a.mp3"),
        link.replace("expires=1", "expires=2"),
        link.replace(signature, flipped),
        link.replace(signature, ""),
        link.replace(signature, "é"),
        link.partition("?")[0],
        link.replace("expires=", "expires=-"),
        link.replace("expires=", "expires=" + "9" * 5000),
    ):
        assert client.get(changed).status_code == 404, changed


def test_another_secret_signs_otherwise(signer: Signer) -> None:
    assert Signer(b"t" * 32).sign("a.mp3", 5) != signer.sign("a.mp3", 5)
    assert signer.sign("a.mp3", 5) != signer.sign("a.mp3", 6)
    with pytest.raises(ValueError, match="32"):
        Signer(b"short")
