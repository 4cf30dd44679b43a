"""PostgreSQL, an S3 store and engines, all real, for the tests of what hosts share; by ``make test-scale`` alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.scale.engines import asking, cluster, nobody
from tests.scale.servers import S3, Bucket, Cluster, Postgres

__all__ = ["asking", "cluster", "nobody"]


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A private cluster on loopback."""
    with Cluster() as running:
        yield running


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server that remembers what it was asked."""
    with S3() as running:
        yield running


@pytest.fixture
def postgres(postgresql: Cluster) -> Postgres:
    """The URL of a database of this test's own."""
    return postgresql.database()


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of this test's own, and the environment by which it is found, which is this process's from now on."""
    made = s3.bucket(f"b{uuid4().hex[:12]}")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    """Where each host's home is to be made."""
    os.chmod(tmp_path, 0o700)
    return tmp_path
