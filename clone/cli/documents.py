"""``document``: texts that are kept with their audio, sentence by sentence, and written to files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clone.cli import completion as tab
from clone.cli.terminal import PIPE, opened, print_json, print_table, progress, result, showing, sure
from clone.cli.terminal import voice_id as meant
from clone.contract import speech
from clone.contract.orders import LOCAL_OWNER, SpeakOrder
from clone.core.errors import TimbreError

if TYPE_CHECKING:
    from clone.studio.facade import Document, DocumentSentence, Studio

LOUDNESS = {"audiobook": -19.0, "podcast": -16.0}
"""LUFS of mono."""

app = typer.Typer(
    help="Texts that are kept with their audio, sentence by sentence.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
_WHICH = typer.Argument(..., metavar="DOCUMENT", help="a document_id, its first characters, or a name")
_SENTENCE = typer.Argument(..., metavar="SENTENCE", help="its number, as show lists them", min=1)
_JSON = typer.Option(False, "--json", help="print JSON")
_FILE: dict[str, Any] = {"metavar": "FILE", "autocompletion": tab.files}


@app.command("list")
def list_documents(as_json: bool = _JSON) -> None:
    """List the documents, the one last worked on first."""
    with opened() as studio:
        found = studio.documents(LOCAL_OWNER)
        names = {each.document_id: studio.title_of(each) for each in found}
    if as_json:
        print_json({"documents": [_as_json(each, names[each.document_id]) for each in found]})
        return
    rows = [(each.document_id[:8], _progress(each), each.voice_name, names[each.document_id]) for each in found]
    print_table(rows)


@app.command()
def new(
    voice: str = typer.Argument(
        ..., metavar="VOICE", autocompletion=tab.voices, help="a voice_id, its first characters, or a name"
    ),
    file: str = typer.Argument(..., **_FILE, help="a .txt, .md, .srt, .vtt or .epub; - for standard input"),
    model: str = typer.Option(..., metavar="MODEL", autocompletion=tab.models, help="the model that speaks"),
    name: str = typer.Option("", metavar="NAME", help="what it is called; a book's title if not said"),
    chapter: int = typer.Option(0, "--chapter", min=0, help="only this one, from 1", show_default=False),
    dialogue: bool = typer.Option(False, "--dialogue", help="lines that begin with a voice's name are spoken by it"),
    language: str | None = typer.Option(None, metavar="LANGUAGE", help="told from the text if not said"),
) -> None:
    """Make a document of a text, to be spoken by speak, and print its document_id."""
    with opened() as studio:
        from clone.cli import pipes

        title, text = "", ""
        if file == PIPE:
            text = pipes.text(PIPE)
        else:
            read = studio.read_text(Path(file).expanduser())
            if chapter > len(read.chapters):
                raise TimbreError(f"There are {len(read.chapters)} chapters in {file}.")
            title, text = read.title, read.chapters[chapter - 1].text if chapter else read.text
        chosen = meant(voice, studio.voices(LOCAL_OWNER))
        settings = replace(speech.AS_IT_IS, language=speech.check_language(language))
        order = SpeakOrder(LOCAL_OWNER, chosen, text, model, settings)
        if dialogue:
            cast = tuple((each.name, each.voice_id) for each in studio.dialogue(text, LOCAL_OWNER))
            order = replace(order, speakers=cast)
        print(studio.begin_document(order, name or title).document_id)


@app.command()
def speak(
    document: str = _WHICH,
    sentence: int = typer.Option(0, "--sentence", min=0, help="another take of this one", show_default=False),
) -> None:
    """Speak what is still to be spoken; interrupted, it keeps what is done and goes on the next time."""
    with opened() as studio:
        from clone.studio import facade

        found = _meant(document, studio)
        if sentence:
            number = _number(studio, found, sentence)
            spoken = result(studio.speak_sentence(found.document_id, LOCAL_OWNER, number), facade.DocumentSentence)
            print(f"Sentence {sentence}: {spoken.duration_s:.1f} s, {len(spoken.takes)} takes.")
            return
        _speak_all(studio, found)
        print(_progress(studio.document(found.document_id, LOCAL_OWNER)))


def _speak_all(studio: Studio, document: Document) -> None:
    with progress() as show, closing(studio.speak_document(document.document_id, LOCAL_OWNER)) as events:
        try:
            for _ in showing(events, show):
                pass
        except KeyboardInterrupt:
            studio.stop_document(document.document_id, LOCAL_OWNER)
            raise


@app.command()
def show(document: str = _WHICH, as_json: bool = _JSON) -> None:
    """List a document's sentences."""
    with opened() as studio:
        found = _meant(document, studio)
        sentences = studio.sentences(found.document_id, LOCAL_OWNER)
    if as_json:
        rows = [
            {
                "sentence": each.position + 1,
                "text": each.text,
                "duration_s": round(each.duration_s, 3),
                "takes": [take.take for take in each.takes],
                "take": each.take,
                "edited": each.edited(found),
                "heading": each.heading,
                "voice_id": each.voice_id or found.voice_id,
            }
            for each in sentences
        ]
        print_json(_as_json(found, found.name) | {"sentences": rows})
        return
    print_table([(str(each.position + 1), _state(each, found), each.text) for each in sentences])


