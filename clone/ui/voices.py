"""The visitor's voices: the list, playing one, choosing one to speak with, keeping and forgetting one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.errors import VoiceError
from clone.studio import Spoken
from clone.ui import fields, parts, words
from clone.ui.outcomes import ResultPanel
from clone.ui.running import Desk, Progress, explain, refused
from clone.ui.speaking import Speaking
from clone.ui.visitors import is_token, new_token
from clone.voice import Voice

Updates = dict[Any, Any]

_VOICES_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  const row = event.target.closest('[data-voice]');
  if (!button || !row) return;
  const does = button.dataset.do;
  const sure = row.querySelector('.tb-sure');
  sure.hidden = does !== 'ask';
  const pay = row.querySelector('.tb-pay');
  if (pay) pay.hidden = does !== 'offer';
  if (does === 'offer') pay.querySelector('button').focus();
  if (does === 'decline') row.querySelector('[data-do=offer]').focus();
  if (does === 'ask') sure.querySelector('button').focus();
  if (does === 'keep') row.querySelector('[data-do=ask]').focus();
  const voice = { voice: row.dataset.voice };
  if (does === 'play') trigger('play', voice);
  if (does === 'speak') trigger('select', voice);
  if (does === 'forget') trigger('delete', voice);
  if (does === 'pay') trigger('apply', voice);
});
"""


@dataclass(frozen=True)
class VoicesPanel:
    """7 The visitor's voices."""

    listed: gr.HTML
    note: gr.HTML
    keep_cancel: gr.Button
    player: gr.Audio


def voices_panel() -> VoicesPanel:
    """Build: the list of voices; inside the card that the caller makes."""
    gr.HTML(parts.heading(None, words.VOICES, words.VOICES_ADVICE))
    listed = gr.HTML(parts.voices([]), js_on_load=_VOICES_JS, elem_id="voices")
    note = fields.slot("voices-note")
    keep_cancel = gr.Button(words.CANCEL, variant="stop", visible=False, elem_id="keep-cancel")
    player = fields.player("voice-player", words.PREVIEW_PLAYER, visible=False, autoplay=True)
    return VoicesPanel(listed, note, keep_cancel, player)


class Voices:
    """The handlers of the list.

    Args:
        desk: studio, settings and files.
        panel: the components.
        speaking: the card of the voice chosen here.
        result: the new voice, which goes from sight when it is forgotten.
    """

    def __init__(self, desk: Desk, panel: VoicesPanel, speaking: Speaking, result: ResultPanel) -> None:
        self._desk = desk
        self.panel = panel
        self.speaking = speaking
        self.result = result

    def outputs(self) -> list[Any]:
        """Return everything that playing and choosing may change."""
        return [self.panel.note, self.panel.player, *self.speaking.choosing()]

    def forgettable(self) -> list[Any]:
        """Return what may show a voice that is forgotten."""
        p, r = self.panel, self.result
        return [p.listed, p.note, p.player, *self.speaking.choosing(), r.card, r.original, r.clone, r.voice_id]

    def open(self, request: gr.Request, token: str) -> tuple[str, str]:
        """Give a new visitor a token, and return it with the list of voices."""
        token = token if is_token(token) else new_token()
        try:
            listed = self._listed(self._desk.owner(token, request))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            listed = parts.refusal(explain(error))
        return token, listed

    def play(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Choose a voice and play its preview; only now is its audio read."""
        try:
            owner = self._desk.owner(token, request)
            voice = self._voice(event, owner)
            source = self._desk.studio.audio(voice.voice_id, owner, "preview")
            name = f"timbre-{voice.voice_id}-preview{source.suffix}"
            path = self._desk.files.copy(request.session_hash, source, name)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.note: parts.refusal(explain(error))}
        return self._chosen(voice) | {self.panel.player: gr.update(value=str(path), visible=True)}

    def select(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Choose a voice to speak with."""
        try:
            voice = self._voice(event, self._desk.owner(token, request))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.note: parts.refusal(explain(error))}
        return self._chosen(voice) | {self.panel.player: gr.update(value=None, visible=False)}

    def forget(
        self, request: gr.Request, token: str, chosen: str | None, new: str | None, event: gr.EventData
    ) -> Updates:
        """Forget a voice, and take it from sight wherever it is shown."""
        voice_id = _voice_id(event)
        try:
            owner = self._desk.owner(token, request)
            self._desk.studio.forget(voice_id, owner)
            updates: Updates = {self.panel.listed: self._listed(owner)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.note: parts.refusal(explain(error))}
        updates[self.panel.note] = parts.note("info", words.FORGOTTEN)
        if chosen == voice_id:
            updates |= self.speaking.unchoose() | {self.panel.player: gr.update(value=None, visible=False)}
        if new == voice_id:
            updates |= {self.result.card: gr.update(visible=False), self.result.voice_id: ""}
            updates |= {self.result.original: None, self.result.clone: None}
        self._desk.files.forget(request.session_hash, about=voice_id)
        return updates

    def keep(self, request: gr.Request, token: str, key: str | None, event: gr.EventData) -> Iterator[Updates]:
        """Keep a hosted voice by the shortest speech that counts; closing this cancels it."""
        p, progress, voice_id = self.panel, Progress(), _voice_id(event)
        yield {p.note: progress.told(), p.keep_cancel: gr.update(visible=True)}
        at_rest = {p.keep_cancel: gr.update(visible=False)}
        try:
            owner = self._desk.owner(token, request)
            order = self._desk.studio.calls.keep_order(voice_id, owner, (key or "").strip() or None)
            with closing(self._desk.studio.speak(order)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Spoken):
                        yield at_rest | {p.note: parts.note("info", words.KEPT_NOW), p.listed: self._listed(owner)}
                    else:
                        yield {p.note: progress.told(step)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield at_rest | {p.note: refused(error)}

    def keepable(self) -> list[Any]:
        """Return what ``keep`` changes."""
        return [self.panel.listed, *self.keep_controls()]

    def keep_controls(self) -> list[Any]:
        """Return what ``keep_cancelled`` changes."""
        return [self.panel.note, self.panel.keep_cancel]

    def keep_cancelled(self) -> Updates:
        """Return the list to rest after a cancel."""
        return {
            self.panel.note: parts.note("info", words.STOPPED_HOSTED),
            self.panel.keep_cancel: gr.update(visible=False),
        }

    def _chosen(self, voice: Voice) -> Updates:
        return {self.panel.note: ""} | self.speaking.choose(voice)

    def _listed(self, owner: str) -> str:
        return parts.voices(self._desk.studio.voices(owner), self._desk.studio.calls.keep_cost())

    def _voice(self, event: gr.EventData, owner: str) -> Voice:
        voice_id = _voice_id(event)
        for voice in self._desk.studio.voices(owner):
            if voice.voice_id == voice_id:
                return voice
        raise VoiceError(words.VOICE_GONE, code="unknown_voice", field="voice_id", advice=words.VOICE_GONE_ADVICE)


def _voice_id(event: gr.EventData) -> str:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("voice", ""))[:200]
