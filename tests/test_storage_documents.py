"""What was said, by sentence: kept, gone on with, and gone with its voice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clone.contract.orders import SpeakOrder
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError
from clone.storage import documents
from clone.storage.documents import Document, Documents
from clone.storage.voices import Library
from tests.sounds import tone
from tests.studios import TURBO
from tests.voices import FILES, MOMENT, Clock, make_voice, open_library

RATE = 24_000
ORDER = SpeakOrder("ada", "voice-1", "One. Two. Three.", TURBO, SpeechSettings(speed=1.2))


@pytest.fixture
def library(home: Path, clock: Clock) -> Library:
    library = open_library(home, clock)
    library.add(make_voice(), FILES)
    return library


@pytest.fixture
def kept(library: Library, clock: Clock) -> Documents:
    return Documents(library.database, library.store, clock)


def say(kept: Documents, document: Document, *positions: int) -> Document:
    for position in positions:
        kept.add(document, position, f"Number {position}.", tone(0.1 + position / 10, RATE), RATE)
    return kept.get(document.document_id, document.owner)


def folders(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "audio" / "documents").glob("*"))


def test_what_was_said_is_there_again_sentence_by_sentence(kept: Documents) -> None:
    document = say(kept, kept.begin(ORDER, "engine 1", 3), 0, 1)
    assert (document.n_spoken, document.n_sentences, document.complete) == (2, 3, False)
    assert (document.voice_name, document.text, document.settings) == (make_voice().name, ORDER.text, ORDER.settings)
    assert document.duration_s == pytest.approx(0.3)
    sounds = list(kept.spoken(document))
    assert [(i, len(samples), rate) for i, samples, rate in sounds] == [(0, 2400, RATE), (1, 4800, RATE)]
    assert np.abs(sounds[1][1] - tone(0.2, RATE)).max() < 1 / 30_000
    assert kept.of("ada") == [document]
    assert kept.of("bob") == []
    with pytest.raises(TaskError):
        kept.get(document.document_id, "bob")


def test_the_same_request_goes_on_until_it_is_whole(kept: Documents, clock: Clock) -> None:
    first = say(kept, kept.begin(ORDER, "engine 1", 3), 0, 1)
    assert kept.begin(ORDER, "engine 1", 3) == first
    for other in (replace(ORDER, text="Else."), replace(ORDER, settings=SpeechSettings(pitch=1))):
        assert kept.begin(other, "engine 1", 3).document_id != first.document_id
    assert kept.begin(ORDER, "engine 2", 3).document_id != first.document_id
    assert say(kept, first, 2).complete
    clock.time += MOMENT
    assert kept.begin(ORDER, "engine 1", 3).document_id != first.document_id


def test_a_sentence_without_sound_is_passed_over(kept: Documents) -> None:
    document = say(kept, kept.begin(ORDER, "engine 1", 4), 0, 2)
    assert (document.n_spoken, document.complete) == (3, False)
    assert [i for i, _, _ in kept.spoken(document)] == [0, 2]
    document = kept.finish(document)
    assert (document.n_sentences, document.complete) == (3, True)


def test_a_document_goes_with_its_voice(kept: Documents, library: Library, home: Path, clock: Clock) -> None:
    document = say(kept, kept.begin(ORDER, "engine 1", 1), 0)
    library.forget("voice-1", "ada", undo_s=10)
    assert kept.of("ada") == []
    assert kept.purge() == 0
    library.restore("voice-1", "ada")
    assert kept.of("ada") == [document]
    library.forget("voice-1", "ada")
    assert kept.purge() == 1
    assert folders(home) == []
    kept.add(document, 1, "Too late.", tone(0.1, RATE), RATE)
    assert folders(home) == []
    with sqlite3.connect(home / "library.db") as db:
        assert db.execute("SELECT COUNT(*) FROM sentences").fetchone() == (0,)


def test_the_oldest_make_room(
    kept: Documents, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 3)
    library.add(make_voice("voice-2", owner="bob"), FILES)
    others = say(kept, kept.begin(replace(ORDER, owner="bob", voice_id="voice-2"), "engine 1", 1), 0)
    made = []
    for i in range(5):
        clock.time += MOMENT
        made.append(say(kept, kept.begin(replace(ORDER, text=f"Number {i}."), "engine 1", 1), 0))
    assert kept.of("ada") == made[:1:-1]
    assert folders(home) == sorted(each.document_id for each in (*made[2:], others))
    monkeypatch.setattr(documents, "MAX_OWNER_BYTES", 2 * made[-1].n_bytes)
    clock.time += MOMENT
    kept.begin(replace(ORDER, text="The newest."), "engine 1", 1)
    assert kept.of("ada") == made[:2:-1]


def test_a_sentence_whose_file_is_gone_ends_what_is_there(kept: Documents, home: Path) -> None:
    document = say(kept, kept.begin(ORDER, "engine 1", 3), 0, 1)
    (home / "audio" / "documents" / document.document_id / "00001.flac").unlink()
    assert len(list(kept.spoken(document))) == 1


def test_what_a_lost_database_leaves_is_swept(kept: Documents, home: Path) -> None:
    document, lost = (say(kept, kept.begin(replace(ORDER, text=f"{n}."), "engine 1", 1), 0) for n in "12")
    with closing(sqlite3.connect(home / "library.db")) as db, db:
        db.execute("DELETE FROM documents WHERE document_id = ?", (lost.document_id,))
    assert kept.sweep() == 1
    assert folders(home) == [document.document_id]
    assert kept.sweep() == 0
