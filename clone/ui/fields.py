"""The kinds of fields the page is made of; the language of a text among them, which is said beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from clone.contract import cloning, markup
from clone.contract.cloning import SPEECH_TASK_MAX_CHARS
from clone.contract.speech import AUTO, LANGUAGES, check_language
from clone.studio.facade import Studio
from clone.ui import parts, strings
from clone.ui.theme import wave

Updates = dict[Any, Any]
"""What a handler changes of the page: by component."""

DROP_PX = 140
"""How tall the place is where a file is dropped."""


def card(visible: bool = True, elem_id: str | None = None) -> gr.Column:
    """Build a section of the page."""
    return gr.Column(visible=visible, elem_id=elem_id, elem_classes="tb-card")


def recorder(elem_id: str, label: str, sources: list[Any]) -> gr.Audio:
    """Build an input for a recording."""
    # No format: what comes in is passed on as it is, and only the reader decides what it is.
    return gr.Audio(sources=sources, type="filepath", label=label, buttons=[], waveform_options=wave(), elem_id=elem_id)


def model_choice(elem_id: str) -> gr.Dropdown:
    """Build the choice among the contract's models, the best first."""
    by_tier = sorted(cloning.MODELS, key=lambda name: cloning.tier(name) != "hd")
    choices = [(f"{name} · {strings.MODEL_LABELS[cloning.tier(name)]}", name) for name in by_tier]
    start, label, hint = strings.MODEL_START, strings.MODEL, strings.MODEL_HINT
    return gr.Dropdown(choices, value=start, label=label, info=hint, elem_id=elem_id, elem_classes="tb-inline")


def slot(elem_id: str) -> gr.HTML:
    """Build the place of the message that belongs to the input above it."""
    return gr.HTML(elem_id=elem_id, elem_classes="tb-slot")


REFUSALS = {"text_language", "language_missing"}
"""What is said in the line beneath a text while it is written, and would only be repeated elsewhere."""


@dataclass(frozen=True)
class LanguagePanel:
    """The choice of a text's language, and what is said of it."""

    choice: gr.Dropdown
    said: gr.HTML


def language_panel(elem_id: str, said: gr.HTML) -> LanguagePanel:
    """Build the choice; ``said`` is the line beneath the text that says which language it is."""
    choices = [(strings.LANGUAGE_DETECT, AUTO), *((name, code) for code, name in LANGUAGES.items())]
    choice = gr.Dropdown(choices, value=AUTO, label=strings.LANGUAGE, elem_id=elem_id, elem_classes="tb-inline")
    return LanguagePanel(choice, said)


def language_line(studio: Studio, text: str | None, chosen: str | None) -> str:
    """Return the line: which language, who says so, who speaks it; or why it can't be spoken here."""
    text = (text or "")[:SPEECH_TASK_MAX_CHARS]  # a longer one is refused, and the line is made at every key
    if not any(c.isalnum() for c in text):
        return ""
    language = check_language(chosen) if chosen in (AUTO, *LANGUAGES) else None
    found = studio.language_of(text, language)
    if found.refusal is not None:
        return parts.note("warn", found.refusal.message, found.refusal.advice)
    line = (strings.LANGUAGE_SET if language else strings.LANGUAGE_FOUND).format(found.name)
    line += "" if found.code == "en" else f" {strings.LANGUAGE_HD}"
    unknown = markup.unknown(text)
    line += f" {strings.UNKNOWN_MARKUP.format(', '.join(unknown))}" if unknown else ""
    return parts.line(line)
