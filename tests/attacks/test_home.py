"""The home folder: closed before anything is in it, shared by two starts, left behind by a kill, and on a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.attacks.conftest import Start
from tests.running import ROOT, App
from tests.serving import KEYS, bearer


def started(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    values = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "TIMBRE_HOME": str(home), **environment}
    return subprocess.run(words, cwd=ROOT, env=values, capture_output=True, text=True, check=False, umask=0)


def upload(app: App, data: bytes = b"sound" * 1000) -> requests.Response:
    return requests.post(f"{app.url}/gradio_api/upload", files={"files": ("a.wav", data)}, timeout=60)


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}


@pytest.mark.parametrize("words", [("voices",), ("completion", "voices"), ("doctor", "--restore")], ids=" ".join)
@pytest.mark.parametrize("before", [None, 0o755, 0o777])
def test_home_is_closed_to_others(home: Path, words: tuple[str, ...], before: int | None) -> None:
    if before:
        home.mkdir()
        home.chmod(before)
    done = started(home, sys.executable, "-m", "clone", *words)
    assert done.returncode == 0, done.stderr
    if before:
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert (home / "library.db").exists()
    if home.exists():
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert modes(home) <= {(True, 0o700), (False, 0o600)}


def test_a_folder_that_everybody_uses_is_no_home(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    done = started(shared, sys.executable, "-m", "clone", "voices")
    assert done.returncode == 1
    assert done.stderr.startswith("TIMBRE_HOME is a folder that everybody")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert list(shared.iterdir()) == []


def test_a_second_start_on_home_and_port_takes_nothing_from_the_first(start: Start, home: Path) -> None:
    home.mkdir(mode=0o755)
    app = start(home, TIMBRE_API_KEYS=KEYS[0])
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    (path,) = upload(app).json()
    assert Path(path).is_file()
    second = started(home, sys.executable, "app.py", GRADIO_SERVER_PORT=str(app.port), TIMBRE_API_KEYS=KEYS[0])
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert f"Port {app.port} is taken" in second.stderr
    assert Path(path).read_bytes() == b"sound" * 1000
    assert requests.get(f"{app.url}/healthz", timeout=30).json()["status"] == "ok"

    # and a kill leaves nothing behind at the next start, where a process may have the same number again
    (home / "work" / "1-left").mkdir()
    (home / "lent").mkdir(exist_ok=True)
    (home / "lent" / "1-9999999999-left.mp3").write_bytes(b"left")
    app.send(signal.SIGKILL)
    app.start()
    end = time.monotonic() + 30
    while list((home / "work").iterdir()) or list((home / "lent").iterdir()) or Path(path).exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(list((home / "page").iterdir())) == 1


LEAVER = """
import os, sys, time
from pathlib import Path
from clone.core.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]) / "work")
workspace.sweep()
with workspace.folder() as folder:
    (folder / "recording").write_bytes(b"private")
    print(os.getpid(), len(list((Path(sys.argv[1]) / "work").iterdir())), flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9) if os.getpid() != 1 else os._exit(137)
"""


def test_what_pid_1_of_a_container_left_goes_at_the_next_start(tmp_path: Path) -> None:
    contained = ("unshare", "--user", "--map-root-user", "--pid", "--fork")
    if subprocess.run([*contained, "true"], capture_output=True, check=False).returncode:
        contained = ()  # no namespaces here: the numbers differ, the rest is the same
    for how in ("killed", "killed", "ended"):
        words = [*contained, sys.executable, "-c", LEAVER, str(tmp_path), how]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        pid, n_folders = done.stdout.split()
        assert pid == "1" or not contained
        assert n_folders == "1"
    assert list((tmp_path / "work").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place], check=False).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> None:
    """Leave no byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def test_a_full_disk_is_told_as_one(small_disk: Path, start: Start, audio_url: str, examples: list[Path]) -> None:
    home = small_disk / "home"
    environment = {"TIMBRE_API_KEYS": KEYS[0], "TIMBRE_ALLOW_PRIVATE_URLS": "1"}
    app = start(home, **environment)
    small = next(path for path in examples if path.suffix == ".mp3")

    def clone(**changes: object) -> requests.Response:
        body = {"audio_url": audio_url, **changes}
        return requests.post(f"{app.url}/v3/minimax-voice-cloning", json=body, headers=bearer(KEYS[0]), timeout=180)

    voice_id = clone().json()["voice_id"]
    before = sorted(path for path in (home / "audio").rglob("*") if path.is_file())
    fill(small_disk)
    answers = [clone(accuracy=0.5), upload(app, small.read_bytes() * 20)]
    for answer in answers:
        assert answer.status_code == 507, answer.text
        assert "full" in answer.text
        assert str(home) not in answer.text
    assert answers[0].json()["metadata"]["code"] == "disk_full"
    assert sorted(path for path in (home / "audio").rglob("*") if path.is_file()) == before
    assert not list((home / "work").iterdir())
    assert not [path for path in (home / "page").rglob("*") if path.is_file()]
    words = ("clone", str(small), "--consent")
    done = started(home, sys.executable, "-m", "clone", *words)
    assert (done.returncode, "disk" in done.stderr and "full" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    (small_disk / "ballast").unlink()
    assert clone(accuracy=0.5).status_code == 200
    assert requests.get(f"{app.url}/healthz", timeout=30).status_code == 200
    gone = requests.delete(f"{app.url}/v3/voices/{voice_id}", headers=bearer(KEYS[0]), timeout=30)
    assert gone.status_code == 200
    shutil.rmtree(home, ignore_errors=True)
