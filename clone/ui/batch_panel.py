"""A table of texts spoken into a zip: row by row, on after one that fails, with a report of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from clone.contract import speech
from clone.core.errors import CancelledError, Refused
from clone.core.jobs import Stop
from clone.studio.facade import BatchDone, BatchOrder, Row
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.files import SEVERAL
from clone.ui.running import Desk, Progress, explain

_KIND = "batch"
_ZIP = "timbre-table.zip"


@dataclass(frozen=True)
class BatchPanel:
    """The table, the button, and what came of the rows."""

    file: gr.File
    note: gr.HTML
    run: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    rows: gr.HTML
    done: gr.HTML


def batch_panel() -> BatchPanel:
    """Build a drawer: the table, and beneath it how it goes, row by row."""
    with gr.Accordion(strings.BATCH, open=False, elem_id="batch-drawer", elem_classes="tb-drawer"):
        gr.HTML(parts.render("batch_advice"))
        file = gr.File(
            label=strings.BATCH_FILE, file_types=[".csv", ".tsv"], height=fields.DROP_PX, elem_id="batch-file"
        )
        note = fields.slot("batch-note")
        run = gr.Button(strings.BATCH_RUN, variant="primary", elem_id="batch")
        progress = fields.slot("batch-progress")
        cancel = gr.Button(
            strings.CANCEL, variant="stop", visible=False, elem_id="batch-cancel", elem_classes="tb-calm"
        )
        done, rows = fields.slot("batch-done"), fields.slot("batch-rows")
    return BatchPanel(file, note, run, cancel, progress, rows, done)


class BatchDesk:
    """The handlers.

    Args:
        desk: studio, settings and files.
        panel: the components.
    """

    def __init__(self, desk: Desk, panel: BatchPanel) -> None:
        self._desk = desk
        self.panel = panel

    def outputs(self) -> list[Any]:
        """Return what ``speak`` changes."""
        p = self.panel
        return [p.note, p.run, p.cancel, p.progress, p.rows, p.done]

    def speak(self, request: gr.Request, token: str, table: str | None, *said: Any) -> Iterator[Updates]:
        """Speak a table as ``SpeakPanel.said`` asks for it, until somebody asks this to stop; what is done is kept."""
        p, visit, stop = self.panel, request.session_hash, self._desk.begin(request.session_hash, _KIND)
        self._desk.files.remember(visit, table)
        running = {p.run: gr.update(visible=False), p.cancel: gr.update(visible=True)}
        yield running | {p.note: "", p.rows: "", p.done: "", p.progress: Progress().shown()}
        rows: list[Row] = []
        path, ended = None, None
        try:
            order = _order(self._desk.owner(token, request), table, *said)
            path = self._desk.files.new(None, _ZIP, SEVERAL)  # nobody's, or forgetting a voice would take it meanwhile
            yield from self._spoken(order, path, rows, stop)
            ended = parts.note("ok", *_sum(rows))
        except CancelledError:
            ended = parts.note("info", strings.STOPPED_SAID.format(_count(len(rows))))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            fault = explain(error)
            ended = parts.refusal(fault)
            if fault.field and not rows:
                yield {p.note: ended}
                ended = ""
        finally:
            if path is not None and (ended is None or not rows):  # nobody is there any more, or nothing in it
                path.unlink(missing_ok=True)
        yield {p.progress: ended} | (self._lent(path, visit) if rows and path else {})

    def stop(self, request: gr.Request) -> None:
        """Ask speaking to stop."""
        self._desk.stop(request.session_hash, _KIND)

    def _spoken(self, order: BatchOrder, path: Path, rows: list[Row], stop: Stop) -> Iterator[Updates]:
        """Show how it goes while a table is spoken into a file; every row that was come to is put into ``rows``."""
        p, progress = self.panel, Progress()
        with closing(self._desk.studio.batch(order, path)) as events:
            for event in events:
                if isinstance(event, BatchDone):
                    return
                if isinstance(event, Row):
                    rows.append(event)
                    yield {p.rows: parts.render("batch_rows", rows=rows)}
                else:
                    stop.check()
                    yield {p.progress: progress.shown(event)}

    def _lent(self, path: Path, visit: str | None) -> Updates:
        self._desk.files.remember(visit, path)
        link = self._desk.takes.lend(path, visit)
        return {self.panel.done: parts.file_link(link, "Timbre.zip", strings.download("zip"))}


def _order(owner: str, table: str | None, *said: Any) -> BatchOrder:
    if not table:
        message, advice = strings.NO_TABLE
        raise Refused(message, code="no_file", field="file", advice=advice)
    voice_id, _, model, speed, pitch, volume, kind, language, *_ = said
    how = speech.SpeechSettings(float(speed), float(volume), int(pitch), speech.check_language(language))
    kind = kind if kind in strings.FORMATS else strings.FORMATS[0]
    voice = str(voice_id or "")
    return BatchOrder(owner, Path(table), str(model or ""), speech.check_settings(how), voice, f".{kind}")


def _sum(rows: list[Row]) -> tuple[str, str]:
    """Say how many rows were spoken, and that the others are in the report."""
    n_failed = sum(bool(row.reason) for row in rows)
    advice = f"{_count(n_failed)} failed; below, and in report.csv in the zip, stands why." if n_failed else ""
    return f"{_count(len(rows) - n_failed)} spoken.", advice


def _count(n_rows: int) -> str:
    return f"{n_rows} {'row' if n_rows == 1 else 'rows'}"
