"""A document as a file: sound of each kind, chapters, subtitles, sentences one by one, at a loudness."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from clone.audio.audiobook import AUDIOBOOK_LUFS
from clone.audio.enhance import PEAK_CEILING_DBTP, integrated_loudness, true_peak_dbtp
from clone.audio.reader import read
from clone.contract.orders import SpeakOrder
from clone.core.errors import CancelledError, TimbreError
from clone.core.jobs import Stop
from clone.storage.documents import Document, Documents, DocumentSentence
from clone.studio.exporting import Exporting, chapters
from tests.sounds import silence, speechlike
from tests.studios import TURBO, fit_for_a_person
from tests.voices import FILES, Clock, make_voice, open_library

RATE = 24_000
SCRIPT = [
    DocumentSentence("Before. <#0.2#>"),
    DocumentSentence("Part one.", ends_paragraph=False, heading=1),
    DocumentSentence("The harbour.", heading=1),
    DocumentSentence("It <rains> --> & rains.", ends_paragraph=False),
    DocumentSentence("…"),
    DocumentSentence("Part two", heading=2),
    DocumentSentence("../../CON: she said.", voice_id="voice-2"),
    DocumentSentence("Not yet."),
]


@pytest.fixture
def documents(home: Path, clock: Clock) -> Documents:
    library = open_library(home, clock)
    for voice_id in ("voice-1", "voice-2"):
        library.add(make_voice(voice_id), FILES)
    documents = Documents(library.database, library.store, clock)
    documents.exporting = Exporting(library, documents)  # type: ignore[attr-defined]
    return documents


@pytest.fixture
def document(documents: Documents) -> Document:
    """All of it is spoken but the last sentence; each takes a second."""
    order = SpeakOrder("ada", "voice-1", "text", TURBO)
    document = documents.begin(order, "1", SCRIPT, "A <book>")
    for sentence in documents.sentences(document)[:-1]:
        speech = np.append(speechlike(0.8, RATE, seed=sentence.position), silence(0.2, RATE)).astype(np.float32)
        documents.add(document, sentence, speech[:0] if sentence.text == "…" else 0.2 * speech, RATE)
    return documents.get(document.document_id, "ada")


def export(documents: Documents, document: Document, path: Path, **how: object) -> Path:
    documents.exporting.export(document.document_id, "ada", path, **how)  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "m4b"])
def test_all_that_is_spoken_is_written_at_the_loudness(
    documents: Documents, document: Document, tmp_path: Path, kind: str
) -> None:
    sound = read(export(documents, document, tmp_path / f"a.{kind}", lufs=AUDIOBOOK_LUFS))
    assert sound.duration_s == pytest.approx(6.0, abs=0.15)
    assert integrated_loudness(sound.samples.copy(), sound.sample_rate) == pytest.approx(AUDIOBOOK_LUFS, abs=0.5)
    exact = kind in ("wav", "flac")
    assert true_peak_dbtp(sound.samples, sound.sample_rate) <= PEAK_CEILING_DBTP + (0.05 if exact else 1.0)
    with av.open(str(tmp_path / f"a.{kind}")) as file:
        told = " ".join(f"{name}={value}" for name, value in file.metadata.items())
    assert "AI-generated speech in a cloned voice" in told
    assert "voice-1, voice-2" in told


def test_sound_is_left_as_it_is_where_no_loudness_is_asked_for(
    documents: Documents, document: Document, tmp_path: Path
) -> None:
    written = read(export(documents, document, tmp_path / "a.wav"))
    kept = np.concatenate([samples for _, samples, _ in documents.spoken(document)])
    assert np.array_equal(written.samples, kept)


def test_an_audiobook_has_a_chapter_for_each_heading(documents: Documents, document: Document, tmp_path: Path) -> None:
    with av.open(str(export(documents, document, tmp_path / "a.m4b"))) as book:
        found = [(each["metadata"]["title"], round(each["start"] * each["time_base"], 2)) for each in book.chapters()]
        assert book.metadata["title"] == "A <book>"
        assert book.streams.audio[0].codec_context.name == "aac"
    assert found == [("A <book>", 0), ("Part one. The harbour.", 1), ("Part two", 4)]


def test_what_has_no_heading_is_one_chapter() -> None:
    assert chapters([], "x") == []


def test_subtitles_have_the_times_of_the_sentences(documents: Documents, document: Document, tmp_path: Path) -> None:
    srt = export(documents, document, tmp_path / "a.srt").read_text(encoding="utf-8")
    assert "4\n00:00:03,000 --> 00:00:04,000\nIt <rains> → & rains.\n" in srt
    assert srt.count(" --> ") == 6
    vtt = export(documents, document, tmp_path / "a.vtt").read_text(encoding="utf-8")
    assert vtt.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.000\nBefore.\n")
    assert "It &lt;rains&gt; --&gt; &amp; rains." in vtt


def test_sentences_are_files_of_their_own_with_safe_names(
    documents: Documents, document: Document, tmp_path: Path
) -> None:
    path = export(documents, document, tmp_path / "a.zip", sentence_kind=".wav", lufs=-16.0)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == [
            "0001 Before.wav",
            "0002 Part one.wav",
            "0003 The harbour.wav",
            "0004 It rains -- rains.wav",
            "0006 Part two.wav",
            "0007 CON she said.wav",
        ]
        archive.extract(names[0], tmp_path)
    assert read(tmp_path / names[0]).duration_s == pytest.approx(1.0)


def test_what_can_not_be_written_is_refused(documents: Documents, document: Document, tmp_path: Path) -> None:
    unspoken = documents.begin(SpeakOrder("ada", "voice-1", "else", TURBO), "1", SCRIPT[:1])
    for which, name, how, code in (
        (document, "a.exe", {}, "export_kind"),
        (document, "a.zip", {"sentence_kind": ".m4b"}, "export_kind"),
        (document, "a.mp3", {"lufs": 0.0}, "loudness"),
        (document, "a.mp3", {"lufs": float("nan")}, "loudness"),
        (replace(document, document_id="gone"), "a.mp3", {}, "unknown_document"),
        (unspoken, "a.srt", {}, "no_sound"),
    ):
        with pytest.raises(TimbreError) as refused:
            export(documents, which, tmp_path / name, **how)  # type: ignore[arg-type]
        assert fit_for_a_person(refused.value).code == code
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        export(documents, document, tmp_path / "a.mp3", stop=stop)
