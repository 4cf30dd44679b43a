"""What a voice has said, kept sentence by sentence: there again after a cancel, a reload or a restart.

A document is a row, its sentences are rows, and each has its last takes, of which one is chosen. A take's file lies at
``documents/<document_id>/<sentence_id>-<take>.flac``. Rows come before their files and go before them, so that no file
that matters is ever without one, whatever is killed when. Documents go with their voice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from clone.audio.reader import read
from clone.audio.writer import flac_bytes
from clone.contract.cloning import SPEECH_TASK_MAX_CHARS, check_text
from clone.contract.orders import Speakers, SpeakOrder
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError
from clone.storage import leftovers
from clone.storage.database import DOCUMENTS, SENTENCES, TAKES, VOICES, Repository, truncate_log
from clone.storage.document import (
    Document,
    DocumentSentence,
    SentenceTake,
    joined,
    matched,
    unknown_document,
    unknown_sentence,
)

__all__ = ["Document", "DocumentSentence", "Documents", "SentenceTake"]

MAX_DOCUMENTS = 50
"""Of one owner; the oldest goes when another begins."""
MAX_OWNER_BYTES = 500_000_000
"""Disk that one owner's documents may take; those go first that were not worked on for longest."""
MAX_TAKES = 3
"""Of a sentence; the oldest goes when another is there."""

_ROOT = "documents"
_ITS_VOICE = (VOICES.c.voice_id == DOCUMENTS.c.voice_id) & (VOICES.c.owner == DOCUMENTS.c.owner)
_OF_SENTENCE = (TAKES.c.document_id == SENTENCES.c.document_id) & (TAKES.c.sentence_id == SENTENCES.c.sentence_id)
_CHOSEN = and_(_OF_SENTENCE, TAKES.c.take == SENTENCES.c.take, TAKES.c.duration_s.is_not(None))
_IS_SAID = (TAKES.c.text == SENTENCES.c.text) & (
    TAKES.c.voice_id == func.coalesce(SENTENCES.c.voice_id, DOCUMENTS.c.voice_id)
)
_ALL_TAKES = TAKES.alias()
_N_BYTES = select(func.coalesce(func.sum(_ALL_TAKES.c.n_bytes), 0)).where(
    _ALL_TAKES.c.document_id == DOCUMENTS.c.document_id
)
_SUMMED = (
    select(
        DOCUMENTS,
        func.max(VOICES.c.name).label("voice_name"),
        func.count(SENTENCES.c.sentence_id).label("n_sentences"),
        func.coalesce(func.sum(case((_IS_SAID, 1), else_=0)), 0).label("n_spoken"),
        func.coalesce(func.sum(TAKES.c.duration_s), 0.0).label("duration_s"),
        _N_BYTES.scalar_subquery().label("n_bytes"),
    )
    .select_from(DOCUMENTS)
    .join(VOICES, _ITS_VOICE & VOICES.c.forgotten_until.is_(None))
    .outerjoin(SENTENCES, SENTENCES.c.document_id == DOCUMENTS.c.document_id)
    .outerjoin(TAKES, _CHOSEN)
    .group_by(DOCUMENTS.c.document_id)
    .order_by(DOCUMENTS.c.changed_at.desc(), DOCUMENTS.c.document_id)
)

_PLACED = [name for name in SENTENCES.c.keys() if name not in ("document_id", "sentence_id")]  # noqa: SIM118
_NUMBERED = (SENTENCES.c.document_id == bindparam("of")) & (SENTENCES.c.sentence_id == bindparam("number"))
_GO = delete(SENTENCES).where(_NUMBERED)
_CHANGE = update(SENTENCES).where(_NUMBERED).values({name: bindparam(name) for name in _PLACED})


