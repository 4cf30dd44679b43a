"""Voices taken in from a file that was exported: the file, consent for everybody in it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from clone.contract.cloning import RETENTION
from clone.core.errors import CancelledError, ConsentError, Refused, TimbreError
from clone.studio.facade import Imported
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.running import Desk, Progress, explain

_KIND = "import"


@dataclass(frozen=True)
class ImportPanel:
    """The file, consent, the button and what is said of each."""

    file: gr.File
    file_note: gr.HTML
    consent: gr.Checkbox
    consent_note: gr.HTML
    run: gr.Button
    cancel: gr.Button
    progress: gr.HTML


def import_panel() -> ImportPanel:
    """Build a drawer: the file, and beneath it consent right above its button."""
    with gr.Accordion(strings.IMPORT, open=False, elem_id="import-drawer", elem_classes="tb-drawer"):
        file = gr.File(label=strings.IMPORT_FILE, file_types=[".timbre"], height=fields.DROP_PX, elem_id="import-file")
        file_note = fields.slot("import-file-note")
        with gr.Column(elem_classes="tb-act"):
            consent = gr.Checkbox(label=strings.IMPORT_CONSENT, elem_id="import-consent")
            consent_note = fields.slot("import-consent-note")
            run = gr.Button(strings.IMPORT, variant="primary", elem_id="import")
            progress = fields.slot("import-progress")
            cancel = gr.Button(
                strings.CANCEL, variant="stop", visible=False, elem_id="import-cancel", elem_classes="tb-calm"
            )
    return ImportPanel(file, file_note, consent, consent_note, run, cancel, progress)


class Importing:
    """The handlers.

    Args:
        desk: studio, settings and files.
        panel: the components.
        listed: the list that the voices join.
    """

    def __init__(self, desk: Desk, panel: ImportPanel, listed: gr.HTML) -> None:
        self._desk = desk
        self.panel = panel
        self._listed = listed

    def outputs(self) -> list[Any]:
        """Return what ``take_in`` changes."""
        p = self.panel
        return [p.file, p.file_note, p.consent, p.consent_note, p.run, p.cancel, p.progress, self._listed]

    def take_in(self, request: gr.Request, token: str, path: str | None, consent: object) -> Iterator[Updates]:
        """Take in the voices of a file, until somebody asks this to stop; what came in before stays."""
        p, progress, stop = self.panel, Progress(), self._desk.begin(request.session_hash, _KIND)
        faults = _faults(path, consent)
        if faults:
            yield self._refused(*faults)
            return
        self._desk.files.remember(request.session_hash, path)
        running = {p.run: gr.update(visible=False), p.cancel: gr.update(visible=True)}
        yield running | {p.file_note: "", p.consent_note: "", p.progress: progress.shown()}
        try:
            owner = self._desk.owner(token, request)
            with closing(self._desk.studio.import_voices(Path(path or ""), owner, consent=True)) as steps:
                for step in steps:
                    if isinstance(step, Imported):
                        yield self._shown(step, owner)
                    else:
                        stop.check()
                        yield {p.progress: progress.shown(step)}
        except CancelledError:
            yield {p.progress: parts.note("info", strings.IMPORT_STOPPED), self._listed: self._voices(owner)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._refused(explain(error))

    def stop(self, request: gr.Request) -> None:
        """Ask taking in to stop."""
        self._desk.stop(request.session_hash, _KIND)

    def _shown(self, imported: Imported, owner: str) -> Updates:
        """Say what came in and what did not; file and consent go, for consent is of one file."""
        p, n_known = self.panel, sum(each.replayed for each in imported.cloned)
        said = [parts.note("ok", *_came(len(imported.cloned) - n_known, n_known))]
        for name, error in imported.refused:
            said.append(parts.note("warn", f"{name or strings.UNNAMED}: {error.message}", error.advice))
        return {p.file: None, p.consent: False, p.progress: "".join(said), self._listed: self._voices(owner)}

    def _voices(self, owner: str) -> str:
        return parts.voices(self._desk.studio.voices(owner), self._desk.studio.keep_cost())

    def _refused(self, *faults: TimbreError) -> Updates:
        p = self.panel
        updates: Updates = {p.file_note: "", p.consent_note: "", p.progress: ""}
        for fault in faults:
            slot = p.consent_note if fault.field == "consent" else p.file_note if fault.field else p.progress
            updates[slot] += parts.refusal(fault)
        return updates


def _faults(path: str | None, consent: object) -> list[TimbreError]:
    faults: list[TimbreError] = []
    if not path:
        message, advice = strings.NO_IMPORT
        faults.append(Refused(message, code="no_file", field="file", advice=advice))
    if consent is not True:
        advice = strings.IMPORT_NO_CONSENT_ADVICE
        faults.append(ConsentError(strings.NO_CONSENT, code="no_consent", field="consent", advice=advice))
    return faults


def _came(n_new: int, n_known: int) -> tuple[str, str]:
    """Say how many voices are new, and how many were here already."""
    came = f"{n_new} {'voice' if n_new == 1 else 'voices'} came in." if n_new or not n_known else "No voice is new."
    known = f"{n_known} {'was' if n_known == 1 else 'were'} here already. " if n_known else ""
    stays = f"What is new expires in {RETENTION.days} days, unless you keep it or speak with it." if n_new else ""
    return came, known + stays
