"""The command line's word on what may have been paid; and an interrupt while an answer is awaited that costs money."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from clone.cli.app import main
from clone.contract.orders import LOCAL_OWNER
from clone.core.settings import NOVITA, Settings
from clone.hosted.pricing import KEEP_MODEL
from clone.storage.files import Store
from clone.storage.journal import CLONE, KEEP, Journal
from clone.storage.voices import Library, utc_now
from tests.faults import FaultServer, saying, serving
from tests.sounds import encode, speechlike
from tests.voices import FILES, make_voice

ROOT = Path(__file__).parent.parent
SPEECH_PATH = f"/v3/minimax-{KEEP_MODEL}"

Output = pytest.CaptureFixture[str]


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with closing(Library(settings, Store(settings.store_url))) as library:
        yield library


@pytest.fixture
def ids(library: Library, settings: Settings) -> tuple[str, str]:
    """The ids of a clone and of a keep without an answer."""
    journal = Journal(settings.home, library.database, library.store, utc_now)
    voice = make_voice("voice-9", LOCAL_OWNER, created_at=utc_now(), name="Grace", backend=NOVITA)
    library.add(voice, FILES)
    clone = replace(journal.entry(LOCAL_OWNER, CLONE, "key"), voice=replace(voice, voice_id="", name="Ada"))
    keep = journal.entry(LOCAL_OWNER, KEEP, "voice-9", voice_id="voice-9")
    journal.add(clone, FILES)
    journal.add(keep, {})
    return clone.entry_id, keep.entry_id


def test_it_is_listed_and_hinted_at(ids: tuple[str, str], capsys: Output) -> None:
    assert main(["pending"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[:2] for line in listed.splitlines()] == [[ids[1], "keep"], [ids[0], "clone"]]
    assert "Grace" in listed.splitlines()[0]
    assert "Ada" in listed.splitlines()[1]
    assert main(["voices"]) == 0
    out, err = capsys.readouterr()
    assert "pending" not in out
    assert "May have been paid: 2." in err


def test_it_is_kept_or_dismissed(ids: tuple[str, str], library: Library, capsys: Output) -> None:
    clone, keep = ids
    assert main(["pending", clone]) == 1
    assert "--keep or --dismiss" in capsys.readouterr().err
    assert main(["pending", clone, "--keep"]) == 1
    assert "voice_id is missing" in capsys.readouterr().err
    assert main(["pending", clone[:10], "--keep", "voice_Seen/1"]) == 0
    kept = library.get("voice_Seen/1", LOCAL_OWNER)
    assert (kept.name, library.read(kept, "reference.mp3")) == ("Ada", FILES["reference.mp3"])
    assert main(["pending", keep, "--dismiss"]) == 0
    assert not library.get("voice-9", LOCAL_OWNER).permanent
    capsys.readouterr()
    assert main(["pending"]) == 0
    assert capsys.readouterr() == ("", "")
    for words in (["pending", keep, "--dismiss"], ["pending", "", "--keep"], ["pending", "--dismiss"]):
        assert main(words) == 1
        assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def service() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_answer_that_is_paid_for(
    library: Library, home: Path, service: FaultServer, number: signal.Signals
) -> None:
    library.add(make_voice("voice-9", LOCAL_OWNER, created_at=utc_now(), backend=NOVITA), FILES)
    answer, sound = threading.Event(), encode(speechlike(1.0), 24_000, "wav").hex()

    def speak(connection: object) -> None:
        answer.wait(60)
        saying(200, {"data": {"audio": sound}})(connection)  # type: ignore[arg-type]

    service.answers[SPEECH_PATH] = speak
    environment = {"NOVITA_API_KEY": "nv-1", "NOVITA_BASE_URL": service.url(""), "TIMBRE_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "clone", "keep", "voice-9", "--yes"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not service.asked:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert process.stderr is not None
    assert "Waiting for the answer" in process.stderr.readline()
    answer.set()
    assert process.wait(30) == 130
    assert library.get("voice-9", LOCAL_OWNER).permanent
    assert len(service.asked) == 1
    journal = Journal(home, library.database, library.store, utc_now)
    assert journal.left(LOCAL_OWNER) == []
