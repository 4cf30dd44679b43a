"""Who clones: this machine or the hosted service, with its key, its way to the recording and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.contract import cloning
from clone.core.errors import TimbreError
from clone.core.settings import BACKENDS, LOCAL, NOVITA
from clone.ui import fields, parts, strings
from clone.ui.running import Desk

BACKEND_KEY = "timbre-backend"
Updates = dict[Any, Any]


@dataclass(frozen=True)
class BackendPanel:
    """The choice of the backend, and what the hosted one needs."""

    backend: gr.Radio
    drawer: gr.Column
    key: gr.Textbox
    key_note: gr.HTML
    told: gr.HTML


def backend_panel() -> BackendPanel:
    """Build: this machine or the hosted service; for that one the key, and what it does with the recording."""
    choices = list(zip(strings.BACKENDS, BACKENDS, strict=True))
    backend = gr.Radio(choices, value=LOCAL, label=strings.BACKEND, info=strings.BACKEND_HINT, elem_id="backend")
    with gr.Column(visible=False, elem_id="hosted", elem_classes="tb-inner") as drawer:
        # It is sent along with a click and stored nowhere: not in the page, not in the browser, not here.
        key = gr.Textbox(
            label=strings.KEY,
            info=strings.KEY_HINT,
            type="password",
            max_lines=1,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
            elem_id="api-key",
        )
        key_note = fields.slot("api-key-note")
        told = fields.slot("hosted-told")
    return BackendPanel(backend, drawer, key, key_note, told)


class Hosting:
    """The handlers of the choice.

    Args:
        desk: studio, settings and files.
        panel: the components.
        consent: says who receives the recording.
    """

    def __init__(self, desk: Desk, panel: BackendPanel, consent: gr.Checkbox) -> None:
        self._desk = desk
        self.panel = panel
        self._consent = consent

    def outputs(self) -> list[Any]:
        """Return what ``chosen`` changes."""
        return [self.panel.drawer, self._consent, self.panel.told]

    def chosen(self, backend: str, source: str, text: str | None, model: str | None) -> Updates:
        """Show what belongs to a backend: who receives the recording, how, and what it may cost."""
        hosted = backend == NOVITA
        receiver = strings.RECEIVER_HOSTED if hosted else strings.RECEIVER
        return {
            self.panel.drawer: gr.update(visible=hosted),
            self._consent: gr.update(info=receiver),
            self.panel.told: self._told(source, text, model) if hosted else "",
        }

    def recall(self, backend: object) -> Any:
        """Return the choice of the last visit; where there is none, whatever stands there already stays."""
        return backend if isinstance(backend, str) and backend in BACKENDS else gr.skip()

    def _told(self, source: str, text: str | None, model: str | None) -> str:
        studio = self._desk.studio
        way = studio.way_to_lend(is_url=source == strings.LINK)
        try:
            options = cloning.parse(
                cloning.CloneOptions, {"text": text if text and text.strip() else None, "model": model}
            )
            cost = studio.clone_cost(options)
        except TimbreError:
            cost = strings.COST_UNKNOWN
        return parts.hosted(cost, way)
