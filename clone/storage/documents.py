"""What a voice has said, kept sentence by sentence: there again after a cancel, a reload or a restart.

A document is a row and its sentences' rows; each sentence's file lies at ``documents/<document_id>/<position>.flac``.
The document's row comes first and goes last, so that no file is ever without one, whatever is killed when; a sentence's
file is written before its row. Documents go with their voice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine, RowMapping, text

from clone.audio.reader import read
from clone.audio.writer import flac_bytes
from clone.contract.orders import SpeakOrder
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError
from clone.storage.files import Store
from clone.storage.voice import parse_time, stamp

MAX_DOCUMENTS = 50
"""Of one owner; the oldest goes when another begins."""
MAX_OWNER_BYTES = 500_000_000
"""Disk that one owner's documents may take; the oldest go first."""

_ROOT = "documents"
_SUMMED = (
    "SELECT d.*, COALESCE(MAX(s.position) + 1, 0) AS n_spoken, COALESCE(SUM(s.duration_s), 0) AS duration_s,"
    " COALESCE(SUM(s.n_bytes), 0) AS n_bytes, MAX(v.name) AS voice_name"
    " FROM documents d JOIN voices v ON v.voice_id = d.voice_id AND v.owner = d.owner AND v.forgotten_until IS NULL"
    " LEFT JOIN sentences s ON s.document_id = d.document_id WHERE {}"
    " GROUP BY d.document_id ORDER BY d.created_at DESC, d.document_id"
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
    def whole(self) -> bool:
        """Whether every sentence is spoken."""
        return self.n_spoken == self.n_sentences


class Documents:
    """Every owner's; safe to share between threads.

    Args:
        database: the library's, migrated.
        store: where the files lie.
        now: the clock.
    """

    def __init__(self, database: Engine, store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._reading = database
        self._writing = database.execution_options(writes=True)
        self._store = store
        self._now = now

    def begin(self, order: SpeakOrder, engine: str, n_sentences: int) -> Document:
        """Return the document that an order goes on with, or a new one where none is left unfinished.

        Args:
            order: what is to be said.
            engine: what speaks; another one, or another version of it, begins anew.
            n_sentences: how many there will be.
        """
        key = _request_key(order, engine)
        for each in self._found("d.owner = :owner AND d.request_key = :key", owner=order.owner, key=key):
            if not each.whole and each.n_sentences == n_sentences:
                return each
        document_id = uuid.uuid4().hex
        row = {
            "document_id": document_id,
            "owner": order.owner,
            "voice_id": order.voice_id,
            "text": order.text,
            "model": order.model,
            "settings": json.dumps(asdict(order.settings), sort_keys=True),
            "request_key": key,
            "created_at": stamp(self._now()),
            "n_sentences": n_sentences,
        }
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self._writing.begin() as db:
            db.execute(text(f"INSERT INTO documents ({names}) VALUES ({values})"), row)
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
        key = _key(document.document_id, position)
        row = {"id": document.document_id, "position": position}
        told = {"sentence": sentence, "duration_s": len(samples) / sample_rate, "n_bytes": len(data)}
        self._store.put(key, data)
        with self._writing.begin() as db:
            there = text("SELECT 1 FROM documents WHERE document_id = :id")
            if db.execute(there, row).first():
                db.execute(text("DELETE FROM sentences WHERE document_id = :id AND position = :position"), row)
                db.execute(
                    text(
                        "INSERT INTO sentences (document_id, position, text, duration_s, n_bytes)"
                        " VALUES (:id, :position, :sentence, :duration_s, :n_bytes)"
                    ),
                    row | told,
                )
                return
        self._store.delete(f"{_ROOT}/{document.document_id}")

    def get(self, document_id: str, owner: str) -> Document:
        """Return an owner's document.

        Raises:
            TaskError: ``unknown_document``; somebody else's, and one whose voice is gone, look so too.
        """
        found = self._found("d.document_id = :id AND d.owner = :owner", id=document_id, owner=owner)
        if not found:
            raise TaskError("This speech is no longer kept.", code="unknown_document", advice="Say the text again.")
        return found[0]

    def of(self, owner: str) -> list[Document]:
        """Return an owner's documents in which something is spoken, newest first."""
        return [each for each in self._found("d.owner = :owner", owner=owner) if each.n_spoken]

    def spoken(self, document: Document) -> Iterator[tuple[int, np.ndarray, int]]:
        """Yield the sentences in order, up to one whose file is gone: position, float32 samples, mono, and Hz."""
        query = text("SELECT position FROM sentences WHERE document_id = :id ORDER BY position")
        with self._reading.begin() as db:
            positions = db.execute(query, {"id": document.document_id}).scalars().all()
        for position in positions:
            try:
                sentence = read(self._store.path(_key(document.document_id, position)))
            except FileNotFoundError:
                return
            yield position, sentence.samples, sentence.sample_rate

    def finish(self, document: Document) -> Document:
        """Note that there is nothing more to say; return the document as it is then."""
        said = "(SELECT COALESCE(MAX(position) + 1, 0) FROM sentences WHERE document_id = :id)"
        with self._writing.begin() as db:
            change = f"UPDATE documents SET n_sentences = {said} WHERE document_id = :id"
            db.execute(text(change), {"id": document.document_id})
        return self.get(document.document_id, document.owner)

    def forget(self, document_id: str, owner: str) -> None:
        """Delete a document with its sentences; raises as ``get``."""
        self._delete([self.get(document_id, owner).document_id])

    def purge(self) -> int:
        """Delete what goes with voices that are gone; return how many documents went."""
        query = text(
            "SELECT document_id FROM documents d WHERE NOT EXISTS"
            " (SELECT 1 FROM voices v WHERE v.voice_id = d.voice_id AND v.owner = d.owner)"
        )
        with self._reading.begin() as db:
            gone = list(db.execute(query).scalars())
        self._delete(gone)
        return len(gone)

    def _make_room(self, owner: str, newest: str) -> None:
        kept = [each for each in self._found("d.owner = :owner", owner=owner) if each.document_id != newest]
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
            for document_id in document_ids:
                db.execute(text("DELETE FROM sentences WHERE document_id = :id"), {"id": document_id})
                db.execute(text("DELETE FROM documents WHERE document_id = :id"), {"id": document_id})

    def _found(self, where: str, **values: str) -> list[Document]:
        with self._reading.begin() as db:
            return [_from_row(row) for row in db.execute(text(_SUMMED.format(where)), values).mappings()]


def _request_key(order: SpeakOrder, engine: str) -> str:
    asked = [order.voice_id, order.text, order.model, asdict(order.settings), engine]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _from_row(row: RowMapping) -> Document:
    values: dict[str, Any] = {name: row[name] for name in Document.__dataclass_fields__}
    values |= {"settings": SpeechSettings(**json.loads(row["settings"])), "created_at": parse_time(row["created_at"])}
    return Document(**values)


def _key(document_id: str, position: int) -> str:
    return f"{_ROOT}/{document_id}/{position:05d}.flac"
