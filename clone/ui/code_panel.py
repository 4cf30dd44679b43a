"""Requests as programs, there from the first moment on: they follow what is filled in, and refuse nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import gradio as gr

from clone.core.errors import TimbreError
from clone.core.settings import LOCAL
from clone.studio.facade import RequestCode
from clone.studio.snippets import OWN_KEY, CloneDraft, Draft, SpeakDraft, draft_code
from clone.ui import parts, strings
from clone.ui.form import Form
from clone.ui.running import Desk, address, explain
from clone.ui.theme import static
from clone.ui.visitors import LOCAL_OWNER


@dataclass(frozen=True)
class Lent:
    """What became of lending: links for an hour, of the recordings they are of; or why there are none, of a form."""

    recordings: object = None
    code: RequestCode | None = None
    form: Form | None = None
    refusal: str = ""


@dataclass(frozen=True)
class CodePanel:
    """A drawer with programs. ``shown`` has the event apply: a link to the recording is wanted."""

    name: str
    drawer: gr.Accordion
    shown: gr.HTML
    now: gr.Button
    lent: gr.State

    def wire(self, write: Callable[..., Any], inputs: list[Any], changes: Iterable[Any], quick: dict[str, Any]) -> None:
        """Have it written anew a moment after the last change, while it is open; the browser looks after that."""
        self.now.click(write, inputs, self.shown, trigger_mode="always_last", **quick)
        js = f"() => window.tbCode('{self.name}')"
        gr.on([self.drawer.expand, *changes], fn=None, js=js, api_visibility="private", queue=False)


def code_panel(name: str, *drafts: Draft) -> CodePanel:
    """Build it, closed, with what can be said before anything is filled in."""
    with gr.Accordion(strings.CODE, open=False, elem_id=f"{name}-drawer", elem_classes="tb-drawer") as drawer:
        written = [_titled(each, draft_code(each, "http://127.0.0.1", OWN_KEY)) for each in drafts]
        shown = gr.HTML(parts.code(name, written), js_on_load=static("code.js"), elem_id=name)
    now = gr.Button(elem_id=f"{name}-now", elem_classes="tb-unseen")  # pressed by page.js
    return CodePanel(name, drawer, shown, now, gr.State(Lent()))


class Coding:
    """Writes requests down.

    Args:
        desk: studio, settings and files.
        has_house_key: whether the API's key lies in this machine's home, and so speaks with its owner's voices.
    """

    def __init__(self, desk: Desk, has_house_key: bool) -> None:
        self._desk = desk
        self._has_house_key = has_house_key

    def clone(self, request: gr.Request, lent: Lent, *values: Any) -> str:
        """Return the form as it is filled in: cloning, and speaking with what comes of it."""
        return self._form(request, Form(*values), lent)

    def lend(self, request: gr.Request, token: str, lent: Lent, *values: Any) -> tuple[str, Lent]:
        """Lend the recording for an hour, so that the program runs as it stands; say why, where that can't be."""
        form = Form(*values)
        try:
            for fault in form.faults():
                raise fault
            given, visit = form.given.check(), self._desk.visit(request)
            recording = self._desk.recording(visit, given) if form.part else given
            order = form.order(self._desk.owner(token, request), recording)
            lent = Lent(_recordings(form), self._desk.studio.request_code(order, address(request)))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            lent = replace(lent, form=_keyless(form), refusal=parts.refusal(explain(error)))
        return self._form(request, form, lent), lent

    def speak(self, request: gr.Request, token: str, voice_id: str | None, *said: Any) -> str:
        """Return the speaking of a text, as ``SpeakPanel.said`` asks for it."""
        text, model, speed, pitch, volume, kind, language, *_ = said
        how = float(speed or 1.0), int(pitch or 0), float(volume or 1.0), str(kind)
        return self._speech(request, token, "speak-code", SpeakDraft(voice_id or "", text or "", model, *how, language))

    def voice(self, request: gr.Request, token: str, voice_id: str | None, text: str | None, model: str) -> str:
        """Return the speaking of a text with a new voice."""
        return self._speech(request, token, "voice-code", SpeakDraft(voice_id or "", text or "", model))

    def _form(self, request: gr.Request, form: Form, lent: Lent) -> str:
        draft, studio = _clone_draft(form, lent), self._desk.studio
        said = SpeakDraft(text=form.text or "", model=form.model or strings.MODEL_START, language=form.language)
        at = form.backend, address(request)
        written = [_titled(each, studio.draft_code(each, *at)) for each in (draft, said)]
        wanted = form.given.audio() is not None and not (
            draft.audio_url and (draft.prompt_url or not form.prompt_audio)
        )
        return parts.code("code", written, is_lent=wanted) + _refusal(form, lent)

    def _speech(self, request: gr.Request, token: str, name: str, draft: SpeakDraft) -> str:
        backend, is_foreign = LOCAL, False
        try:
            owner = self._desk.owner(token, request)
            backend = self._desk.studio.voice(draft.voice_id, owner).backend
            is_foreign = backend == LOCAL and not (self._has_house_key and owner == LOCAL_OWNER)
        except TimbreError:  # none is chosen yet
            pass
        draft = replace(draft, is_foreign=is_foreign)
        written = self._desk.studio.draft_code(draft, backend, address(request))
        return parts.code(name, [_titled(draft, written)])


def _titled(draft: Draft, written: RequestCode) -> tuple[str, RequestCode]:
    return strings.CODE_TITLES[isinstance(draft, SpeakDraft)], written


def _refusal(form: Form, lent: Lent) -> str:
    """Return why lending was refused, for as long as it would be: the page writes programs anew as it likes."""
    if _keyless(form) == lent.form or not lent.refusal:
        return lent.refusal
    faults = form.faults()
    return parts.refusal(faults[0]) if faults else ""


def _keyless(form: Form) -> Form:
    """Return a form without the key that was typed: it is kept nowhere."""
    return replace(form, api_key=None)


def _recordings(form: Form) -> object:
    """Return what links are good for: the recording, the part of it, the clip."""
    return form.given, form.part and (form.part_start_s, form.part_length_s), form.prompt_audio


def _clone_draft(form: Form, lent: Lent) -> CloneDraft:
    audio = form.given.audio()
    links, ends = [audio if isinstance(audio, str) and not form.part else "", ""], None
    if lent.code is not None and lent.recordings == _recordings(form):
        ends = lent.code.expires_at
        if ends is None or ends > datetime.now(UTC):
            links = [*lent.code.links, ""]
    return CloneDraft(
        *(links[0], form.text or "", form.model or "", form.accuracy, form.noise, form.volume),
        prompt_url=links[1],
        prompt_text=form.prompt_text or "",
        has_prompt=bool(form.prompt_audio or (form.prompt_text or "").strip()),
        language=form.language,
        expires_at=ends if links[0] else None,
    )