class Documents(Repository):
    """All that was said with the voices."""

    def begin(self, order: SpeakOrder, engine: str, script: Sequence[DocumentSentence], name: str = "") -> Document:
        """Return the document that an order goes on with, or a new one where none is left unfinished.

        Args:
            order: what is to be said.
            engine: what speaks; another one, or another version of it, begins anew.
            script: its sentences.
            name: what a new one is called.
        """
        key = _request_key(order, engine)
        for each in self._found(DOCUMENTS.c.owner == order.owner, DOCUMENTS.c.request_key == key):
            if not each.complete and each.n_sentences == len(script):
                return each
        document_id, now = uuid.uuid4().hex, self._now()
        row = {
            "document_id": document_id,
            "owner": order.owner,
            "voice_id": order.voice_id,
            "name": name,
            "text": order.text,
            "model": order.model,
            "settings": order.settings.changed(),
            "speakers": [list(each) for each in order.speakers],
            "request_key": key,
            "created_at": now,
            "changed_at": now,
        }
        with self._writing.begin() as db:
            db.execute(insert(DOCUMENTS), row)
            _store(db, document_id, (), script)
        self.make_room(order.owner, document_id)
        return self.get(document_id, order.owner)

    def add(
        self, document: Document, sentence: DocumentSentence, samples: np.ndarray, sample_rate: int, variant: int = 0
    ) -> SentenceTake | None:
        """Keep a take of a sentence, and choose it.

        Args:
            document: which.
            sentence: as it was said; where it is gone meanwhile, nothing is kept.
            samples: float32, shape (n_samples,), mono, within [-1, 1]; kept as 16 bits. None of them: nothing to say.
            sample_rate: Hz.
            variant: which of the ways to say it.
        """
        data = flac_bytes(samples, sample_rate) if len(samples) else b""
        which = {"document_id": document.document_id, "sentence_id": sentence.sentence_id}
        said: dict[str, Any] = {
            "text": sentence.text,
            "voice_id": sentence.voice_id or document.voice_id,
            "variant": variant,
        }
        with self._writing.begin() as db:
            there = db.execute(select(SENTENCES.c.position).filter_by(**which).with_for_update()).first()
            if there is None:
                return None
            last = select(func.coalesce(func.max(TAKES.c.take), -1)).filter_by(**which)
            number = int(db.execute(last).scalar_one()) + 1
            db.execute(insert(TAKES), which | said | {"take": number, "duration_s": None, "n_bytes": 0})
            if self._shared:  # a number may have been another one's before
                leftovers.claim(db, _key(document.document_id, sentence.sentence_id, number))
        keys = [
            _key(document.document_id, sentence.sentence_id, each) for each in range(max(0, number - 5), number + 1)
        ]
        if data:
            self._store.put(keys[-1], data)
        done: dict[str, Any] = {"duration_s": len(samples) / sample_rate, "n_bytes": len(data)}
        with self._writing.begin() as db:
            kept = db.execute(update(TAKES).filter_by(**which, take=number).values(**done)).rowcount
            db.execute(update(SENTENCES).filter_by(**which).values(take=number))
            db.execute(delete(TAKES).filter_by(**which).where(TAKES.c.take <= number - MAX_TAKES))
        self._store.remove(*(keys[:-MAX_TAKES] if kept else keys[-1:]))  # with one that a kill may have left
        if not kept:
            self._tidy(document.document_id)
        return SentenceTake(take=number, **said, **done) if kept else None

    def get(self, document_id: str, owner: str) -> Document:
        """Return an owner's document.

        Raises:
            TaskError: ``unknown_document``; somebody else's, and one whose voice is gone, look so too.
        """
        found = self._found(DOCUMENTS.c.document_id == document_id, DOCUMENTS.c.owner == owner)
        if not found:
            raise unknown_document()
        return found[0]

    def of(self, owner: str) -> list[Document]:
        """Return an owner's documents in which something is spoken, or that have a name, last changed first."""
        return [each for each in self._found(DOCUMENTS.c.owner == owner) if each.n_spoken or each.n_bytes or each.name]

    def sentences(self, document: Document, sentence_id: int | None = None) -> list[DocumentSentence]:
        """Return a document's sentences in order, each with its takes; or the one of a number, if it is there."""
        which: dict[str, Any] = {"document_id": document.document_id}
        which |= {} if sentence_id is None else {"sentence_id": sentence_id}
        live = (VOICES.c.voice_id == TAKES.c.voice_id) & (VOICES.c.owner == document.owner)
        whole = TAKES.c.duration_s.is_not(None) & VOICES.c.forgotten_until.is_(None)
        takes = select(TAKES).filter_by(**which).join(VOICES, live).where(whole).order_by(TAKES.c.take)
        with self._reading.begin() as db:
            rows = db.execute(select(SENTENCES).filter_by(**which).order_by(SENTENCES.c.position)).all()
            found: dict[int, list[SentenceTake]] = {}
            for row in db.execute(takes):
                found.setdefault(row.sentence_id, []).append(_take(row))
        return [_sentence(row, found.get(row.sentence_id, [])) for row in rows]

    def sentence(self, document: Document, sentence_id: int) -> DocumentSentence:
        """Return one of a document's sentences; raises TaskError ``unknown_sentence``."""
        found = self.sentences(document, sentence_id)
        if not found:
            raise unknown_sentence()
        return found[0]

    def path(self, document: Document, sentence: DocumentSentence, take: int | None = None) -> Path:
        """Return a local file of a sentence's take, the chosen one by default; not to be changed, nor kept.

        Raises:
            TaskError: ``no_sound``, there is none.
        """
        number = sentence.take if take is None else take
        for each in sentence.takes:
            if each.take == number and each.n_bytes:
                try:
                    return self._store.path(_key(document.document_id, sentence.sentence_id, number))
                except FileNotFoundError:
                    break
        raise TaskError("This sentence has no sound.", code="no_sound", advice="Have it spoken.")

    def sound(self, document: Document, sentence: DocumentSentence) -> tuple[np.ndarray, int] | None:
        """Return what is heard of a sentence: float32 samples, mono, and Hz; None where there is nothing."""
        try:
            said = read(self.path(document, sentence))
        except TaskError:
            return None
        return said.samples, said.sample_rate

    def spoken(self, document: Document) -> Iterator[tuple[DocumentSentence, np.ndarray, int]]:
        """Yield in order what is heard of the sentences that have sound: float32 samples, mono, and Hz."""
        for sentence in self.sentences(document):
            sound = self.sound(document, sentence)
            if sound is not None:
                yield sentence, *sound

    def choose(self, document: Document, sentence_id: int, take: int) -> Document:
        """Choose which take of a sentence is heard; what it says, and who, is the sentence's from then on.

        Raises:
            TaskError: ``unknown_sentence``, ``unknown_take``.
        """
        wanted = next((each for each in self.sentence(document, sentence_id).takes if each.take == take), None)
        if wanted is None:
            raise TaskError("This take is no longer kept.", code="unknown_take", advice="Choose another one.")
        own = wanted.voice_id if wanted.voice_id != document.voice_id else None
        return self._change(document, sentence_id, text=wanted.text, voice_id=own, take=take)

    def edit(self, document: Document, sentence_id: int, text: str) -> Document:
        """Change what a sentence says; with nothing to say, it goes.

        Raises:
            TaskError: ``unknown_document``, ``unknown_sentence``.
            TextError: the whole would be too long, or have nothing to say.
        """
        return self._change(document, sentence_id, text=text)

    def rewrite(
        self, document: Document, text: str, script: Sequence[DocumentSentence], speakers: Speakers
    ) -> Document:
        """Give a document another text; what is in both keeps its takes, and what was changed in its place, too.

        Args:
            document: which.
            text: all of it.
            script: its sentences.
            speakers: who else speaks.
        """
        with self._writing.begin() as db:
            before = _locked(db, document)
            with self._dooming(db, document.document_id):
                _store(db, document.document_id, before, matched(before, script))
            self._note(db, document, text=text, speakers=[list(each) for each in speakers])
        self._tidy(document.document_id)
        return self.get(document.document_id, document.owner)

    def rename(self, document: Document, name: str) -> Document:
        """Give a document another name."""
        with self._writing.begin() as db:
            db.execute(update(DOCUMENTS).filter_by(document_id=document.document_id).values(name=name))
        return self.get(document.document_id, document.owner)

    def forget(self, document_id: str, owner: str) -> None:
        """Delete a document with its sentences; raises as ``get``."""
        self._delete([self.get(document_id, owner).document_id])

    def purge(self) -> int:
        """Delete what goes with voices that are gone; return how many documents went.

        What such a voice said in another one's document goes, too, and that document's own voice is to say it.
        """
        gone_with = select(DOCUMENTS.c.document_id).where(~exists(VOICES.c.voice_id).where(_ITS_VOICE))
        with self._reading.begin() as db:
            gone = db.execute(gone_with).scalars().all()
        self._delete(gone)
        with self._reading.begin() as db:
            takes = db.execute(_said_by_nobody(TAKES, select(TAKES))).all()
            others = db.execute(_said_by_nobody(SENTENCES, select(SENTENCES))).all()
        self._store.remove(*(_key(take.document_id, take.sentence_id, take.take) for take in takes))
        if takes or others:
            with self._writing.begin() as db:
                for row in takes:
                    which = {"document_id": row.document_id, "sentence_id": row.sentence_id, "take": row.take}
                    db.execute(delete(TAKES).filter_by(**which))
                for row in others:
                    which = {"document_id": row.document_id, "sentence_id": row.sentence_id}
                    db.execute(update(SENTENCES).filter_by(**which, voice_id=row.voice_id).values(voice_id=None))
        return len(gone)

    def sweep(self) -> int:
        """Delete files without a row, as a lost database leaves them; return how many documents they were of.

        A shared store is not listed: there, a row says of every file that is nobody's.
        """
        if self._shared:
            return 0
        there = self._store.folders(_ROOT)  # before the rows are asked for: a row comes before its files
        with self._reading.begin() as db:
            known = set(db.execute(select(DOCUMENTS.c.document_id)).scalars())
        gone = [each for each in there if each not in known]
        for document_id in gone:
            self._store.delete(f"{_ROOT}/{document_id}")
        return len(gone)

    def make_room(self, owner: str, newest: str) -> None:
        """Delete an owner's oldest documents beyond what may be kept, but never the newest one."""
        kept = [each for each in self._found(DOCUMENTS.c.owner == owner) if each.document_id != newest]
        n_bytes, gone = 0, []
        for n_newer, each in enumerate(kept, 1):
            n_bytes += each.n_bytes
            if n_newer >= MAX_DOCUMENTS or n_bytes > MAX_OWNER_BYTES:
                gone.append(each.document_id)
        self._delete(gone)

    def _change(self, document: Document, sentence_id: int, **values: Any) -> Document:
        with self._writing.begin() as db:
            before = _locked(db, document)
            at = next((each.position for each in before if each.sentence_id == sentence_id), None)
            if at is None:
                raise unknown_sentence()
            changed, after = replace(before[at], **values), list(before)
            after[at : at + 1] = [changed] if changed.text else []
            if not changed.text and changed.ends_paragraph and at and not before[at - 1].ends_paragraph:
                after[at - 1] = replace(before[at - 1], ends_paragraph=True, pause_s=changed.pause_s)
            with self._dooming(db, document.document_id):
                _store(db, document.document_id, before, after)
            if changed.text != before[at].text:
                text = joined(after, document.speakers)
                self._note(db, document, text=check_text(text, SPEECH_TASK_MAX_CHARS))
        self._tidy(document.document_id)
        return self.get(document.document_id, document.owner)

    def _note(self, db: Connection, document: Document, **values: Any) -> None:
        """Write down what has changed of a document; it is no longer what was asked for at first."""
        values |= {"request_key": "", "changed_at": self._now()}
        db.execute(update(DOCUMENTS).filter_by(document_id=document.document_id).values(**values))

    def _tidy(self, document_id: str) -> None:
        """Delete a document's files that have no row: what an edit, a kill or a late take has left."""
        if self._shared:
            leftovers.clear(self._writing, self._store, f"{_ROOT}/{document_id}")
            return
        keys = self._store.keys(f"{_ROOT}/{document_id}")  # before the rows: a row comes before its file
        with self._reading.begin() as db:
            there = db.execute(select(DOCUMENTS.c.owner).filter_by(document_id=document_id)).first()
            takes = db.execute(select(TAKES.c.sentence_id, TAKES.c.take).filter_by(document_id=document_id)).all()
        if there is None:
            self._store.delete(f"{_ROOT}/{document_id}")
            return
        for key in set(keys) - {_key(document_id, *each) for each in takes}:
            self._store.delete(key)

    @contextmanager
    def _dooming(self, db: Connection, document_id: str) -> Iterator[None]:
        """Note, where the library is shared, that the files of takes are to go whose rows go meanwhile."""
        before = _takes_of(db, document_id) if self._shared else set()
        yield
        if self._shared:
            leftovers.doom(db, before - _takes_of(db, document_id))

    def _delete(self, document_ids: Sequence[str]) -> None:
        if self._shared:
            for document_id in document_ids:
                which = {"document_id": document_id}
                with self._writing.begin() as db:
                    db.execute(select(DOCUMENTS.c.owner).filter_by(**which).with_for_update())  # no take comes any more
                    with self._dooming(db, document_id):
                        db.execute(delete(DOCUMENTS).filter_by(**which))
                self._tidy(document_id)
            return
        for document_id in document_ids:
            self._store.delete(f"{_ROOT}/{document_id}")
        with self._writing.begin() as db:
            for document_id in document_ids:  # its sentences go with it
                db.execute(delete(DOCUMENTS).filter_by(document_id=document_id))
        for document_id in document_ids:  # what was put there between the two; whatever comes later finds no row
            self._store.delete(f"{_ROOT}/{document_id}")
        if document_ids:
            truncate_log(self._reading)  # where deleted rows would still stand

    def _found(self, *which: ColumnElement[bool]) -> list[Document]:
        with self._reading.begin() as db:
            return [_from_row(row) for row in db.execute(_SUMMED.where(*which))]


