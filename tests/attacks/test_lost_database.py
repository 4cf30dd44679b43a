"""The database is deleted, overwritten, and killed over: no recording goes, and every voice comes back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from clone.storage.voices import utc_now
from tests.attacks.conftest import Start
from tests.running import ROOT
from tests.serving import KEYS, bearer, owner_of
from tests.voices import FILES, Clock, make_older, make_voice, open_library

N_VOICES = 30


def fill(home: Path, n_voices: int = N_VOICES) -> None:
    clock = Clock()
    clock.time = utc_now()
    library = open_library(home, clock)
    for number in range(n_voices):
        library.add(make_voice(f"voice-{number}", owner_of(KEYS[0]), created_at=clock.time), FILES)
    library.close()


def recordings(home: Path) -> int:
    return len(list((home / "audio").rglob("reference.mp3")))


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TIMBRE_HOME": str(home), "GRADIO_SERVER_PORT": "0"}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def timbre(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command(home, sys.executable, "-m", "clone", *words)


def test_without_its_database_the_app_starts_and_nothing_is_lost(start: Start, home: Path) -> None:
    fill(home)
    app = start(home, TIMBRE_API_KEYS=KEYS[0])
    app.send(signal.SIGKILL)
    for path in home.glob("library.db*"):
        path.unlink()
    app.start()
    gone = requests.delete(f"{app.url}/v3/voices/voice-99", headers=bearer(KEYS[0]), timeout=30)
    assert (gone.status_code, gone.json()["reason"]) == (404, "VOICE_NOT_FOUND")
    assert recordings(home) == N_VOICES
    done = timbre(home, "doctor", "--restore", "--json")
    assert len(json.loads(done.stdout)["restored"]) == N_VOICES
    for status in (200, 404):  # those who owned them own them
        answer = requests.delete(f"{app.url}/v3/voices/voice-7", headers=bearer(KEYS[0]), timeout=30)
        assert answer.status_code == status
    assert recordings(home) == N_VOICES - 1


def test_a_database_of_garbage_is_told_in_a_sentence_and_left_as_it_is(home: Path) -> None:
    fill(home)
    garbage = random.Random(1).randbytes(300_000)
    (home / "library.db").write_bytes(garbage)
    for words in (("-m", "clone", "voices"), ("app.py",)):
        done = command(home, sys.executable, *words)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("The library's database is damaged")
        assert "python -m clone doctor" in done.stderr
        assert str(home) not in done.stderr
        assert (home / "library.db").read_bytes() == garbage
        assert recordings(home) == N_VOICES
    found = timbre(home, "doctor", "--json")
    assert (found.returncode, json.loads(found.stdout)["n_restorable"]) == (1, N_VOICES)
    done = timbre(home, "doctor", "--restore")
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(timbre(home, "voices", "--all", "--json").stdout)["voices"]
    assert len(listed) == N_VOICES
    assert {voice["owner"] for voice in listed} == {owner_of(KEYS[0])}


def test_a_home_of_an_early_version_is_taken_over_by_the_command_it_is_told(home: Path) -> None:
    fill(home, 3)
    data = make_older(home, 8)
    for words in (("-m", "clone", "voices"), ("app.py",)):
        done = command(home, sys.executable, *words)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "early version of Timbre, with schema 8" in done.stderr
        assert "python -m clone doctor --restore" in done.stderr
        assert (home / "library.db").read_bytes() == data
    done = timbre(home, "doctor", "--restore")
    assert (done.returncode, done.stderr) == (0, "")
    aside = next(home.glob("library.db.aside-*"))
    assert f"now called {aside.name}" in done.stdout
    assert aside.read_bytes() == data
    assert len(json.loads(timbre(home, "voices", "--all", "--json").stdout)["voices"]) == 3


WORKER = """
import os, signal, sys
from pathlib import Path
from clone.storage.voices import Library
from clone.core.settings import Settings
from clone.storage.files import Store

home = Path(sys.argv[1])

def work():
    settings = Settings.at(home)
    print(os.getpid(), flush=True)
    while True:
        for path in home.glob("library.db*"):
            path.unlink()
        library = Library(settings, Store(settings.store_url))
        library.reconcile()
        library.upkeep.restore()
        library.close()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:  # a fork each, so that importing is paid for once
    if not os.fork():
        work()
"""


@pytest.mark.parametrize("n_kills", [25])
def test_every_voice_outlives_every_kill_while_it_is_lost_and_restored(home: Path, n_kills: int) -> None:
    """kill -9 at moments of a process that loses its database, moves the recordings away, and restores them."""
    n_voices = 6
    fill(home, n_voices)
    dice = random.Random(11)
    parent = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin
    assert parent.stdout
    clock = Clock()
    clock.time = utc_now()
    for _ in range(n_kills):
        parent.stdin.write("\n")
        parent.stdin.flush()
        pid = int(parent.stdout.readline())
        time.sleep(dice.uniform(0, 0.5))
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.005)
        library = open_library(home, clock)
        library.reconcile()
        library.upkeep.restore()
        assert len(library.voices(owner_of(KEYS[0]))) == n_voices
        assert not library.upkeep.lost()
        assert not library.upkeep.short()
        library.close()
    parent.communicate()
    assert recordings(home) == n_voices
