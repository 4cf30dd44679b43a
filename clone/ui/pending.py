"""What may have been paid for without coming back: the visitor says whether it went through, and it is kept or goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from clone.storage.journal import Entry
from clone.ui import fields, listing, parts, strings
from clone.ui.running import Desk, refused

Updates = dict[Any, Any]

_JS = """
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  trigger('apply', {entry: form.dataset.entry, voice: form.querySelector('input')?.value || ''});
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do=dismiss]');
  if (button) trigger('delete', {entry: button.closest('form').dataset.entry});
});
"""


@dataclass(frozen=True)
class PendingPanel:
    """The requests whose end is not known; ``listed`` has the events apply (keep) and delete (dismiss)."""

    note: gr.HTML
    listed: gr.HTML


def pending_panel() -> PendingPanel:
    """Build: messages, and the requests; nothing is seen of it while there are none."""
    return PendingPanel(fields.slot("pending-note"), gr.HTML("", js_on_load=_JS, elem_id="pending"))


def rows(left: Iterable[Entry], names: dict[str, str]) -> str:
    """Return the requests, each with what ends it.

    Args:
        left: newest first.
        names: of the voices, by voice_id.
    """
    listed = "".join(_row(entry, names) for entry in left)
    heading = parts.heading(None, strings.PENDING, strings.PENDING_ADVICE)
    return f'{heading}<ul class="tb-voices">{listed}</ul>' if listed else ""


def _row(entry: Entry, names: dict[str, str]) -> str:
    name = (entry.voice.name if entry.voice else names.get(entry.voice_id)) or strings.UNNAMED
    asked = (
        f'<label>{strings.PENDING_ID} <input type="text" maxlength="200" autocomplete="off" '
        f'value="{escape(entry.voice_id, quote=True)}"></label> '
        if entry.voice
        else ""
    )
    return (
        f"<li><strong>{escape(strings.PENDING_OF[entry.kind].format(name))}</strong>"
        f'<p class="tb-facts">{escape(strings.PENDING_SENT.format(entry.created_at, entry.expires_at))}</p>'
        f'<form class="tb-edit" data-entry="{escape(entry.entry_id, quote=True)}">{asked}'
        f'<button type="submit" class="tb-button">{strings.PENDING_KEEP}</button>'
        f'<button type="button" class="tb-button" data-do="dismiss">{strings.PENDING_DISMISS}</button></form></li>'
    )


class Pending:
    """The handlers.

    Args:
        desk: studio, settings and files.
        panel: the components.
        voices: the list, which what is kept joins.
    """

    def __init__(self, desk: Desk, panel: PendingPanel, voices: gr.HTML) -> None:
        self._desk = desk
        self.panel = panel
        self._voices = voices

    def outputs(self) -> list[Any]:
        """Return what ``keep`` and ``dismiss`` change."""
        return [self.panel.note, self.panel.listed, self._voices]

    def show(self, request: gr.Request, token: str) -> str:
        """List the requests as they are now."""
        try:
            return listed_for(self._desk, self._desk.owner(token, request))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return refused(error)

    def keep(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Keep what went through."""
        studio, (entry_id, voice_id) = self._desk.studio, _told(event)
        try:
            owner = self._desk.owner(token, request)
            studio.settle(entry_id, owner, voice_id)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.note: refused(error)}
        return self._shown(owner, strings.PENDING_KEPT)

    def dismiss(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Forget what did not go through."""
        try:
            owner = self._desk.owner(token, request)
            self._desk.studio.dismiss(_told(event)[0], owner)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.panel.note: refused(error)}
        return self._shown(owner, strings.PENDING_DISMISSED)

    def _shown(self, owner: str, said: str) -> Updates:
        studio = self._desk.studio
        listed, voices = listed_for(self._desk, owner), listing.voices(studio.voices(owner), studio.keep_cost())
        return {self.panel.note: parts.note("info", said), self.panel.listed: listed, self._voices: voices}


def listed_for(desk: Desk, owner: str) -> str:
    """Return what is left of an owner's requests."""
    left = desk.studio.unsettled(owner)
    return rows(left, {voice.voice_id: voice.name for voice in desk.studio.voices(owner)} if left else {})


def _told(event: gr.EventData) -> tuple[str, str]:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("entry"))[:100], str(data.get("voice") or "")[:300]
