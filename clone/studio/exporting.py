"""What a document is handed out as: sound of one kind or another, subtitles, its sentences one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from clone.audio.audiobook import LUFS_MAX, LUFS_MIN, AudiobookWriter, ChapterMark, gain_to, leveled
from clone.audio.encoder import FileWriter
from clone.audio.writer import Provenance, file_bytes
from clone.contract.markup import plain
from clone.core.errors import Refused, TaskError
from clone.core.jobs import Stop
from clone.storage.documents import Document, Documents, DocumentSentence
from clone.storage.voices import Library
from clone.studio.archives import safe_name
from clone.studio.results import provenance_of

SOUNDS = (".mp3", ".wav", ".flac")
KINDS = (*SOUNDS, ".m4b", ".srt", ".vtt", ".zip")
TITLE_MAX_CHARS = 60


@dataclass(frozen=True)
class Cue:
    """A sentence and when it is heard, in seconds."""

    sentence: DocumentSentence
    begins_s: float
    ends_s: float


class Exporting:
    """Writes documents to files.

    Args:
        library: has the voices.
        documents: have the sound.
    """

    def __init__(self, library: Library, documents: Documents) -> None:
        self._library = library
        self._documents = documents

    def export(
        self,
        document_id: str,
        owner: str,
        path: Path,
        *,
        lufs: float | None = None,
        sentence_kind: str = ".mp3",
        stop: Stop | None = None,
    ) -> None:
        """Write what is spoken of a document to a file.

        Args:
            document_id: which.
            owner: whose.
            path: its suffix says what it becomes, one of KINDS: sound, an audiobook with a chapter a heading,
                subtitles, a zip with a file a sentence.
            lufs: the loudness that sound is brought to; None leaves it as it is.
            sentence_kind: of the files in a zip, one of SOUNDS.
            stop: obeyed between sentences.

        Raises:
            TaskError: ``unknown_document``; ``no_sound``, nothing is spoken yet.
            Refused: ``export_kind``; ``loudness`` (LUFS).
        """
        document, kind = self._documents.get(document_id, owner), path.suffix.lower()
        _check(kind, KINDS)
        _check(sentence_kind, SOUNDS)
        _check_loudness(lufs)
        cues = list(_cues(self._documents.sentences(document)))
        if not cues:
            raise TaskError("Nothing of this text is spoken yet.", code="no_sound", advice="Have it spoken first.")
        if kind in (".srt", ".vtt"):
            path.write_text(_subtitles(cues, web=kind == ".vtt"), encoding="utf-8", newline="\n")
            return
        sounds, provenance = _Sounds(self._documents, document, lufs, stop or Stop()), self._provenance(document, cues)
        if kind == ".zip":
            _zip(path, sounds, sentence_kind, provenance)
        elif kind == ".m4b":
            _audiobook(path, sounds, cues, provenance)
        else:
            writer = FileWriter(path, provenance)
            for _, samples in sounds:
                writer.add(samples, sounds.sample_rate)
            writer.end()

    def _provenance(self, document: Document, cues: list[Cue]) -> Provenance:
        own = provenance_of(self._library.get(document.voice_id, document.owner), document.model)
        voices = dict.fromkeys(cue.sentence.chosen.voice_id for cue in cues if cue.sentence.chosen)
        return replace(own, voice_id=", ".join(voices))


class _Sounds:
    """The sentences of a document with their sound, brought to a loudness where one is asked for."""

    def __init__(self, documents: Documents, document: Document, lufs: float | None, stop: Stop) -> None:
        self._documents, self._document, self._stop = documents, document, stop
        first = next(iter(documents.spoken(document)), None)
        if first is None:
            raise TaskError("The sound of this text is gone.", code="no_sound", advice="Have it spoken again.")
        self.sample_rate = first[2]
        self.title = title_of(document)
        self._gain_db = (
            None if lufs is None else gain_to(lambda: (each for _, each in self._all()), self.sample_rate, lufs)
        )

    def __iter__(self) -> Iterator[tuple[DocumentSentence, np.ndarray]]:
        for sentence, samples in self._all():
            yield sentence, samples if self._gain_db is None else leveled(samples, self.sample_rate, self._gain_db)

    def _all(self) -> Iterator[tuple[DocumentSentence, np.ndarray]]:
        for sentence, samples, _ in self._documents.spoken(self._document):
            self._stop.check()
            yield sentence, samples


def title_of(document: Document) -> str:
    """Return what a document is called: its name, or how it begins."""
    return document.name or " ".join(document.text.lstrip("# ").split())[:TITLE_MAX_CHARS]


def chapters(cues: list[Cue], title: str) -> list[ChapterMark]:
    """Return the chapters of what is heard: one a heading, and one before the first where something is said there."""
    found: list[ChapterMark] = []
    level = 0
    for cue in cues:
        sentence, said = cue.sentence, " ".join(plain(cue.sentence.text).split())
        if sentence.heading and level:  # a heading of several sentences
            found[-1] = replace(found[-1], title=f"{found[-1].title} {said}".strip())
        elif sentence.heading or not found:
            found.append(ChapterMark(said if sentence.heading else title, cue.begins_s))
        level = 0 if sentence.ends_paragraph else sentence.heading
    return found


def _cues(sentences: list[DocumentSentence]) -> Iterator[Cue]:
    at_s = 0.0
    for sentence in sentences:
        if sentence.duration_s:
            yield Cue(sentence, at_s, at_s + sentence.duration_s)
            at_s += sentence.duration_s


def _audiobook(path: Path, sounds: _Sounds, cues: list[Cue], provenance: Provenance) -> None:
    parts, ends_s = chapters(cues, sounds.title), cues[-1].ends_s
    writer = AudiobookWriter(
        path, sounds.sample_rate, provenance, title=sounds.title, chapters=parts, duration_s=ends_s
    )
    for _, samples in sounds:
        writer.add(samples)
    writer.end()


def _zip(path: Path, sounds: _Sounds, kind: str, provenance: Provenance) -> None:
    with ZipFile(path, "w") as archive:
        for sentence, samples in sounds:
            name = f"{sentence.position + 1:04d} {safe_name(plain(sentence.text)[:40], 'sentence')}{kind}"
            archive.writestr(name, file_bytes(samples, sounds.sample_rate, kind, provenance))


def _subtitles(cues: list[Cue], *, web: bool) -> str:
    """Return subtitles as SRT, or as WebVTT, in which the page's own signs are escaped."""
    blocks = ["WEBVTT\n"] if web else []
    for i, cue in enumerate(cues, 1):
        said = " ".join(plain(cue.sentence.chosen.text if cue.sentence.chosen else "").split())
        if not said:  # a pause alone
            continue
        if web:
            said = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        times = " --> ".join(_clock(each, "." if web else ",") for each in (cue.begins_s, cue.ends_s))
        blocks.append(f"{i}\n{times}\n{said.replace('-->', '→')}\n")
    return "\n".join(blocks)


def _clock(at_s: float, point: str) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


def _check(kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise Refused(
            f"“{kind[:20]}” is nothing that a document can become here.",
            code="export_kind",
            field="file",
            measured=kind[:20],
            limit=", ".join(kinds),
            advice=f"Choose one of {', '.join(kinds)}.",
        )


def _check_loudness(lufs: float | None) -> None:
    if lufs is not None and not LUFS_MIN <= lufs <= LUFS_MAX:
        raise Refused(
            f"The loudness asked for is {lufs:g} LUFS; it must be {LUFS_MIN:g} to {LUFS_MAX:g}.",
            code="loudness",
            field="file",
            measured=f"{lufs:g}",
            limit=f"{LUFS_MIN:g} to {LUFS_MAX:g}",
            advice="Audiobooks are asked to have -19, podcasts -16, in mono.",
        )
