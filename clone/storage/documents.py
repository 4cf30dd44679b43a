"""What a voice has said, kept sentence by sentence: there again after a cancel, a reload or a restart.

A document is a row and its sentences' rows; each sentence's file lies at ``documents/<document_id>/<position>.flac``.
The document's row comes first and goes last, so that no file is ever without one, whatever is killed when; a sentence's
file is written before its row. Documents go with their voice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, select, update

from clone.audio.reader import read
from clone.audio.writer import flac_bytes
from clone.contract.orders import SpeakOrder
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError
from clone.storage.database import DOCUMENTS, SENTENCES, VOICES, Kept

MAX_DOCUMENTS = 50
"""Of one owner; the oldest goes when another begins."""
MAX_OWNER_BYTES = 500_000_000
"""Disk that one owner's documents may take; the oldest go first."""

_ROOT = "documents"
_ITS_VOICE = (VOICES.c.voice_id == DOCUMENTS.c.voice_id) & (VOICES.c.owner == DOCUMENTS.c.owner)
_N_SPOKEN = func.coalesce(func.max(SENTENCES.c.position) + 1, 0)
_SUMMED = (
    select(
        DOCUMENTS,
        func.max(VOICES.c.name).label("voice_name"),
        _N_SPOKEN.label("n_spoken"),
        func.coalesce(func.sum(SENTENCES.c.duration_s), 0.0).label("duration_s"),
        func.coalesce(func.sum(SENTENCES.c.n_bytes), 0).label("n_bytes"),
    )
    .join(VOICES, _ITS_VOICE & VOICES.c.forgotten_until.is_(None))
    .outerjoin(SENTENCES)
    .group_by(DOCUMENTS.c.document_id)
    .order_by(DOCUMENTS.c.created_at.desc(), DOCUMENTS.c.document_id)
)


@dataclass(frozen=True)
class Document:
    """A text said by a voice, up to its sentence ``n_spoken``; ``voice_name`` is what the voice is called now.

    A sentence with nothing in it to be read has no sound, and no file.
    """

    document_id: str
    owner: str
    voice_id: str
    voice_name: str
    text: str
    model: str
    settings: SpeechSettings
    request_key: str
    created_at: datetime
    n_sentences: int
    n_spoken: int = 0
    duration_s: float = 0.0
    n_bytes: int = 0

    @property
    def complete(self) -> bool:
        """Whether every sentence is spoken."""
        return self.n_spoken == self.n_sentences


