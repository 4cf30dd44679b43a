"""Speaking with a voice: which one, the text, what it costs, the run and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from clone import contract
from clone.errors import CancelledError, VoiceError
from clone.settings import NOVITA
from clone.studio import SpeakOrder, Spoken
from clone.ui import fields, listing, parts, words
from clone.ui.running import Desk, Progress, explain, refused
from clone.voice import Voice

Updates = dict[Any, Any]


@dataclass(frozen=True)
class SpeakPanel:
    """The card of the voice that was chosen."""

    chosen: gr.State
    card: gr.Column
    title: gr.HTML
    text: gr.Textbox
    model: gr.Dropdown
    cost: gr.HTML
    speak: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    spoken: gr.Audio


def speak_panel() -> SpeakPanel:
    """Build: the voice chosen, text, model, cost, and what it said; unseen until one is chosen."""
    chosen = gr.State(None)
    with gr.Column(visible=False, elem_id="voice-card", elem_classes="tb-inner") as card:
        title = gr.HTML(elem_id="voice-title")
        text = gr.Textbox(words.TEXT_START, label=words.SPEAK_TEXT, lines=3, max_lines=12, elem_id="speak-text")
        model = fields.model_choice("speak-model")
        cost = fields.slot("speak-cost")
        speak = gr.Button(words.SPEAK_BUTTON, variant="primary", elem_id="speak")
        cancel = gr.Button(words.CANCEL, variant="stop", visible=False, elem_id="speak-cancel")
        progress = fields.slot("speak-progress")
        spoken = fields.player("spoken", words.SPOKEN, visible=False, autoplay=True)
    return SpeakPanel(chosen, card, title, text, model, cost, speak, cancel, progress, spoken)


class Speaking:
    """The handlers of the card; the list that a speech changes is its caller's.

    Args:
        desk: studio, settings and files.
        panel: the components.
        listed: the list of voices, drawn anew once a voice has spoken and so is kept.
    """

    def __init__(self, desk: Desk, panel: SpeakPanel, listed: gr.HTML) -> None:
        self._desk = desk
        self.panel = panel
        self.listed = listed

    def outputs(self) -> list[Any]:
        """Return everything ``speak`` may change."""
        return [*self.controls(), self.panel.spoken, self.listed]

    def choosing(self) -> list[Any]:
        """Return everything ``choose`` changes."""
        p = self.panel
        return [p.chosen, p.card, p.title, p.spoken, *self.controls()]

    def unchoosing(self) -> list[Any]:
        """Return everything ``unchoose`` changes."""
        p = self.panel
        return [p.chosen, p.card, p.spoken]

    def controls(self) -> list[Any]:
        """Return what ``cancelled`` changes."""
        return [self.panel.speak, self.panel.cancel, self.panel.progress]

    def choose(self, voice: Voice) -> Updates:
        """Show the card of a voice, at rest."""
        title = f'<h3 class="tb-title">{escape(voice.name or words.UNNAMED)}</h3>'
        return {
            self.panel.chosen: voice.voice_id,
            self.panel.card: gr.update(visible=True),
            self.panel.title: title,
            self.panel.spoken: gr.update(value=None, visible=False),
        } | self._idle()

    def unchoose(self) -> Updates:
        """Take the card from sight."""
        p = self.panel
        return {p.chosen: None, p.card: gr.update(visible=False), p.spoken: gr.update(value=None, visible=False)}

    def speak(
        self, request: gr.Request, token: str, key: str | None, chosen: str | None, *said: str | None
    ) -> Iterator[Updates]:
        """Say a text with a model: speak with the chosen voice; closing this closes the studio's work too."""
        p, progress = self.panel, Progress()
        yield {
            p.speak: gr.update(visible=False),
            p.cancel: gr.update(visible=True),
            p.progress: progress.told(),
        }
        try:
            owner = self._desk.owner(token, request)
            text, model = contract.check_text(said[0] or ""), contract.check_model(said[1] or "")
            order = SpeakOrder(owner, _chosen(chosen), text, model, api_key=(key or "").strip() or None)
            with closing(self._desk.studio.speak(order)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Spoken):
                        yield self._idle() | self._heard(step, owner, request.session_hash)
                    else:
                        yield {p.progress: progress.told(step)}
        except CancelledError:
            yield self.cancelled()
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._idle() | {p.progress: refused(error)}

    def cost(self, request: gr.Request, token: str, chosen: str | None, text: str | None, model: str | None) -> str:
        """Say what speaking with the chosen voice may cost; nothing where it is free."""
        try:
            voices = self._desk.studio.voices(self._desk.owner(token, request))
            if not any(voice.voice_id == chosen and voice.backend == NOVITA for voice in voices):
                return ""
            cost = self._desk.studio.calls.speech_cost(text or "", contract.check_model(model or ""))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return parts.refusal(explain(error))
        return f'<p class="tb-said tb-facts">{escape(cost)}</p>'

    def cancelled(self) -> Updates:
        """Return the card to rest after a cancel."""
        return self._idle() | {self.panel.progress: parts.note("info", words.STOPPED)}

    def _idle(self) -> Updates:
        p = self.panel
        return {p.speak: gr.update(visible=True), p.cancel: gr.update(visible=False), p.progress: ""}

    def _heard(self, spoken: Spoken, owner: str, visit: str | None) -> Updates:
        path = self._desk.files.new(visit, f"timbre-{spoken.voice.voice_id}.wav")
        self._desk.studio.write_speech(spoken, path)
        studio = self._desk.studio
        listed = listing.voices(studio.voices(owner), studio.calls.keep_cost())
        return {self.panel.spoken: gr.update(value=str(path), visible=True), self.listed: listed}


def _chosen(voice_id: str | None) -> str:
    if not voice_id:
        raise VoiceError(words.NO_VOICE, code="no_voice", field="voice_id", advice=words.NO_VOICE_ADVICE)
    return voice_id
