"""What was sent to be paid for is written down before, and survives whoever wrote it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from clone.contract.cloning import RETENTION
from clone.contract.speech import SpeechSettings
from clone.core.errors import BusyError, MaybeDone, TimbreError
from clone.storage.journal import ANSWERED, CLONE, KEPT, SENT, SPEECH, Entry, Journal
from clone.storage.voices import Library
from tests.studios import files_in
from tests.voices import START, Clock, make_voice, open_library

FILES = {"reference.mp3": b"reference sound", "prompt.wav": b"prompt sound"}


@pytest.fixture
def library(home: Path, clock: Clock) -> Iterator[Library]:
    library = open_library(home, clock)
    yield library
    library.close()


@pytest.fixture
def journal(home: Path, library: Library, clock: Clock) -> Journal:
    return Journal(home, library.database, library.store, clock)


def written(journal: Journal, owner: str = "ada", what: str = "asked") -> Entry:
    entry = replace(journal.entry(owner, CLONE, what), voice=make_voice(owner=owner))
    with journal.alone(entry.entry_id):
        journal.add(entry, FILES)
    return entry


def test_what_is_written_down_is_found_again(journal: Journal, home: Path) -> None:
    entry = written(journal)
    found = journal.get(entry.entry_id, "ada")
    assert found == replace(entry, n_bytes=sum(map(len, FILES.values())), files=tuple(sorted(FILES)))
    assert (found.state, found.voice, found.created_at) == (SENT, make_voice(), START)
    assert journal.files(entry.entry_id) == FILES
    assert [each.entry_id for each in journal.left("ada")] == [entry.entry_id]
    assert journal.used_bytes("ada") == found.n_bytes
    assert journal.left("eve") == []
    with pytest.raises(TimbreError, match="no such request"):
        journal.get(entry.entry_id, "eve")


def test_the_same_request_has_one_id_and_every_other_another(journal: Journal) -> None:
    how = SpeechSettings(1.0, 1.0, 0)
    ids = [
        journal.entry(owner, kind, *what).entry_id
        for owner, kind, what in (
            ("ada", SPEECH, ("v", "text", how)),
            ("eve", SPEECH, ("v", "text", how)),
            ("ada", CLONE, ("v", "text", how)),
            ("ada", SPEECH, ("v", "text", replace(how, speed=1.1))),
            ("ada", SPEECH, ("vt", "ext", how)),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert journal.entry("ada", SPEECH, "v", "text", SpeechSettings(1.0, 1.0, 0)).entry_id == ids[0]


def test_nothing_of_it_is_left_in_any_file_once_it_ended(journal: Journal, home: Path) -> None:
    entry = replace(journal.entry("ada", CLONE, "asked"), voice=make_voice(name="Rumpelstiltskin"))
    journal.add(entry, FILES)
    journal.end(entry.entry_id)
    journal.end(entry.entry_id)
    assert journal.find(entry.entry_id) is None
    files = [(home / name).read_bytes() for name in files_in(home)]
    assert not [data for data in files if b"Rumpelstiltskin" in data or b"reference sound" in data]


def test_who_works_on_it_is_alone_among_threads_and_processes(journal: Journal, home: Path) -> None:
    entry = written(journal)
    with journal.alone(entry.entry_id), pytest.raises(BusyError, match="worked on") as error, _again(journal, entry):
        pass
    assert error.value.code == "same_request"
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    other = context.Process(target=_hold, args=(journal, entry.entry_id, theirs))
    other.start()
    assert ours.recv() == "held"
    with pytest.raises(BusyError), journal.alone(entry.entry_id):
        pass
    assert journal.left("ada") == []  # somebody works on it
    other.kill()
    other.join()
    with journal.alone(entry.entry_id):
        pass
    assert journal.left("ada") != []


def _again(journal: Journal, entry: Entry) -> AbstractContextManager[None]:
    return journal.alone(entry.entry_id)


def _hold(journal: Journal, entry_id: str, told: multiprocessing.connection.Connection) -> None:
    with journal.alone(entry_id):
        told.send("held")
        told.recv()


def test_a_second_row_of_the_same_request_is_impossible(journal: Journal) -> None:
    entry = written(journal)
    with pytest.raises(MaybeDone):
        journal.add(entry, FILES)


def test_an_answer_and_the_librarys_row_come_together(journal: Journal, library: Library) -> None:
    entry = written(journal)
    journal.answered(entry.entry_id, "voice-1", "https://example/preview")
    assert [(each.state, each.voice_id) for each in journal.unfinished()] == [(ANSWERED, "voice-1")]

    def fails(_: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        library.add(make_voice(), FILES, fails)
    assert library.voices("ada") == []
    library.add(make_voice(), FILES, lambda db: journal.kept(entry.entry_id, db))
    found = journal.get(entry.entry_id, "ada")
    assert (found.state, found.voice, found.preview_url) == (KEPT, None, "https://example/preview")
    assert journal.left("ada") == []  # there is nothing to ask


def test_it_goes_by_itself_when_a_voice_would_be_gone_at_the_service(
    journal: Journal, clock: Clock, home: Path
) -> None:
    entry = written(journal)
    clock.time = START + RETENTION - timedelta(seconds=1)
    journal.sweep(leftovers=True)
    assert journal.left("ada") != []
    clock.time = START + RETENTION
    assert journal.left("ada") == []
    assert journal.find(entry.entry_id) is None
    assert journal.sweep() == 1
    assert not list((home / "audio").rglob("reference*"))
    assert not list((home / "paid").iterdir())
    written(journal)


def test_a_request_can_be_sent_again_when_its_entry_is_over_and_not_swept_yet(journal: Journal, clock: Clock) -> None:
    written(journal)
    clock.time = START + RETENTION
    assert journal.get(written(journal).entry_id, "ada").created_at == clock.time


def test_recordings_that_a_kill_left_without_an_entry_go(journal: Journal, library: Library, home: Path) -> None:
    kept = written(journal)
    library.store.put("paid/0123456789abcdef01234567/reference.mp3", b"left")
    held = journal.entry("ada", CLONE, "held")
    library.store.put(f"paid/{held.entry_id}/reference.mp3", b"about to be written down")
    with journal.alone(held.entry_id):
        journal.sweep(leftovers=True)
        assert sorted(os.listdir(home / "audio" / "paid")) == sorted([kept.entry_id, held.entry_id])
    journal.sweep(leftovers=True)
    assert os.listdir(home / "audio" / "paid") == [kept.entry_id]
    assert journal.files(kept.entry_id) == FILES