def _takes_of(db: Connection, document_id: str) -> set[str]:
    """Return the keys of a document's takes, which may still be written."""
    takes = db.execute(select(TAKES.c.sentence_id, TAKES.c.take).filter_by(document_id=document_id))
    return {_key(document_id, *each) for each in takes}


def _said_by_nobody(table: Table, query: Select[Any]) -> Select[Any]:
    """Return a query of what another voice than a document's own is to say, or has said, that is gone."""
    of = DOCUMENTS.c.document_id == table.c.document_id
    there = exists(VOICES.c.voice_id).where(VOICES.c.voice_id == table.c.voice_id, VOICES.c.owner == DOCUMENTS.c.owner)
    return query.join(DOCUMENTS, of).where(table.c.voice_id != DOCUMENTS.c.voice_id, ~there)


def _store(
    db: Connection, document_id: str, before: Sequence[DocumentSentence], after: Sequence[DocumentSentence]
) -> None:
    """Write the sentences of a document: those without a number are new, and those that are missing go."""
    known = {each.sentence_id: each for each in before}
    unused = max(known, default=-1) + 1
    gone = [{"of": document_id, "number": each} for each in known.keys() - {each.sentence_id for each in after}]
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for position, each in enumerate(after):
        placed = replace(each, position=position, ends_paragraph=each.ends_paragraph or position == len(after) - 1)
        row = {name: getattr(placed, name) for name in _PLACED} | {"ends_paragraph": int(placed.ends_paragraph)}
        if each.sentence_id < 0:
            new.append(row | {"document_id": document_id, "sentence_id": unused + len(new)})
        elif placed != known[each.sentence_id]:
            changed.append(row | {"of": document_id, "number": each.sentence_id})
    for statement, rows in ((_GO, gone), (_CHANGE, changed), (insert(SENTENCES), new)):
        if rows:
            db.execute(statement, rows)


