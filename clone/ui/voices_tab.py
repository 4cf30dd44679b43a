"""The visitor's voices: finding, playing, naming, keeping and forgetting them, and choosing one to speak with.

Above them stands what may have been paid for without coming back: whether it went through is the visitor's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.core.errors import CancelledError, VoiceError
from clone.core.settings import NOVITA
from clone.storage.voice import NOTE_MAX_CHARS, Voice
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.files import SEVERAL
from clone.ui.import_panel import ImportPanel, import_panel
from clone.ui.result import ResultPanel
from clone.ui.running import Desk, Progress, explain, refused, share
from clone.ui.speak_tab import Speaking
from clone.ui.takes import file_name
from clone.ui.theme import static
from clone.ui.visitors import is_token, new_token

_KIND = "keep"
UNDO_S = 20
_ON_ITS_WAY_S = 2
"""What a press of Undo in its last second may take to get here."""
_TOLD_MAX_CHARS = 4 * NOTE_MAX_CHARS
_AT_ONCE = 1_000
EXPORTED = "timbre-voices.timbre"


@dataclass(frozen=True)
class VoicesPanel:
    """The visitor's voices.

    ``listed`` has two properties: ``value``, the whole list, and ``changed``, one row that takes the place of its
    voice's. Its events: play (preview or sample), select (speak with it), edit (name, note or tags), like (keep, free),
    apply (keep, paid), delete, undo, download (share), copy (export). Each brings ``voice``, the voice_id, or where
    several were chosen ``voices``; edit ``name``, ``note`` or ``tags``, of several tags to ``add`` or to ``remove``.
    """

    note: gr.HTML
    keep_cancel: gr.Button
    playing: gr.State
    player: gr.HTML
    listed: gr.HTML
    coming: ImportPanel


def voices_panel() -> VoicesPanel:
    """Build: heading, import, messages, the one player, the list; inside the card that the caller makes."""
    gr.HTML(parts.heading(strings.VOICES, strings.VOICES_ADVICE))
    coming = import_panel()
    with gr.Column(elem_classes="tb-now"):
        note = fields.slot("voices-note")
        keep_cancel = gr.Button(strings.CANCEL, variant="stop", visible=False, elem_id="keep-cancel")
        playing = gr.State(None)
        player = fields.slot("voice-player")
    listed = gr.HTML(
        "", html_template=parts.voices_frame(), js_on_load=static("voices.js"), changed="", elem_id="voices"
    )
    return VoicesPanel(note, keep_cancel, playing, player, listed, coming)


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

    def playable(self) -> list[Any]:
        """Return what ``play`` changes."""
        return [self.panel.note, self.panel.playing, self.panel.player]

    def selectable(self) -> list[Any]:
        """Return what ``select`` changes."""
        return [self.panel.note, *self.speaking.choosing()]

    def changeable(self) -> list[Any]:
        """Return what ``edit``, ``keep_free`` and ``restore`` change."""
        return [self.panel.note, self.panel.listed, self.result.named]

    def forgettable(self) -> list[Any]:
        """Return what may show a voice that is forgotten."""
        r = self.result
        shown = [*self.playable(), *self.speaking.choosing(), r.card, r.form, r.compare, r.voice_id]
        return [self.panel.listed, *shown]

    def open(self, request: gr.Request, token: str) -> tuple[str, str, str]:
        """Give a new visitor a token, and return it with the list of voices and what may have been paid."""
        token = token if is_token(token) else new_token()
        try:
            owner = self._desk.owner(token, request)
            return token, self._listed(owner), listed_for(self._desk, owner)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return token, parts.refusal(explain(error)), ""

    def play(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Play a voice's preview or the recording it came from; only now is its audio read."""
        kind = "reference" if _sent(event, "kind") == "reference" else "preview"
        try:
            owner = self._desk.owner(token, request)
            voice = self._voice(event, owner)
            (sound,) = self._desk.sounds(request.session_hash, self._desk.sample(request.session_hash, voice, kind))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)
        shown = parts.player(sound, autoplay=True, named=True)
        return {self.panel.note: "", self.panel.playing: voice.voice_id, self.panel.player: shown}

    def select(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Choose a voice to speak with."""
        try:
            voice = self._voice(event, self._desk.owner(token, request))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)
        return {self.panel.note: ""} | self.speaking.choose(voice)

    def edit(self, request: gr.Request, token: str, new: str, event: gr.EventData) -> Updates:
        """Give a voice another name, note or tags; or tags to several, or take some away."""
        words = {what: _sent(event, what) for what in ("name", "note", "tags")}
        add, remove, studio = _sent(event, "add") or "", _sent(event, "remove") or "", self._desk.studio
        try:
            owner, voice_id = self._desk.owner(token, request), _sent(event, "voice")
            if voice_id is not None:
                return self._changed(studio.describe(voice_id, owner, **words), new=new)
            chosen = [voice.voice_id for voice in self._voices(event, owner)]
            return self._changed(*studio.tag(chosen, owner, add=add, remove=remove), new=new)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def keep_free(self, request: gr.Request, token: str, new: str, event: gr.EventData) -> Updates:
        """Keep voices of this machine, which costs nothing."""
        try:
            owner = self._desk.owner(token, request)
            voices = self._voices(event, owner)
            if any(voice.backend == NOVITA for voice in voices):
                raise VoiceError(strings.KEEP_PAID, code="keep_paid", field="voice_id", advice=strings.KEEP_PAID_ADVICE)
            return self._changed(*(self._desk.studio.keep(voice.voice_id, owner) for voice in voices), new=new)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def forget(self, request: gr.Request, event: gr.EventData, token: str, *shown: str | None) -> Updates:
        """Forget voices, and take them from sight wherever they are shown; for a while they can be brought back."""
        updates: Updates = {self.panel.note: ""}
        rows = []
        try:
            owner = self._desk.owner(token, request)
            for voice in self._voices(event, owner):
                self._desk.studio.forget(voice.voice_id, owner, UNDO_S + _ON_ITS_WAY_S)
                for visit in (request.session_hash, self._desk.visit(request)):
                    self._desk.files.forget(visit, about=voice.voice_id)
                rows.append(parts.forgotten(voice, UNDO_S))
                updates |= self._unseen(voice.voice_id, *shown)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            updates |= self._refused(error)
        return updates | ({self.panel.listed: gr.update(changed="".join(rows))} if rows else {})

    def restore(self, request: gr.Request, token: str, new: str, event: gr.EventData) -> Updates:
        """Bring back what was forgotten a moment ago: a voice, or of several those for which it is not too late."""
        back, late = list[Voice](), None
        try:
            owner = self._desk.owner(token, request)
            for voice_id in _ids(event):
                try:
                    back.append(self._desk.studio.restore(voice_id, owner))
                except VoiceError as error:
                    late = error
            return self._changed(*back, new=new) | (self._refused(late) if late else {})
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return self._refused(error)

    def export(self, request: gr.Request, token: str, event: gr.EventData) -> str:
        """Write voices to one file, and return the link to it."""
        desk, visit = self._desk, request.session_hash
        try:
            owner = desk.owner(token, request)
            voices = self._voices(event, owner)
            name = voices[0].name or strings.UNNAMED if len(voices) == 1 else f"{len(voices)} voices"
            path = desk.files.new(visit, EXPORTED, SEVERAL)
            desk.studio.export_voices([voice.voice_id for voice in voices], owner, path)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return refused(error)
        return parts.file_link(
            desk.takes.lend(path, visit), file_name(EXPORTED.rpartition(".")[2], name), f"Save {name}"
        )

    def share(self, request: gr.Request, token: str, event: gr.EventData) -> str:
        """Make the card of a voice, and return the link to it."""
        return share(self._desk, request, token, _sent(event, "voice") or "")

    def keep(
        self, request: gr.Request, token: str, key: str | None, new: str, event: gr.EventData
    ) -> Iterator[Updates]:
        """Keep a hosted voice by the shortest speech that counts, until somebody asks this to stop.

        Closing this closes the studio's work too.
        """
        p, progress, voice_id = self.panel, Progress(), _sent(event, "voice") or ""
        stop = self._desk.begin(request.session_hash, _KIND)
        yield {p.note: progress.shown(), p.keep_cancel: gr.update(visible=True)}
        try:
            owner = self._desk.owner(token, request)
            keeping = self._desk.studio.keeping(voice_id, owner, (key or "").strip() or None)
            with closing(keeping) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Voice):  # what is paid for is shown, even to who asked to stop
                        yield self._changed(step, new=new) | {p.note: parts.note("info", strings.KEPT_NOW)}
                    else:
                        stop.check()
                        yield {p.note: progress.shown(step)}
        except CancelledError:
            yield {p.note: parts.note("info", strings.STOPPED_PAID)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield {p.note: refused(error)}

    def stop_keeping(self, request: gr.Request) -> None:
        """Ask keeping to stop."""
        self._desk.stop(request.session_hash, _KIND)

    def keepable(self) -> list[Any]:
        """Return what ``keep`` changes."""
        return [self.panel.listed, self.panel.keep_cancel, self.panel.note, self.result.named]

    def rename_new(self, request: gr.Request, token: str, new: str, event: gr.EventData) -> Updates:
        """Give the new voice another name, where it appears."""
        return self._new(
            request, token, new, lambda owner: self._desk.studio.describe(new, owner, name=_sent(event, "name"))
        )

    def keep_new(self, request: gr.Request, token: str, new: str) -> Updates:
        """Keep the new voice, one of this machine, where it appears."""
        return self._new(request, token, new, lambda owner: self._desk.studio.keep(new, owner))

    def _new(self, request: gr.Request, token: str, new: str, change: Callable[[str], Voice]) -> Updates:
        studio, shown = self._desk.studio, ""
        try:
            owner = self._desk.owner(token, request)
            shown = parts.new_voice(studio.voice(new, owner))
            return self._changed(change(owner), new=new)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.result.named: (shown or parts.heading(strings.RESULT)) + refused(error)}

    def _listed(self, owner: str) -> str:
        return parts.voices(self._desk.studio.voices(owner), self._desk.studio.keep_cost())

    def _changed(self, *voices: Voice, new: str | None = None) -> Updates:
        """Show voices as they are now, in the list and where one of them is the new one."""
        shown = [voice for voice in voices if voice.voice_id == new]
        named = {self.result.named: parts.new_voice(shown[0])} if shown else {}
        return {self.panel.note: "", self.panel.listed: gr.update(changed="".join(map(parts.voice, voices)))} | named

    def _refused(self, error: Exception) -> Updates:
        return {self.panel.note: refused(error)}

    def _voices(self, event: gr.EventData, owner: str) -> list[Voice]:
        """Return the voice, or of several those that are still there, that something is to be done with."""
        there = {voice.voice_id: voice for voice in self._desk.studio.voices(owner)}
        found = [there[each] for each in _ids(event) if each in there]
        return found or [self._voice(event, owner)]

    def _voice(self, event: gr.EventData, owner: str) -> Voice:
        try:
            return self._desk.studio.voice(_sent(event, "voice") or "", owner)
        except VoiceError as error:
            if error.code != "unknown_voice":
                raise
            gone, advice = strings.VOICE_GONE, strings.VOICE_GONE_ADVICE
            raise VoiceError(gone, code=error.code, field="voice_id", advice=advice) from None

    def _unseen(self, voice_id: str, *shown: str | None) -> Updates:
        chosen, playing, new = shown
        updates: Updates = self.speaking.unchoose() if chosen == voice_id else {}
        if playing == voice_id:
            updates |= {self.panel.playing: None, self.panel.player: ""}
        if new == voice_id:
            updates |= {self.result.card: gr.update(visible=False), self.result.voice_id: "", self.result.compare: ""}
            updates |= {self.result.form: gr.update(visible=True)}
        return updates


def _ids(event: gr.EventData) -> list[str]:
    """Return the voice_ids of a voice or of several."""
    several = _data(event).get("voices")
    if not isinstance(several, list):
        return [_sent(event, "voice") or ""]
    return list(dict.fromkeys(str(each)[:_TOLD_MAX_CHARS] for each in several[:_AT_ONCE]))


def _data(event: gr.EventData) -> dict[str, Any]:
    # What a browser sends along with a click may be anything.
    return event._data if isinstance(event._data, dict) else {}


def _sent(event: gr.EventData, what: str) -> str | None:
    value = _data(event).get(what)
    return None if value is None else str(value)[:_TOLD_MAX_CHARS]


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
        studio, (entry_id, voice_id) = self._desk.studio, _chosen(event)
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
            self._desk.studio.dismiss(_chosen(event)[0], owner)
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


def _chosen(event: gr.EventData) -> tuple[str, str]:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("entry"))[:100], str(data.get("voice") or "")[:300]
