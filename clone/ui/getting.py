"""The line beneath the models: a closer engine that can be got, by the owner of this machine and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.core.errors import CancelledError
from clone.studio.facade import ModelStatus
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.running import Desk, Progress, explain
from clone.ui.visitors import header_pairs

_KIND = "model"


@dataclass(frozen=True)
class GettingPanel:
    """What there is to get, under which terms, and getting it."""

    shown: gr.Column
    told: gr.HTML
    offer: gr.Column
    get: gr.Button
    cancel: gr.Button
    note: gr.HTML


def getting_panel() -> GettingPanel:
    """Build: the line with licence and terms, the button that accepts them, progress; unseen but by the owner."""
    with gr.Column(visible=False, elem_id="closer-hd", elem_classes="tb-closer") as shown:
        told = fields.slot("model-told")
        with gr.Column(visible=False, elem_id="model-offer") as offer:
            get = gr.Button(strings.MODEL_GET.format(""), size="sm", elem_id="model-get")
            cancel = gr.Button(strings.CANCEL, variant="stop", size="sm", visible=False, elem_id="model-cancel")
        note = fields.slot("model-note")
    return GettingPanel(shown, told, offer, get, cancel, note)


class ModelOffer:
    """The handlers of the line. Each looks at who asks: what is not shown can be asked for all the same."""

    def __init__(self, desk: Desk, panel: GettingPanel) -> None:
        self._desk = desk
        self.panel = panel

    def outputs(self) -> list[Any]:
        """Return what the handlers change."""
        p = self.panel
        return [p.shown, p.told, p.offer, p.get, p.cancel, p.note]

    def show(self, request: gr.Request) -> Updates:
        """Show the owner what there is to get, or what became of it."""
        model = self._model(request)
        return {self.panel.shown: gr.skip()} if model is None else self._offered(model)

    def get(self, request: gr.Request) -> Iterator[Updates]:
        """Get it for the owner, who accepts the terms by the click; closing this closes the studio's work too."""
        p, model = self.panel, self._model(request)
        if model is None:
            yield {p.shown: gr.skip()}
            return
        stop, progress = self._desk.begin(request.session_hash, _KIND), Progress()
        yield {p.get: gr.update(visible=False), p.cancel: gr.update(visible=True), p.note: progress.shown()}
        try:
            with closing(self._desk.studio.get_model(model.name, stop)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, ModelStatus):
                        yield self._offered(step) | {p.note: ""}
                    else:
                        yield {p.note: progress.shown(step)}
        except CancelledError:
            yield {p.note: parts.note("info", strings.MODEL_STOPPED)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield {p.note: parts.refusal(explain(error))}

    def stop(self, request: gr.Request) -> None:
        """Ask getting it to stop."""
        if self._is_owner(request):
            self._desk.stop(request.session_hash, _KIND)

    def _is_owner(self, request: gr.Request) -> bool:
        return self._desk.owners.is_owner(header_pairs(request.headers))

    def _model(self, request: gr.Request) -> ModelStatus | None:
        return next(iter(self._desk.studio.models()), None) if self._is_owner(request) else None

    def _offered(self, model: ModelStatus) -> Updates:
        p = self.panel
        return {
            p.shown: gr.update(visible=True),
            p.told: parts.model(model),
            p.offer: gr.update(visible=not (model.is_here and model.is_judged)),
            p.get: strings.MODEL_COMPARE if model.is_here else strings.MODEL_GET.format(model.size),
        }
