"""From a file to a URL: by this app's own address, by a real S3 server on loopback, or not at all."""

from __future__ import annotations

import logging
import re
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from clone.core.errors import BusyError, FetchError, PublishError, TimbreError
from clone.core.settings import Settings
from clone.core.workspace import Presence, presence
from clone.hosted import lending
from clone.hosted.lending import MOUNT, PASSING, Publisher
from clone.storage.files import Store

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


# for an hour


START = 1_800_000_000.0


@pytest.fixture
def clock() -> list[float]:
    return [START]


@pytest.fixture
def hourly(settings: Settings, clock: list[float]) -> Publisher:
    """A publisher with no public address, whose clock the test has."""
    return Publisher(settings, Store(settings.store_url), lambda: clock[0])


AT = "http://192.168.7.7:7860"


def copies(settings: Settings) -> list[Path]:
    return sorted((settings.home / "lent").glob("*"))


def test_a_copy_is_lent_for_an_hour_and_gone_after_it(
    hourly: Publisher, settings: Settings, clock: list[float], tmp_path: Path
) -> None:
    client = TestClient(Starlette(routes=[Mount(MOUNT, hourly.route)]), base_url=AT)
    link = hourly.lend_for(DATA, "mp3", at=AT)
    assert link.expires_at == datetime.fromtimestamp(START + 3600, UTC)
    (copy,) = copies(settings)
    assert (stat.S_IMODE(copy.stat().st_mode), stat.S_IMODE(copy.parent.stat().st_mode)) == (0o600, 0o700)
    assert client.head(link.url).headers["content-length"] == str(len(DATA))
    assert client.get(link.url, headers={"Range": "bytes=10-19"}).content == DATA[10:20]
    clock[0] += 3599
    assert hourly.sweep() == 0
    assert client.get(link.url).content == DATA
    clock[0] += 1
    assert client.get(link.url).status_code == 404
    with pytest.raises(FetchError, match="60 minutes"):
        hourly.copy(link.url, tmp_path)
    assert hourly.sweep() == 1
    assert copies(settings) == []
    with pytest.raises(FetchError) as ended:
        hourly.copy(link.url, tmp_path, "prompt_audio")
    assert (ended.value.code, ended.value.field) == ("link_expired", "prompt_audio")


def test_only_its_own_links_are_read_without_the_network(hourly: Publisher, settings: Settings, tmp_path: Path) -> None:
    url = hourly.lend_for(DATA, "mp3", at=AT).url
    path = hourly.copy(f" {url}\n", tmp_path)
    assert path is not None
    assert path.read_bytes() == DATA
    assert path.parent == tmp_path
    for others in (
        url.replace(AT, "http://192.168.7.8:7860"),
        url.replace(AT, "https://192.168.7.7:7860"),
        url.replace(AT, f"{AT}@evil.example"),
        url.replace(AT, f"http://evil.example/{AT}"),
        url.replace(AT, ""),
        url.replace("/lent/links/", "/links/"),
        f"{AT}/v3",
        "",
    ):
        assert hourly.copy(others, tmp_path) is None
    key = url.partition("/links/")[2].partition("?")[0]
    signature = url.rpartition("=")[2]
    for forged in (
        url.replace(signature, "0" * 64),
        url.replace(key, f"../lent/{key}"),
        url.replace(key, "%2e%2e%2f%2e%2e%2fapi_key"),
        url.replace("expires=1", "expires=2"),
        url.partition("?")[0],
        f"{AT}/lent/links/",
        "http://127.0.0.1:7860/lent/links/x?expires=9999999999&signature=x",
    ):
        with pytest.raises(FetchError, match="has ended"):
            hourly.copy(forged, tmp_path)
    assert len(list(tmp_path.glob("lent-*"))) == 1


