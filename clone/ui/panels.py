"""The place where a voice is cloned, in the order a visitor meets it. What it does is wired in page.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.contract import cloning
from clone.core.errors import TimbreError
from clone.core.settings import BACKENDS, LOCAL, NOVITA
from clone.storage.voice import NAME_MAX_CHARS
from clone.studio.snippets import CloneDraft, SpeakDraft
from clone.ui import fields, parts, strings
from clone.ui.code_panel import CodePanel, code_panel
from clone.ui.fields import LanguagePanel, Updates, language_line, language_panel
from clone.ui.form import examples
from clone.ui.getting import GettingPanel, getting_panel
from clone.ui.recording_check import SamplePanel, sample_panel
from clone.ui.result import ResultPanel, result_panel
from clone.ui.running import Desk
from clone.ui.theme import static

BACKEND_KEY = "timbre-backend"


@dataclass(frozen=True)
class BackendPanel:
    """The choice of the backend, and what the hosted one needs."""

    backend: gr.Radio
    drawer: gr.Column
    key: gr.Textbox
    key_note: gr.HTML
    facts: gr.HTML


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
        facts = fields.slot("hosted-told")
    return BackendPanel(backend, drawer, key, key_note, facts)


class BackendChoice:
    """The handlers of the choice.

    Args:
        desk: studio, settings and files.
        panel: the components.
        consent: says who receives the recording.
        language: of the text, which is said anew along with it.
    """

    def __init__(self, desk: Desk, panel: BackendPanel, consent: gr.Checkbox, language: LanguagePanel) -> None:
        self._desk = desk
        self.panel = panel
        self._consent = consent
        self._language = language

    def outputs(self) -> list[Any]:
        """Return what ``chosen`` changes."""
        return [self.panel.drawer, self._consent, self.panel.facts, self._language.said]

    def chosen(self, backend: str, source: str, text: str | None, model: str | None, language: str | None) -> Updates:
        """Show what belongs to a backend, who receives the recording, how, and what it may cost; and the language."""
        hosted = backend == NOVITA
        receiver = strings.RECEIVER_HOSTED if hosted else strings.RECEIVER
        return {
            self.panel.drawer: gr.update(visible=hosted),
            self._consent: gr.update(info=receiver),
            self.panel.facts: self._facts(source, text, model) if hosted else "",
            self._language.said: language_line(self._desk.studio, text, language),
        }

    def recall(self, backend: object) -> Any:
        """Return the choice of the last visit; where there is none, whatever stands there already stays."""
        return backend if isinstance(backend, str) and backend in BACKENDS else gr.skip()

    def _facts(self, source: str, text: str | None, model: str | None) -> str:
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


@dataclass(frozen=True)
class VoicePanel:
    """The recording: given one way or another, heard, and judged."""

    source: gr.Radio
    recorded: gr.Audio
    uploaded: gr.Audio
    link: gr.Textbox
    link_button: gr.Button
    example: gr.Radio
    note: gr.HTML
    sample: SamplePanel
    by_source: tuple[gr.Column, ...]


@dataclass(frozen=True)
class CloserPanel:
    """Prompt clip and transcript."""

    drawer: gr.Accordion
    audio: gr.Audio
    text: gr.Textbox
    take: gr.Button
    transcribe: gr.Button
    match: gr.HTML
    note: gr.HTML


@dataclass(frozen=True)
class PreviewPanel:
    """What the voice is called, what it says first and how; with the options behind their drawer."""

    name: gr.Textbox
    text: gr.Textbox
    counter: gr.HTML
    quality: gr.Radio
    model: gr.Dropdown
    getting: GettingPanel
    language: LanguagePanel
    note: gr.HTML
    drawer: gr.Accordion
    accuracy: gr.Slider
    noise: gr.Checkbox
    volume: gr.Checkbox
    advanced_note: gr.HTML


@dataclass(frozen=True)
class RunPanel:
    """Consent, button, progress; who clones, and the request as code."""

    backend_choice: BackendPanel
    consent: gr.Checkbox
    consent_note: gr.HTML
    clone: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    code: CodePanel
    joined: gr.State
    """The page that is to join a clone under way, once it has arrived."""


def clone_panels() -> tuple[tuple[VoicePanel, CloserPanel, PreviewPanel, RunPanel], ResultPanel]:
    """Build the place where a voice is cloned: the recording, what is asked for, and what comes of it."""
    with gr.Column(elem_id="form") as form:
        gr.HTML(parts.render("hello"), elem_id="hello")
        voice = _voice_panel()
        closer, preview, run = _order_panels()
    return (voice, closer, preview, run), result_panel(form)


def _voice_panel() -> VoicePanel:
    """Build: record, upload, link or example, and what the check found."""
    with fields.card():
        source = gr.Radio(
            list(strings.SOURCES), value=strings.UPLOAD, label=strings.SOURCE, show_label=False, elem_id="source"
        )
        with gr.Column(visible=False, elem_id="by-record") as by_record:
            gr.HTML(parts.render("script"), elem_id="prompter")
            recorded = fields.recorder("recorded", strings.RECORD_LABEL, ["microphone"])
        with gr.Column(elem_id="by-upload") as by_upload:
            uploaded = fields.recorder("uploaded", strings.UPLOAD_LABEL, ["upload"])
        with gr.Column(visible=False, elem_id="by-link") as by_link:
            link = gr.Textbox(
                label=strings.LINK_LABEL, info=strings.LINK_HINT, placeholder=strings.LINK_PLACEHOLDER, elem_id="link"
            )
            link_button = gr.Button(strings.LINK_BUTTON, elem_id="link-check")
        with gr.Column(visible=False, elem_id="by-example") as by_example:
            choices = [(each.label, each.name) for each in examples()]
            example = gr.Radio(choices, label=strings.EXAMPLE_LABEL, info=strings.EXAMPLE_HINT, elem_id="examples")
        note = fields.slot("voice-note")
        sample = sample_panel()
    by_source = (by_record, by_upload, by_link, by_example)
    return VoicePanel(source, recorded, uploaded, link, link_button, example, note, sample, by_source)


def _order_panels() -> tuple[CloserPanel, PreviewPanel, RunPanel]:
    """Build: name, text, quality, consent and the button; behind Options everything else that can be asked for."""
    with fields.card():
        with gr.Row(elem_classes="tb-pair"):
            name = gr.Textbox(
                label=strings.NAME, placeholder=strings.NAME_PLACEHOLDER, max_length=NAME_MAX_CHARS, elem_id="name"
            )
            quality = gr.Radio(list(strings.QUALITIES.items()), value="hd", label=strings.QUALITY, elem_id="quality")
        text = gr.Textbox(
            strings.TEXT_START, label=strings.TEXT, placeholder=strings.TEXT_HINT, lines=2, max_lines=5, elem_id="text"
        )
        with gr.Row(elem_classes="tb-under"):
            line = fields.slot("language-said")
            counter = gr.HTML(parts.counter(len(strings.TEXT_START)), elem_id="text-count")
        gr.HTML(parts.render("sentences"), js_on_load=static("sentences.js"), elem_id="sentences")
        note = fields.slot("text-note")
        with gr.Column(elem_classes="tb-act"):
            consent = gr.Checkbox(label=strings.CONSENT, info=strings.RECEIVER, elem_id="consent")
            consent_note = fields.slot("consent-note")
            clone = gr.Button(strings.CLONE, variant="primary", size="lg", elem_id="clone")
            progress = fields.slot("progress")
            cancel = gr.Button(strings.CANCEL, variant="stop", visible=False, elem_id="cancel", elem_classes="tb-calm")
        with gr.Accordion(strings.OPTIONS, open=False, elem_id="advanced", elem_classes="tb-drawer") as drawer:
            language = language_panel("language", line)
            model = fields.model_choice("model")
            getting = getting_panel()
            noise = gr.Checkbox(
                cloning.NOISE_REDUCTION_DEFAULT, label=strings.NOISE, info=strings.NOISE_HINT, elem_id="noise"
            )
            volume = gr.Checkbox(
                cloning.VOLUME_NORMALIZATION_DEFAULT, label=strings.VOLUME, info=strings.VOLUME_HINT, elem_id="volume"
            )
            closer, accuracy = _closer_panel()
            advanced_note = fields.slot("advanced-note")
            backend_choice = backend_panel()
            code = code_panel("code", CloneDraft(), SpeakDraft(model=strings.MODEL_START))
    levels = (accuracy, noise, volume, advanced_note)
    preview = PreviewPanel(name, text, counter, quality, model, getting, language, note, drawer, *levels)
    run = RunPanel(backend_choice, consent, consent_note, clone, cancel, progress, code, gr.State(""))
    return closer, preview, run


def _closer_panel() -> tuple[CloserPanel, gr.Slider]:
    with gr.Accordion(strings.CLOSER, open=False, elem_id="closer", elem_classes="tb-drawer") as drawer:
        gr.HTML(parts.line(strings.CLOSER_ADVICE, "tb-advice"))
        take = gr.Button(strings.PROMPT_TAKE, elem_id="prompt-take")
        audio = fields.recorder("prompt-audio", strings.PROMPT_AUDIO, ["upload", "microphone"])
        transcribe = gr.Button(strings.PROMPT_TRANSCRIBE, elem_id="prompt-transcribe")
        text = gr.Textbox(label=strings.PROMPT_TEXT, info=strings.PROMPT_TEXT_HINT, lines=2, elem_id="prompt-text")
        match = fields.slot("prompt-match")
        accuracy = gr.Slider(
            cloning.ACCURACY_MIN,
            cloning.ACCURACY_MAX,
            cloning.ACCURACY_DEFAULT,
            step=0.05,
            label=strings.ACCURACY,
            info=strings.ACCURACY_HINT,
            elem_id="accuracy",
        )
        note = fields.slot("prompt-note")
    return CloserPanel(drawer, audio, text, take, transcribe, match, note), accuracy
