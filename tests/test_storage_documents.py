"""What was said, by sentence: kept, gone on with, and gone with its voice."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.contract.orders import SpeakOrder
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError, TextError
from clone.storage import documents
from clone.storage.document import joined
from clone.storage.documents import Document, Documents, DocumentSentence
from clone.storage.voices import Library
from tests.sounds import tone
from tests.studios import TURBO
from tests.test_storage_crash import everything_in
from tests.voices import BEFORE_LEASES, FILES, MOMENT, Clock, make_voice, open_library

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


def script(*texts: str) -> list[DocumentSentence]:
    """One paragraph of sentences."""
    return [DocumentSentence(text, 0.35, ends_paragraph=text == texts[-1]) for text in texts]


THREE = script("One.", "Two.", "Three.")


def begin(kept: Documents, order: SpeakOrder = ORDER, engine: str = "engine 1", n: int = 3) -> Document:
    return kept.begin(order, engine, THREE[:n])


def say(kept: Documents, document: Document, *positions: int, variant: int = 0) -> Document:
    there = kept.sentences(document)
    for position in positions:
        kept.add(document, there[position], tone(0.1 + position / 10, RATE), RATE, variant)
    return kept.get(document.document_id, document.owner)


def stored(home: Path, document: Document) -> list[str]:
    return sorted(path.name for path in (home / "audio" / "documents" / document.document_id).glob("*"))


def folders(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "audio" / "documents").glob("*"))


def test_what_was_said_is_there_again_sentence_by_sentence(kept: Documents) -> None:
    document = say(kept, begin(kept), 0, 1)
    assert (document.n_spoken, document.n_sentences, document.complete) == (2, 3, False)
    assert (document.voice_name, document.text, document.settings) == (make_voice().name, ORDER.text, ORDER.settings)
    assert document.duration_s == pytest.approx(0.3)
    sounds = list(kept.spoken(document))
    assert [(each.position, len(samples), rate) for each, samples, rate in sounds] == [(0, 2400, RATE), (1, 4800, RATE)]
    assert np.abs(sounds[1][1] - tone(0.2, RATE)).max() < 1 / 30_000
    assert [each.to_speak(document) for each in kept.sentences(document)] == [False, False, True]
    assert kept.of("ada") == [document]
    assert kept.of("bob") == []
    with pytest.raises(TaskError):
        kept.get(document.document_id, "bob")


def test_how_a_document_is_spoken_is_known_again_as_it_was(kept: Documents) -> None:
    settings = SpeechSettings(pitch=1, language="en", readings=(("Bo", "bow"), ("Ada", "ayda")))
    document = begin(kept, replace(ORDER, settings=settings, speakers=(("Bo", "voice-2"),)))
    assert (document.settings, document.speakers) == (settings, (("Bo", "voice-2"),))


def test_the_same_request_goes_on_until_it_is_whole(kept: Documents, clock: Clock) -> None:
    first = say(kept, begin(kept), 0, 1)
    assert begin(kept) == first
    for other in (replace(ORDER, text="Else."), replace(ORDER, settings=SpeechSettings(pitch=1))):
        assert begin(kept, other).document_id != first.document_id
    assert begin(kept, engine="engine 2").document_id != first.document_id
    assert say(kept, first, 2).complete
    clock.time += MOMENT
    assert begin(kept).document_id != first.document_id


def test_a_sentence_without_sound_is_said_and_passed_over(kept: Documents, home: Path) -> None:
    document = say(kept, begin(kept), 0, 2)
    kept.add(document, kept.sentences(document)[1], np.zeros(0, np.float32), RATE)
    assert kept.get(document.document_id, "ada").complete
    assert [each.position for each, _, _ in kept.spoken(document)] == [0, 2]
    assert stored(home, document) == ["00000.flac", "00002.flac"]


def test_the_last_three_takes_are_kept_and_one_is_chosen(kept: Documents, home: Path) -> None:
    document = begin(kept)
    for variant in range(5):
        document = say(kept, document, 1, variant=variant)
    assert stored(home, document) == [f"00001-{take}.flac" for take in (2, 3, 4)]
    (sentence,) = kept.sentences(document, 1)
    assert ([each.take for each in sentence.takes], sentence.take) == ([2, 3, 4], 4)
    chosen = kept.choose(document, 1, 2)
    assert kept.sentence(chosen, 1).take == 2
    assert kept.path(chosen, kept.sentence(chosen, 1)).name == "00001-2.flac"
    for take in (0, 9):
        with pytest.raises(TaskError, match="no longer kept"):
            kept.choose(document, 1, take)
    assert say(kept, document, 1).n_spoken == 1
    assert kept.sentence(document, 1).take == 5


def test_an_edited_sentence_is_to_be_spoken_and_the_others_are_not(kept: Documents) -> None:
    document = say(kept, begin(kept), 0, 1, 2)
    edited = kept.edit(document, 1, "Not two.")
    assert (edited.text, edited.n_spoken, edited.complete) == ("One. Not two. Three.", 2, False)
    assert [each.edited(edited) for each in kept.sentences(edited)] == [False, True, False]
    assert begin(kept).document_id != document.document_id  # it is no longer what was asked for
    assert len(list(kept.spoken(edited))) == 3  # what is there is heard meanwhile
    back = kept.choose(edited, 1, 0)
    assert (back.text, back.complete) == ("One. Two. Three.", True)
    with pytest.raises(TextError):
        kept.edit(document, 1, "x" * 50_001)
    with pytest.raises(TaskError):
        kept.edit(document, 7, "Nothing.")
    assert kept.get(document.document_id, "ada").text == "One. Two. Three."


def test_a_sentence_that_says_nothing_goes_with_its_sound(kept: Documents, home: Path) -> None:
    document = say(kept, begin(kept), 0, 1, 2)
    shorter = kept.edit(document, 2, "")
    assert (shorter.text, shorter.n_sentences) == ("One. Two.", 2)
    assert stored(home, document) == ["00000.flac", "00001.flac"]
    kept.edit(shorter, 0, "")
    with pytest.raises(TextError):
        kept.edit(shorter, 1, "")
    assert kept.get(document.document_id, "ada").text == "Two."


def test_another_text_keeps_what_is_in_both(kept: Documents, home: Path) -> None:
    document = say(kept, begin(kept), 0, 1, 2)
    anew = script("Zero.", "Three.", "One.", "Two and a half.")
    changed = kept.rewrite(document, "whatever was typed", anew, ())
    there = kept.sentences(changed)
    assert [(each.text, each.take) for each in there] == [
        ("Zero.", None),
        ("Three.", 0),
        ("One.", 0),
        ("Two and a half.", 0),
    ]
    assert [each.to_speak(changed) for each in there] == [True, False, False, True]
    assert (changed.text, changed.n_spoken) == ("whatever was typed", 2)
    assert kept.rewrite(changed, "One.", script("One."), ()).complete
    assert stored(home, document) == ["00000.flac"]


def test_a_long_row_of_the_same_is_compared_in_no_time(kept: Documents) -> None:
    many = script(*["No."] * 5_000)
    document = kept.begin(ORDER, "engine 1", many)
    assert kept.rewrite(document, "No.", [*many, *script("Yes.")], ()).n_sentences == 5_001


def test_a_text_is_written_as_it_was_read() -> None:
    said = [
        DocumentSentence("Chapter one", heading=2),
        DocumentSentence("Come in.", ends_paragraph=False, voice_id="v"),
        DocumentSentence("Sit down.", voice_id="v"),
        DocumentSentence("走吧。", ends_paragraph=False),
        DocumentSentence("好。"),
    ]
    assert joined(said, (("Ada", "v"),)) == "## Chapter one\nAda: Come in. Sit down.\n走吧。好。"


def test_two_edits_at_once_are_both_kept(kept: Documents) -> None:
    document = kept.begin(ORDER, "engine 1", script(*(f"Sentence {i}." for i in range(8))))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: kept.edit(document, i, f"Edited {i}."), range(8)))
    assert kept.get(document.document_id, "ada").text == " ".join(f"Edited {i}." for i in range(8))


def test_two_takes_at_once_are_both_kept(kept: Documents) -> None:
    document = begin(kept)
    (sentence,) = kept.sentences(document, 0)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: kept.add(document, sentence, tone(0.1 + i / 10, RATE), RATE, i), range(3)))
    takes = kept.sentence(document, 0).takes
    assert [each.take for each in takes] == [0, 1, 2]
    assert sorted(round(each.duration_s, 1) for each in takes) == [0.1, 0.2, 0.3]


def test_a_kill_while_a_take_is_written_leaves_what_was_there(
    kept: Documents, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = say(kept, begin(kept), 0)
    with monkeypatch.context() as patch:
        patch.setattr(kept._store, "put", _killed)
        with pytest.raises(KeyboardInterrupt):
            say(kept, document, 0)
    (sentence,) = kept.sentences(document, 0)
    assert ([each.take for each in sentence.takes], sentence.take) == ([0], 0)
    assert kept.get(document.document_id, "ada") == document
    say(kept, document, 0)
    assert kept.sentence(document, 0).take == 2


def test_a_kill_in_the_middle_of_an_edit_changes_nothing(kept: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    document = say(kept, begin(kept), 0, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_note", _killed)
        with pytest.raises(KeyboardInterrupt):
            kept.edit(document, 1, "Half.")
    assert kept.get(document.document_id, "ada") == document
    assert [each.text for each in kept.sentences(document)] == ["One.", "Two.", "Three."]


def _killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_document_goes_with_its_voice(kept: Documents, library: Library, home: Path, clock: Clock) -> None:
    document = say(kept, begin(kept, n=2), 0)
    late = kept.sentences(document)[1]
    library.forget("voice-1", "ada", undo_s=10)
    assert kept.of("ada") == []
    assert kept.purge() == 0
    library.restore("voice-1", "ada")
    assert kept.of("ada") == [document]
    library.forget("voice-1", "ada")
    assert kept.purge() == 1
    assert folders(home) == []
    assert kept.add(document, late, tone(0.1, RATE), RATE) is None
    assert folders(home) == []
    with sqlite3.connect(home / "library.db") as db:
        assert db.execute("SELECT COUNT(*) FROM sentences").fetchone() == (0,)
        assert db.execute("SELECT COUNT(*) FROM sentence_takes").fetchone() == (0,)


def test_a_document_that_goes_while_a_take_is_written_leaves_no_file(
    kept: Documents, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = say(kept, begin(kept), 0)
    put = kept._store.put

    def late(key: str, data: bytes) -> None:
        kept.forget(document.document_id, "ada")
        put(key, data)

    monkeypatch.setattr(kept._store, "put", late)
    assert kept.add(document, kept.sentences(document)[1], tone(0.1, RATE), RATE) is None
    assert folders(home) == []


def test_a_take_that_is_kept_while_its_document_goes_leaves_no_file(
    kept: Documents, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = say(kept, begin(kept), 0)
    delete, said = kept._store.delete, list[str]()

    def deleting(key: str) -> None:
        delete(key)
        if not said:  # between files and rows
            said.append(key)
            say(kept, document, 1)

    monkeypatch.setattr(kept._store, "delete", deleting)
    kept.forget(document.document_id, "ada")
    assert said
    assert not (home / "audio" / "documents" / document.document_id).exists()


def test_what_a_forgotten_voice_said_in_a_dialogue_goes(kept: Documents, library: Library, home: Path) -> None:
    library.add(make_voice("voice-2"), FILES)
    two = [
        DocumentSentence("Hello."),
        DocumentSentence("Good day.", voice_id="voice-2"),
        DocumentSentence("Bye.", voice_id="voice-2"),
    ]
    document = say(kept, kept.begin(replace(ORDER, speakers=(("Bo", "voice-2"),)), "engine 1", two), 0, 1)
    assert (document.n_spoken, document.n_sentences) == (2, 3)
    library.forget("voice-2", "ada")
    assert kept.purge() == 0
    assert stored(home, document) == ["00000.flac"]
    for other in kept.sentences(document)[1:]:
        assert (other.voice_id, other.takes, other.to_speak(document)) == (None, (), True)


@pytest.mark.parametrize("how", ["document", "voice"])
def test_nothing_of_a_forgotten_document_is_left_in_home(
    kept: Documents, library: Library, home: Path, how: str
) -> None:
    secret = script("SECRET-TEXT.")
    document = say(kept, kept.begin(replace(ORDER, text="SECRET-TEXT."), "engine 1", secret), 0)
    assert b"SECRET-TEXT" in everything_in(home)
    if how == "document":
        kept.forget(document.document_id, "ada")
    else:
        library.forget("voice-1", "ada")
        kept.purge()
    assert b"SECRET-TEXT" not in everything_in(home)
    assert folders(home) == []


def test_the_oldest_make_room(
    kept: Documents, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 3)
    library.add(make_voice("voice-2", owner="bob"), FILES)
    others = say(kept, begin(kept, replace(ORDER, owner="bob", voice_id="voice-2"), n=1), 0)
    made = []
    for i in range(5):
        clock.time += MOMENT
        made.append(say(kept, begin(kept, replace(ORDER, text=f"Number {i}."), n=1), 0))
    assert kept.of("ada") == made[:1:-1]
    assert folders(home) == sorted(each.document_id for each in (*made[2:], others))
    monkeypatch.setattr(documents, "MAX_OWNER_BYTES", 2 * made[-1].n_bytes)
    clock.time += MOMENT
    begin(kept, replace(ORDER, text="The newest."), n=1)
    assert kept.of("ada") == made[:2:-1]


def test_a_sentence_whose_file_is_gone_is_passed_over(kept: Documents, home: Path) -> None:
    document = say(kept, begin(kept), 0, 1, 2)
    (home / "audio" / "documents" / document.document_id / "00001.flac").unlink()
    assert [each.position for each, _, _ in kept.spoken(document)] == [0, 2]


def test_what_a_lost_database_leaves_is_swept(kept: Documents, home: Path) -> None:
    document, lost = (say(kept, begin(kept, replace(ORDER, text=f"{n}."), n=1), 0) for n in "12")
    with closing(sqlite3.connect(home / "library.db")) as db, db:
        db.execute("DELETE FROM documents WHERE document_id = ?", (lost.document_id,))
    assert kept.sweep() == 1
    assert folders(home) == [document.document_id]
    assert kept.sweep() == 0


BEFORE_TAKES = """
ALTER TABLE voices DROP COLUMN tags;
DROP TABLE sentence_takes; DROP TABLE sentences; DROP TABLE documents;
CREATE TABLE documents (
    document_id VARCHAR(200) NOT NULL PRIMARY KEY, owner VARCHAR(200) NOT NULL, voice_id VARCHAR(200) NOT NULL,
    model VARCHAR(200) NOT NULL, request_key VARCHAR(200) NOT NULL, text TEXT NOT NULL, settings JSON NOT NULL,
    created_at VARCHAR(32) NOT NULL, n_sentences INTEGER NOT NULL
);
CREATE INDEX documents_by_owner ON documents (owner, created_at);
CREATE TABLE sentences (
    document_id VARCHAR(200) NOT NULL REFERENCES documents (document_id) ON DELETE CASCADE, position INTEGER NOT NULL,
    text TEXT NOT NULL, duration_s DOUBLE NOT NULL, n_bytes BIGINT NOT NULL, PRIMARY KEY (document_id, position)
);
INSERT INTO documents VALUES ('d1', 'ada', 'voice-1', 'm', 'k', 'One. Two.', '{"speed": 1.5}',
    '2026-03-01T12:30:00.000000+00:00', 3);
INSERT INTO sentences VALUES ('d1', 0, 'One.', 0.5, 100), ('d1', 1, 'Two.', 0.75, 200);
UPDATE schema_version SET version = 100;
"""


def test_documents_of_before_there_were_takes_are_taken_over(home: Path, clock: Clock) -> None:
    library = open_library(home, clock)
    library.add(make_voice(), FILES)
    library.close()
    with closing(sqlite3.connect(home / "library.db")) as db:
        db.executescript(BEFORE_LEASES + BEFORE_TAKES)
    library = open_library(home, clock)
    kept = Documents(library.database, library.store, clock)
    (document,) = kept.of("ada")
    assert (document.text, document.settings.speed, document.name) == ("One. Two.", 1.5, "")
    assert (document.complete, document.duration_s, document.changed_at) == (True, 1.25, document.created_at)
    assert say(kept, document, 1).n_spoken == 2
    assert [each.take for each in kept.sentence(document, 1).takes] == [0, 1]
