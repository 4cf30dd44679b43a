"""The visitor's voices: the list, playing, speaking with one, forgetting one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr

from clone import contract
from clone.errors import CancelledError, VoiceError
from clone.settings import NOVITA
from clone.studio import SpeakOrder, Spoken
from clone.ui import parts, words
from clone.ui.outcomes import LibraryPanel, ResultPanel
from clone.ui.running import Desk, Progress, explain
from clone.ui.visitors import is_token, new_token
from clone.voice import Voice

Updates = dict[Any, Any]


class Library:
    """The handlers of the lower part of the page.

    Args:
        desk: studio, settings and files.
        panel: the components.
        result: the new voice, which goes from sight when it is forgotten.
    """

    def __init__(self, desk: Desk, panel: LibraryPanel, result: ResultPanel) -> None:
        self._desk = desk
        self.panel = panel
        self.result = result

    def outputs(self) -> list[Any]:
        """Return everything the handlers may change."""
        p = self.panel
        return [p.listed, p.note, p.chosen, p.card, p.title, p.player, *self.controls(), p.spoken]

    def forgettable(self) -> list[Any]:
        """Return what may show a voice that is forgotten."""
        p, r = self.panel, self.result
        return [p.listed, p.note, p.chosen, p.card, p.player, p.spoken, r.card, r.original, r.clone, r.voice_id]

    def controls(self) -> list[Any]:
        """Return what ``cancelled`` changes."""
        return [self.panel.speak, self.panel.cancel, self.panel.progress]

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
            unseen = gr.update(value=None, visible=False)
            updates |= {self.panel.chosen: None, self.panel.card: gr.update(visible=False)}
            updates |= {self.panel.player: unseen, self.panel.spoken: unseen}
        if new == voice_id:
            updates |= {self.result.card: gr.update(visible=False), self.result.voice_id: ""}
            updates |= {self.result.original: None, self.result.clone: None}
        self._desk.files.forget(request.session_hash, about=voice_id)
        return updates

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
            yield self._idle() | {p.progress: _refusal(error)}

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
            yield at_rest | {p.note: _refusal(error)}

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
        return {self.panel.spoken: gr.update(value=str(path), visible=True), self.panel.listed: self._listed(owner)}

    def _listed(self, owner: str) -> str:
        return parts.voices(self._desk.studio.voices(owner), self._desk.studio.calls.keep_cost())

    def _voice(self, event: gr.EventData, owner: str) -> Voice:
        voice_id = _voice_id(event)
        for voice in self._desk.studio.voices(owner):
            if voice.voice_id == voice_id:
                return voice
        raise VoiceError(words.VOICE_GONE, code="unknown_voice", field="voice_id", advice=words.VOICE_GONE_ADVICE)

    def _chosen(self, voice: Voice) -> Updates:
        title = f'<h3 class="tb-title">{escape(voice.name or words.UNNAMED)}</h3>'
        return {
            self.panel.note: "",
            self.panel.chosen: voice.voice_id,
            self.panel.card: gr.update(visible=True),
            self.panel.title: title,
            self.panel.spoken: gr.update(value=None, visible=False),
        } | self._idle()


def _voice_id(event: gr.EventData) -> str:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("voice", ""))[:200]


def _refusal(error: Exception) -> str:
    """Return what to say, and where the key is entered if that is what is missing."""
    told = explain(error)
    return parts.refusal(told) + (parts.note("info", words.KEY_WHERE) if told.field == "api_key" else "")


def _chosen(voice_id: str | None) -> str:
    if not voice_id:
        raise VoiceError(words.NO_VOICE, code="no_voice", field="voice_id", advice=words.NO_VOICE_ADVICE)
    return voice_id
