"""The new voice: heard beside its recording, in the other quality too, and saying something else right there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from clone.contract import cloning
from clone.core.errors import CancelledError, TimbreError
from clone.core.settings import LOCAL
from clone.studio.facade import SpeakOrder, Spoken, Voice
from clone.studio.snippets import SpeakDraft
from clone.ui import fields, parts, strings
from clone.ui.code_panel import CodePanel, code_panel
from clone.ui.fields import Updates
from clone.ui.running import Desk, Progress, explain
from clone.ui.takes import Sound, file_name
from clone.ui.theme import static

Previews = tuple[str, tuple[tuple[str, str], ...]]
"""A voice_id, and what else it said to be compared: qualities and files."""

_KIND = "other"
_NAMES = {tier: name for name, tier in strings.QUALITIES.items()}


@dataclass(frozen=True)
class ResultPanel:
    """The new voice, in the place of what it was asked for with, and what can be done with it next."""

    card: gr.Column
    form: gr.Column
    named: gr.HTML
    compare: gr.HTML
    voice_id: gr.Textbox
    facts: gr.HTML
    said: gr.HTML
    again: gr.Button
    share: gr.Button
    change: gr.Button
    shared: gr.HTML
    other: gr.Button
    other_cancel: gr.Button
    other_note: gr.HTML
    heard: gr.State
    model: gr.State
    """What it speaks with."""
    trying: gr.Column
    text: gr.Textbox
    speak: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    latest: gr.HTML
    done: gr.HTML
    code: CodePanel


def result_panel(form: gr.Column) -> ResultPanel:
    """Build: one player for original and clone, likeness, another text, voice_id, words; unseen until then."""
    with fields.card(visible=False, elem_id="result") as card:
        with gr.Row(elem_classes="tb-between"):
            named = gr.HTML(parts.heading(strings.RESULT), js_on_load=static("new_voice.js"), elem_id="new-voice")
            change = gr.Button(strings.CHANGE, size="sm", elem_id="change", elem_classes="tb-calm")
        compare = gr.HTML(elem_id="compare", elem_classes="tb-slot")
        with gr.Row(elem_classes="tb-other"):
            other = gr.Button(size="sm", visible=False, elem_id="other", elem_classes="tb-calm")
            other_note = fields.slot("other-note")
            other_cancel = _cancel("other-cancel")
        facts = fields.slot("facts")
        with gr.Column(elem_id="trying") as trying:
            with gr.Row(elem_classes="tb-try"):
                text = gr.Textbox(label=strings.TRY, info=strings.TRY_HINT, max_lines=4, elem_id="try-text")
                speak = gr.Button(strings.SPEAK_BUTTON, variant="primary", elem_id="try")
                cancel = _cancel("try-cancel")
            with gr.Column(elem_classes="tb-tried"):
                progress = fields.slot("try-progress")
                latest = gr.HTML(elem_id="tried", elem_classes="tb-slot")
                done = fields.slot("tried-done")
        with gr.Row(elem_classes="tb-next"):
            again = gr.Button(strings.AGAIN, elem_id="again")
            share = gr.Button(strings.SHARE_CARD, elem_id="share")
        shared = fields.slot("shared")
        voice_id = gr.Textbox(
            label=strings.VOICE_ID, max_lines=2, interactive=False, buttons=["copy"], elem_id="voice-id"
        )
        code = code_panel("voice-code", SpeakDraft(model=strings.MODEL_START))
        said = fields.slot("said")  # comes last, and so beneath everything
    shown = (card, form, named, compare, voice_id, facts, said, again, share, change, shared)
    heard, model = gr.State(("", ())), gr.State(strings.MODEL_START)
    tried = (trying, text, speak, cancel, progress, latest, done)
    return ResultPanel(*shown, other, other_cancel, other_note, heard, model, *tried, code)


def _cancel(name: str) -> gr.Button:
    return gr.Button(strings.CANCEL, variant="stop", visible=False, elem_id=name, elem_classes="tb-calm")


class Comparing:
    """The handlers of the new voice's player.

    Args:
        desk: studio, settings and files.
        panel: the components.
    """

    def __init__(self, desk: Desk, panel: ResultPanel) -> None:
        self._desk = desk
        self.panel = panel

    def shown(self, voice: Voice, visit: str | None) -> Updates:
        """Show a new voice, to be heard and to be tried."""
        p = self.panel
        return {
            p.compare: self._compared(voice, visit, ()),
            p.heard: (voice.voice_id, ()),
            p.model: voice.model or strings.MODEL_START,
            p.other: self._offered(voice, ()),
            p.trying: gr.update(visible=voice.backend == LOCAL),  # of what costs money, Write says how much
            p.named: parts.new_voice(voice),
            p.text: "",
            p.progress: "",
            p.latest: "",
            p.done: "",
            p.other_note: "",
        }

    def showing(self) -> list[Any]:
        """Return what ``shown`` changes."""
        p = self.panel
        tried = [p.trying, p.text, p.progress, p.latest, p.done]
        return [p.compare, p.heard, p.model, p.other, p.other_note, p.named, *tried]

    def speak(
        self, request: gr.Request, token: str, voice_id: str, heard: Previews, typed: str | None
    ) -> Iterator[Updates]:
        """Speak the preview's text, or what is typed where there is none, in the other quality, to be compared."""
        p, progress, visit = self.panel, Progress(), self._desk.visit(request)
        stop = self._desk.begin(visit, _KIND)
        running = {p.other: gr.update(visible=False), p.other_cancel: gr.update(visible=True)}
        yield running | {p.other_note: progress.shown()}
        try:
            voice = self._desk.studio.voice(voice_id, self._desk.owner(token, request))
            others = _of(heard, voice)
            tier = self._missing(voice, others) or "hd"
            model = next(name for name in reversed(cloning.MODELS) if cloning.tier(name) == tier)
            text = cloning.check_text(voice.settings.get("text") or typed or "")
            with closing(self._desk.studio.speak(SpeakOrder(voice.owner, voice_id, text, model))) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Spoken):
                        others = (*others, (tier, self._written(step, tier, visit)))
                        compared = self._compared(step.voice, visit, others)
                        yield {p.compare: compared, p.heard: (voice_id, others), p.other_note: ""}
                    else:
                        stop.check()
                        yield {p.other_note: progress.shown(step)}
        except CancelledError:
            yield {p.other_note: parts.note("info", strings.STOPPED)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield {p.other_note: parts.refusal(explain(error))}

    def speaking(self) -> list[Any]:
        """Return what ``speak`` changes."""
        p = self.panel
        return [p.compare, p.heard, p.other, p.other_cancel, p.other_note]

    def stop(self, request: gr.Request) -> None:
        """Ask it to stop."""
        self._desk.stop(self._desk.visit(request), _KIND)

    def rest(self, request: gr.Request, token: str, voice_id: str | None, heard: Previews) -> Updates:
        """Offer what can be heard next, and say how long the voice stays by now."""
        p = self.panel
        try:
            voice = self._desk.studio.voice(voice_id or "", self._desk.owner(token, request))
        except TimbreError:  # it was forgotten meanwhile
            return {p.other: gr.update(visible=False)}
        others = _of(heard, voice)
        both = {} if self._missing(voice, others) or not others else {p.other_note: parts.line(strings.BOTH_HEARD)}
        return {p.other: self._offered(voice, others), p.named: parts.new_voice(voice)} | both

    def resting(self) -> list[Any]:
        """Return what ``rest`` changes."""
        return [self.panel.other, self.panel.other_note, self.panel.named]

    def _offered(self, voice: Voice, others: tuple[tuple[str, str], ...]) -> Any:
        tier = self._missing(voice, others)
        named = {"value": strings.HEAR_OTHER.format(_NAMES[tier])} if tier else {}
        return gr.update(visible=bool(tier), **named)

    def _missing(self, voice: Voice, others: tuple[tuple[str, str], ...]) -> str | None:
        """Return a quality in which the voice was not heard; None where that costs money, or would be the same."""
        text = voice.settings.get("text") or ""
        if voice.backend != LOCAL or (text and self._desk.studio.language_of(text, None).code != "en"):
            return None
        there = {tier for tier, _ in others} | ({cloning.tier(voice.model)} if text and voice.model else set())
        # Without a preview the quality that is not spoken with beside it comes first.
        return next((tier for tier in ("turbo", "hd") if tier not in there), None)

    def _written(self, spoken: Spoken, tier: str, visit: str | None) -> str:
        name = file_name("mp3", f"{_NAMES[tier]} of {spoken.voice.name or strings.UNNAMED}")
        path = self._desk.files.new(visit, name, spoken.voice.voice_id)
        self._desk.studio.write_speech(spoken, path)
        return str(path)

    def _compared(self, voice: Voice, visit: str | None, others: tuple[tuple[str, str], ...]) -> str:
        """Return the player of the recording, the preview, and what else the voice said, as far as there is each."""
        name, files = voice.name or strings.UNNAMED, list[tuple[Path, str, str]]()
        preview = _NAMES[cloning.tier(voice.model)] if others and voice.model else strings.CLONED
        for kind, called in (("reference", strings.ORIGINAL), ("preview", preview)):
            if voice.file(kind):
                source = self._desk.studio.audio(voice.voice_id, voice.owner, kind)
                saved_as = file_name(source.suffix[1:], strings.player(kind, name))
                files.append((self._desk.files.copy(visit, source, saved_as, voice.voice_id), called, saved_as))
        files += [(Path(path), _NAMES[tier], Path(path).name) for tier, path in others]
        sounds: list[Sound] = self._desk.sounds(visit, *files)
        return parts.compare(sounds, blind=voice.file("reference") is not None)


def _of(heard: Previews, voice: Voice) -> tuple[tuple[str, str], ...]:
    """Return what else a voice said, as far as its files are still there."""
    return tuple(each for each in heard[1] if Path(each[1]).is_file()) if heard[0] == voice.voice_id else ()
