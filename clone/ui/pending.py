"""What may have been paid for without coming back: the visitor says whether it went through, and it is kept or goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.ui import fields, parts, strings
from clone.ui.running import Desk, refused
from clone.ui.theme import static

Updates = dict[Any, Any]


@dataclass(frozen=True)
class PendingPanel:
    """The requests whose end is not known; ``listed`` has the events apply (keep) and delete (dismiss)."""

    note: gr.HTML
    listed: gr.HTML


def pending_panel() -> PendingPanel:
    """Build: messages, and the requests; nothing is seen of it while there are none."""
    return PendingPanel(fields.slot("pending-note"), gr.HTML("", js_on_load=static("pending.js"), elem_id="pending"))


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
        listed, voices = listed_for(self._desk, owner), parts.voices(studio.voices(owner), studio.keep_cost())
        return {self.panel.note: parts.note("info", said), self.panel.listed: listed, self._voices: voices}


def listed_for(desk: Desk, owner: str) -> str:
    """Return what is left of an owner's requests."""
    left = desk.studio.unsettled(owner)
    return parts.pending(left, {voice.voice_id: voice.name for voice in desk.studio.voices(owner)} if left else {})


def _told(event: gr.EventData) -> tuple[str, str]:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("entry"))[:100], str(data.get("voice") or "")[:300]