def test_at_the_public_address_it_is_for_the_hosted_service_too(home: Path, tmp_path: Path) -> None:
    lender = publisher(Settings.at(home, public_url="https://timbre.example"))
    link = lender.lend_for(DATA, "wav")
    client = TestClient(Starlette(routes=[Mount(MOUNT, lender.route)]), base_url="https://timbre.example")
    assert client.get(link.url).content == DATA
    assert lender.copy(link.url, tmp_path) is not None


def test_without_a_way_nothing_is_lent_for_longer(hourly: Publisher, settings: Settings) -> None:
    with pytest.raises(PublishError, match="TIMBRE_PUBLIC_URL"):
        hourly.lend_for(DATA, "mp3")
    assert copies(settings) == []


def test_the_end_of_the_app_takes_everything_back(hourly: Publisher, settings: Settings) -> None:
    urls = [hourly.lend_for(DATA, "mp3", at=AT).url for _ in range(3)]
    hourly.close()
    assert copies(settings) == []
    client = TestClient(Starlette(routes=[Mount(MOUNT, hourly.route)]), base_url=AT)
    assert {client.get(url).status_code for url in urls} == {404}


def test_what_a_kill_left_is_swept_and_what_others_lend_stays(
    hourly: Publisher, settings: Settings, clock: list[float]
) -> None:
    hourly.lend_for(DATA, "mp3", at=AT)
    folder, other = settings.home / "lent", Presence(settings.home)
    gone, living, own = "0" * 16, other.claim(), presence(settings.home).name
    later, sooner = int(START) + 60, int(START) - 60
    for name in (f"{gone}-{later}-a.mp3", f"{living}-{sooner}-b.mp3", f"{own}-{later}-c.mp3"):
        (folder / name).write_bytes(DATA)
    (folder / f"{living}-{later}-d.mp3").write_bytes(DATA)
    assert hourly.sweep() == 3
    assert len(copies(settings)) == 2
    clock[0] += 61
    assert hourly.sweep() == 1


def test_there_is_an_end_to_what_is_lent(hourly: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "MAX_LENT_BYTES", 2 * len(DATA))
    links = [hourly.lend_for(DATA, "mp3", at=AT) for _ in range(2)]
    with pytest.raises(BusyError) as full:
        hourly.lend_for(b"x", "mp3", at=AT)
    assert (full.value.code, full.value.measured, full.value.limit) == ("lent_full", 2 * len(DATA) + 1, 2 * len(DATA))
    hourly.close()
    assert hourly.lend_for(DATA, "mp3", at=AT).url != links[0].url


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


def test_a_bucket_lends_for_an_hour_too(bucket: Settings, tmp_path: Path, clock: list[float]) -> None:
    clock[0] = time.time()
    store = Store(bucket.store_url, tmp_path / "copies")
    lender = Publisher(bucket, store, lambda: clock[0])
    link = lender.lend_for(DATA, "mp3")
    with urllib.request.urlopen(link.url, timeout=10) as answer:
        assert answer.read() == DATA
    assert lender.sweep() == 0
    clock[0] += 3600
    assert lender.sweep() == 1
    assert store.keys(PASSING) == []
    left = Publisher(bucket, store, lambda: clock[0])
    left.lend_for(DATA, "mp3")
    clock[0] += 3600
    assert publisher(bucket).sweep() == 0  # by the real clock it still lives
    assert Publisher(bucket, store, lambda: clock[0]).sweep() == 1
    lender.lend_for(DATA, "mp3")
    lender.close()
    assert store.keys(PASSING) == []


def test_a_bucket_that_refuses_is_told(bucket: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "clone")
    lender = publisher(Settings.at(bucket.home, store_url="s3://no bucket/audio"))
    with pytest.raises(PublishError) as caught, lender.lend(DATA, "mp3", tmp_path):
        pass
    assert caught.value.code == "store_failed"
    assert "no bucket" not in str(caught.value)
    assert "not-a-secret" not in caplog.text


def test_what_is_not_installed_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str, **__: object) -> None:
        raise ImportError

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(TimbreError, match=r"requirements-s3\.txt"):
        Store("s3://bucket/audio")