@app.command()
def edit(document: str = _WHICH, sentence: int = _SENTENCE, text: str = typer.Argument(..., metavar="TEXT")) -> None:
    """Change what a sentence says; with an empty text it goes. It is spoken the next time that the document is."""
    with opened() as studio:
        found = _meant(document, studio)
        number = _number(studio, found, sentence)
        print(_progress(studio.edit_sentence(found.document_id, LOCAL_OWNER, number, text)))


@app.command()
def rename(document: str = _WHICH, name: str = typer.Argument(..., metavar="NAME")) -> None:
    """Give a document another name."""
    with opened() as studio:
        found = _meant(document, studio)
        print(studio.edit_document(found.document_id, LOCAL_OWNER, name=name).name)


@app.command()
def export(
    document: str = _WHICH,
    out: str = typer.Option(..., **_FILE, help="where it goes: .mp3, .wav, .flac, .m4b, .srt, .vtt or .zip"),
    loudness: str | None = typer.Option(
        None, metavar="LUFS", help=f"{', '.join(f'{name} ({lufs:g})' for name, lufs in LOUDNESS.items())}, or a number"
    ),
    sentences: str = typer.Option("mp3", metavar="KIND", help="of the files in a .zip: mp3, wav or flac"),
) -> None:
    """Write a document to a file: sound, an audiobook with chapters, subtitles, or a zip of its sentences."""
    path = Path(out).expanduser()
    if not path.parent.is_dir():
        raise TimbreError(f"There is no folder {path.parent} to write {path.name} into.")
    with opened() as studio, studio.folder() as folder:
        found, made = _meant(document, studio), folder / f"document{path.suffix.lower()}"
        level = _lufs(loudness)
        kind = f".{sentences.lower().lstrip('.')}"
        studio.export_document(found.document_id, LOCAL_OWNER, made, lufs=level, sentence_kind=kind)
        path.write_bytes(made.read_bytes())
    print(path)


@app.command()
def forget(document: str = _WHICH, yes: bool = typer.Option(False, "--yes", help="don't ask")) -> None:
    """Remove a document and all its sound."""
    with opened() as studio:
        found = _meant(document, studio)
        if not sure(f"Remove “{studio.title_of(found)}” and its sound?", yes):
            raise TimbreError("Removing a document can't be undone. Say --yes to it.")
        studio.forget_document(found.document_id, LOCAL_OWNER)
        print(f"{found.document_id} is gone.")


def _meant(given: str, studio: Studio) -> Document:
    there = studio.documents(LOCAL_OWNER)
    by_name = [each for each in there if each.name and each.name.casefold() == given.casefold()]
    found = by_name or [each for each in there if given and each.document_id.startswith(given)]
    if len(found) > 1:
        raise TimbreError(f"“{given[:40]}” may be any of {len(found)} documents. Give more of the document_id.")
    return found[0] if found else studio.document(given, LOCAL_OWNER)


def _number(studio: Studio, document: Document, sentence: int) -> int:
    there = studio.sentences(document.document_id, LOCAL_OWNER)
    if sentence > len(there):
        raise TimbreError(f"There are {len(there)} sentences in it.")
    return there[sentence - 1].sentence_id


def _lufs(given: str | None) -> float | None:
    if given is None or given in LOUDNESS:
        return LOUDNESS.get(given or "")
    try:
        return float(given)
    except ValueError:
        raise TimbreError(f"“{given[:40]}” is no loudness. Say audiobook, podcast, or LUFS as a number.") from None


def _progress(document: Document) -> str:
    return f"{document.n_spoken} of {document.n_sentences} sentences, {document.duration_s:.1f} s"


def _state(sentence: DocumentSentence, document: Document) -> str:
    return "-" if not sentence.takes else "edited" if sentence.edited(document) else f"{sentence.duration_s:.1f} s"


def _as_json(document: Document, title: str) -> dict[str, object]:
    names = ("document_id", "voice_id", "voice_name", "model", "n_sentences", "n_spoken", "duration_s")
    told = {name: getattr(document, name) for name in names}
    return told | {"title": title, "created_at": document.created_at.isoformat(timespec="seconds")}
