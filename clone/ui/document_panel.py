"""The document that was spoken: heard, mended and spoken again by sentence, and taken away as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from clone.core.errors import CancelledError
from clone.studio.facade import Document, DocumentSentence, Passage
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.running import Desk, Progress, explain
from clone.ui.takes import Take, file_name
from clone.ui.theme import static

_KIND = "document"
_SENTENCE_MAX_CHARS = 5_000


@dataclass(frozen=True)
class DocumentPanel:
    """What was spoken, sentence by sentence.

    ``listed`` has the events play (hear a sentence), apply (another take of it), edit (its text), select (one of its
    takes); each brings ``sentence``, edit ``text``, select ``take``.
    """

    card: gr.Column
    which: gr.State
    note: gr.HTML
    player: gr.HTML
    times: gr.HTML
    latest: gr.HTML
    done: gr.HTML
    listed: gr.HTML
    changes: gr.Button
    cancel: gr.Button
    kind: gr.Dropdown
    level: gr.Dropdown
    export: gr.Button
    exported: gr.HTML


def document_panel(latest: gr.HTML, done: gr.HTML) -> DocumentPanel:
    """Build: the one player of a sentence, the sentences, what speaks those that were changed, and the export.

    Args:
        latest: the player of the whole, which stands elsewhere.
        done: its file, there too.
    """
    with fields.card(visible=False, elem_id="document") as card:
        gr.HTML(parts.heading(strings.DOCUMENT, strings.DOCUMENT_ADVICE))
        which = gr.State("")
        note, player = fields.slot("document-note"), fields.slot("sentence-player")
        times = fields.slot("take-times")
        listed = gr.HTML(js_on_load=static("document.js"), elem_id="sentences-said")
        changes = gr.Button(strings.CHANGES.format(1), variant="primary", visible=False, elem_id="changes")
        cancel = gr.Button(
            strings.CANCEL, variant="stop", visible=False, elem_id="changes-cancel", elem_classes="tb-calm"
        )
        with gr.Row(elem_classes="tb-pair"):
            kind = gr.Dropdown(
                list(strings.EXPORTS.items()), value=".mp3", label=strings.EXPORT_AS, elem_id="export-as"
            )
            level = gr.Dropdown(list(strings.LEVELS.items()), value=0, label=strings.LEVEL, elem_id="export-level")
            export = gr.Button(strings.EXPORT, elem_id="export")
        exported = fields.slot("exported")
    whole = times, latest, done
    return DocumentPanel(card, which, note, player, *whole, listed, changes, cancel, kind, level, export, exported)


class DocumentDesk:
    """The handlers of the document.

    Args:
        desk: studio, settings and files.
        panel: the components.
    """

    def __init__(self, desk: Desk, panel: DocumentPanel) -> None:
        self._desk = desk
        self.panel = panel

    def outputs(self) -> list[Any]:
        """Return everything the handlers change."""
        p = self.panel
        return [p.card, p.note, p.player, p.times, p.latest, p.done, p.listed, p.changes, p.cancel, p.exported]

    def show(self, request: gr.Request, token: str, which: str) -> Updates:
        """Show a document as it is now; none where there is none."""
        if not which:
            return {self.panel.card: gr.update(visible=False)}
        try:
            return self._shown(which, self._desk.owner(token, request)) | {self.panel.exported: ""}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def hear(self, request: gr.Request, token: str, which: str, event: gr.EventData) -> Updates:
        """Play a sentence."""
        try:
            owner = self._desk.owner(token, request)
            return {self.panel.note: "", self.panel.player: self._player(request, which, owner, _number(event))}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def again(self, request: gr.Request, token: str, which: str, event: gr.EventData) -> Iterator[Updates]:
        """Speak a sentence in another take, and play it."""
        number = _number(event)
        yield from self._running(request, token, which, lambda owner: self._again(which, owner, number), number)

    def speak_changes(self, request: gr.Request, token: str, which: str) -> Iterator[Updates]:
        """Speak what was changed."""
        yield from self._running(request, token, which, lambda owner: self._desk.studio.speak_document(which, owner))

    def edit(self, request: gr.Request, token: str, which: str, event: gr.EventData) -> Updates:
        """Change what a sentence says."""
        text = str(_data(event).get("text") or "")[:_SENTENCE_MAX_CHARS]
        try:
            owner = self._desk.owner(token, request)
            self._desk.studio.edit_sentence(which, owner, _number(event), text)
            return self._shown(which, owner)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def choose(self, request: gr.Request, token: str, which: str, event: gr.EventData) -> Updates:
        """Choose among the takes of a sentence, and play it."""
        number, take = _number(event), _number(event, "take")
        try:
            owner = self._desk.owner(token, request)
            self._desk.studio.choose_take(which, owner, number, take)
            played = {self.panel.player: self._player(request, which, owner, number)}
            return self._shown(which, owner) | self._complete(request, which, owner) | played
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def export(self, request: gr.Request, token: str, which: str, kind: str, level: float) -> Updates:
        """Write the document to a file, and offer it."""
        try:
            owner = self._desk.owner(token, request)
            document = self._desk.studio.document(which, owner)
            kind = kind if kind in strings.EXPORTS.values() else ".mp3"
            path = self._desk.files.new(request.session_hash, f"timbre-document{kind}", document.voice_id)
            lufs = float(level) if level in strings.LEVELS.values() and level else None
            self._desk.studio.export_document(which, owner, path, lufs=lufs)
            link = self._desk.takes.lend(path, request.session_hash)
            name = file_name(kind[1:], document.voice_name or strings.UNNAMED, document.name or document.text)
            return {self.panel.exported: parts.file_link(link, name, strings.download(kind[1:]))}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.exported: parts.refusal(explain(error))}

    def stop(self, request: gr.Request) -> None:
        """Ask what runs to stop."""
        self._desk.stop(request.session_hash, _KIND)

    def _running(
        self, request: gr.Request, token: str, which: str, begin: Any, number: int | None = None
    ) -> Iterator[Updates]:
        p, progress, stop = self.panel, Progress(), self._desk.begin(request.session_hash, _KIND)
        yield {p.note: progress.shown(), p.cancel: gr.update(visible=True), p.changes: gr.update(visible=False)}
        shown: Updates = {}
        try:
            owner = self._desk.owner(token, request)
            try:
                with closing(begin(owner)) as events:
                    for event in events:
                        stop.check()
                        if not isinstance(event, Document | DocumentSentence | Passage):
                            yield {p.note: progress.shown(event)}
                if number is not None:
                    shown = {p.player: self._player(request, which, owner, number)}
            except CancelledError:
                self._desk.studio.stop_document(which, owner)
                shown = {p.note: parts.note("info", strings.STOPPED)}
            except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
                shown = self._refused(error)
            yield self._shown(which, owner) | self._complete(request, which, owner) | shown
        except Exception as error:  # noqa: BLE001  it is gone meanwhile
            yield self._refused(error) | {p.cancel: gr.update(visible=False)}

    def _again(self, which: str, owner: str, number: int) -> Iterator[object]:
        return iter(self._desk.studio.speak_sentence(which, owner, number))

    def _player(self, request: gr.Request, which: str, owner: str, number: int) -> str:
        studio, visit = self._desk.studio, request.session_hash
        document, path = studio.document(which, owner), studio.sentence_audio(which, owner, number)
        position = next(each.position for each in studio.sentences(which, owner) if each.sentence_id == number)
        # With its voice, so that it goes when that is forgotten.
        copy = self._desk.files.copy(visit, path, f"timbre-{which}-{path.name}", document.voice_id)
        (sound,) = self._desk.sounds(visit, (copy, strings.SENTENCE.format(position + 1), ""))
        return parts.player(sound, autoplay=True, named=True)

    def _complete(self, request: gr.Request, which: str, owner: str) -> Updates:
        """Return the player of the whole as it sounds now, and its file."""
        take = recalled(self._desk, self._desk.studio.document(which, owner), request.session_hash)
        shown = parts.player(replace(take.sound, saved_as=""))
        return {self.panel.latest: shown, self.panel.done: parts.take_done(take)}

    def _shown(self, which: str, owner: str) -> Updates:
        p, studio = self.panel, self._desk.studio
        document, sentences = studio.document(which, owner), studio.sentences(which, owner)
        n_left = sum(each.to_speak(document) for each in sentences)
        return {
            p.card: gr.update(visible=True),
            p.note: "",
            p.listed: parts.sentences(document, sentences),
            p.times: parts.times(_begins(sentences), document.duration_s),
            p.changes: gr.update(visible=n_left > 0, value=strings.CHANGES.format(n_left)),
            p.cancel: gr.update(visible=False),
        }

    def _refused(self, error: Exception) -> Updates:
        return {self.panel.note: parts.refusal(explain(error))}


def recalled(desk: Desk, document: Document, visit: str | None) -> Take:
    """Return what was said of a document, as a take whose file is made when somebody asks for it."""
    name = f"timbre-{document.voice_id}.{strings.FORMATS[0]}".replace("/", "-")

    def make() -> Path:
        path = desk.files.new(visit, name)
        desk.studio.write_document(document.document_id, document.owner, path)
        return path

    key = desk.takes.later(make, visit)
    shown = document.voice_name, document.text, document.model, name, document.duration_s
    return Take(key, *shown, said=said_of(document), document_id=document.document_id)


def said_of(document: Document) -> str:
    """Say how much of a document is spoken; nothing where that is all."""
    return "" if document.complete else strings.PART_SAID.format(document.n_spoken, document.n_sentences)


def _begins(sentences: list[DocumentSentence]) -> Iterator[tuple[int, float]]:
    at_s = 0.0
    for each in sentences:
        if each.duration_s:
            yield each.sentence_id, at_s
        at_s += each.duration_s


def _data(event: gr.EventData) -> dict[str, Any]:
    # What a browser sends along with a click may be anything.
    return event._data if isinstance(event._data, dict) else {}


def _number(event: gr.EventData, what: str = "sentence") -> int:
    value = str(_data(event).get(what))
    return int(value) if value.isdecimal() and len(value) < 10 else -1
