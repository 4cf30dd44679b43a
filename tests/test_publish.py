"""From a file to a URL: by this app's own address, by a real S3 server on loopback, or not at all."""

from __future__ import annotations

import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from clone.errors import PublishError, TimbreError
from clone.publish import MOUNT, PASSING, Publisher
from clone.settings import Settings
from clone.store import Store

DATA = bytes(range(256)) * 20


def publisher(settings: Settings) -> Publisher:
    return Publisher(settings, Store(settings.store_url, settings.home / "copies"))


def test_without_a_way_the_three_are_named(settings: Settings, tmp_path: Path) -> None:
    lender = publisher(settings)
    assert lender.way() == ""
    assert "link you gave" in lender.way(is_url=True)
    with pytest.raises(PublishError) as caught, lender.lend(DATA, "mp3", tmp_path):
        pass
    for way in ("TIMBRE_PUBLIC_URL", "TIMBRE_STORE_URL", "a link to the recording"):
        assert way in caught.value.advice


def test_by_the_apps_own_address(home: Path, tmp_path: Path) -> None:
    lender = publisher(Settings.at(home, public_url="https://timbre.example"))
    client = TestClient(Starlette(routes=[Mount(MOUNT, lender.route)]), base_url="https://timbre.example")
    assert "this page" in lender.way()
    with lender.lend(DATA, "mp3", tmp_path) as url, lender.lend(b"other", "wav", tmp_path) as other:
        assert re.fullmatch(r"https://timbre\.example/lent/links/\d+-\w+\.mp3\?expires=\d+&signature=\w{64}", url)
        assert client.get(url).content == DATA
        assert client.get(other).content == b"other"
        assert client.get(url.replace(url.split("/")[-1].split("?")[0], other.split("/")[-1].split("?")[0])).is_error
    assert client.get(url).status_code == 404
    assert not list(tmp_path.glob("*.mp3"))


def test_the_link_is_dead_when_the_call_fails(home: Path, tmp_path: Path) -> None:
    lender = publisher(Settings.at(home, public_url="https://timbre.example"))
    client = TestClient(Starlette(routes=[Mount(MOUNT, lender.route)]), base_url="https://timbre.example")
    with pytest.raises(RuntimeError), lender.lend(DATA, "mp3", tmp_path) as url:
        raise RuntimeError
    assert client.get(url).status_code == 404


# a bucket


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    fsspec.filesystem("s3").mkdir("timbre-tests")
    yield Settings.at(home, store_url="s3://timbre-tests/audio")
    fsspec.filesystem("s3").rm("timbre-tests", recursive=True)
    fsspec.filesystem("s3").clear_instance_cache()


def test_by_a_bucket(bucket: Settings, tmp_path: Path, s3: str) -> None:
    lender, store = publisher(bucket), Store(bucket.store_url, tmp_path / "copies")
    assert "bucket" in lender.way()
    with lender.lend(DATA, "mp3", tmp_path) as url:
        assert url.startswith(s3)
        assert "not-a-secret" not in url
        with urllib.request.urlopen(url, timeout=10) as answer:  # what the hosted service does
            assert answer.read() == DATA
        assert len(store.keys(PASSING)) == 1
    assert store.keys(PASSING) == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url, timeout=10)


def test_leftovers_in_a_bucket_are_swept(bucket: Settings, tmp_path: Path) -> None:
    store = Store(bucket.store_url, tmp_path / "copies")
    store.put(f"{PASSING}/1000-old.mp3", DATA)
    lender = publisher(bucket)
    with lender.lend(DATA, "mp3", tmp_path):
        assert lender.sweep() == 1
        assert len(store.keys(PASSING)) == 1


def test_a_bucket_that_refuses_is_told(bucket: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "clone")
    lender = publisher(Settings.at(bucket.home, store_url="s3://no bucket/audio"))
    with pytest.raises(PublishError) as caught, lender.lend(DATA, "mp3", tmp_path):
        pass
    assert caught.value.code == "store_failed"
    assert "no bucket" not in str(caught.value)
    assert "not-a-secret" not in caplog.text


def test_what_is_not_installed_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(TimbreError, match=r"requirements-s3\.txt"):
        Store("s3://bucket/audio")
