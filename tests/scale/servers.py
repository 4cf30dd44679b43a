"""The servers that hosts share, private and on loopback: PostgreSQL from Debian's package, S3 by moto."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from clone.core.settings import Settings

SECRET = "one secret for all hosts of these tests"
STARTS_WITHIN_S = 30
_OWN = 987
"""Keys in a page of the tests' own listings, by which they are told from the app's."""
_KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Postgres(str):
    """The URL of a database; it can be looked into."""

    __slots__ = ()

    def rows(self, query: str, **values: Any) -> list[sa.Row[Any]]:
        engine = sa.create_engine(self, poolclass=sa.NullPool)
        with engine.begin() as db:
            result = db.execute(sa.text(query), values)
            return list(result.all()) if result.returns_rows else []


class Cluster:
    """A cluster without fsync; it takes databases, and can be stopped and started."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="timbre-pg-"))
        self._as = "postgres" if os.geteuid() == 0 else None  # its server refuses root
        if self._as:
            shutil.chown(self._root, self._as)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._bin = found[-1] if found else Path(str(shutil.which("postgres"))).parent
        self.port = free_port()

    def __enter__(self) -> Cluster:
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self._root / "data")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._root} -c fsync=off -c max_connections=300"
        self._run("pg_ctl", "-D", self._data, "-l", str(self._root / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def database(self) -> Postgres:
        """Make a database; return its URL."""
        name = f"t{uuid4().hex[:12]}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as db:
            db.execute(sa.text(f"CREATE DATABASE {name}"))
        return self._url(name)

    def _url(self, name: str) -> Postgres:
        return Postgres(f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}")

    def _run(self, program: str, *arguments: str) -> None:
        log = self._root / "ran"
        with log.open("ab") as out:  # a pipe would be the server's, too, and never end
            done = subprocess.run(
                [self._bin / program, *arguments], user=self._as, cwd="/", stdout=out, stderr=out, check=False
            )
        assert done.returncode == 0, log.read_text()


@dataclass(frozen=True)
class Bucket:
    """One bucket: its URL, and what finds its server in the environment."""

    name: str
    server: S3 = field(repr=False)

    @property
    def url(self) -> str:
        return f"s3://{self.name}/audio"

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment

    def files(self) -> list[str]:
        """Return what is in it; that it was listed for this is not remembered."""
        client = self.server.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name, PaginationConfig={"PageSize": _OWN})
        return sorted(each["Key"].removeprefix("audio/") for page in pages for each in page.get("Contents", ()))

    def listings(self) -> list[str]:
        """Return the requests that listed it."""
        asked = self.server.asked(self.name)
        return [line for line in asked if "list-type" in line and f"max-keys={_OWN}" not in line]


class S3:
    """moto's server in a process of its own, so that its log tells of every request."""

    def __init__(self) -> None:
        self._log = Path(tempfile.mkstemp(prefix="timbre-s3-")[1])
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = _KEYS | {"AWS_ENDPOINT_URL": self.url}

    def __enter__(self) -> S3:
        program = [
            sys.executable,
            "-c",
            f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{self.port}'])",
        ]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(program, stdout=out, stderr=out)
        end = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.port):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.unlink()

    def bucket(self, name: str) -> Bucket:
        """Make a bucket."""
        self.client().create_bucket(Bucket=name)
        return Bucket(name, self)

    def client(self) -> Any:
        import botocore.session

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        return botocore.session.get_session().create_client("s3", endpoint_url=self.url, **keys)

    def asked(self, bucket: str) -> list[str]:
        """Return the requests that a bucket got."""
        return [line for line in self._log.read_text().splitlines() if f" /{bucket}" in line]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0


def shared(home: Path, database_url: str, store_url: str, **changes: object) -> Settings:
    """Return the settings of one host of several."""
    at = {"database_url": str(database_url), "store_url": store_url, "secret": SECRET}
    return Settings.at(home, **(at | changes))