class Documents(Kept):
    """All that was said with the voices."""

    def begin(self, order: SpeakOrder, engine: str, n_sentences: int) -> Document:
        """Return the document that an order goes on with, or a new one where none is left unfinished.

        Args:
            order: what is to be said.
            engine: what speaks; another one, or another version of it, begins anew.
            n_sentences: how many there will be.
        """
        key = _request_key(order, engine)
        for each in self._found(DOCUMENTS.c.owner == order.owner, DOCUMENTS.c.request_key == key):
            if not each.complete and each.n_sentences == n_sentences:
                return each
        document_id = uuid.uuid4().hex
        row = {
            "document_id": document_id,
            "owner": order.owner,
            "voice_id": order.voice_id,
            "text": order.text,
            "model": order.model,
            "settings": order.settings.told(),
            "request_key": key,
            "created_at": self._now(),
            "n_sentences": n_sentences,
        }
        with self._writing.begin() as db:
            db.execute(insert(DOCUMENTS), row)
        self._make_room(order.owner, document_id)
        return self.get(document_id, order.owner)

    def add(self, document: Document, position: int, sentence: str, samples: np.ndarray, sample_rate: int) -> None:
        """Keep a sentence; one that was there is replaced.

        Args:
            document: which; where it is gone meanwhile, nothing is kept.
            position: 0 is the first.
            sentence: what was said.
            samples: float32, shape (n_samples,), mono, within [-1, 1]; kept as 16 bits.
            sample_rate: Hz.
        """
        data = flac_bytes(samples, sample_rate)
        which = {"document_id": document.document_id, "position": position}
        row = which | {"text": sentence, "duration_s": len(samples) / sample_rate, "n_bytes": len(data)}
        self._store.put(_key(document.document_id, position), data)
        with self._writing.begin() as db:
            if db.execute(select(DOCUMENTS.c.owner).filter_by(document_id=document.document_id)).first():
                db.execute(delete(SENTENCES).filter_by(**which))
                db.execute(insert(SENTENCES), row)
                return
        self._store.delete(f"{_ROOT}/{document.document_id}")

    def get(self, document_id: str, owner: str) -> Document:
        """Return an owner's document.

        Raises:
            TaskError: ``unknown_document``; somebody else's, and one whose voice is gone, look so too.
        """
        found = self._found(DOCUMENTS.c.document_id == document_id, DOCUMENTS.c.owner == owner)
        if not found:
            raise TaskError("This speech is no longer kept.", code="unknown_document", advice="Say the text again.")
        return found[0]

    def of(self, owner: str) -> list[Document]:
        """Return an owner's documents in which something is spoken, newest first."""
        return [each for each in self._found(DOCUMENTS.c.owner == owner) if each.n_spoken]

    def spoken(self, document: Document) -> Iterator[tuple[int, np.ndarray, int]]:
        """Yield the sentences in order, up to one whose file is gone: position, float32 samples, mono, and Hz."""
        query = select(SENTENCES.c.position).filter_by(document_id=document.document_id)
        with self._reading.begin() as db:
            positions = db.execute(query.order_by(SENTENCES.c.position)).scalars().all()
        for position in positions:
            try:
                sentence = read(self._store.path(_key(document.document_id, position)))
            except FileNotFoundError:
                return
            yield position, sentence.samples, sentence.sample_rate

    def finish(self, document: Document) -> Document:
        """Note that there is nothing more to say; return the document as it is then."""
        said = select(_N_SPOKEN).where(SENTENCES.c.document_id == document.document_id).scalar_subquery()
        with self._writing.begin() as db:
            db.execute(update(DOCUMENTS).filter_by(document_id=document.document_id).values(n_sentences=said))
        return self.get(document.document_id, document.owner)

    def forget(self, document_id: str, owner: str) -> None:
        """Delete a document with its sentences; raises as ``get``."""
        self._delete([self.get(document_id, owner).document_id])

    def purge(self) -> int:
        """Delete what goes with voices that are gone; return how many documents went."""
        query = select(DOCUMENTS.c.document_id).where(~exists(VOICES.c.voice_id).where(_ITS_VOICE))
        with self._reading.begin() as db:
            gone = db.execute(query).scalars().all()
        self._delete(gone)
        return len(gone)

    def sweep(self) -> int:
        """Delete files without a row, as a lost database leaves them; return how many documents they were of."""
        there = self._store.folders(_ROOT)  # before the rows are asked for: a row comes before its files
        with self._reading.begin() as db:
            known = set(db.execute(select(DOCUMENTS.c.document_id)).scalars())
        gone = [each for each in there if each not in known]
        for document_id in gone:
            self._store.delete(f"{_ROOT}/{document_id}")
        return len(gone)

    def _make_room(self, owner: str, newest: str) -> None:
        kept = [each for each in self._found(DOCUMENTS.c.owner == owner) if each.document_id != newest]
        n_bytes, gone = 0, []
        for n_newer, each in enumerate(kept, 1):
            n_bytes += each.n_bytes
            if n_newer >= MAX_DOCUMENTS or n_bytes > MAX_OWNER_BYTES:
                gone.append(each.document_id)
        self._delete(gone)

    def _delete(self, document_ids: Sequence[str]) -> None:
        for document_id in document_ids:
            self._store.delete(f"{_ROOT}/{document_id}")
        with self._writing.begin() as db:
            for document_id in document_ids:  # its sentences go with it
                db.execute(delete(DOCUMENTS).filter_by(document_id=document_id))

    def _found(self, *which: ColumnElement[bool]) -> list[Document]:
        with self._reading.begin() as db:
            return [_from_row(row) for row in db.execute(_SUMMED.where(*which))]


def _request_key(order: SpeakOrder, engine: str) -> str:
    asked = [
        order.voice_id,
        order.text,
        order.model,
        order.settings.told(),
        engine,
        *([order.mix] if order.mix else []),
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _from_row(row: Row[Any]) -> Document:
    return Document(**row._asdict() | {"settings": SpeechSettings(**row.settings)})


def _key(document_id: str, position: int) -> str:
    return f"{_ROOT}/{document_id}/{position:05d}.flac"