def _locked(db: Connection, document: Document) -> list[DocumentSentence]:
    """Return a document's sentences, without their takes, that nobody else changes until the transaction ends."""
    row = select(DOCUMENTS.c.owner).filter_by(document_id=document.document_id).with_for_update()
    if db.execute(row).first() is None:
        raise unknown_document()
    query = select(SENTENCES).filter_by(document_id=document.document_id).order_by(SENTENCES.c.position)
    return [_sentence(each) for each in db.execute(query)]


def _request_key(order: SpeakOrder, engine: str) -> str:
    asked: list[Any] = [order.voice_id, order.text, order.model, order.settings.changed(), engine]
    asked += [part for part in (order.speakers, order.mix) if part]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _from_row(row: Row[Any]) -> Document:
    speakers = tuple((name, voice_id) for name, voice_id in row.speakers)
    readings = tuple((word, read_as) for word, read_as in row.settings.get("readings", ()))
    settings = SpeechSettings(**row.settings | {"readings": readings})
    return Document(**row._asdict() | {"settings": settings, "speakers": speakers})


def _sentence(row: Row[Any], takes: Sequence[SentenceTake] = ()) -> DocumentSentence:
    values = {name: value for name, value in row._asdict().items() if name != "document_id"}
    return DocumentSentence(**values | {"ends_paragraph": bool(row.ends_paragraph), "takes": tuple(takes)})


def _take(row: Row[Any]) -> SentenceTake:
    return SentenceTake(row.take, row.text, row.voice_id, row.variant, row.duration_s, row.n_bytes)


def _key(document_id: str, sentence_id: int, take: int) -> str:
    """The first one is called as all were before there were others."""
    return f"{_ROOT}/{document_id}/{sentence_id:05d}{f'-{take}' if take else ''}.flac"
