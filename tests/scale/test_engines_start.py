"""``python -m clone scale engine``: what it refuses, what it tells Ray, who gets in, and what is left when it ends."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from clone.cli.app import main
from clone.core.errors import EngineError, TimbreError
from clone.core.settings import Settings
from clone.engine.profile import Profile
from clone.engine.remote import RayBackend
from clone.studio.facade import Studio
from tests.scale.engines import HELD, MARK, ROOT, Cluster, free_port, processes, said, started, whole
from tests.scale.test_engines_calls import held


def test_help_loads_no_ray() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "clone", "scale", "engine", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "--replicas" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not {"ray", "numpy", "clone.engine.cluster"} & loaded


@pytest.mark.parametrize("token", ["", "short", "a token with spaces and of many characters"])
def test_it_does_not_start_without_a_token(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMBRE_RAY_TOKEN", token)
    assert main(["scale", "engine", "--port", str(free_port())]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "TIMBRE_RAY_TOKEN" in line
    assert "secrets.token_hex" in line


def test_without_ray_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMBRE_RAY_TOKEN", "a" * 32)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    assert main(["scale", "engine"]) == 1
    assert "pip install -r requirements-scale.txt" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["ray", "ray:head", "ray:head:0", "dask:head:1", "ray:head:6379/x"])
def test_another_engine_is_no_setting(engine: str) -> None:
    with pytest.raises(TimbreError) as refused:
        Settings.from_environment({"TIMBRE_ENGINE": engine, "TIMBRE_RAY_TOKEN": "a" * 32})
    assert refused.value.code == "bad_setting"
    assert refused.value.limit == "ray:HOST:PORT"


def test_a_front_end_needs_the_token_too() -> None:
    with pytest.raises(TimbreError) as refused:
        Settings.from_environment({"TIMBRE_ENGINE": "ray:head:6379"})
    assert "TIMBRE_RAY_TOKEN" in refused.value.message


def test_ray_reports_nothing_and_lets_in_who_has_the_token(cluster: Cluster) -> None:
    assert any("private network" in line for line in cluster.lines)
    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "2",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    }
    named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(cluster.token)}
    some = [pid for pid, words in named.items() if b"gcs_server" in words or b"ray::ServeReplica" in words]
    assert len(some) == 3
    for pid in some:
        has = dict(line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line)
        assert {name: has.get(name) for name in told} == told
    assert not [words for words in named.values() if b"haproxy" in words]


def test_another_token_does_not_get_in(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMBRE_RAY_TOKEN", "b" * 64)
    backend = RayBackend(tmp_path, None, cluster.address)
    with pytest.raises(EngineError) as refused:
        backend._one("about")
    backend.close()
    assert (refused.value.code, refused.value.status) == ("engine_refused", 503)
    assert cluster.address in refused.value.message


def test_a_machine_that_joins_speaks_too_and_ends_without_a_trace(
    cluster: Cluster, asking: RayBackend, nobody: Profile, tmp_path: Path
) -> None:
    joined = started(tmp_path, "--head", cluster.address, "--replicas", "1", token=cluster.token)
    files = [cluster.written, joined.written]
    begun, until_s = set[int](), time.monotonic() + 60
    for i in range(1000):  # sentences stay where they are, and a replica comes when it can
        names = [f"three {i} {side}" for side in "abc"]
        with held(asking, nobody, *names):
            time.sleep(0.5)
        rows = [line.split(" ", 3) for path in files for line in path.read_text().splitlines()]
        begun = {int(row[0]) for row in rows if row[3] in {f"{HELD} {name}" for name in names}}
        if len(begun) == 3:
            break
        assert time.monotonic() < until_s, "no third replica came"
    own = processes(str(joined.written))
    assert begun & set(own)
    os.kill(joined.process.pid, signal.SIGKILL)  # not even then is anything left
    joined.process.wait()
    until_s = time.monotonic() + 30
    while processes(str(joined.written)):
        assert time.monotonic() < until_s
        time.sleep(0.2)


def test_a_head_that_comes_later_is_found_and_one_that_goes_is_said_to_be_gone(
    nobody: Profile, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, port = "c" * 64, free_port()
    before = set(Path("/tmp").glob("timbre-ray-*"))
    monkeypatch.setenv("TIMBRE_RAY_TOKEN", token)
    backend = RayBackend(tmp_path, None, f"127.0.0.1:{port}")
    studio = Studio(settings, backend)  # which starts all the same
    studio.start()
    with pytest.raises(EngineError) as failed:
        backend._one("about")
    assert failed.value.code == "engine_unreachable"
    assert f"127.0.0.1:{port}" in failed.value.message
    assert not studio.ready
    made = started(tmp_path, "--replicas", "1", token=token, port=port)
    until_s = time.monotonic() + 60
    while not studio.ready:
        assert time.monotonic() < until_s
        time.sleep(0.1)
    assert np.array_equal(said(backend, nobody, f"{MARK} here"), whole(f"{MARK} here"))
    made.stop()
    assert made.process.returncode == 0
    with pytest.raises(EngineError):
        said(backend, nobody, f"{MARK} gone")
    studio.close()
    until_s = time.monotonic() + 15
    while processes(token) or set(Path("/tmp").glob("timbre-ray-*")) - before:
        assert time.monotonic() < until_s, [Path(f"/proc/{pid}/cmdline").read_text() for pid in processes(token)]
        time.sleep(0.2)


def test_calls_that_wait_bring_one_more_replica(
    nobody: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = started(tmp_path, "--replicas", "1:2")
    monkeypatch.setenv("TIMBRE_RAY_TOKEN", several.token)
    names = [f"many {i}" for i in range(4)]
    try:
        with closing(RayBackend(tmp_path, None, several.address)) as asking, held(asking, nobody, *names):
            until_s, begun = time.monotonic() + 90, set[int]()
            while len(begun) < 2:  # one has one at work, and goes on with it until this ends
                assert time.monotonic() < until_s, "none came"
                time.sleep(0.2)
                begun = {process for name in names for process, _, what in several.events(f"{HELD} {name}")}
            assert len(begun) == 2
    finally:
        several.stop()
